// Weights in 8 and 4 bits stand for what they were made of, as closely as their codes allow, and linear computes with
// exactly the numbers they stand for.

import { expect, test } from 'vitest'
import { openGpu } from '../../src/gpu/gpu.ts'
import { Uploader } from '../../src/gpu/transfer.ts'
import { fitsPacked } from '../../src/kernels/packed.ts'
import {
  allocateQuantized,
  dequantizeRows,
  GROUP,
  type QuantizedRows,
  QuantizedWriter,
  quantizeRows,
  uploadQuantized,
} from '../../src/kernels/quantize.ts'
import { linear } from '../../src/ops/matmul/matmul.ts'
import { release } from '../../src/tensor/tensor.ts'
import { adapterNames, adapters, evaluate, expectClose, expectSameBits, random, uniform } from '../support.ts'

const TYPES = ['int8', 'int4'] as const

const SHAPES = [
  [1, 1],
  [3, 31],
  [2, 33],
  [5, 64],
] as const

/** The scale that a value shares. */
function scaleOf({ scales }: QuantizedRows, i: number, K: number, dtype: 'int8' | 'int4'): number {
  const groups = Math.ceil(K / GROUP)
  const row = Math.floor(i / K)
  return scales[dtype === 'int8' ? row : row * groups + Math.floor((i % K) / GROUP)]!
}

test.each(TYPES)(
  '%s is within half a step of what it was, but past its last code, and zero is zero',
  (dtype) => {
    for (const [N, K] of SHAPES) {
      const values = uniform(N * K, 3, 5)
      values.fill(0, 0, Math.min(K, 32))
      const rows = quantizeRows(values, K, dtype)
      const back = dequantizeRows(rows, K, dtype)
      values.forEach((value, i) => {
        const scale = scaleOf(rows, i, K, dtype)
        // Codes end at 7 on one side of zero, at -8 on the other
        const [low, high] = dtype === 'int4' ? [-8, 7] : [-127, 127]
        const nearest = scale === 0 ? 0 : Math.min(high, Math.max(low, value / scale)) * scale
        expect(Math.abs(back[i]! - nearest)).toBeLessThanOrEqual(Math.abs(scale) / 2 + 1e-6)
        if (value === 0) expect(back[i]).toBe(0)
      })
    }
  },
)

test('int8: the largest value of a row is its last code, or steps would be coarser than they need be', () => {
  for (const [N, K] of SHAPES) {
    const values = uniform(N * K, 3, 5)
    quantizeRows(values, K, 'int8').scales.forEach((scale, n) => {
      const row = values.subarray(n * K, (n + 1) * K)
      expect(scale * 127).toBeCloseTo(Math.max(...row.map(Math.abs)), 5)
    })
  }
})

/** In float64 and the plainest words: each group's largest magnitude is code 15 or 1, of the 15 codes around zero. */
function symmetric(values: Float32Array, K: number): Float64Array {
  return Float64Array.from(values, (value, i) => {
    const [row, group] = [Math.floor(i / K), Math.floor((i % K) / GROUP)]
    const begin = row * K + group * GROUP
    const shared = values.subarray(begin, Math.min(begin + GROUP, (row + 1) * K))
    const scale = Math.max(...shared.map(Math.abs)) / 7
    return scale === 0 ? 0 : Math.round(value / scale) * scale
  })
}

function squaredError(actual: ArrayLike<number>, values: Float32Array): number {
  return values.reduce((sum, value, i) => sum + (actual[i]! - value) ** 2, 0)
}

/** Normal values: what trained weights are closest to. */
function normal(length: number, seed: number): Float32Array {
  const [a, b] = [uniform(length, seed, 1), uniform(length, seed + 1, 1)]
  return a.map(
    (u, i) => 0.02 * Math.sqrt(-2 * Math.log((Math.abs(u) + 1e-9) / (1 + 1e-8))) * Math.cos(Math.PI * b[i]!),
  )
}

test.each([
  ['normal', normal(64 * 1024, 5)],
  ['uniform', uniform(64 * 1024, 7)],
] as const)('int4 of %s values is off by 11 % less than with symmetric codes', (_, values) => {
  const K = 1024
  const error = squaredError(dequantizeRows(quantizeRows(values, K, 'int4'), K, 'int4'), values)
  expect(Math.sqrt(error / squaredError(symmetric(values, K), values))).toBeLessThan(0.89)
})

test('no group of int4 is off by more than with symmetric codes', () => {
  const groups = [
    ...Array.from({ length: 400 }, (_, i) => normal(GROUP, 2 * i + 1)),
    // Two and three levels, which symmetric codes hold exactly
    Float32Array.from({ length: GROUP }, (_, i) => (i % 2 === 0 ? 0.37 : -0.37)),
    Float32Array.from({ length: GROUP }, (_, i) => ((i % 3) - 1) * 5e-9),
    // One that is far from the others, on either side
    Float32Array.from({ length: GROUP }, (_, i) => (i === 9 ? 3e30 : i / GROUP)),
    Float32Array.from({ length: GROUP }, (_, i) => (i === 9 ? -1 : 1e-3 * i)),
  ]
  for (const values of groups) {
    const error = squaredError(dequantizeRows(quantizeRows(values, GROUP, 'int4'), GROUP, 'int4'), values)
    const most = Math.max(...values.map(Math.abs))
    // The scale is rounded to bf16: by half of 2^-7 at most
    const rounded = GROUP * (most / 256) ** 2
    expect(error).toBeLessThanOrEqual(1.01 * squaredError(symmetric(values, GROUP), values) + rounded)
  }
})

