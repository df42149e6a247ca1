// From an empty folder to weights of one's own, and a mask by them: converted from a hub, interrupted wherever it may
// be, the same bytes.

import { readdirSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { LocalHub } from '../../io/http/hub/local-hub.ts'
import { thorough } from '../../runtime.ts'
import { flowseg, NANO, ROOT, temporaryFolder } from '../cli-harness.ts'

const hub = new LocalHub()
const INTERRUPTIONS = thorough ? 20 : 8
const PHOTO = join(ROOT, 'test/fixtures/nano/0.jpg')

beforeAll(async () => {
  await hub.listen()
  const names = readdirSync(NANO).filter((name) => name !== 'README.md')
  const files = names.map(
    (name) => [`stage 3/${name}`, new Uint8Array(readFileSync(join(NANO, name)))] as const,
  )
  hub.commit('me/nano', Object.fromEntries(files))
})
afterAll(() => hub.close())
beforeEach(async () => {
  vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder())
  vi.stubEnv('HF_ENDPOINT', hub.endpoint)
})

function contentsOf(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, readFileSync(join(folder, name)).toString('base64')]),
  )
}

test('convert from the hub is resumed wherever it was interrupted, and ends with the same bytes', async () => {
  const cwd = await temporaryFolder()
  const args = (source: string, out: string): string[] => [
    'convert',
    source,
    out,
    '--quantize',
    'int4',
    '--shard-size',
    '1MiB',
  ]
  const whole = await flowseg(args(NANO, 'disk'), { cwd })
  expect(whole.code).toBe(0)

  const expected = contentsOf(join(cwd, 'disk'))

  // The content server takes its time, so that there is something to interrupt. Who is through begins anew
  hub.rate = 40e6
  const out = join(cwd, 'hub')
  for (let interrupted = 0; ; ) {
    const stop = new AbortController()
    const isLast = interrupted >= INTERRUPTIONS
    const timer = setTimeout(() => isLast || stop.abort(new Error('interrupted')), 900 * Math.random())
    const { code, err } = await flowseg(args('hf:me/nano/stage 3', 'hub'), { cwd, signal: stop.signal })
    clearTimeout(timer)
    if (isLast) expect(code, err).toBe(0)
    if (code !== 0) {
      interrupted++
      continue
    }
    expect(contentsOf(out)).toEqual(expected)
    if (isLast) break
    await rm(out, { recursive: true })
    vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder())
  }
  expect(hub.leaks).toEqual([])

  // The guide's second command
  const answers: object[] = []
  for (const weights of ['disk', 'hub']) {
    const file = `${weights}.png`
    const args = [PHOTO, 'the small dotted shape', '--weights', weights, '--json', '--mask', file]
    const segment = await flowseg(['segment', ...args], { cwd })
    expect(segment.code, segment.err).toBe(0)
    const { query, score, box, area, candidates } = JSON.parse(segment.out) as Record<string, unknown>
    const pixels = readFileSync(join(cwd, file)).toString('base64')
    answers.push({ query, score, box, area, candidates, pixels })
  }
  expect(answers[0]).toMatchObject({ query: expect.any(Number), box: expect.any(Array) })
  expect(answers[1]).toEqual(answers[0])
})

test('weights without a tokenizer take that of another repository, as published ones must', async () => {
  const cwd = await temporaryFolder()
  const file = (name: string): Uint8Array => new Uint8Array(readFileSync(join(NANO, name)))
  const tokenizer = ['tokenizer.json', 'tokenizer_config.json']
  hub.commit('base/llm', Object.fromEntries(tokenizer.map((name) => [name, file(name)])))
  hub.commit('me/bare', { 'a/model.safetensors': file('model.safetensors') })

  const refused = await flowseg(['convert', 'hf:me/bare/a', 'out'], { cwd })
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('--tokenizer hf:owner/name') })
  const converted = await flowseg(['convert', 'hf:me/bare/a', 'out', '--tokenizer', 'hf:base/llm'], { cwd })
  expect(converted).toMatchObject({ code: 0, err: expect.stringContaining('it is flowseg-nano') })
  const [expected, written] = [contentsOf(NANO), contentsOf(join(cwd, 'out'))]
  for (const name of tokenizer) expect(written[name]).toBe(expected[name])
})

test('where nothing can be kept, the conversion is made, and says that it will download again', async () => {
  const cwd = await temporaryFolder()
  await writeFile(join(cwd, 'taken'), 'a file where the cache would be')
  vi.stubEnv('XDG_CACHE_HOME', join(cwd, 'taken'))
  const { code, err } = await flowseg(['convert', 'hf:me/nano/stage 3', 'out'], { cwd })
  expect(code, err).toBe(0)
  expect(err.match(/Weights can't be kept: .*Set XDG_CACHE_HOME/g)).toHaveLength(1)
  expect(readdirSync(cwd)).toEqual(['out', 'taken'])
})
