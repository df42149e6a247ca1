// Weights in 8 and 4 bits stand for what they were made of, within half a step, and linear computes with exactly the
// numbers they stand for.

import { expect, test } from 'vitest'
import { openGpu } from '../../src/gpu/gpu.ts'
import { Uploader } from '../../src/gpu/transfer.ts'
import { fitsPacked } from '../../src/kernels/packed.ts'
import {
  allocateQuantized,
  dequantizeRows,
  QuantizedWriter,
  quantizeRows,
  uploadQuantized,
} from '../../src/kernels/quantize.ts'
import { linear } from '../../src/ops/matmul/matmul.ts'
import { release } from '../../src/tensor/tensor.ts'
import { adapterNames, adapters, evaluate, expectClose, expectSameBits, random, uniform } from '../support.ts'

const TYPES = ['int8', 'int4'] as const

test.each(TYPES)('%s is within half a step of what it was, and zero is zero', (dtype) => {
  for (const [N, K] of [
    [1, 1],
    [3, 31],
    [2, 33],
    [5, 64],
  ] as const) {
    const values = uniform(N * K, 3, 5)
    values.fill(0, 0, Math.min(K, 32))
    const rows = quantizeRows(values, K, dtype)
    const back = dequantizeRows(rows, K, dtype)
    const perRow = rows.scales.length / N
    values.forEach((value, i) => {
      const scale =
        rows.scales[Math.floor(i / K) * perRow + (dtype === 'int4' ? Math.floor((i % K) / 32) : 0)]!
      expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(scale / 2 + 1e-6)
      if (value === 0) expect(back[i]).toBe(0)
    })
    // The largest of what shares a scale is the last step, or steps would be coarser than they need be
    const [steps, together] = dtype === 'int4' ? [7, 32] : [127, K]
    rows.scales.forEach((scale, i) => {
      const row = values.subarray(Math.floor(i / perRow) * K, (Math.floor(i / perRow) + 1) * K)
      const shared = row.slice((i % perRow) * together, ((i % perRow) + 1) * together)
      expect(scale * steps).toBeCloseTo(Math.max(...shared.map(Math.abs)), 5)
    })
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
