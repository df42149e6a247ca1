// maskQuality, maskLabels and maskOwners on random images: what the kernels read off masks equals two resizes and sums
// in float64. Equal values give the lowest label, and strips leave no seams.

import { describe, expect, test } from 'vitest'
import { LimitError, ShapeError } from '../../../src/errors.ts'
import { maskLabels } from '../../../src/ops/head/mask-labels.ts'
import { maskOwners } from '../../../src/ops/head/mask-owners.ts'
import { maskQuality } from '../../../src/ops/head/mask-quality.ts'
import type { CanvasPlace } from '../../../src/ops/head/place.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, expectSameBits, random, uniform } from '../../support.ts'

const SQUARE: CanvasPlace = { map: [4, 4], canvas: [4, 4], crop: [4, 4], size: [4, 4] }

for (const gpu of await adapters()) {
  describe(`masks at the image's pixels on ${gpu.name}`, () => {
    test('maskQuality', async () => {
      await expectRight(gpu, { ops: ['maskQuality'], count: 9 })
    })

    test('maskLabels', async () => {
      await expectRight(gpu, { ops: ['maskLabels'], count: 9 })
    })

    test('maskOwners', async () => {
      await expectRight(gpu, { ops: ['maskOwners', 'maskOwners, counts'], count: 9 })
    })

    test('of equals the lowest label, and the lowest owner', async () => {
      const masks = { data: new Float32Array(3 * 16).fill(2), shape: [3, 16] }
      const weights = { data: Float32Array.of(0, 1, 1, 0, 1, 1, 0, 1, 1), shape: [3, 3] }
      const labels = await evaluate(gpu, { masks, weights }, (t) =>
        maskLabels(t['masks'], t['weights'], SQUARE, { grid: 'canvas' }),
      )
      expectSameBits(labels, new Uint32Array(8).fill(0x1_0001))
      const scores = { data: Float32Array.of(0.5, 0.9, 0.9), shape: [3] }
      const owners = await evaluate(
        gpu,
        { masks, scores },
        (t) => maskOwners(t['masks'], t['scores'], 3, SQUARE).owners,
      )
      expectSameBits(owners, new Uint32Array(8).fill(0x1_0001))
    })

    test('the same labels in one strip and in many, on either grid', async () => {
      const place: CanvasPlace = { map: [9, 13], canvas: [72, 104], crop: [60, 104], size: [117, 203] }
      const masks = random([20, 9 * 13], 3, 4)
      const weights = { data: uniform(20 * 5, 4).map(Math.abs), shape: [20, 5] }
      for (const grid of ['canvas', 'image'] as const) {
        const at = (stripBytes: number) =>
          evaluate(gpu, { masks, weights }, (t) =>
            maskLabels(t['masks'], t['weights'], place, { grid, stripBytes }),
          )
        const whole = await at(2 ** 30)
        for (const stripBytes of [1, 100_000]) expectSameBits(await at(stripBytes), whole)
        expect(new Set(whole.map((word) => word & 0xffff)).size).toBeGreaterThan(2)
      }
    })
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  const make = (place: CanvasPlace, N: number, K: number) =>
    plan(gpu, 'test', ({ input }) => ({
      read: { y: maskLabels(input('masks', [3, 16]), input('weights', [N, K]), place, { grid: 'image' }) },
    }))
  await expect(make(SQUARE, 2, 4)).rejects.toThrow(
    new ShapeError('maskLabels: weights is [2, 4], expected [3, ?].'),
  )
  await expect(make({ ...SQUARE, map: [4, 5] }, 3, 4)).rejects.toThrow(
    'maskLabels: masks is [3, 16], expected [?, 20].',
  )
  await expect(make({ ...SQUARE, crop: [5, 4] }, 3, 4)).rejects.toThrow(
    'maskLabels: the crop [5, 4] is not inside of the canvas [4, 4].',
  )
  await expect(make(SQUARE, 3, 65_537)).rejects.toThrow(LimitError)

  const own = (N: number, count: number) =>
    plan(gpu, 'test', ({ input }) => ({
      read: { y: maskOwners(input('masks', [N, 16]), input('scores', [N]), count, SQUARE).counts },
    }))
  await expect(own(3, 4)).rejects.toThrow('maskOwners: count is 4')
  await expect(own(2049, 1)).rejects.toThrow('maskOwners: 2049 masks, expected at most 2048.')

  const quality = plan(gpu, 'test', ({ input }) => ({
    read: { y: maskQuality(input('logits', [4, 4]), input('bits', [2], 'u32'), SQUARE) },
  }))
  await expect(quality).rejects.toThrow('maskQuality: bits is [2], expected [1].')
})
