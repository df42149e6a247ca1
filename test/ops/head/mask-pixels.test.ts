// maskPixels: bilinear resize of a corner in float64, then > 0, bit by bit; and the same bits as `resize` would give.
// maskBytes: those bits, a byte each.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { maskBytes, maskPixels } from '../../../src/ops/head/mask-pixels.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, expectSameBits } from '../../support.ts'

type Size = readonly [H: number, W: number]

for (const gpu of await adapters()) {
  test(`maskPixels and maskBytes on ${gpu.name}`, async () => {
    await expectRight(gpu, { ops: ['maskPixels', 'maskBytes'], count: 6 })
  })

  test(`a logit of 0 is outside on ${gpu.name}`, async () => {
    const x = { data: Float32Array.of(0, 1e-30, -1e-30, -0), shape: [2, 2] }
    const y = await evaluate(gpu, { x }, (t) => maskPixels(t['x'], [2, 2], [2, 2]))
    expectSameBits(y, Uint32Array.of(0b0010))
  })
}

test('bytes of other bits, or without room for a row, are named', async () => {
  const gpu = await anyGpu()
  const make = (words: number, rowBytes: number) =>
    plan(gpu, 'test', ({ input }) => ({
      read: { y: maskBytes(input('bits', [words], 'u32'), [5, 20], rowBytes) },
    }))
  await expect(make(3, 20)).rejects.toThrow(new ShapeError('maskBytes: bits is [3], expected [4].'))
  await expect(make(4, 16)).rejects.toThrow('rows of 16 bytes, expected a multiple of 4 that holds 20 pixels')
  await expect(make(4, 22)).rejects.toThrow('rows of 22 bytes')
})

test('a crop that does not fit is named', async () => {
  const gpu = await anyGpu()
  const make = (crop: Size) =>
    plan(gpu, 'test', ({ input }) => ({ read: { y: maskPixels(input('x', [4, 6]), crop, [2, 2]) } }))
  await expect(make([5, 6])).rejects.toThrow(
    new ShapeError('maskPixels: the crop [5, 6] is not inside of the map [4, 6].'),
  )
  await expect(make([0, 6])).rejects.toThrow(
    'maskPixels: the height of crop is 0, expected a whole number of at least 1.',
  )
})
