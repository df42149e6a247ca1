// Numbers that aren't finite stay so: one NaN in any input of any op makes NaN of every output that depends on that
// input, and of no other; an infinity gives what the largest finite number would, or something that isn't finite. All
// by bits and on every adapter, as compilers of shaders may assume that no number is NaN.

import { describe, expect, test } from 'vitest'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { uploadQuantized } from '../../src/kernels/quantize.ts'
import { type AttentionBias, attention, maskBits } from '../../src/ops/attention/attention.ts'
import { deformableAttention } from '../../src/ops/attention/deformable.ts'
import { rope } from '../../src/ops/attention/rope.ts'
import { conv2d } from '../../src/ops/conv/conv.ts'
import type { Activation } from '../../src/ops/elementwise/activation.ts'
import { activate, add, greater, mix, mul, sub, swiglu } from '../../src/ops/elementwise/elementwise.ts'
import { cosineLogits } from '../../src/ops/head/cosine.ts'
import { maskPixels } from '../../src/ops/head/mask-pixels.ts'
import { dilate, erode } from '../../src/ops/image/morphology.ts'
import { resize } from '../../src/ops/image/resize.ts'
import { gather } from '../../src/ops/layout/gather.ts'
import {
  concatColumns,
  concatRows,
  depthToSpace,
  joinWindows,
  sliceRows,
  spaceToDepth,
  splitWindows,
  transpose,
} from '../../src/ops/layout/layout.ts'
import { gatedLinear, linear, matmul } from '../../src/ops/matmul/matmul.ts'
import { groupNorm, layerNorm, rmsNorm } from '../../src/ops/norm/norm.ts'
import {
  argmax,
  maxLast,
  meanRows,
  meanSpans,
  normalizeRows,
  softmax,
  sumLast,
} from '../../src/ops/reduce/reduce.ts'
import { plan } from '../../src/tensor/plan.ts'
import { columns, release, type Tensor } from '../../src/tensor/tensor.ts'
import { runtime, sample, some } from '../runtime.ts'
import { adapters, evaluate, uniform } from '../support.ts'

type In = (shape: readonly number[], dtype?: 'f32' | 'u32' | 'f16' | 'bf16') => Tensor
interface Case {
  readonly name: string
  readonly build: (input: In) => Tensor
  /** NaN may reach more outputs than finite numbers do: 0 * NaN is NaN, and relu is 0 for many numbers. */
  readonly spreads?: boolean
}

/** Rows for one thread each and for threads that share a row, in vec4s and by themselves. */
const ROWS = [
  [70, 8],
  [70, 5],
  [3, 132],
  [3, 67],
] as const
const KINDS: Activation[] = ['none', 'relu', 'gelu', 'geluTanh', 'silu', 'sigmoid', 'tanh']
const FLOATS = ['f32', 'f16', 'bf16'] as const
const LEVELS = [
  [2, 3],
  [4, 5],
] as const

function each<T>(
  values: readonly T[],
  name: string,
  build: (value: T, input: In) => Tensor,
  spreads = false,
): Case[] {
  return values.map((value) => ({ name: `${name} ${value}`, build: (input) => build(value, input), spreads }))
}

const BIASES: Record<string, (x: In) => AttentionBias | undefined> = {
  none: () => undefined,
  causal: () => ({ kind: 'causal', start: 30 }),
  length: () => ({ kind: 'length', length: 33 }),
  mask: (x) => ({ kind: 'mask', bits: x([5, 2], 'u32') }), // bits 0 to 9: keys 0 to 3 of some, and all others are open
}

