// flowseg tune: what it finds is reported, kept, taken by the other commands unless they are told not to, and
// forgotten.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from '../../../src/cli/args.ts'
import { doctor, kernelsText } from '../../../src/cli/commands/doctor.ts'
import { unmeasuredText } from '../../../src/cli/commands/tune.ts'
import { engineOptions } from '../../../src/cli/engine.ts'
import { Choices } from '../../../src/gpu/adapter.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { adapterNames, anyGpu } from '../../support.ts'
import { ROOT as cwd, filesIn, flowseg, temporaryFolder } from '../cli-harness.ts'

const gpu = await anyGpu()
const [name = ''] = adapterNames()
const adapter = name ? ['--adapter', name] : []

test('tuned, taken, turned off, damaged, forgotten', async () => {
  const folder = await temporaryFolder()
  const env = { XDG_CACHE_HOME: folder, FLOWSEG_TUNE: 'on' }
  /** The engine that a command opens. */
  const opened = async (more: string[] = [], other: Record<string, string> = {}) => {
    const args = parse(doctor.page, [...adapter, ...more])
    const own = await openGpu(engineOptions(args, { env: { ...env, ...other } }))
    const { choices } = own.adapter
    own.close()
    return { choices: Object.fromEntries(choices.tuned), notes: own.notes }
  }

  // 1. The table, and what is kept
  const { code, out, err } = await flowseg(['tune', '--seconds', '6'], { cwd, gpu, env, isTTY: true })
  expect(code).toBe(0)
  expect(err).toMatch(/tune.*%/)
  expect(out).toContain(gpu.name)
  expect(out).toMatch(/shapes +count +share +choice +ms +why/)
  expect(out).toMatch(/^(matmul|conv|attention) .* (registers|subgroup|tiled|gemv) /m)
  expect(out).toMatch(/An image and a sentence: [\d.]+ ms of these kernels by default, [\d.]+ ms as chosen/)
  const [file = ''] = (await filesIn(join(folder, 'flowseg'))).filter((entry) => entry.startsWith('tuned-'))
  const path = join(folder, 'flowseg', file)
  expect(out).toContain(path)
  const { choices, adapter: of } = JSON.parse(await readFile(path, 'utf8')) as {
    choices: Record<string, string>
    adapter: string
  }
  expect(of).toBe(gpu.name)
  expect(Object.keys(choices)).not.toEqual([])

  // 2. Taken, or not
  const seen = await flowseg(['doctor', '--json', ...adapter], { cwd, env })
  expect(JSON.parse(seen.out)).toMatchObject({ choices, vetoes: [], notes: [] })
  expect(await opened()).toEqual({ choices, notes: [] })
  expect(await opened(['--no-tune'])).toEqual({ choices: {}, notes: [] })
  expect(await opened([], { FLOWSEG_TUNE: 'off' })).toEqual({ choices: {}, notes: [] })

  // 3. Damaged
  await writeFile(path, '{')
  expect(await opened()).toEqual({ choices: {}, notes: [expect.stringContaining('damaged')] })

  // 4. Forgotten
  const forget = () => flowseg(['tune', '--forget'], { cwd, gpu, env })
  expect(await forget()).toEqual({ code: 0, out: `Deleted: ${path}\n`, err: '' })
  expect((await forget()).out).toBe(`No choices are kept for ${gpu.name}.\n`)
})

describe('what no GPU has measured', () => {
  test('doctor names the variants of all families that are tuned, for GPUs alone', () => {
    const textOf = (software: boolean, tuned: readonly string[] = [], notes: readonly string[] = []) => {
      const choices = new Choices()
      for (const key of tuned) choices.tuned.set(key, 'registers')
      return kernelsText({ adapter: { choices, software }, notes })
    }
    expect(textOf(false)).toBe(
      'by the cost model; `flowseg tune` measures; no GPU has measured matmul/tiled, matmul/gemv, conv/tiled, ' +
        'attention/tiled, layerNorm/shared, rmsNorm/shared, softmax/shared, reduce/shared, argmax/shared, ' +
        'normalizeRows/shared yet',
    )
    expect(textOf(true)).toBe('by the cost model; `flowseg tune` measures')
    expect(textOf(false, ['matmul 1x1x1 f32'])).toBe('as `flowseg tune` measured, 1 choices')
    expect(textOf(false, [], ['A note.'])).toBe('A note.')
  })

  test('tune names each variant once, and nothing where all were measured', () => {
    const candidate = { predicted: 1, verdict: 'timed' } as const
    const registers = { ...candidate, name: 'registers' }
    const tiled = { ...candidate, name: 'tiled', measuredOnGpu: false } as const
    expect(
      unmeasuredText([
        { family: 'matmul', candidates: [tiled, registers] },
        { family: 'matmul', candidates: [registers, tiled] },
        { family: 'attention', candidates: [tiled] },
      ]),
    ).toBe('No GPU had measured these before: matmul/tiled, attention/tiled.')
    expect(unmeasuredText([{ family: 'matmul', candidates: [registers] }])).toBeUndefined()
  })
})

test('for programs', async () => {
  const env = { XDG_CACHE_HOME: await temporaryFolder() }
  const { out } = await flowseg(['tune', '--seconds', '1', '--json'], { cwd, gpu, env })
  expect(JSON.parse(out)).toMatchObject({
    model: 'flowseg-nano',
    adapter: gpu.name,
    file: expect.any(String),
    tuned: { format: 2, choices: expect.any(Object) },
    classes: expect.arrayContaining([expect.objectContaining({ family: 'matmul', why: expect.any(String) })]),
  })
})

test.each([
  [['tune', 'now'], {}, "does not take 'now'"],
  [['tune', '--seconds', '0'], {}, "--seconds is '0', expected a whole number of at least 1."],
  [['tune', '--forget', '--seconds', '6'], {}, '--forget measures nothing: leave --seconds out.'],
  [['doctor'], { FLOWSEG_VARIANTS: 'matmul' }, "FLOWSEG_VARIANTS has 'matmul', expected FAMILY=VARIANT"],
  [['doctor'], { FLOWSEG_VARIANTS: 'matmull=tiled' }, 'there is no family matmull. Did you mean matmul?'],
  [
    ['doctor'],
    { FLOWSEG_VARIANTS: 'conv=tile' },
    'and conv has subgroup, tiled, registers. Did you mean tiled?',
  ],
  [['doctor'], { FLOWSEG_VARIANTS: 'weights=row' }, 'and weights has rows, packed. Did you mean rows?'],
])('%j with %j is not understood', async (args, env, message) => {
  const { code, err } = await flowseg(args, { cwd, env, gpu })
  expect(code).toBe(2)
  expect(err).toContain(message)
})
