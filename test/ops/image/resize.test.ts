// resize equals bilinear interpolation as PyTorch defines it (align_corners = false, no antialias).

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { resize } from '../../../src/ops/image/resize.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, expectSameBits, random } from '../../support.ts'

for (const gpu of await adapters()) {
  test(`resize of maps and crops on ${gpu.name}`, async () => {
    await expectRight(gpu, { ops: ['resize'], count: 16 })
  })

  test(`resize to the same size leaves every bit on ${gpu.name}`, async () => {
    const x = random([5, 12, 12, 1], 1, 3)
    expectSameBits(await evaluate(gpu, { x }, (t) => resize(t['x'], [12, 12])), x.data)
  })

  test(`128 -> 32 without antialias is the mean of the 4 centre pixels (spec 6.4) on ${gpu.name}`, async () => {
    const x = random([1, 128, 128, 1])
    const y = await evaluate(gpu, { x }, (t) => resize(t['x'], [32, 32]))
    const at = (row: number, col: number) => x.data[row * 128 + col]!
    y.forEach((v, i) => {
      const [r, c] = [4 * Math.floor(i / 32) + 1, 4 * (i % 32) + 1]
      const mean = (at(r, c) + at(r, c + 1) + at(r + 1, c) + at(r + 1, c + 1)) / 4
      expect(Math.abs(v - mean)).toBeLessThan(2e-7)
    })
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  await expect(
    plan(gpu, 'test', ({ input }) => ({ read: { y: resize(input('x', [3, 3]), [2, 2]) } })),
  ).rejects.toThrow(new ShapeError('resize: x is [3, 3], expected [H, W, C] or [B, H, W, C].'))
  await expect(
    plan(gpu, 'test', ({ input }) => ({
      read: { y: resize(input('x', [3, 3, 1]), [2, 2], { crop: [4, 1] }) },
    })),
  ).rejects.toThrow('resize: the crop [4, 1] is not inside of the map [3, 3].')
})
