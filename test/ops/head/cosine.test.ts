// cosineLogits is the clamped, scaled cosine, for vectors of any length, zero included.

import { expect, test } from 'vitest'
import { cosineLogits } from '../../../src/ops/head/cosine.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate } from '../../support.ts'

for (const gpu of await adapters()) {
  test(`cosineLogits on ${gpu.name}`, async () => {
    await expectRight(gpu, { ops: ['cosineLogits'], count: 8 })
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
      (t) => cosineLogits(t['x'], t['classes'], t['logit'], 500),
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
      (t) => cosineLogits(t['x'], t['classes'], t['logit'], 500),
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
