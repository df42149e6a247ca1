// Reductions equal their formulas on every adapter, bit for bit the same each time.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { mul } from '../../../src/ops/elementwise/elementwise.ts'
import { argmax, maxLast, meanRows, normalizeRows, softmax, sumLast } from '../../../src/ops/reduce/reduce.ts'
import { param, plan } from '../../../src/tensor/tensor.ts'
import {
  anyGpu,
  evaluate,
  expectClose,
  expectSameBits,
  type HostTensor,
  machines,
  planOf,
  random,
} from '../../support.ts'

/** One column, odd ones, whole vec4s; a lane, several lanes and all lanes of a workgroup a row. */
const SHAPES: (readonly [rows: number, C: number])[] = [
  [1, 1],
  [3, 7],
  [65, 4],
  [2, 257],
  [1, 5000],
  [20, 100],
  [1025, 68],
]

/** Rows of a host tensor. */
function rowsOf({ data, shape }: HostTensor): number[][] {
  const C = shape.at(-1)!
  return Array.from({ length: data.length / C }, (_, r) => [...data.subarray(r * C, (r + 1) * C)])
}

function softmaxReference(row: readonly number[]): number[] {
  const top = Math.max(...row)
  const sum = row.reduce((total, v) => total + Math.exp(v - top), 0)
  return row.map((v) => Math.exp(v - top) / sum)
}

