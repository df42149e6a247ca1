// Products made for GPUs, in ways that no forced variant tests: `tiled` with weights in 16 bits and `gemv`
// without subgroups equal their formulas, both take weights in shards, in place and cut, and both are taken on GPUs
// only. The variants as adapters take them are matmul.test.ts's. Each case is a kernel of its own: SwiftShader takes
// seconds to compile one.

import { expect, test } from 'vitest'
import { type AdapterFacts, Choices, PLAIN_ADAPTER } from '../../../src/gpu/adapter.ts'
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts'
import { recorder } from '../../../src/gpu/recorder.ts'
import {
  dequantizeRows,
  GROUP,
  heldScales,
  quantizeRows,
  SCALE_TYPES,
} from '../../../src/kernels/quantize.ts'
import { ranked, type Variant } from '../../../src/kernels/variants.ts'
import { gemv } from '../../../src/ops/matmul/gemv.ts'
import { linear, matmulFamily } from '../../../src/ops/matmul/matmul.ts'
import type { Product } from '../../../src/ops/matmul/product.ts'
import { tiled } from '../../../src/ops/matmul/tiled.ts'
import { type DType, release, type Tensor, tensor, upload } from '../../../src/tensor/tensor.ts'
import { some } from '../../runtime.ts'
import {
  adapterNames,
  adapters,
  evaluate,
  expectClose,
  planOf,
  random,
  toBf16,
  uniform,
} from '../../support.ts'

/** A few thousand f32 additions of both signs err by less than 1e-6 of the norm; ten times that is a fault. */
const RTOL = 2e-6

interface Case {
  readonly dtype: DType
  /** A kernel serves several shapes. */
  readonly shapes: readonly (readonly [M: number, N: number, K: number])[]
  /** b is [K, N]. */
  readonly KN?: boolean
  readonly batch?: number
  /** Bias, ReLU and residual. */
  readonly epilogue?: boolean
  readonly gated?: boolean
}

/** One past the edges of tiles of 32 x 32 and 64 x 64. */
const SMALL = [33, 65, 36] as const
const LARGE = [515, 516, 20] as const

const HALVES: readonly Case[] = [
  { dtype: 'f16', shapes: [SMALL, [5, 17, 12]] },
  { dtype: 'bf16', shapes: [LARGE] },
  { dtype: 'bf16', shapes: [[33, 31, 35]], gated: true },
  { dtype: 'f16', shapes: [[6, 12, 8]], KN: true },
  { dtype: 'int8', shapes: [SMALL] },
]

const ROWS: readonly Case[] = [
  {
    dtype: 'f32',
    shapes: [
      [1, 1, 4],
      [1, 160, 448],
      [1, 2053, 260],
    ],
  },
  { dtype: 'f32', shapes: [[1, 7, 1100]] },
  {
    dtype: 'f32',
    shapes: [
      [1, 1, 1],
      [1, 3, 5],
    ],
  },
  { dtype: 'f32', shapes: [[2, 7, 36]], epilogue: true },
  {
    dtype: 'f32',
    shapes: [
      [5, 9, 1023],
      [8, 33, 7],
    ],
  },
  {
    dtype: 'f32',
    shapes: [
      [16, 33, 64],
      [13, 160, 64],
      [9, 9, 1020],
    ],
  },
  { dtype: 'f32', shapes: [[3, 9, 44]], gated: true },
  { dtype: 'f16', shapes: [[4, 33, 64]] },
  { dtype: 'f16', shapes: [[1, 20, 63]] },
  { dtype: 'bf16', shapes: [[1, 33, 64]] },
  { dtype: 'bf16', shapes: [[7, 33, 61]] },
  { dtype: 'int8', shapes: [[1, 33, 68]] },
  { dtype: 'int8', shapes: [[11, 20, 64]], gated: true },
  {
    dtype: 'int4',
    shapes: [
      [1, 33, 68],
      [1, 8, 320],
    ],
  },
  { dtype: 'int4', shapes: [[6, 20, 64]], gated: true },
]

/** A variant, on what adapter it is asked for, and what it computes. */
interface Candidate {
  readonly name: string
  readonly variant: Variant<Product>
  readonly facts?: (facts: AdapterFacts) => AdapterFacts
  readonly cases: readonly Case[]
}

