// blur equals its formula, alone and inside of a plan with the engine's own ops.

import { mul, openGpu, plan, ShapeError, type Tensor } from 'flowseg/engine'
import { afterAll, expect, test } from 'vitest'
import { blur } from './blur.ts'

const gpu = await openGpu({ boundsChecks: true }) // an index that is wrong should show, not crash
afterAll(() => gpu.close())

/** The formula in float64. */
function blurred(x: Float32Array, [H, W, C]: readonly [number, number, number], radius: number): number[] {
  const inside = (i: number, size: number): number => Math.min(Math.max(i, 0), size - 1)
  return Array.from(x, (_, at) => {
    const [i, j, c] = [Math.floor(at / C / W), Math.floor(at / C) % W, at % C]
    let sum = 0
    for (let di = -radius; di <= radius; di++) {
      for (let dj = -radius; dj <= radius; dj++) {
        sum += x[(inside(i + di, H) * W + inside(j + dj, W)) * C + c]!
      }
    }
    return sum / (2 * radius + 1) ** 2
  })
}

test.each([
  [[1, 1, 1], 2],
  [[5, 7, 3], 1],
  [[65, 33, 4], 3],
] as const)(`blur of %j by %i on ${gpu.name}`, async (shape, radius) => {
  const x = Float32Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, i) => Math.sin(7 * i))
  const twice = (t: Tensor): Tensor => mul(blur(t, radius), blur(t, 0))
  const made = await plan(gpu, 'blur', ({ input }) => ({ read: { y: twice(input('x', shape)) } }))
  const { y } = (await made.run({ inputs: { x } })).read
  made.release()

  const wanted = blurred(x, shape, radius).map((value, i) => value * x[i]!)
  for (const [i, value] of wanted.entries()) expect(y[i]).toBeCloseTo(value, 5) // sums of at most 49 values in f32
})

test('what is no image, and what is no radius, is refused while the plan is recorded', async () => {
  const refused = plan(gpu, 'blur', ({ input }) => ({ read: { y: blur(input('x', [4, 4]), 1) } }))
  await expect(refused).rejects.toThrow(ShapeError)
  await expect(refused).rejects.toThrow('blur: x is [4, 4], expected [?, ?, ?].')
  for (const radius of [-1, 1.5, NaN]) {
    const wrong = plan(gpu, 'blur', ({ input }) => ({ read: { y: blur(input('x', [4, 4, 1]), radius) } }))
    await expect(wrong).rejects.toThrow(`blur: the radius is ${radius}, expected a whole number from 0 on.`)
  }
})
