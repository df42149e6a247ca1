// Rotary positions equal their formula in float64 on every adapter of this machine, early and late in a sequence.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { rope } from '../../../src/ops/attention/rope.ts'
import { ropeReference } from '../../../src/selftest/references/attention.ts'
import { columns, param } from '../../../src/tensor/tensor.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, expectClose, planOf, random, relativeError } from '../../support.ts'

for (const gpu of await adapters()) {
  test(`rope on ${gpu.name}`, async () => {
    await expectRight(gpu, { ops: ['rope'], count: 12 })
  })

  test(`the late rows of a long sequence alone on ${gpu.name}`, async () => {
    const [T, heads, d, theta, position] = [400, 2, 128, 5_000_000, 1600]
    const x = random([T, heads * d], 1)
    const y = await evaluate(gpu, { x }, (t) => rope(t['x'], { heads, theta, position }))
    const expected = ropeReference(x.data, heads, d, theta, position)
    expect(relativeError(y.slice(-heads * d), expected.slice(-heads * d))).toBeLessThan(5e-7)
  })

  test(`rope of columns, at a position that changes, on ${gpu.name}`, async () => {
    const [T, heads, d, theta] = [5, 2, 16, 10_000]
    const qk = random([T, 3 + 2 * heads * d], 2)
    const part = new Float32Array(T * heads * d)
    for (let t = 0; t < T; t++) {
      const first = t * (3 + 2 * heads * d) + 3
      part.set(qk.data.subarray(first, first + heads * d), t * heads * d)
    }
    const ready = await planOf(gpu, { qk }, (t) => ({
      y: rope(columns(t['qk'], 3, heads * d), { heads, theta, position: param('position') }),
    }))
    for (const position of [0, 9, 1234]) {
      const { y } = await ready.run({ params: { position } })
      expectClose(y, ropeReference(part, heads, d, theta, position), 3e-7, `position ${position}`)
    }
    ready.plan.release()
  })
}

test('shapes that do not fit are refused', async () => {
  const gpu = await anyGpu()
  const wrong = async (shape: number[], heads: number) => {
    const build = planOf(gpu, { x: random(shape) }, (t) => ({
      y: rope(t['x'], { heads, theta: 10_000, position: 0 }),
    }))
    await expect(build).rejects.toThrow(ShapeError)
  }
  await wrong([2, 3, 8], 1)
  await wrong([2, 9], 3) // heads of 3
  await wrong([2, 10], 4)
})
