// flowseg bench: what it counts, how it predicts, what it draws, and one run of it.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Resvg } from '@resvg/resvg-js'
import { expect, test } from 'vitest'
import { barsChart, rooflineChart } from '../../../src/cli/bench/charts.ts'
import { fullConfig, fullPieces } from '../../../src/cli/bench/full.ts'
import { PREDICTIONS, predictedShare } from '../../../src/cli/bench/kernel-predictions.ts'
import { byKernel, type MeasuredPiece, totalOf } from '../../../src/cli/bench/measure.ts'
import { tokenOf } from '../../../src/cli/bench/report.ts'
import { idealSeconds, predictSeconds } from '../../../src/cli/bench/roofline.ts'
import { anyGpu } from '../../support.ts'
import { flowseg, ROOT, temporaryFolder } from '../cli-harness.ts'

/** 100 GFLOP/s, 10 GB/s. */
const CEILINGS = { flopsPerSecond: 1e11, bytesPerSecond: 1e10, dispatchSeconds: 1e-5 }

const PIECE: MeasuredPiece = {
  name: 'siglip',
  title: 'SigLIP layer <&>',
  step: 'look',
  count: 26,
  dispatches: [
    { kernel: 'matmul', scope: 'a', flops: 1e9, bytes: 1e6, ms: 20 },
    { kernel: 'copy', scope: 'b', flops: 0, bytes: 1e8, ms: 40 },
    { kernel: 'matmul', scope: 'c', flops: 1e9, bytes: 1e6, ms: 30 },
  ],
  runMs: 100,
  runs: 3,
  processorMs: 80,
  firstMs: 120,
}

test('a dispatch is bound by its arithmetic or by its bytes', () => {
  expect(idealSeconds({ flops: 1e9, bytes: 1e6 }, CEILINGS)).toBeCloseTo(0.01)
  expect(idealSeconds({ flops: 1e6, bytes: 1e9 }, CEILINGS)).toBeCloseTo(0.1)
  expect(predictSeconds(PIECE.dispatches, CEILINGS)).toBeCloseTo(0.01 + 0.01 + 0.01 + 3e-5)
})

test('dispatches add up, and by kernel, the slowest first', () => {
  const { flops, bytes, ms, idealMs, dispatches } = totalOf(PIECE.dispatches, CEILINGS)
  expect([flops, bytes, ms, dispatches]).toEqual([2e9, 1.02e8, 90, 3])
  expect(idealMs).toBeCloseTo(30)
  const kernels = byKernel(PIECE.dispatches, CEILINGS)
  expect([...kernels.keys()]).toEqual(['matmul', 'copy'])
  expect(kernels.get('matmul')).toMatchObject({ dispatches: 2, ms: 50, flops: 2e9 })
})

test('a token is held against reading its weights once', () => {
  const layer = {
    ...PIECE,
    name: 'llm-token',
    step: 'token',
    count: 36,
    runMs: 25,
    weightBytes: 2e8,
  } as const
  const head = { ...PIECE, name: 'lm-head', step: 'token', count: 5, runMs: 20, weightBytes: 1.6e8 } as const
  // 8 GB at 10 GB/s
  expect(tokenOf({ measured: [PIECE, layer, head], ceilings: CEILINGS })).toEqual({
    ms: 1000,
    weightBytes: 8e9,
    readMs: 800,
    ratio: 1.25,
  })
  // The plan of a small model has its own head; one piece alone is no token
  const small = { ...PIECE, name: 'token', step: 'token', count: 0 } as const
  expect(tokenOf({ measured: [layer, small], ceilings: CEILINGS })).toBeUndefined()
})

test('pieces of the full model come as often as it has layers', async () => {
  const config = await fullConfig()
  const pieces = fullPieces(config, 'f32')
  const count = Object.fromEntries(pieces.map((piece) => [piece.name, piece.count]))
  expect(count).toMatchObject({
    siglip: 26,
    'sam-window': 20,
    'sam-global': 4,
    'llm-prefill': 36,
    'llm-read': 36,
    'llm-token': 36,
    'lm-head': 8,
  })
  expect(new Set(pieces.map(({ name }) => name)).size).toBe(pieces.length)
})

test('small dispatches are predicted to spend their time being launched', () => {
  const { share } = PREDICTIONS['matmul/subgroup']!
  const of = (idealMs: number) => predictedShare('matmul/subgroup', { idealMs, dispatches: 2 }, CEILINGS)
  expect(of(1000)).toBeCloseTo(share, 3)
  expect(of(0.02 * share)).toBeCloseTo(share / 2) // as long as two launches
  expect(predictedShare('no-such-kernel', { idealMs: 1, dispatches: 1 }, CEILINGS)).toBeUndefined()
})

