// blur equals its formula, alone and inside of a plan with the engine's own ops. Vitest runs this as it is.

import { mul, openGpu, plan, ShapeError, selfTest } from 'flowseg/engine'
import { afterAll, expect, test } from 'vitest'
import { blur } from './blur.js'
import { blurred, blurTest } from './blur-case.js'

const gpu = await openGpu({ boundsChecks: true }) // an index that is wrong should show, not crash
afterAll(() => gpu.close())

test(`blur of random sizes on ${gpu.name}`, async () => {
  const { results, passed } = await selfTest(gpu, { own: [blurTest], count: 20 })
  expect(results.filter(({ status }) => status !== 'passed')).toEqual([])
  expect(passed).toBe(20)
})

test(`blur between ops of the engine on ${gpu.name}`, async () => {
  const shape = [5, 7, 3] as const
  const x = Float32Array.from({ length: 105 }, (_, i) => Math.sin(7 * i))
  const ready = await plan(gpu, 'blur', ({ input }) => {
    const t = input('x', shape)
    return { read: { y: mul(blur(t, 2), blur(t, 0)) } }
  })
  const { y } = (await ready.run({ inputs: { x } })).read
  ready.release()
  const wanted = blurred(x, shape, 2).map((value, i) => value * x[i]!)
  for (const [i, value] of wanted.entries()) expect(y[i]).toBeCloseTo(value, 5) // sums of 25 values in f32
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
