// conv2d equals its formula on every adapter of this machine: 1 x 1, 3 x 3 and patches, channels that are and
// aren't multiples of four, every weight type, bit for bit the same each time.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { type AdapterFacts, PLAIN_ADAPTER } from '../../../src/gpu/adapter.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { fitsPanels, uploadPanels } from '../../../src/kernels/packed.ts'
import { metIn, ranked } from '../../../src/kernels/variants.ts'
import { type Conv2dOptions, conv2d } from '../../../src/ops/conv/conv.ts'
import { plan, release } from '../../../src/tensor/tensor.ts'
import { some, thorough } from '../../runtime.ts'
import {
  adapterNames,
  adapters,
  anyGpu,
  drawSizes,
  evaluate,
  expectClose,
  planOf,
  random,
  someOn,
  toBf16,
} from '../../support.ts'

interface Case {
  readonly x: readonly [H: number, W: number, I: number]
  readonly weight: readonly [O: number, kh: number, kw: number]
  readonly stride?: number
  readonly padding?: number
}

const CASES: readonly Case[] = [
  // 1 x 1, which linear does, and 1 x 1 with a stride, which it doesn't
  { x: [1, 1, 1], weight: [1, 1, 1] },
  { x: [5, 7, 33], weight: [9, 1, 1] },
  { x: [5, 7, 8], weight: [9, 1, 1], stride: 2 },
  // Patches: pixels of three channels, aligned (48 values a row) and not (6); rows left over at the edge
  { x: [32, 32, 3], weight: [20, 16, 16], stride: 16 },
  { x: [9, 7, 3], weight: [5, 2, 2], stride: 2 },
  { x: [30, 29, 3], weight: [6, 14, 14], stride: 14 },
  // 3 x 3, among them boundary refinement's 33 -> 8 -> 1 and 17 -> 8
  { x: [12, 13, 8], weight: [12, 3, 3], padding: 1 },
  { x: [9, 11, 33], weight: [8, 3, 3], padding: 1 },
  { x: [9, 11, 17], weight: [8, 3, 3], padding: 1 },
  { x: [16, 15, 8], weight: [1, 3, 3], padding: 1 },
  { x: [11, 14, 4], weight: [7, 3, 3], stride: 2, padding: 1 },
  { x: [10, 9, 5], weight: [7, 3, 3], stride: 2, padding: 1 },
  { x: [10, 9, 4], weight: [5, 3, 3] },
  // Kernels that are not square, or larger than the map without its padding
  { x: [7, 6, 2], weight: [3, 1, 4], padding: 2 },
  { x: [2, 1, 4], weight: [3, 5, 4], padding: 2 },
  { x: [1, 1, 3], weight: [4, 3, 3], padding: 1, stride: 3 },
  // Whatever comes
  ...drawSizes(12, [3, 20], [3, 20], [1, 40], [1, 40], [1, 3], [1, 3], [1, 3], [0, 2]).map(
    ([H, W, I, O, kh, kw, stride, padding]): Case => {
      return { x: [H!, W!, I!], weight: [O!, kh!, kw!], stride: stride!, padding: padding! }
    },
  ),
  // Several tiles each way
  { x: [40, 37, 4], weight: [70, 3, 3], padding: 1 },
]

/** y[oy, ox, o] = sum x[oy s + dy - p, ox s + dx - p, i] w[o, dy, dx, i], in float64. */
function convReference(x: Float32Array, w: Float32Array, size: Case): Float64Array {
  const { stride = 1, padding = 0 } = size
  const [H, W, I] = size.x
  const [O, kh, kw] = size.weight
  const outH = Math.floor((H + 2 * padding - kh) / stride) + 1
  const outW = Math.floor((W + 2 * padding - kw) / stride) + 1
  const y = new Float64Array(outH * outW * O)
  for (let i = 0; i < y.length; i++) {
    const [oy, ox, o] = [Math.floor(i / O / outW), Math.floor(i / O) % outW, i % O]
    for (let dy = 0; dy < kh; dy++) {
      for (let dx = 0; dx < kw; dx++) {
        const [iy, ix] = [oy * stride + dy - padding, ox * stride + dx - padding]
        if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue
        for (let c = 0; c < I; c++) y[i]! += x[(iy * W + ix) * I + c]! * w[((o * kh + dy) * kw + dx) * I + c]!
      }
    }
  }
  return y
}

function hosts(size: Case) {
  const [O, kh, kw] = size.weight
  const [, , I] = size.x
  const { stride, padding } = size
  const options: Conv2dOptions = { ...(stride ? { stride } : {}), ...(padding ? { padding } : {}) }
  const title = `[${size.x.join()}] by [${size.weight.join()}] stride ${stride ?? 1} padding ${padding ?? 0}`
  return { x: random(size.x, 1, 3), weight: random([O, kh, kw, I], 2), bias: random([O], 3), options, title }
}