const CANDIDATES: readonly Candidate[] = [
  {
    name: 'tiled in 16 bits',
    variant: tiled,
    facts: (facts) => ({ ...facts, choices: new Choices({ tiles: 'f16' }) }),
    cases: HALVES,
  },
  { name: 'gemv', variant: gemv, facts: (facts) => ({ ...facts, countsSubgroups: false }), cases: ROWS },
]

for (const [place, gpu] of (await adapters()).entries()) {
  for (const candidate of CANDIDATES) {
    test(`${candidate.name} on ${gpu.name}`, async () => {
      // Beside the first adapter each third, as they are slow to make machine code of
      for (const one of place === 0 ? some(candidate.cases) : candidate.cases.filter((_, i) => i % 3 === 1)) {
        for (const shape of one.shapes) await check(gpu, candidate, one, shape)
      }
    })
  }
}

/** b on the device, and the numbers it stands for. */
async function weight(
  gpu: Gpu,
  dtype: DType,
  shape: readonly number[],
  seed: number,
): Promise<{ b: Tensor; values: ArrayLike<number> }> {
  const K = shape.at(-1)!
  const values = uniform(
    shape.reduce((product, n) => product * n, 1),
    seed,
  )
  if (dtype === 'int8' || dtype === 'int4') {
    const quantized = quantizeRows(values, K, dtype)
    const [N = 0] = shape
    const held = dtype === 'int4' ? [N, Math.ceil(K / GROUP) * GROUP] : shape
    const own = heldScales(quantized.scales, dtype)
    const scales = await upload(gpu, own, [own.length], SCALE_TYPES[dtype])
    const b = { ...(await upload(gpu, quantized.data, held, dtype)), shape, size: N * K, scales }
    return { b, values: dequantizeRows(quantized, K, dtype) }
  }
  if (dtype === 'f32') return { b: await upload(gpu, values, shape, dtype), values }
  if (dtype === 'bf16') {
    const { bits, values: rounded } = toBf16(values)
    return { b: await upload(gpu, bits, shape, dtype), values: rounded }
  }
  // Halves that reach down to the subnormal ones: -1 to 1 in steps of 2^-11, and tiny ones
  const bits = Uint16Array.from(values, (v) => Math.floor((v + 1) * 0x1e00) | (v < 0 ? 0x8000 : 0))
  const halves = Float64Array.from(bits, (h) => {
    const [e, f] = [(h >> 10) & 31, h & 1023]
    return (h >> 15 ? -1 : 1) * (e === 0 ? f * 2 ** -24 : 2 ** (e - 15) * (1 + f / 1024))
  })
  return { b: await upload(gpu, bits, shape, dtype), values: halves }
}

async function check(
  gpu: Gpu,
  { name, variant, facts = (same) => same }: Candidate,
  { dtype, KN = false, batch = 1, epilogue = false, gated = false }: Case,
  [M, N, K]: readonly [number, number, number],
): Promise<void> {
  const what = `${name} ${dtype} ${M} x ${N} x ${K}${KN ? ' KN' : ''}${gated ? ' gated' : ''}`
  const bShape = [...(batch > 1 ? [batch] : []), ...(KN ? [K, N] : [N, K])]
  const { b, values } = await weight(gpu, dtype, bShape, 2)
  const pair = gated ? await weight(gpu, dtype, bShape, 3) : undefined
  const a = random([batch, M, K], 1, 3)
  const bias = random([N], 4)
  const residual = random([batch, M, N], 5)

  const y = await evaluate(gpu, { a, bias, residual }, (t) => {
    const ready = tensor([batch, M, N])
    const product: Product = {
      a: t['a'],
      b,
      pair: pair?.b,
      y: ready,
      M,
      N,
      K,
      bIsNK: !KN,
      scale: 0.5,
      ...(batch > 1 ? { batch, aStride: M * K, bStride: N * K } : {}),
      ...(epilogue ? { bias: t['bias'], activation: 'relu', residual: t['residual'] } : {}),
    }
    const adapter = facts(gpu.adapter)
    Object.defineProperty(recorder(), 'adapter', { value: adapter })
    expect(variant.fits(product, adapter), what).toBe(true)
    variant.record(product)
    return ready
  })

  const expected = Float64Array.from(y, (_, i) => {
    const n = i % N
    const m = Math.floor(i / N)
    const first = batch > 1 ? Math.floor(m / M) * N * K : 0
    const sum = (w: ArrayLike<number>): number => {
      let total = 0
      for (let k = 0; k < K; k++) total += a.data[m * K + k]! * w[first + (KN ? k * N + n : n * K + k)]!
      return total
    }
    let value = sum(values)
    if (pair) value = (value / (1 + Math.exp(-value))) * sum(pair.values)
    value *= 0.5
    return epilogue ? Math.max(value + bias.data[n]!, 0) + residual.data[i]! : value
  })
  expectClose(y, expected, RTOL, what)
  release(gpu, b)
  if (pair) release(gpu, pair.b)
}

