// flowseg selftest: a table, JSON, exit codes; a variant that is wrong is named, reported, and not taken any more.

import { afterAll, expect, test } from 'vitest'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { loadTuned } from '../../../src/model/tuned-cache.ts'
import { softmaxFamily } from '../../../src/ops/reduce/reduce.ts'
import { planted, softmaxBy } from '../../selftest/planted.ts'
import { adapterNames } from '../../support.ts'
import { ROOT as cwd, flowseg, temporaryFolder } from '../cli-harness.ts'

const [name] = adapterNames()
const gpu = await openGpu(name ? { adapter: name } : {})
afterAll(() => gpu.close())

const FEW = ['selftest', '--family', 'reduce', '--count', '1']

test('what is right is told in a table, with progress on a terminal', async () => {
  const { code, out, err } = await flowseg([...FEW, '--seed', '5'], { cwd, gpu, isTTY: true })
  expect(code).toBe(0)
  expect(err).toMatch(/test.*%/)
  const lines = out.split('\n')
  expect(lines[0]).toMatch(/op +weights +variant +cases +error +allowed +ms/)
  const names = softmaxFamily.variants.map((variant) => `softmax/${variant.name}`)
  for (const variant of names) expect(out).toMatch(new RegExp(`pass +softmax +f32 +${variant} +1 +`))
  expect(out).toMatch(/\d+ right.*, none wrong, \d+ skipped/)
  expect(out).toContain('self-test, seed 5')
  expect(out).toContain(gpu.name)
  expect(out).not.toContain('FAIL')
})

test('--json has every result; families, variants and types add up', async () => {
  const variant = `softmax/${softmaxFamily.variants[0]!.name}`
  const args = ['--family', 'norm', '--variant', variant, '--type', 'f32', '--json']
  const { code, out } = await flowseg([...FEW, ...args], { cwd, gpu })
  expect(code).toBe(0)
  const { results, ...summary } = JSON.parse(out) as { results: { op: string }[]; passed: number }
  expect(results.map(({ op }) => op)).toEqual(['softmax'])
  expect(results[0]).toMatchObject({
    family: 'reduce',
    variant,
    type: 'f32',
    status: 'passed',
    tolerance: 2e-6,
  })
  expect(summary).toMatchObject({
    passed: 1,
    failed: 0,
    seed: 1,
    adapter: gpu.name,
    complete: true,
    vetoes: {},
  })
})

test('a wrong variant is reported with exit code 1, and --veto keeps it out', async () => {
  const folder = await temporaryFolder()
  const env = { XDG_CACHE_HOME: folder, FLOWSEG_TUNE: 'on' }
  await planted(gpu, softmaxFamily, softmaxBy('wrong', 'x[id.x] * sizes.scale'), async () => {
    const { code, out, err } = await flowseg([...FEW, '--veto'], { cwd, gpu, env })
    expect(code).toBe(1)
    expect(out).toMatch(/^FAIL +softmax +f32 +softmax\/wrong +1 of 1 /m)
    expect(out).toMatch(/1 wrong\. Please report it with what follows:\n\nflowseg [\d.]+ self-test, seed 1\n/)
    expect(out).toMatch(/^FAILED {3}softmax f32 by softmax\/wrong, .*: the error is /m)
    expect(err).toMatch(/^note: softmax\/wrong won't be taken here/m)
    const tuned = await loadTuned(gpu.identity, { folder: `${folder}/flowseg` })
    expect(JSON.parse(tuned!)).toMatchObject({ vetoes: { 'softmax/wrong': expect.any(String) } })
  })
})

test.each([
  [['--family', 'matmull'], "--family is 'matmull', and there is no such family. Did you mean matmul?"],
  [['--variant', 'zzz'], "--variant is 'zzz', and there is no such variant. There are "],
  [['--type', 'f64'], "--type is 'f64', and there is no such type. There are f32, f16,"],
  [['--count', '0'], "--count is '0', expected a whole number of at least 1."],
  [['--seed', '-1'], '--seed'],
  [['reduce'], "does not take 'reduce'"],
])('%j is refused', async (args, message) => {
  const { code, err } = await flowseg(['selftest', ...args], { cwd, gpu })
  expect(code).toBe(2)
  expect(err).toContain(message)
})
