// dilate and erode: the extreme of the 3 x 3 window, clipped at the border, exactly.

import { expect, test } from 'vitest'
import { sub } from '../../../src/ops/elementwise/elementwise.ts'
import { dilate, erode } from '../../../src/ops/image/morphology.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, expectSameBits } from '../../support.ts'

for (const gpu of await adapters()) {
  test(`dilate and erode on ${gpu.name}`, async () => {
    await expectRight(gpu, { ops: ['dilate', 'erode'], count: 6 })
  })

  test(`a constant map has no boundary on ${gpu.name}`, async () => {
    const x = { shape: [6, 6], data: new Float32Array(36).fill(0.7) }
    const y = await evaluate(gpu, { x }, (t) => sub(dilate(t['x']), erode(t['x'])))
    expectSameBits(y, new Float32Array(36))
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  await expect(
    plan(gpu, 'test', ({ input }) => ({ read: { y: dilate(input('x', [3, 3, 1])) } })),
  ).rejects.toThrow('dilate: x is [3, 3, 1], expected [?, ?].')
})