for (const name of adapterNames()) {
  for (const matmul of ['tiled', 'gemv']) {
    test(`${matmul} of a weight in shards, in place, and cut, on ${name || 'any adapter'}`, async () => {
      const small = await openGpu({
        ...(name ? { adapter: name } : {}),
        bindingLimit: 2048,
        variants: { matmul },
      })
      try {
        // An adapter that seems to manage a thousand FLOP/s
        for (let i = 0; i < 60; i++) small.rate.learn(1e7, 1e4)
        const [M, N, K] = [3, 101, 20]
        const values = uniform(N * K, 2)
        const sharded = await upload(small, values, [N, K], 'f32', { sharded: true })
        expect(sharded.shards?.length).toBeGreaterThan(1)
        const inputs = { x: random([M, K], 1), bias: random([N], 3), square: random([K, K], 4) }
        const { plan: ready, run } = await planOf(small, inputs, (t) => {
          const h = linear(t['x'], t['square'], { residual: linear(t['x'], t['square']) })
          return { h, y: linear(h, sharded, { bias: t['bias'], residual: linear(h, sharded) }) }
        })
        for (const { kernel } of ready.info.dispatches) expect(kernel).toMatch(`matmul/${matmul}`)
        const { h, y } = await run()
        const times = (x: ArrayLike<number>, w: Float32Array, columns: number): Float64Array =>
          Float64Array.from({ length: M * columns }, (_, i) => {
            const [m, n] = [Math.floor(i / columns), i % columns]
            let sum = 0
            for (let k = 0; k < K; k++) sum += x[m * K + k]! * w[n * K + k]!
            return sum
          })
        const hExpected = times(inputs.x.data, inputs.square.data, K).map((v) => 2 * v)
        expectClose(h, hExpected, RTOL)
        const yExpected = times(hExpected, values, N).map((v, i) => 2 * v + inputs.bias.data[i % N]!)
        expectClose(y, yExpected, RTOL)
        ready.release()
        release(small, sharded)
      } finally {
        small.close()
      }
    })
  }
}

test('GPUs take gemv for few rows, else tiled; software adapters neither', () => {
  const x = { shape: [], size: 0, storage: { kind: 'input', bytes: 0, label: '' } } as const
  const product = (M: number, dtype: DType): Product => ({
    a: { ...x, dtype: 'f32' },
    b: { ...x, dtype },
    y: { ...x, dtype: 'f32' },
    M,
    N: 1024,
    K: 1024,
    bIsNK: true,
  })
  const names = (M: number, adapter: AdapterFacts, dtype: DType = 'f32'): string[] =>
    ranked(matmulFamily, product(M, dtype), adapter).map((v) => v.name)
  const subgroups: AdapterFacts = {
    ...PLAIN_ADAPTER,
    features: { f16: true, subgroups: true, timestamps: false },
    subgroupSize: 32,
    countsSubgroups: true,
  }
  expect(names(1, PLAIN_ADAPTER)).toEqual(['gemv', 'tiled', 'registers'])
  expect(names(300, PLAIN_ADAPTER, 'f16')).toEqual(['tiled', 'registers'])
  expect(names(1, subgroups)).toEqual(['gemv', 'tiled', 'registers', 'subgroup'])
  expect(names(16, subgroups)[0]).toBe('gemv')
  expect(names(300, subgroups)).toEqual(['tiled', 'registers', 'subgroup'])
  for (const subgroupSize of [4, 8]) {
    for (const M of [1, 16, 300]) {
      const facts = { ...subgroups, subgroupSize, software: true }
      expect(['subgroup', 'registers']).toContain(names(M, facts)[0])
      expect(names(M, facts).at(-1)).toMatch(/gemv|tiled/)
    }
  }
})
