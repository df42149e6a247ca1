// dilate and erode: the extreme of the 3 x 3 window, clipped at the border, exactly.

import { expect, test } from 'vitest'
import { sub } from '../../../src/ops/elementwise/elementwise.ts'
import { dilate, erode } from '../../../src/ops/image/morphology.ts'
import { plan } from '../../../src/tensor/tensor.ts'
import { adapters, anyGpu, evaluate, expectSameBits, random } from '../../support.ts'

function reference(
  x: Float32Array,
  [H, W]: readonly [number, number],
  extreme: (...values: number[]) => number,
) {
  return Float32Array.from(x, (_, i) => {
    const window: number[] = []
    for (const r of [-1, 0, 1]) {
      for (const c of [-1, 0, 1]) {
        const [row, col] = [Math.floor(i / W) + r, (i % W) + c]
        if (row >= 0 && row < H && col >= 0 && col < W) window.push(x[row * W + col]!)
      }
    }
    return extreme(...window)
  })
}

for (const gpu of await adapters()) {
  test(`dilate and erode on ${gpu.name}`, async () => {
    for (const shape of [
      [1, 1],
      [1, 7],
      [7, 1],
      [5, 9],
      [33, 64],
      [131, 260],
      [20, 4],
    ] as const) {
      const x = random(shape)
      expectSameBits(await evaluate(gpu, { x }, (t) => dilate(t['x']!)), reference(x.data, shape, Math.max))
      expectSameBits(await evaluate(gpu, { x }, (t) => erode(t['x']!)), reference(x.data, shape, Math.min))
    }
  })

  test(`a constant map has no boundary on ${gpu.name}`, async () => {
    const x = { shape: [6, 6], data: new Float32Array(36).fill(0.7) }
    const y = await evaluate(gpu, { x }, (t) => sub(dilate(t['x']!), erode(t['x']!)))
    expectSameBits(y, new Float32Array(36))
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  await expect(
    plan(gpu, 'test', ({ input }) => ({ read: { y: dilate(input('x', [3, 3, 1])) } })),
  ).rejects.toThrow('dilate: x is [3, 3, 1], expected [?, ?].')
})