test('predicted shares are shares', () => {
  for (const [kernel, { share, because }] of Object.entries(PREDICTIONS)) {
    expect(share, kernel).toBeGreaterThan(0)
    expect(share, kernel).toBeLessThan(2) // what is read through textures outruns a copy
    expect(because, kernel).not.toBe('')
    expect(existsSync(join(ROOT, `shaders/${kernel}.wgsl`)), kernel).toBe(true)
  }
})

test('charts are SVG that renders, with names escaped', () => {
  const without: MeasuredPiece = {
    ...PIECE,
    name: 'b',
    dispatches: PIECE.dispatches.map((d) => ({ ...d, ms: Number.NaN })),
  }
  for (const pieces of [[PIECE], [PIECE, without], [without]]) {
    const bars = barsChart(pieces, CEILINGS, 'an adapter')
    expect(bars).toContain('SigLIP layer &lt;&amp;>')
    expect(bars).not.toContain('NaN')
    const roofline = rooflineChart(pieces, CEILINGS, 'an adapter')
    expect(roofline).toContain('100 GFLOP/s of multiply-adds')
    expect(roofline).not.toContain('NaN')
    for (const svg of [bars, roofline]) expect(new Resvg(svg).render().width).toBe(1120)
  }
})

test('--list names the pieces and runs nothing', async () => {
  const { code, out, err } = await flowseg(['bench', '--list'], { cwd: '.' })
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(/^look +flowseg-nano: look$/m)
  expect(out).toMatch(/^siglip +SigLIP layer, 729 tokens +x 26$/m)
  expect(out).toMatch(/^sam-global +SAM layer, global, 4,096 tokens +x 4$/m)
})

test.each([
  [['--only', 'sam-globl'], "--only names 'sam-globl', which is no piece. Did you mean sam-global?"],
  [['--seconds', '0'], "--seconds is '0', expected a number greater than 0"],
  [['--gpu-tflops', 'many'], "--gpu-tflops is 'many', expected a number greater than 0, such as 2.5."],
  [['--dtype', 'f64'], "--dtype is 'f64', expected f32 or bf16."],
  [['--svg', 'a.png'], "--svg is 'a.png', and only SVG is drawn. Give it a name that ends in .svg."],
  [['--svg', 'a.svg', '--roofline', 'a.svg'], "--svg and --roofline are both 'a.svg'."],
  [['please'], "does not take 'please'"],
])('bench %j is not understood', async (args, message) => {
  const { code, out, err } = await flowseg(['bench', ...args], { cwd: '.' })
  expect(err).toContain(message)
  expect([code, out]).toEqual([2, ''])
})

test('a run of some pieces: a table, or an account with charts', async () => {
  const gpu = await anyGpu()
  const cwd = await temporaryFolder()
  const before = gpu.memory().bytes
  const args = (...pieces: string[]) => ['bench', '--only', pieces.join(','), '--seconds', '0.01']
  const table = await flowseg([...args('segment', 'llm-projector'), '--kernels'], { cwd, gpu })
  expect([table.code, table.err]).toEqual([0, expect.stringMatching(/segment: [\d.]+ ms\n/)])
  expect(table.out).toContain('GFLOP/s of multiply-adds')
  expect(table.out).toMatch(/^flowseg-nano: decoder +[\d.]+ ms /m)
  expect(table.out).toMatch(/^LLM projector, 17 rows .* x 1$/m)
  expect(table.out).not.toContain('Full model') // not all of its pieces are there

  const drawn = [
    ...args('segment', 'refinement'),
    '--json',
    '--dtype',
    'bf16',
    '--svg',
    'bars.svg',
    '--roofline',
    'roof.svg',
  ]
  const { code, out } = await flowseg(drawn, { cwd, gpu })
  expect(code).toBe(0)
  const account = JSON.parse(out) as { pieces: Record<string, unknown>[]; ceilings: object; whole?: object }
  expect(account.pieces.map(({ name }) => name)).toEqual(['segment', 'refinement'])
  for (const piece of account.pieces) {
    expect(piece).toMatchObject({
      runs: expect.any(Number),
      flops: expect.any(Number),
      kernels: expect.any(Object),
    })
    expect(piece['runMs']).toBeGreaterThan(0)
    expect(piece['gpuMs']).toBeGreaterThan(0)
  }
  expect(account.whole).toBeUndefined()
  for (const name of ['bars.svg', 'roof.svg'])
    expect(await readFile(join(cwd, name), 'utf8')).toMatch(/^<svg /)
  expect(gpu.memory().bytes).toBe(before)
}, 120_000)