// A few thousand f32 additions of both signs err by less than 1e-6 of the norm; ten times that is a fault
const RTOL = 2e-6

for (const [place, gpu] of (await adapters()).entries()) {
  const cases = thorough ? some(CASES) : someOn(place, CASES)

  test(`conv2d on ${gpu.name}`, async () => {
    for (const size of cases) {
      const { x, weight, options, title } = hosts(size)
      const y = await evaluate(gpu, { x, weight }, (t) => conv2d(t['x']!, t['weight']!, options))
      expectClose(y, convReference(x.data, weight.data, size), RTOL, title)
    }
  })

  test(`conv2d with bias, activation and bf16 weights on ${gpu.name}`, async () => {
    for (const size of cases) {
      const { x, weight, bias, options, title } = hosts(size)
      const { bits, values } = toBf16(weight.data)
      const narrow = { data: bits, shape: weight.shape, dtype: 'bf16' } as const
      const y = await evaluate(gpu, { x, weight: narrow, bias }, (t) =>
        conv2d(t['x']!, t['weight']!, { ...options, bias: t['bias']!, activation: 'relu' }),
      )
      const O = bias.data.length
      const expected = convReference(x.data, values, size).map((v, i) => Math.max(v + bias.data[i % O]!, 0))
      expectClose(y, expected, RTOL, title)
    }
  })

  // Without subgroups of one fixed size there are no panels
  test.skipIf(!fitsPanels(gpu, { shape: [1, 1], dtype: 'f32' }))(
    `conv2d from weights in panels on ${gpu.name}`,
    async () => {
      for (const [i, size] of cases.entries()) {
        const { x, weight, bias, options, title } = hosts(size)
        const { bits, values } = toBf16(weight.data)
        const types = [
          [weight.data, 'f32', weight.data],
          [bits, 'bf16', values],
        ] as const
        // A type differs in how its values are read: each shape has one at least
        for (const [data, dtype, exact] of thorough ? types : [types[i % 2]!]) {
          const packed = await uploadPanels(gpu, data, { shape: weight.shape, dtype, runs: weight.shape[1]! })
          const y = await evaluate(gpu, { x, bias }, (t) =>
            conv2d(t['x']!, packed, { ...options, bias: t['bias']!, activation: 'relu' }),
          )
          const O = bias.data.length
          const expected = convReference(x.data, exact, size).map((v, i) =>
            Math.max(v + bias.data[i % O]!, 0),
          )
          expectClose(y, expected, RTOL, `${dtype} ${title}`)
          release(gpu, packed)
        }
      }
    },
  )

  test(`conv2d of values up to 1e5 on ${gpu.name}`, async () => {
    const size: Case = { x: [6, 5, 12], weight: [3, 3, 3], padding: 1 }
    const [x, weight] = [random([6, 5, 12], 1, 1e5), random([3, 3, 3, 12], 2, 1e5)]
    const y = await evaluate(gpu, { x, weight }, (t) => conv2d(t['x']!, t['weight']!, { padding: 1 }))
    expectClose(y, convReference(x.data, weight.data, size), RTOL)
  })
}

for (const name of adapterNames()) {
  test(`a long conv2d is cut into several submissions, on ${name || 'any adapter'}`, async () => {
    const slow = await openGpu(name ? { adapter: name } : {})
    try {
      // An adapter that seems to manage a thousand FLOP/s
      for (let i = 0; i < 60; i++) slow.rate.learn(1e7, 1e4)
      const size = CASES.at(-1)!
      const { x, weight, options } = hosts(size)
      const { plan: made, run } = await planOf(slow, { x, weight }, (t) => ({
        y: conv2d(t['x']!, t['weight']!, options),
      }))
      expect(made.info.dispatches.length).toBeGreaterThan(1)
      expectClose((await run())['y']!, convReference(x.data, weight.data, size), RTOL)
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
    const [met] = metIn(() => ({ y: conv2d(t['x']!, t['weight']!, { padding: 1 }) }))
    const first = (facts: Partial<AdapterFacts>): string =>
      ranked(met!.family, met!.problem, { ...PLAIN_ADAPTER, ...facts })[0]!.name
    for (const subgroupSize of [0, 4, 8]) expect(first({ software: true, subgroupSize })).toBe('registers')
    for (const subgroupSize of [0, 4, 32]) expect(first({ subgroupSize })).toBe('tiled')
    return { y: conv2d(t['x']!, t['weight']!) }
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