const CASES: Case[] = [
  ...each([8, 3], 'add', (C, x) => add(x([4, C]), x([4, C]))),
  ...each([8, 3], 'sub, broadcast', (C, x) => sub(x([4, C]), x([C]))),
  ...each([8, 3], 'mul by one', (C, x) => mul(x([4, C]), x([1]))),
  ...KINDS.flatMap((kind) => each([8, 3], `activate ${kind}`, (C, x) => activate(x([C]), kind))),
  ...each([8, 3], 'greater', (C, x) => greater(x([C]), 0.1)),
  ...each([8, 3], 'mix', (C, x) => mix(x([C]), x([C]), x([C]))),
  ...each([8, 3], 'swiglu', (C, x) => {
    const fused = x([3, 2 * C])
    return swiglu(columns(fused, 0, C), columns(fused, C, C))
  }),

  ...each(ROWS, 'layerNorm', ([N, C], x) => layerNorm(x([N, C]), x([C]), x([C]), 1e-6)),
  ...each([ROWS[0]], 'layerNorm of a sum', ([N, C], x) =>
    layerNorm(x([N, C]), x([C]), x([C]), 1e-6, { residual: x([N, C]) }),
  ),
  ...each(ROWS, 'rmsNorm', ([N, C], x) => rmsNorm(x([N, C]), x([C]), 1e-6)),
  ...each([8, 6], 'groupNorm', (C, x) => groupNorm(x([200, C]), 2, x([C]), x([C]), 1e-5)),
  ...each(
    ['relu', 'tanh'] as const,
    'groupNorm and',
    (activation, x) => groupNorm(x([30, 8]), 2, x([8]), x([8]), 1e-5, { activation }),
    true,
  ),
  ...each(ROWS, 'softmax', ([N, C], x) => softmax(x([N, C]))),
  ...each(ROWS, 'sumLast', ([N, C], x) => sumLast(x([N, C]))),
  ...each(ROWS, 'maxLast', ([N, C], x) => maxLast(x([N, C]))),
  ...each(ROWS, 'normalizeRows', ([N, C], x) => normalizeRows(x([N, C]))),
  ...each([8, 3], 'meanRows', (C, x) => meanRows(x([9, C]), { length: 7 })),
  ...each([8, 3], 'meanSpans', (C, x) => meanSpans(x([9, C]), x([2, 2], 'u32'))),
  ...each([8, 33], 'cosineLogits', (C, x) => cosineLogits(x([9, C]), x([2, C]), x([1]), 500)),

  ...FLOATS.flatMap((dtype) =>
    each([6, 8], `gather ${dtype}`, (C, x) => gather(x([7, C], dtype), x([7], 'u32'))),
  ),
  ...each([4], 'splitWindows', (C, x) => splitWindows(x([5, 7, C]), 3)),
  ...each([4], 'joinWindows', (C, x) => joinWindows(x([6, 9, C]), 3, [5, 7])),
  ...each([4], 'spaceToDepth', (C, x) => spaceToDepth(x([4, 6, C]))),
  ...each([4], 'depthToSpace', (C, x) => depthToSpace(x([4, 6, 4 * C]))),
  ...each([4, 3], 'transpose', (C, x) => transpose(x([2, 12, C]))),
  ...each([4], 'concatRows', (C, x) => concatRows(x([2, C]), x([3, C]))),
  ...each([4], 'concatColumns', (C, x) => concatColumns(x([3, C]), x([3, 8]))),
  ...each([4], 'sliceRows', (C, x) => sliceRows(x([6, C]), 1, 3)),
  ...each([8, 3, 1], 'resize', (C, x) => resize(x([6, 5, C]), [9, 4], { crop: [5, 5] }), true),
  ...each([8, 11], 'dilate', (W, x) => dilate(x([9, W]))),
  ...each([8, 11], 'erode', (W, x) => erode(x([9, W]))),

  // A tile's edge is filled with zeros, which a NaN of another row or column must not meet
  ...FLOATS.flatMap((dtype) =>
    each([7, 8], `linear ${dtype}`, (K, x) => linear(x([9, K]), x([12, K], dtype), { bias: x([12]) })),
  ),
  ...each(
    [1, 70],
    'linear, relu and residual, rows',
    (M, x) => linear(x([M, 8]), x([36, 8]), { bias: x([36]), activation: 'relu', residual: x([M, 36]) }),
    true,
  ),
  ...each([5], 'gatedLinear', (M, x) => gatedLinear(x([M, 8]), x([12, 8]), x([12, 8]))),
  ...each([7, 8], 'matmul', (N, x) => matmul(x([2, 5, 8]), x([2, 8, N]))),
  ...each([7, 8], 'matmul, transposed', (N, x) => matmul(x([5, 8]), x([N, 8]), { transposeB: true })),
  ...each(
    [4, 3],
    'conv2d',
    (I, x) => conv2d(x([6, 5, I]), x([5, 3, 3, I]), { padding: 1, bias: x([5]), activation: 'tanh' }),
    true,
  ),
  ...Object.entries(BIASES).map(
    ([kind, bias]): Case => ({
      name: `attention, bias ${kind}`,
      spreads: true,
      build: (x) => {
        const ready = bias(x)
        const tensors = { query: x([5, 32]), key: x([40, 32]), value: x([40, 32]) }
        return attention({ ...tensors, heads: 2, ...(ready ? { bias: ready } : {}) })
      },
    }),
  ),
  {
    name: 'attention, keys split over workgroups',
    spreads: true,
    build: (x) => attention({ query: x([1, 16]), key: x([700, 16]), value: x([700, 16]), heads: 1 }),
  },
  {
    name: 'attention on a map',
    spreads: true,
    build: (x) => {
      const [H, W] = [4, 5]
      const tables = { height: x([2 * H - 1, 16]), width: x([2 * W - 1, 16]) }
      const bias: AttentionBias = { kind: 'relative', ...tables, size: [H, W] }
      return attention({ query: x([H * W, 16]), key: x([H * W, 16]), value: x([H * W, 16]), heads: 1, bias })
    },
  },
  ...each([16, 12], 'rope', (d, x) => rope(x([5, 2 * d]), { heads: 2, theta: 1e6, position: 3 })),
  {
    name: 'deformableAttention',
    spreads: true,
    build: (x) =>
      deformableAttention(x([26, 16]), x([26, 2 * 2 * 2 * 2]), x([26, 2 * 2 * 2]), {
        heads: 2,
        points: 2,
        levels: LEVELS,
      }),
  },
]