test('int4 takes all 16 codes, and scales of bf16', () => {
  const { data, scales } = quantizeRows(normal(8192, 3), 1024, 'int4')
  const codes = new Set([...data].flatMap((byte) => [byte & 15, byte >> 4]))
  expect(codes.size).toBe(16)
  expect([...new Uint32Array(scales.buffer)].every((word) => (word & 0xffff) === 0)).toBe(true)
  expect(scales.some((scale) => scale < 0) && scales.some((scale) => scale > 0)).toBe(true)
})

test.each(TYPES)('%s of the smallest and the largest numbers is finite', (dtype) => {
  for (const value of [1e-45, 1.2e-38, 3.4e38]) {
    const values = Float32Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? value : -value))
    const back = dequantizeRows(quantizeRows(values, 40, dtype), 40, dtype)
    expect(back.every(Number.isFinite)).toBe(true)
    if (value > 1) back.forEach((b, i) => expect(b / values[i]!).toBeCloseTo(1, 1))
  }
})

test('what is no matrix is refused', async () => {
  expect(() => quantizeRows(new Float32Array(7), 3, 'int8')).toThrow(
    '7 values are no whole number of rows of 3',
  )
  const gpu = await openGpu(adapterNames()[0] ? { adapter: adapterNames()[0]! } : {})
  await expect(uploadQuantized(gpu, new Float32Array(6), [2, 4], 'int4')).rejects.toThrow(
    "6 values don't fill [2, 4], a matrix [N, K].",
  )
  gpu.close()
})

test('rows that no kernel reads are refused, and so is more than a matrix', async () => {
  const name = adapterNames()[0]!
  const gpu = await openGpu({ ...(name ? { adapter: name } : {}), variants: { weights: 'rows' } })
  for (const [shape, dtype] of [
    [[4, 45], 'int8'],
    [[4, 45], 'int4'],
    [[4, 4, 8], 'int8'],
  ] as const) {
    await expect(allocateQuantized(gpu, shape, dtype, { label: 'w' })).rejects.toThrow(
      `w: [${shape.join(', ')}] can't be held in ${dtype} on ${gpu.name}, where that takes a matrix`,
    )
  }
  expect(gpu.memory().bytes).toBe(0)
  gpu.close()
})

test('a slip in the forced layout of weights is no choice', async () => {
  const name = adapterNames()[0]!
  const opened = openGpu({ ...(name ? { adapter: name } : {}), variants: { weights: 'pack' } })
  await expect(opened).rejects.toThrow(`the variant of weights is "pack", expected 'rows' or 'packed'.`)
})

for (const name of adapterNames()) {
  for (const weights of ['packed', 'rows']) {
    test(`linear from int8 and int4 weights, ${weights}, on ${name || 'any adapter'}`, async (context) => {
      const gpu = await openGpu({ ...(name ? { adapter: name } : {}), variants: { weights } })
      try {
        const isPackable = fitsPacked(gpu, { shape: [1, 1], dtype: 'f32' })
        if (!isPackable) context.skip('no subgroups of one size here')
        for (const [M, N, K] of [
          [1, 8, 32],
          [1, 70, 96],
          [3, 33, 64],
          [7, 19, 160],
          [70, 131, 64],
          [5, 12, 1024],
          // Rows that end within a group
          ...(weights === 'packed' ? [[4, 9, 45] as const, [37, 20, 100] as const] : []),
        ] as const) {
          for (const dtype of TYPES) {
            const x = random([M, K], 1, 3)
            const values = uniform(N * K, 2)
            const weight = await uploadQuantized(gpu, values, [N, K], dtype)
            const y = await evaluate(gpu, { x }, (t) => linear(t['x'], weight))
            const w = dequantizeRows(quantizeRows(values, K, dtype), K, dtype)
            const expected = Float64Array.from(y, (_, i) => {
              const [m, n] = [Math.floor(i / N), i % N]
              let sum = 0
              for (let k = 0; k < K; k++) sum += x.data[m * K + k]! * w[n * K + k]!
              return sum
            })
            expectClose(y, expected, 2e-6, `${dtype} ${M} x ${N} x ${K}`)
            release(gpu, weight)
          }
        }
        expect(gpu.memory().bytes).toBe(0)
      } finally {
        gpu.close()
      }
    })
  }
}

for (const gpu of await adapters()) {
  test.each(TYPES)(`%s in pieces that end anywhere is the same, on ${gpu.name}`, async (dtype) => {
    const [N, K] = [13, 96]
    const x = random([2, K], 1)
    const values = uniform(N * K, 2)
    const whole = await uploadQuantized(gpu, values, [N, K], dtype)
    const pieced = await allocateQuantized(gpu, [N, K], dtype)
    const uploader = new Uploader(gpu)
    const writer = new QuantizedWriter(uploader, pieced)
    for (let from = 0, length = 1; from < values.length; from += length, length = (3 * length) % 251) {
      await writer.write(values.subarray(from, from + length))
    }
    await writer.finish()
    await uploader.flush()
    const [y, again] = [
      await evaluate(gpu, { x }, (t) => linear(t['x'], whole)),
      await evaluate(gpu, { x }, (t) => linear(t['x'], pieced)),
    ]
    expectSameBits(again, y)
    expect(y.some((value) => value !== 0)).toBe(true)
    release(gpu, whole)
    release(gpu, pieced)
  })
}
