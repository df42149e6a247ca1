// linear and matmul equal their formulas on every adapter of this machine, for every tile, weight type and
// epilogue, bit for bit the same each time.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { fitsPanels, uploadPanels } from '../../../src/kernels/packed.ts'
import type { Activation } from '../../../src/ops/elementwise/activation.ts'
import { gatedLinear, linear, matmul } from '../../../src/ops/matmul/matmul.ts'
import { chooseTile } from '../../../src/ops/matmul/registers.ts'
import { plan, release, type Tensor, upload, viewRows } from '../../../src/tensor/tensor.ts'
import { some, thorough } from '../../runtime.ts'
import {
  adapterNames,
  adapters,
  anyGpu,
  drawSizes,
  evaluate,
  expectClose,
  type HostTensor,
  planOf,
  random,
  someOn,
  toBf16,
} from '../../support.ts'

type Size = readonly [M: number, N: number, K: number]

/** One, primes, one past a tile and several tiles; summed axes that are and aren't multiples of four; and drawn ones. */
const SHAPES: readonly Size[] = [
  [1, 1, 1],
  [1, 3, 5],
  [1, 160, 448],
  [1, 2053, 260],
  [2, 7, 3],
  [3, 9, 4],
  [4, 1, 1023],
  [4, 701, 20],
  [3, 99, 29],
  [5, 17, 12],
  [7, 701, 36],
  [9, 9, 1023],
  [13, 160, 64],
  [16, 33, 1024],
  [67, 131, 29],
  [64, 64, 64],
  [129, 65, 36],
  [1031, 259, 5],
  ...drawSizes(12, [1, 140], [1, 140], [1, 300]).map(([M, N, K]): Size => [M!, N!, K!]),
]

/** y[m, n] = sum_k a[m, k] b[n, k], or b[k, n], in float64. */
function product(a: ArrayLike<number>, b: ArrayLike<number>, [M, N, K]: Size, bIsNK = true): Float64Array {
  const y = new Float64Array(M * N)
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0
      for (let k = 0; k < K; k++) sum += a[m * K + k]! * b[bIsNK ? n * K + k : k * N + n]!
      y[m * N + n] = sum
    }
  }
  return y
}

/** Taylor's series: within 1e-9 up to 4, and 1 is within 2e-8 from there on. */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x)
  let sum = 0
  for (let n = 0, term = x; n < 80; n++, term *= (-x * x) / n) sum += term / (2 * n + 1)
  return (2 / Math.sqrt(Math.PI)) * sum
}

