// The built command where the world fails it: streams that are full, closed or slow, and signals at any moment. It ends
// with a line and an exit code, never with a stack trace, and never by a segmentation fault.

import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import { type TensorData, writeSafetensors } from '../../../src/io/safetensors.ts'
import { upToDate } from '../../built.ts'
import { adapterNames } from '../../support.ts'
import { onlyOnLinux } from '../../where.ts'
import {
  filesIn,
  ROOT,
  spawnFlowseg,
  temporaryFolder,
  withoutIntroduction,
  withoutWarnings,
} from '../cli-harness.ts'

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })
beforeAll(async () => {
  await upToDate()
})

const hasSwiftShader = adapterNames().some((name) => /swiftshader/i.test(name))
const line = ['segment', 'photo.png', 'the dotted shape', '--mask', 'm.png', '--flow', 'flow']
if (hasSwiftShader) line.push('--adapter', 'swiftshader') // it caches no kernels: each run compiles
const run = (args: readonly string[], redirect: string) => spawnFlowseg(args, { cwd: ROOT, redirect })

// ---- Streams

/** Inspecting it opens no device, whose driver might say something. */
const CONFIG = 'weights/flowseg-nano/config.json'

test
  .skipIf(onlyOnLinux)
  .each([
    '--help',
    'segment --help',
    `inspect ${CONFIG}`,
    `inspect ${CONFIG} --json`,
    'segment nowhere.png cat --json',
  ])(`a full disk ends %s with one line${onlyOnLinux}`, async (line) => {
  const full = await run(line.split(' '), '> /dev/full')
  expect(full).toMatchObject({ code: 1, signal: null, out: '' })
  expect(full.err).toMatch(
    /^flowseg: Standard output can't be written: no space left on device \(ENOSPC\)\..*\n$/,
  )
})

test.skipIf(onlyOnLinux).each<[string, string, number]>([
  ['stdout that is for reading', '1< /dev/null', 1],
  ['stdout closed', '>&-', 0], // Node opens /dev/null in its place
  ['stderr closed', '2>&-', 0],
  ['both closed', '>&- 2>&-', 0],
  ['stdin closed', '<&-', 0],
  ['stderr full', '2> /dev/full', 0],
])(`%s${onlyOnLinux}`, async (_, redirect, code) => {
  const ended = await run(['inspect', CONFIG, '--json'], redirect)
  expect([ended.code, ended.signal]).toEqual([code, null])
  expect(ended.err).toMatch(
    code === 0 ? /^$/ : /^flowseg: Standard output can't be written: bad file descriptor.*\n$/,
  )
})

test.skipIf(onlyOnLinux)(
  `a mistake is told by the exit code where nobody can be told${onlyOnLinux}`,
  async () => {
    for (const redirect of ['2>&-', '2> /dev/full', '>&- 2>&-', '> /dev/full 2> /dev/full']) {
      expect(await run(['inspect', '--what'], redirect)).toMatchObject({ code: 2, signal: null })
    }
  },
)

test('whoever stops reading is no error, and one who reads late gets everything', async () => {
  // More than a pipe holds, of a model that nobody knows: no device is opened, whose driver might say something
  const weights = join(await temporaryFolder(), 'model.safetensors')
  const tensors = Array.from({ length: 2000 }, (_, i): TensorData => {
    return { name: `blocks.${i}.weight`, dtype: 'F32', shape: [1], bytes: new Uint8Array(4) }
  })
  await writeFile(weights, writeSafetensors(tensors))
  const gone = await run(['inspect', weights, '--json'], '| head -c 10; exit 0')
  expect([gone.out, gone.err]).toEqual(['{"source":', ''])
  const late = await run(['inspect', weights, '--json'], '| (sleep 1; cat)')
  expect(JSON.parse(late.out)).toMatchObject({ source: weights, config: null })
})

// ---- The last resort

test.each([
  ['an error that nobody catches', 'throw'],
  ['a promise that nobody awaits', 'void Promise.reject('],
])('%s ends the work with one line', async (_, fault) => {
  const cwd = await imageFolder()
  // Thrown once the command has begun
  const script = `const timer = setInterval(() => {
    if (process.listenerCount('uncaughtException') === 0) return
    clearInterval(timer)
    ${fault} new Error('boom\\x1b[2J')${fault.endsWith('(') ? ')' : ''}
  }, 1)`
  const { code, signal, out, err } = await spawnFlowseg(line, {
    cwd,
    env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(script)}` },
  })
  expect([code, signal, out]).toEqual([1, null, ''])
  expect(err).toMatch(/^flowseg: boom\\e\[2J \(A fault of ours: .*\) \(ERR_INTERNAL\)\n$/)
  expect(await filesIn(cwd)).toEqual(['photo.png'])
})

// ---- Signals

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s ends the work, and leaves nothing behind', async (signal, code) => {
  const cwd = await imageFolder()
  let isSent = false
  const ended = await spawnFlowseg(line, {
    cwd,
    env: { FLOWSEG_DEBUG: '1' },
    onErr: (text, kill) => {
      if (!isSent && text.includes('progress: ')) kill(signal)
      isSent ||= text.includes('progress: ')
    },
  })
  expect(ended).toMatchObject({ code, signal: null, out: '' })
  expect(ended.err).toMatch(/flowseg: interrupted\n$/)
  expect(await filesIn(cwd)).toEqual(['photo.png'])
})

/** Milliseconds from the second signal to the end: loading and answering take longer. */
const AT_ONCE = 2000

test('a second Ctrl-C at any moment ends the process at once, and not by a fault of memory', async () => {
  const phases = ['upload', 'compile', 'run']
  let second = 0
  for (let i = 0; i < 5; i++) {
    const cwd = await imageFolder()
    const phase = phases[i % 3]!
    let [sentAt, secondAt] = [0, 0]
    const ended = await spawnFlowseg(line, {
      cwd,
      env: { FLOWSEG_DEBUG: '1' },
      onErr: (text, kill) => {
        if (sentAt > 0 || !text.includes(`progress: ${phase}`)) return
        sentAt = performance.now()
        kill('SIGINT')
        setTimeout(() => {
          secondAt = performance.now()
          kill('SIGINT')
        }, 20 * i)
      },
    })
    const endedAt = performance.now()
    // The first one may have ended it already
    if (secondAt > 0) {
      second++
      expect(endedAt - secondAt, `${phase}, ${20 * i} ms`).toBeLessThan(AT_ONCE)
    }
    // By the signal itself, which a shell shows as 130 too, or already by the first
    const how = ended.signal ?? ended.code
    expect(['SIGINT', 130], `${phase}, ${20 * i} ms: ${ended.err}`).toContain(how)
    expect(withoutIntroduction(withoutWarnings(ended.err))).toMatch(
      /^(progress: .*\n)*(flowseg: interrupted\n)?$/,
    )
    expect(await filesIn(cwd)).toEqual(['photo.png'])
  }
  expect(second).toBeGreaterThan(0)
})

async function imageFolder(): Promise<string> {
  const folder = await temporaryFolder()
  await copyFile(join(ROOT, 'examples/scene.png'), join(folder, 'photo.png'))
  return folder
}