// ---------------------------------------------------------------------------------------------------------

interface Slot {
  shape: readonly number[]
  dtype: 'f32' | 'f16' | 'bf16'
  values: Float32Array | Uint16Array
}

const SPECIAL = {
  f32: { nan: Number.NaN, infinity: Number.POSITIVE_INFINITY, largest: 3e38, one: 1 },
  f16: { nan: 0x7e00, infinity: 0x7c00, largest: 0x7bff, one: 0x3c00 },
  bf16: { nan: 0x7fc0, infinity: 0x7f80, largest: 0x7f7f, one: 0x3f80 },
} as const

/** Plans a case and finds what each of its inputs does to its outputs. */
async function expectKept(gpu: Gpu, { name, build, spreads = false }: Case): Promise<void> {
  const slots: Slot[] = []
  const inputs: Record<string, Float32Array | Uint16Array | Uint32Array> = {}
  const ready = await plan(gpu, name, ({ input }) => ({
    read: {
      y: build((shape, dtype = 'f32') => {
        const label = `x${Object.keys(inputs).length}`
        const size = shape.reduce((product, n) => product * n, 1)
        if (dtype === 'u32') {
          inputs[label] = Uint32Array.from({ length: size }, (_, i) => i)
        } else {
          const floats = uniform(size, slots.length + 1)
          const one = SPECIAL[dtype].one
          const values = dtype === 'f32' ? floats : new Uint16Array(size).fill(one)
          slots.push({ shape, dtype, values })
          inputs[label] = values
        }
        return input(label, shape, dtype)
      }),
    },
  }))
  const run = async (): Promise<Float32Array> => (await ready.run({ inputs })).read['y'] as Float32Array
  try {
    const plain = (await run()).slice()
    expect(plain.every(Number.isFinite), `${name}: finite inputs`).toBe(true)
    for (const [which, { values, dtype }] of slots.entries()) {
      const { nan, infinity, largest, one } = SPECIAL[dtype]
      const sign = dtype === 'f32' ? -1 : 0x8000
      const negative = (word: number): number => (dtype === 'f32' ? -word : word + sign)
      for (const place of new Set([0, values.length >> 1, values.length - 1])) {
        const own = values[place]!
        const withValue = async (value: number): Promise<Float32Array> => {
          values[place] = value
          const y = await run()
          values[place] = own
          return y
        }
        const far = dtype === 'f32' ? 10 : one + 0x0100
        const moved = [await withValue(far), await withValue(negative(far))]
        const depends = Array.from(plain, (v, i) => moved.some((y) => !Object.is(y[i], v)))
        const what = `${name}: input ${which}, place ${place}`
        const spoilt = await withValue(nan)
        depends.forEach((does, i) => {
          if (does) expect(spoilt[i], `${what}, NaN, output ${i}`).toBeNaN()
          else if (!spreads) expect(spoilt[i], `${what}, NaN, output ${i}`).toBe(plain[i])
        })
        for (const [endless, end] of [
          [infinity, largest],
          [negative(infinity), negative(largest)],
        ] as const) {
          const y = await withValue(endless)
          const limit = await withValue(end)
          depends.forEach((does, i) => {
            const element = y[i]!
            const bound = limit[i]!
            const isLimit = Math.abs(element - bound) <= 1e-3 * Math.max(1, Math.abs(bound))
            if (Number.isFinite(element) && does && !isLimit)
              expect.fail(`${what}, ${endless}: output ${i} is ${element}, of ${end} it is ${bound}`)
          })
        }
      }
    }
  } finally {
    ready.release()
  }
}

