// conv2d equals its formula on every adapter of this machine: 1 x 1, 3 x 3 and patches, channels that are and
// aren't multiples of four, every weight type, bit for bit the same each time.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { type AdapterFacts, PLAIN_ADAPTER } from '../../../src/gpu/adapter.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { problemsSeenIn, ranked } from '../../../src/kernels/variants.ts'
import { type Conv2dOptions, conv2d } from '../../../src/ops/conv/conv.ts'
import { type ConvolutionSize, convReference } from '../../../src/selftest/references/conv.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapterNames, adapters, anyGpu, evaluate, expectClose, planOf, random } from '../../support.ts'

// A few thousand f32 additions of both signs err by less than 1e-6 of the norm; ten times that is a fault
const RTOL = 2e-6

for (const gpu of await adapters()) {
  test(`conv2d by every variant, from every type and layout of weights, on ${gpu.name}`, async () => {
    await expectRight(gpu, { families: ['conv'], count: 1 })
  })

  test(`conv2d of many shapes by what this adapter takes, on ${gpu.name}`, async () => {
    await expectRight(gpu, { families: ['conv'], types: ['f32'], variants: 'default', count: 12 })
  })

  test(`conv2d of values up to 1e5 on ${gpu.name}`, async () => {
    const size: ConvolutionSize = { x: [6, 5, 12], weight: [3, 3, 3], padding: 1 }
    const [x, weight] = [random([6, 5, 12], 1, 1e5), random([3, 3, 3, 12], 2, 1e5)]
    const y = await evaluate(gpu, { x, weight }, (t) => conv2d(t['x'], t['weight'], { padding: 1 }))
    expectClose(y, convReference(x.data, weight.data, size), RTOL)
  })
}

for (const name of adapterNames()) {
  test(`a long conv2d is cut into several submissions, on ${name || 'any adapter'}`, async () => {
    const slow = await openGpu(name ? { adapter: name } : {})
    try {
      // An adapter that seems to manage a thousand FLOP/s
      for (let i = 0; i < 60; i++) slow.rate.learn(1e7, 1e4)
      // Several tiles each way
      const size: ConvolutionSize = { x: [40, 37, 4], weight: [70, 3, 3], padding: 1 }
      const [x, weight] = [random(size.x, 1, 3), random([70, 3, 3, 4], 2)]
      const { plan: made, run } = await planOf(slow, { x, weight }, (t) => ({
        y: conv2d(t['x'], t['weight'], { padding: 1 }),
      }))
      expect(made.info.dispatches.length).toBeGreaterThan(1)
      expectClose((await run())['y'], convReference(x.data, weight.data, size), RTOL)
      made.release()
    } finally {
      slow.close()
    }
  })
}

test('what comes in rows goes to registers on CPUs, to workgroup memory on GPUs', async () => {
  const x = random([20, 20, 8])
  const weight = random([16, 3, 3, 8])
  const { plan: made } = await planOf(await anyGpu(), { x, weight }, (t) => {
    const [seen] = problemsSeenIn(() => ({ y: conv2d(t['x'], t['weight'], { padding: 1 }) }))
    const first = (facts: Partial<AdapterFacts>): string =>
      ranked(seen!.family, seen!.problem, { ...PLAIN_ADAPTER, ...facts })[0]!.name
    for (const subgroupSize of [0, 4, 8]) expect(first({ software: true, subgroupSize })).toBe('registers')
    for (const subgroupSize of [0, 4, 32]) expect(first({ subgroupSize })).toBe('tiled')
    return { y: conv2d(t['x'], t['weight']) }
  })
  made.release()
})

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  const cases: [x: number[], weight: number[], options: Conv2dOptions, message: string][] = [
    [[4, 4], [1, 1, 1, 4], {}, 'conv2d: x is [4, 4], expected [H, W, channels].'],
    [
      [4, 4, 3],
      [8, 3, 2, 2],
      {},
      'conv2d: weight is [8, 3, 2, 2], expected [O, kh, kw, 3] for x [4, 4, 3]. ' +
        'Both are channels-last; PyTorch stores weights [O, I, kh, kw].',
    ],
    [[4, 4, 3], [8, 5, 5, 3], {}, 'conv2d: a kernel of 5 x 5 is larger than x, 4 x 4 with padding 0.'],
    [[4, 4, 3], [8, 1, 1, 3], { stride: 0 }, 'conv2d: stride is 0, expected a whole number of at least 1.'],
  ]
  for (const [x, weight, options, message] of cases) {
    const made = plan(gpu, 'test', ({ input }) => ({
      read: { y: conv2d(input('x', x), input('weight', weight), options) },
    }))
    await expect(made).rejects.toThrow(new ShapeError(message))
  }
})
