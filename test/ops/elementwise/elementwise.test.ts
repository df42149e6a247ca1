// Elementwise ops equal their formulas on every adapter, in place or not, bit for bit the same each time.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { activate, add, greater, mix, mul, sub, swiglu } from '../../../src/ops/elementwise/elementwise.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { columns, type Tensor } from '../../../src/tensor/tensor.ts'
import { expectRight } from '../../selftest/right.ts'
import {
  adapters,
  anyGpu,
  evaluate,
  expectSameBits,
  type HostTensor,
  planOf,
  random,
  uniform,
} from '../../support.ts'

/** Values that tell: zero, tiny, huge, where activations saturate, and a spread between. */
function telling(length: number): Float32Array {
  const special = [
    0, -0, 1e-30, -1e-30, 1, -1, 15, -15, 44, -44, 100, -100, 1e5, -1e5, 1e13, -1e13, 3.4e38, -3.4e38,
  ]
  return Float32Array.from(uniform(length, 3, 6), (v, i) => special[i] ?? v)
}

for (const gpu of await adapters()) {
  test(`every op equals its formula on ${gpu.name}`, async () => {
    await expectRight(gpu, { families: ['elementwise'], count: 6 })
  })

  test(`swiglu of two halves is that of two tensors on ${gpu.name}`, async () => {
    const [rows, C] = [9, 100]
    const gate = random([rows, C], 1, 6)
    const up = random([rows, C], 2)
    const apart = await evaluate(gpu, { gate, up }, (t) => swiglu(t['gate'], t['up']))
    const fused: HostTensor = { shape: [rows, 2 * C], data: new Float32Array(rows * 2 * C) }
    for (let r = 0; r < rows; r++) {
      fused.data.set(gate.data.subarray(r * C, (r + 1) * C), r * 2 * C)
      fused.data.set(up.data.subarray(r * C, (r + 1) * C), r * 2 * C + C)
    }
    const halves = await evaluate(gpu, { fused }, ({ fused: t }) =>
      swiglu(columns(t, 0, C), columns(t, C, C)),
    )
    expectSameBits(halves, apart)
  })

  test(`mix is shut from 17 on, on ${gpu.name}`, async () => {
    const a = { data: telling(30), shape: [30] }
    const b = random([30], 1, 1e6)
    for (const g of [17, 30, 1000]) {
      const gate: HostTensor = { data: new Float32Array(30).fill(g), shape: [30] }
      const y = await evaluate(gpu, { gate, a, b }, (t) => mix(t['gate'], t['a'], t['b']))
      expectSameBits(y, a.data)
    }
  })

  test(`in place on ${gpu.name}: the same bits in the input's memory`, async () => {
    const x = random([3, 20], 1, 6)
    const other = random([3, 20], 2)
    const gate = random([3, 20], 3)
    const one: HostTensor = { data: new Float32Array([1]), shape: [1] }
    const chains: Record<string, (x: Tensor, other: Tensor, gate: Tensor) => Tensor> = {
      add: (v, o) => add(v, o),
      sub: (v, o) => sub(v, o),
      mul: (v, o) => mul(v, o),
      mix: (v, o, g) => mix(g, v, o),
      activate: (v) => activate(v, 'gelu'),
      greater: (v) => greater(v, 0.1),
      swiglu: (v, o) => swiglu(v, o),
    }
    for (const [name, op] of Object.entries(chains)) {
      const apart = await evaluate(gpu, { x, other, gate }, (t) => op(t['x'], t['other'], t['gate']))
      // x * 1 is an intermediate that only `op` reads, and op's result is no output yet
      const { plan: ready, run } = await planOf(gpu, { x, other, gate, one }, (t) => ({
        y: mul(op(mul(t['x'], t['one']), t['other'], t['gate']), t['one']),
      }))
      expect(
        ready.info.dispatches.map((d) => d.inPlace),
        name,
      ).toEqual([false, true, false])
      expectSameBits((await run())['y'], apart)
      expectSameBits((await run())['y'], apart)
      ready.release()
    }
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  const building = (shapes: Record<string, number[]>, build: (t: Record<string, Tensor>) => Tensor) =>
    plan(gpu, 'test', ({ input }) => {
      const tensors = Object.entries(shapes).map(([name, shape]) => [name, input(name, shape)] as const)
      return { read: { y: build(Object.fromEntries(tensors)) } }
    })
  await expect(building({ a: [2, 3], b: [2] }, (t) => add(t['a']!, t['b']!))).rejects.toThrow(
    new ShapeError("add: b is [2], expected a's shape [2, 3], its last axes, or one element."),
  )
  await expect(building({ a: [3], b: [2, 3] }, (t) => mul(t['a']!, t['b']!))).rejects.toThrow(ShapeError)
  await expect(building({ a: [3], b: [4] }, (t) => swiglu(t['a']!, t['b']!))).rejects.toThrow('3 columns')
  await expect(building({ a: [2, 4], b: [3, 4] }, (t) => swiglu(t['a']!, t['b']!))).rejects.toThrow(
    ShapeError,
  )
  await expect(building({ a: [3], b: [4] }, (t) => mix(t['a']!, t['a']!, t['b']!))).rejects.toThrow(
    'mix: b is [4], expected [3].',
  )
})