for (const { gpu, name } of await machines(
  ['softmax', 'reduce', 'argmax', 'normalizeRows'],
  ['thread', 'team'],
)) {
  test(`softmax on ${name}`, async () => {
    for (const shape of SHAPES) {
      // 1e4 apart: most exponentials vanish, none overflows
      for (const scale of [3, 1e4]) {
        const x = random(shape, 1, scale)
        const y = await evaluate(gpu, { x }, (t) => softmax(t['x']!))
        // exp of an argument up to 6 is good to 6 ULP of it or so, that is 5e-7; a rounded sum adds little
        expectClose(y, rowsOf(x).flatMap(softmaxReference), 2e-6, `[${shape.join()}] scale ${scale}`)
      }
    }
  })

  test(`softmax in place on ${name}`, async () => {
    const x = random([5, 40], 1, 3)
    const one: HostTensor = { shape: [1], data: new Float32Array([1]) }
    const apart = await evaluate(gpu, { x }, (t) => softmax(t['x']!))
    const { plan: made, run } = await planOf(gpu, { x, one }, (t) => ({
      y: mul(softmax(mul(t['x']!, t['one']!)), t['one']!),
    }))
    expect(made.info.dispatches.map((d) => d.inPlace)).toEqual([false, true, false])
    expectSameBits((await run())['y']!, apart)
    expectSameBits((await run())['y']!, apart)
    made.release()
  })

  test(`sums and maxima on ${name}`, async () => {
    for (const shape of SHAPES) {
      const x = random(shape, 1, 3)
      const sums = await evaluate(gpu, { x }, (t) => sumLast(t['x']!))
      // Rounding grows with the values that cancel, not with what is left: compare with the sum of magnitudes
      rowsOf(x).forEach((row, r) => {
        const magnitude = row.reduce((total, v) => total + Math.abs(v), 0)
        const error = Math.abs(sums[r]! - row.reduce((total, v) => total + v, 0))
        expect(error, `[${shape.join()}] row ${r}`).toBeLessThan(1e-6 * magnitude)
      })
      const maxima = await evaluate(gpu, { x }, (t) => maxLast(t['x']!))
      expectSameBits(
        maxima,
        Float32Array.from(rowsOf(x), (row) => Math.max(...row)),
      )
    }
    const low: HostTensor = { shape: [2, 6], data: new Float32Array(12).fill(-3.2e38) }
    expectSameBits(
      await evaluate(gpu, { low }, (t) => maxLast(t['low']!)),
      Float32Array.from([-3.2e38, -3.2e38]),
    )
  })

  test(`argmax on ${name}: of several, the first`, async () => {
    for (const shape of SHAPES) {
      const x = random(shape, 1, 3)
      const y = await evaluate(gpu, { x }, (t) => argmax(t['x']!))
      expect([...y]).toEqual(rowsOf(x).map((row) => row.indexOf(Math.max(...row))))

      // Few distinct values, so that the largest stands in many places and lanes
      const ties: HostTensor = { shape, data: x.data.map((v) => Math.round(v)) }
      const first = await evaluate(gpu, { ties }, (t) => argmax(t['ties']!))
      expect([...first]).toEqual(rowsOf(ties).map((row) => row.indexOf(Math.max(...row))))
    }
    const vector: HostTensor = {
      shape: [200],
      data: Float32Array.from({ length: 200 }, (_, i) => -Math.abs(i - 123)),
    }
    expect([...(await evaluate(gpu, { vector }, (t) => argmax(t['vector']!)))]).toEqual([123])
  })

  test(`normalizeRows on ${name}`, async () => {
    for (const shape of SHAPES) {
      // Squares of 1e-25 and 1e25 are no f32: the rows are scaled before
      for (const scale of [1, 1e-11, 1e25]) {
        const x = random(shape, 1, scale)
        const y = await evaluate(gpu, { x }, (t) => normalizeRows(t['x']!))
        const expected = rowsOf(x).flatMap((row) => {
          const length = Math.max(Math.hypot(...row), 1e-12)
          return row.map((v) => v / length)
        })
        expectClose(y, expected, 1e-6, `[${shape.join()}] scale ${scale}`) // a division, a root and a rounded sum
      }
    }
    const zero: HostTensor = { shape: [2, 3], data: new Float32Array(6) }
    expectSameBits(await evaluate(gpu, { zero }, (t) => normalizeRows(t['zero']!)), new Float32Array(6))
  })

  test(`softmax and normalizeRows of the largest and the smallest numbers on ${name}`, async () => {
    for (const shape of [
      [70, 8],
      [3, 67],
    ]) {
      for (const size of [3.4e38, 1e30, 1e-11, 1e-30]) {
        const x = random(shape, 1, size)
        const normal = await evaluate(gpu, { x }, (t) => normalizeRows(t['x']!))
        const rows = rowsOf(x).flatMap((row) => {
          const length = Math.max(Math.hypot(...row), 1e-12)
          return row.map((v) => v / length)
        })
        expectClose(normal, rows, 1e-6, `normalizeRows [${shape.join()}] of ${size}`)
        const soft = await evaluate(gpu, { x }, (t) => softmax(t['x']!))
        expectClose(soft, rowsOf(x).flatMap(softmaxReference), 2e-6, `softmax [${shape.join()}] of ${size}`)
      }
      // All of them the lowest number there is
      const low: HostTensor = {
        shape,
        data: new Float32Array(shape[0]! * shape[1]!).fill(-3.4028234663852886e38),
      }
      expectClose(
        await evaluate(gpu, { low }, (t) => softmax(t['low']!)),
        low.data.map(() => 1 / shape[1]!),
      )
    }
  })

  test(`meanRows on ${name}, of all rows and of the first few`, async () => {
    for (const [N, C] of [
      [1, 1],
      [9, 3],
      [5, 300],
      [1000, 8],
    ] as const) {
      const x = random([N, C], 1, 3)
      const { plan: made, run } = await planOf(gpu, { x }, (t) => ({
        all: meanRows(t['x']!),
        some: meanRows(t['x']!, { length: param('length') }),
      }))
      const mean = (rows: number) =>
        Float64Array.from(
          { length: C },
          (_, c) =>
            rowsOf(x)
              .slice(0, rows)
              .reduce((sum, row) => sum + row[c]!, 0) / rows,
        )
      for (const length of [1, Math.ceil(N / 2), N, N + 5]) {
        const { all, some } = await run({ params: { length } })
        // A mean near 0 of values up to 3: the error is 1e-6 of those
        const close = (actual: ArrayLike<number>, rows: number) =>
          mean(rows).forEach((v, c) => expect(Math.abs(actual[c]! - v)).toBeLessThan(3e-6))
        close(all!, N)
        close(some!, Math.min(length, N))
      }
      expectSameBits((await run({ params: { length: 0 } }))['some']!, new Float32Array(C))
      made.release()
    }
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  await expect(
    plan(gpu, 'test', ({ input }) => ({ read: { y: meanRows(input('x', [3])) } })),
  ).rejects.toThrow(new ShapeError('meanRows: x is [3], expected [?, ?].'))
  await expect(
    plan(gpu, 'test', ({ input }) => ({ read: { y: softmax(input('x', [3, 2], 'u32')) } })),
  ).rejects.toThrow('softmax: x is u32, expected f32.')
})
