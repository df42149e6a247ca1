// cosineLogits is the clamped, scaled cosine, for vectors of any length, zero included.

import { expect, test } from 'vitest'
import { cosineLogits } from '../../../src/ops/head/cosine.ts'
import { plan } from '../../../src/tensor/tensor.ts'
import { adapters, anyGpu, evaluate, expectClose, type HostTensor, random } from '../../support.ts'

function reference(
  { data: x, shape }: HostTensor,
  { data: classes }: HostTensor,
  scale: number,
  bound: number,
) {
  const [rows = 0, cols = 0] = shape
  const count = classes.length / cols
  return Float64Array.from({ length: rows * count }, (_, i) => {
    const a = x.subarray(Math.floor(i / count) * cols).subarray(0, cols)
    const b = classes.subarray((i % count) * cols).subarray(0, cols)
    const dot = (u: ArrayLike<number>, v: ArrayLike<number>) => {
      let sum = 0
      for (let c = 0; c < cols; c++) sum += u[c]! * v[c]!
      return sum
    }
    const norm = (v: ArrayLike<number>) => Math.max(Math.sqrt(dot(v, v)), 1e-12)
    return Math.min(Math.max((scale * dot(a, b)) / norm(a) / norm(b), -bound), bound)
  })
}

for (const gpu of await adapters()) {
  test(`cosineLogits on ${gpu.name}`, async () => {
    const logit = { data: Float32Array.of(2.6593), shape: [1] }
    for (const [rows, count, cols, size] of [
      [1, 1, 1, 1],
      [12, 2, 64, 1],
      [7, 3, 13, 1e-6],
      [65, 1, 257, 1e6],
      [9, 2, 30, 3e38],
      [9, 2, 30, 1e-11],
      [200, 2, 256, 3],
    ] as const) {
      for (const bound of [500, 5]) {
        const x = random([rows, cols], 1, size)
        const classes = random([count, cols], 2, size > 1e30 ? 1e25 : 0.5)
        const y = await evaluate(gpu, { x, classes, logit }, (t) =>
          cosineLogits(t['x']!, t['classes']!, t['logit']!, bound),
        )
        // Sums of at most 257 products of either sign, in f32
        const expected = reference(x, classes, Math.exp(Math.fround(2.6593)), bound)
        expectClose(
          y,
          expected,
          1e-5,
          `[${rows}, ${cols}] x [${count}, ${cols}], size ${size}, bound ${bound}`,
        )
      }
    }
  })

  test(`a zero vector is like nothing, and a tiny one like itself, on ${gpu.name}`, async () => {
    const cols = 5
    const data = new Float32Array(2 * cols).fill(1e-9, cols)
    const y = await evaluate(
      gpu,
      {
        x: { data, shape: [2, cols] },
        classes: { data: new Float32Array(cols).fill(2), shape: [1, cols] },
        logit: { data: Float32Array.of(0), shape: [1] },
      },
      (t) => cosineLogits(t['x']!, t['classes']!, t['logit']!, 500),
    )
    expect(y[0]).toBe(0)
    expect(y[1]).toBeCloseTo(1, 5)
  })

  test(`more outputs than one row of workgroups on ${gpu.name}`, async () => {
    const rows = 65_535 * 64 + 100
    const x = { data: new Float32Array(rows).fill(1), shape: [rows, 1] }
    x.data[rows - 1] = -1
    const y = await evaluate(
      gpu,
      {
        x,
        classes: { data: Float32Array.of(2), shape: [1, 1] },
        logit: { data: Float32Array.of(0), shape: [1] },
      },
      (t) => cosineLogits(t['x']!, t['classes']!, t['logit']!, 500),
    )
    expect(y.findIndex((v) => v !== 1)).toBe(rows - 1)
    expect(y[rows - 1]).toBe(-1)
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  const make = (classes: readonly number[], logit: readonly number[]) =>
    plan(gpu, 'test', ({ input }) => ({
      read: { y: cosineLogits(input('x', [3, 4]), input('classes', classes), input('logit', logit), 500) },
    }))
  await expect(make([2, 5], [1])).rejects.toThrow('cosineLogits: classes is [2, 5], expected [?, 4].')
  await expect(make([2, 4], [2])).rejects.toThrow('cosineLogits: logScale is [2], expected [1].')
})
