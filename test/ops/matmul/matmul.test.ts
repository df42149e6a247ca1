// linear and matmul equal their formulas on every adapter of this machine, by every variant, weight type and epilogue,
// bit for bit the same each time; in place, in shards, in several submissions, and from part of a weight.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { fitsPacked, uploadPacked } from '../../../src/kernels/packed.ts'
import { linear, matmul } from '../../../src/ops/matmul/matmul.ts'
import { productReference } from '../../../src/selftest/references/matmul.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { release, type Tensor, upload, viewRows } from '../../../src/tensor/tensor.ts'
import { expectRight } from '../../selftest/right.ts'
import {
  adapterNames,
  adapters,
  anyGpu,
  evaluate,
  expectClose,
  planOf,
  random,
  toBf16,
} from '../../support.ts'

// A few thousand f32 additions of both signs err by less than 1e-6 of the norm; ten times that is a fault
const RTOL = 2e-6

for (const gpu of await adapters()) {
  // Without subgroups of one fixed size there are no packed weights
  const isPackable = fitsPacked(gpu, { shape: [1, 1], dtype: 'f32' })

  test(`every op by every variant, from every type and layout of weights, on ${gpu.name}`, async () => {
    await expectRight(gpu, { families: ['matmul'] })
  })

  test(`linear of many shapes by what this adapter takes, on ${gpu.name}`, async () => {
    await expectRight(gpu, { ops: ['linear'], types: ['f32'], variants: 'default', count: 12 })
  })

  test.skipIf(!isPackable)(`linear from some rows of a packed weight on ${gpu.name}`, async () => {
    const [M, N, K] = [5, 96, 20]
    const x = random([M, K], 1)
    const whole = random([N, K], 2)
    const weight = await uploadPacked(gpu, whole.data, { shape: [N, K], dtype: 'f32' })
    const y = await evaluate(gpu, { x }, (t) => linear(t['x'], viewRows(weight, 32, 40)!))
    expectClose(y, productReference(x.data, whole.data.subarray(32 * K, 72 * K), [M, 40, K]), RTOL)
    expect(viewRows(weight, 3, 40)).toBeUndefined()
    release(gpu, weight)
  })

  test(`linear of a vector, and of values whose products pass 1e10, on ${gpu.name}`, async () => {
    const x = random([36], 1, 1e5)
    const weight = random([20, 36], 2, 1e5)
    for (const activation of ['none', 'gelu', 'geluTanh', 'silu'] as const) {
      const y = await evaluate(gpu, { x, weight }, (t) => linear(t['x'], t['weight'], { activation }))
      // So far out they are the identity or zero
      const expected = productReference(x.data, weight.data, [1, 20, 36]).map((v) =>
        activation === 'none' ? v : Math.max(v, 0),
      )
      expectClose(y, expected, RTOL, activation)
    }
    const bounded = await evaluate(gpu, { x, weight }, (t) =>
      linear(t['x'], t['weight'], { activation: 'sigmoid' }),
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
    const { plan: ready, run } = await planOf(gpu, inputs, (t) => {
      const h = linear(t['x'], t['w1'])
      const sum = linear(t['x'], t['w2'], { residual: h, activation: 'relu' })
      return { y: linear(sum, t['w3']) }
    })
    expect(ready.info.dispatches.map((d) => d.inPlace)).toEqual([false, true, false])
    const { x, w1, w2, w3 } = inputs
    const h = productReference(x.data, w1.data, [M, C, C])
    const sum = productReference(x.data, w2.data, [M, C, C]).map((v, i) => Math.max(v, 0) + h[i]!)
    expectClose((await run())['y'], productReference(sum, w3.data, [M, C, C]), RTOL)
    ready.release()
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
          linear(t['x'], weight, { bias: t['bias'], residual: t['residual'], activation: 'relu' }),
        )
        const sums = productReference(x.data, dtype === 'f32' ? values : narrow.values, [M, N, K])
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
      const { plan: ready, run } = await planOf(slow, { x, weight }, (t) => ({
        y: linear(t['x'], t['weight']),
      }))
      expect(ready.info.dispatches.length).toBeGreaterThan(1)
      expectClose((await run())['y'], productReference(x.data, weight.data, [M, N, K]), RTOL)
      ready.release()
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