const NAN = Number.NaN
const INFINITY = Number.POSITIVE_INFINITY

/**
 * Chromium has the compilers of one of Node's adapters, SwiftShader, which like Deno's takes some where tests aren't
 * thorough.
 */
const FEWER = runtime === 'browser' ? some(CASES) : sample(CASES)

for (const [place, gpu] of (await adapters()).entries()) {
  const cases = place === 0 && runtime === 'node' ? CASES : FEWER
  describe(`not finite on ${gpu.name}`, () => {
    test.each(cases)('$name', (one) => expectKept(gpu, one))

    test.each([
      [70, 8],
      [70, 5],
      [3, 132],
      [3, 67],
    ])('argmax of [%i, %i]: NaN is the largest, the first of several', async (N, C) => {
      const values = uniform(N * C)
      const expected = Uint32Array.from({ length: N }, (_, r) => (r * 7) % C)
      for (let r = 0; r < N; r++) {
        const row = values.subarray(r * C, (r + 1) * C)
        row[(expected[r]! + 1) % C] = INFINITY
        for (let c = expected[r]!; c < C; c += 3) row[c] = NAN
      }
      const x = { data: values, shape: [N, C] }
      expect(await evaluate(gpu, { x }, (t) => argmax(t['x']))).toEqual(expected)
    })

    test('masks: NaN is no number below 0, and none above 0', async () => {
      const logits = { data: Float32Array.of(-1, NAN, 1, -INFINITY, INFINITY), shape: [1, 5] }
      const blocked = await evaluate(gpu, { logits }, (t) => maskBits(t['logits']))
      expect(blocked[0]! & 31).toBe(0b01001)
      const last = { data: Float32Array.of(1, -1, NAN), shape: [1, 3] }
      const inside = await evaluate(gpu, { last }, (t) => maskPixels(t['last'], [1, 3], [1, 3]))
      expect(inside[0]! & 7).toBe(0b001)
    })

    test.each(['int8', 'int4'] as const)('weights in %s: NaN and infinity spoil their row', async (dtype) => {
      const [N, K] = [12, 64]
      for (const value of [NAN, INFINITY, -INFINITY]) {
        for (const place of [0, 5 * K + 33, N * K - 1]) {
          const values = uniform(N * K)
          values[place] = value
          const weight = await uploadQuantized(gpu, values, [N, K], dtype)
          const x = { data: uniform(3 * K, 2), shape: [3, K] }
          const y = await evaluate(gpu, { x }, (t) => linear(t['x'], weight))
          release(gpu, weight)
          const spoilt = Array.from(y, (v) => !Number.isFinite(v))
          expect(spoilt).toEqual(spoilt.map((_, i) => i % N === Math.floor(place / K)))
        }
      }
    })
  })
}