const FORMULAS: Record<Activation, (x: number) => number> = {
  none: (x) => x,
  relu: (x) => Math.max(x, 0),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x / (1 + Math.exp(-x)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
}

const ACTIVATION_NAMES = ['none', 'relu', 'gelu', 'geluTanh', 'silu', 'sigmoid', 'tanh'] as const

/** Random normal halves, and the numbers they stand for: (-1)^s 2^(e - 15) (1 + f / 1024). */
function randomF16(shape: readonly number[], seed: number): { host: HostTensor; values: Float64Array } {
  const bits = Uint16Array.from(random(shape, seed, 32_768).data, (v) => {
    const word = Math.floor(v + 32_768)
    return (word & 0x83ff) | ((8 + ((word >> 10) % 8)) << 10)
  })
  const values = Float64Array.from(
    bits,
    (h) => (h >> 15 ? -1 : 1) * 2 ** (((h >> 10) & 31) - 15) * (1 + (h & 1023) / 1024),
  )
  return { host: { data: bits, shape, dtype: 'f16' }, values }
}

function randomBf16(shape: readonly number[], seed: number): { host: HostTensor; values: Float32Array } {
  const { bits, values } = toBf16(random(shape, seed).data)
  return { host: { data: bits, shape, dtype: 'bf16' }, values }
}

// A few thousand f32 additions of both signs err by less than 1e-6 of the norm; ten times that is a fault
const RTOL = 2e-6

test('the shapes below use every tile, in small workgroups and in large ones, and every one of quads', () => {
  const used = (subgroupSize: number) => SHAPES.map(([M, N]) => chooseTile({ M, N }, { subgroupSize }))
  const names = (subgroupSize: number) =>
    new Set(used(subgroupSize).map(({ rows, cols, beside }) => `${rows} x ${cols}, ${beside} beside`))
  expect(names(8).size).toBe(5)
  expect(new Set(used(8).map(({ threads }) => threads)).size).toBe(2)
  expect([...names(4)].filter((name) => !name.endsWith(' 1 beside')).length).toBe(3)
})

for (const [place, gpu] of (await adapters()).entries()) {
  const shapes = thorough ? some(SHAPES) : someOn(place, SHAPES)
  // Without subgroups of one fixed size there are no panels
  const panels = fitsPanels(gpu, { shape: [1, 1], dtype: 'f32' })

  test(`linear on ${gpu.name}`, async () => {
    for (const [M, N, K] of shapes) {
      const x = random([M, K], 1, 3)
      const weight = random([N, K], 2)
      const y = await evaluate(gpu, { x, weight }, (t) => linear(t['x']!, t['weight']!))
      expectClose(y, product(x.data, weight.data, [M, N, K]), RTOL, `${M} x ${N} x ${K}`)
    }
  })

  test(`linear from f16 and bf16 weights on ${gpu.name}`, async () => {
    for (const [M, N, K] of some(SHAPES.slice(0, 11))) {
      const x = random([M, K], 1, 3)
      for (const weight of [randomF16([N, K], 2), randomBf16([N, K], 3)]) {
        const y = await evaluate(gpu, { x, weight: weight.host }, (t) => linear(t['x']!, t['weight']!))
        expectClose(
          y,
          product(x.data, weight.values, [M, N, K]),
          RTOL,
          `${weight.host.dtype} ${M} x ${N} x ${K}`,
        )
      }
    }
  })

  test.skipIf(!panels)(`linear from weights in panels on ${gpu.name}`, async () => {
    for (const [i, [M, N, K]] of shapes.entries()) {
      const x = random([M, K], 1, 3)
      const f32 = random([N, K], 2)
      const [f16, bf16] = [randomF16([N, K], 2), randomBf16([N, K], 3)]
      const types = [{ host: f32, values: f32.data }, f16, bf16]
      // A type differs in how its values are read: each shape has one at least
      for (const { host, values } of thorough ? types : [types[i % 3]!]) {
        const weight = await uploadPanels(gpu, host.data, { shape: [N, K], dtype: host.dtype ?? 'f32' })
        const y = await evaluate(gpu, { x }, (t) => linear(t['x']!, weight))
        expectClose(y, product(x.data, values, [M, N, K]), RTOL, `${host.dtype} ${M} x ${N} x ${K}`)
        release(gpu, weight)
      }
    }
  })

  test.skipIf(!panels)(`linear from some rows of a weight in panels on ${gpu.name}`, async () => {
    const [M, N, K] = [5, 96, 20]
    const x = random([M, K], 1)
    const whole = random([N, K], 2)
    const weight = await uploadPanels(gpu, whole.data, { shape: [N, K], dtype: 'f32' })
    const y = await evaluate(gpu, { x }, (t) => linear(t['x']!, viewRows(weight, 32, 40)!))
    expectClose(y, product(x.data, whole.data.subarray(32 * K, 72 * K), [M, 40, K]), RTOL)
    expect(viewRows(weight, 3, 40)).toBeUndefined()
    release(gpu, weight)
  })

  test(`a gated pair, from panels and from rows, on ${gpu.name}`, async () => {
    for (const [M, N, K] of [
      [1, 40, 32],
      [3, 33, 8],
      [13, 19, 24],
      [50, 130, 64],
      [5, 9, 7],
    ] as const) {
      const [x, gate, up] = [random([M, K], 1, 3), random([N, K], 2), random([N, K], 3)]
      const silu = product(x.data, gate.data, [M, N, K]).map(FORMULAS.silu)
      const expected = product(x.data, up.data, [M, N, K]).map((v, i) => v * silu[i]!)
      const y = await evaluate(gpu, { x, gate, up }, (t) => gatedLinear(t['x']!, t['gate']!, t['up']!))
      expectClose(y, expected, RTOL, `${M} x ${N} x ${K}`)
      if (!panels) continue
      const shape = { shape: [N, K], dtype: 'f32' } as const
      const [a, b] = [await uploadPanels(gpu, gate.data, shape), await uploadPanels(gpu, up.data, shape)]
      const packed = await evaluate(gpu, { x }, (t) => gatedLinear(t['x']!, a, b))
      expectClose(packed, expected, RTOL, `panels ${M} x ${N} x ${K}`)
      release(gpu, a)
      release(gpu, b)
    }
  })

  test(`linear with every epilogue on ${gpu.name}`, async () => {
    const [M, N, K] = [13, 19, 24]
    const x = random([1, M, K], 1, 2)
    const weight = random([N, K], 2)
    const bias = random([N], 3)
    const residual = random([1, M, N], 4)
    const sums = product(x.data, weight.data, [M, N, K])
    for (const activation of ACTIVATION_NAMES) {
      for (const [hasBias, hasResidual] of [
        [true, true],
        // Where the parts are missing doesn't depend on the function
        ...(activation === 'relu' ? [[true, false] as const, [false, true] as const] : []),
      ] as const) {
        const y = await evaluate(gpu, { x, weight, bias, residual }, (t) => {
          const options = {
            activation,
            ...(hasBias ? { bias: t['bias']! } : {}),
            ...(hasResidual ? { residual: t['residual']! } : {}),
          }
          const made = linear(t['x']!, t['weight']!, options)
          expect(made.shape).toEqual([1, M, N])
          return made
        })
        const expected = sums.map((sum, i) => {
          const v = FORMULAS[activation](sum + (hasBias ? bias.data[i % N]! : 0))
          return v + (hasResidual ? residual.data[i]! : 0)
        })
        expectClose(
          y,
          expected,
          RTOL,
          `${activation} ${hasBias ? 'bias' : ''} ${hasResidual ? 'residual' : ''}`,
        )
      }
    }
  })

  test(`linear of a vector, and of values whose products pass 1e10, on ${gpu.name}`, async () => {
    const x = random([36], 1, 1e5)
    const weight = random([20, 36], 2, 1e5)
    for (const activation of ['none', 'gelu', 'geluTanh', 'silu'] as const) {
      const y = await evaluate(gpu, { x, weight }, (t) => linear(t['x']!, t['weight']!, { activation }))
      // So far out they are the identity or zero
      const expected = product(x.data, weight.data, [1, 20, 36]).map((v) =>
        activation === 'none' ? v : Math.max(v, 0),
      )
      expectClose(y, expected, RTOL, activation)
    }
    const bounded = await evaluate(gpu, { x, weight }, (t) =>
      linear(t['x']!, t['weight']!, { activation: 'sigmoid' }),
    )
    expect([...bounded].every((v) => v === 0 || v === 1)).toBe(true)
  })

  test(`linear adds its residual in place where the plan allows on ${gpu.name}`, async () => {
    const [M, C] = [21, 24]
    const inputs = {
      x: random([M, C], 1),
      w1: random([C, C], 2),
      w2: random([C, C], 3),
      w3: random([C, C], 4),
    }
    const { plan: made, run } = await planOf(gpu, inputs, (t) => {
      const h = linear(t['x']!, t['w1']!)
      const sum = linear(t['x']!, t['w2']!, { residual: h, activation: 'relu' })
      return { y: linear(sum, t['w3']!) }
    })
    expect(made.info.dispatches.map((d) => d.inPlace)).toEqual([false, true, false])
    const { x, w1, w2, w3 } = inputs
    const h = product(x.data, w1.data, [M, C, C])
    const sum = product(x.data, w2.data, [M, C, C]).map((v, i) => Math.max(v, 0) + h[i]!)
    expectClose((await run())['y']!, product(sum, w3.data, [M, C, C]), RTOL)
    made.release()
  })

  test(`matmul in batches, broadcast, transposed and scaled on ${gpu.name}`, async () => {
    for (const [aBatch, bBatch, M, N, K] of [
      [0, 0, 7, 5, 3],
      [0, 0, 33, 20, 16],
      [3, 3, 5, 12, 8],
      [3, 3, 1, 9, 5],
      [1, 2, 9, 8, 4],
      [0, 2, 4, 7, 6],
      [4, 0, 3, 6, 9],
      [4, 1, 17, 16, 12],
      [5, 5, 70, 34, 31],
    ] as const) {
      for (const transposeB of [false, true]) {
        const shape = (batch: number, matrix: number[]) => (batch ? [batch, ...matrix] : matrix)
        const a = random(shape(aBatch, [M, K]), 1)
        const b = random(shape(bBatch, transposeB ? [N, K] : [K, N]), 2)
        const B = Math.max(aBatch, bBatch, 1)
        const y = await evaluate(gpu, { a, b }, (t) => {
          const made = matmul(t['a']!, t['b']!, { transposeB, scale: 0.125 })
          expect(made.shape).toEqual(aBatch || bBatch ? [B, M, N] : [M, N])
          return made
        })
        const expected = Array.from({ length: B }, (_, i) => {
          const part = (data: Float32Array, batch: number) => {
            const size = data.length / Math.max(batch, 1)
            return batch > 1 ? data.subarray(i * size, (i + 1) * size) : data
          }
          const sums = product(part(a.data, aBatch), part(b.data, bBatch), [M, N, K], transposeB)
          return [...sums].map((v) => v * 0.125)
        }).flat()
        expectClose(y, expected, RTOL, `[${a.shape.join()}] [${b.shape.join()}]`)
      }
    }
  })

  test(`matmul of a 16-bit b, [K, N], on ${gpu.name}`, async () => {
    for (const [M, N, K] of [
      [6, 12, 8],
      [6, 11, 7],
    ] as const) {
      const a = random([M, K], 1)
      for (const b of [randomF16([K, N], 2), randomBf16([K, N], 3)]) {
        const y = await evaluate(gpu, { a, b: b.host }, (t) => matmul(t['a']!, t['b']!))
        expectClose(y, product(a.data, b.values, [M, N, K], false), RTOL, `${b.host.dtype} ${N}`)
      }
    }
  })
}

for (const name of adapterNames()) {
  const adapter = name ? { adapter: name } : {}

  test(`linear from a weight in shards, on ${name || 'any adapter'} with a low binding limit`, async () => {
    const small = await openGpu({ ...adapter, bindingLimit: 1024 })
    try {
      for (const [M, N, K, dtype] of [
        [3, 67, 20, 'f32'],
        [1, 61, 7, 'f32'],
        [2, 101, 7, 'bf16'],
        [2, 99, 16, 'bf16'],
      ] as const) {
        const values = random([N, K], 2).data
        const narrow = toBf16(values)
        const data = dtype === 'f32' ? values : narrow.bits
        // An odd number of 16-bit values is padded to a whole word by `upload`
        const weight = await upload(small, data, [N, K], dtype, { sharded: true })
        expect(weight.shards?.length).toBeGreaterThan(1)
        const x = random([M, K], 1)
        const bias = random([N], 3)
        const residual = random([M, N], 4)
        const y = await evaluate(small, { x, bias, residual }, (t) =>
          linear(t['x']!, weight, { bias: t['bias']!, residual: t['residual']!, activation: 'relu' }),
        )
        const sums = product(x.data, dtype === 'f32' ? values : narrow.values, [M, N, K])
        const expected = sums.map((v, i) => Math.max(v + bias.data[i % N]!, 0) + residual.data[i]!)
        expectClose(y, expected, RTOL, `${dtype} ${N} x ${K}`)
        release(small, weight)
      }
      expect(small.memory().bytes).toBe(0)
    } finally {
      small.close()
    }
  })

  test(`a long linear is cut into several submissions, on ${name || 'any adapter'}`, async () => {
    const slow = await openGpu(adapter)
    try {
      // An adapter that seems to manage a thousand FLOP/s
      for (let i = 0; i < 60; i++) slow.rate.learn(1e7, 1e4)
      const [M, N, K] = [300, 70, 8]
      const x = random([M, K], 1)
      const weight = random([N, K], 2)
      const { plan: made, run } = await planOf(slow, { x, weight }, (t) => ({
        y: linear(t['x']!, t['weight']!),
      }))
      expect(made.info.dispatches.length).toBeGreaterThan(1)
      expectClose((await run())['y']!, product(x.data, weight.data, [M, N, K]), RTOL)
      made.release()
    } finally {
      slow.close()
    }
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  const building = (build: (x: (...shape: number[]) => Tensor) => Tensor) =>
    plan(gpu, 'test', ({ input }) => {
      let count = 0
      return { read: { y: build((...shape) => input(`input ${count++}`, shape)) } }
    })
  const cases: [build: (x: (...shape: number[]) => Tensor) => Tensor, message: string][] = [
    [
      (x) => linear(x(2, 3), x(3, 4)),
      'linear: weight is [3, 4], expected [N, 3] for x [2, 3]. Weights are stored [N, K], as in PyTorch.',
    ],
    [(x) => linear(x(2, 3), x(4, 3), { bias: x(3) }), 'linear: bias is [3], expected [4].'],
    [
      (x) => linear(x(5, 2, 3), x(4, 3), { residual: x(2, 4) }),
      'linear: residual is [2, 4], expected [5, 2, 4].',
    ],
    [
      (x) => matmul(x(2, 3), x(2, 3)),
      'matmul: the summed axes differ: a is [2, 3] (K = 3), b is [2, 3] (K = 2). ' +
        'If b is stored [N, K], pass { transposeB: true }.',
    ],
    [
      (x) => matmul(x(2, 2, 3), x(3, 3, 4)),
      'matmul: the batches differ: a is [2, 2, 3], b is [3, 3, 4]. They must be equal, or one of them 1 or absent.',
    ],
    [(x) => matmul(x(3), x(3, 4)), 'matmul: a is [3], expected two axes, or three with a batch.'],
  ]
  for (const [build, message] of cases) await expect(building(build)).rejects.toThrow(new ShapeError(message))
  await expect(
    plan(gpu, 'test', ({ input }) => ({
      read: { y: linear(input('x', [2, 4], 'u32'), input('w', [3, 4])) },
    })),
  ).rejects.toThrow(new ShapeError('linear: x is u32, expected f32.'))
})
