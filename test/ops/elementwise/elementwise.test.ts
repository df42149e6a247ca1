// Elementwise ops equal their formulas on every adapter, in place or not, bit for bit the same each time.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import type { Activation } from '../../../src/ops/elementwise/activation.ts'
import { activate, add, greater, mix, mul, sub, swiglu } from '../../../src/ops/elementwise/elementwise.ts'
import { columns, plan, type Tensor } from '../../../src/tensor/tensor.ts'
import {
  adapters,
  anyGpu,
  evaluate,
  expectClose,
  expectSameBits,
  type HostTensor,
  planOf,
  random,
  uniform,
} from '../../support.ts'

/** Whole vec4s and not, one element, one past a workgroup of vec4s, more than the least chunk a workgroup. */
const SHAPES: (readonly number[])[] = [[1], [7, 3], [2, 3, 4], [257], [65, 4], [1, 1021], [70_001, 7]]

/** b's shape for a's: alike, a suffix, one element. */
const BROADCASTS: [a: readonly number[], b: readonly number[]][] = [
  ...SHAPES.map((shape): [readonly number[], readonly number[]] => [shape, shape]),
  [[5, 7], [7]],
  [
    [3, 5, 8],
    [5, 8],
  ],
  [[3, 5, 8], [8]],
  [[6, 12], [1]],
  [[13], [1]],
  [
    [9, 4],
    [1, 1],
  ],
  [[3, 1], [1]],
  [[70_001, 4], [4]],
  [[1500, 271], [271]],
]

const BINARY = [
  { name: 'add', op: add, formula: (a: number, b: number) => a + b },
  { name: 'sub', op: sub, formula: (a: number, b: number) => a - b },
  { name: 'mul', op: mul, formula: (a: number, b: number) => a * b },
] as const

/** Values that tell: zero, tiny, huge, where activations saturate, and a spread between. */
function telling(length: number): Float32Array {
  const special = [
    0, -0, 1e-30, -1e-30, 1, -1, 15, -15, 44, -44, 100, -100, 1e5, -1e5, 1e13, -1e13, 3.4e38, -3.4e38,
  ]
  return Float32Array.from(uniform(length, 3, 6), (v, i) => special[i] ?? v)
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x))
}

/** Taylor's series: within 1e-9 up to 4, and 1 is within 2e-8 from there on. */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x)
  let sum = 0
  for (let n = 0, term = x; n < 80; n++, term *= (-x * x) / n) sum += term / (2 * n + 1)
  return (2 / Math.sqrt(Math.PI)) * sum
}

const ACTIVATION: readonly [name: Activation, formula: (x: number) => number][] = [
  ['none', (x) => x],
  ['relu', (x) => Math.max(x, 0)],
  ['gelu', (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))],
  ['geluTanh', (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))],
  ['silu', (x) => x * sigmoid(x)],
  ['sigmoid', sigmoid],
  ['tanh', Math.tanh],
]

for (const gpu of await adapters()) {
  test(`add, sub, mul on ${gpu.name}`, async () => {
    for (const { name, op, formula } of BINARY) {
      for (const [aShape, bShape] of BROADCASTS) {
        const a = random(aShape, 1, 3)
        const b = random(bShape, 2)
        const y = await evaluate(gpu, { a, b }, (t) => op(t['a']!, t['b']!))
        const expected = a.data.map((v, i) => formula(v, b.data[i % b.data.length]!))
        // One f32 operation on f32 operands, rounded once by both
        expectClose(y, expected, 1e-7, `${name} [${aShape.join()}] [${bShape.join()}]`)
      }
    }
  })

  test(`activations on ${gpu.name}`, async () => {
    for (const [name, formula] of ACTIVATION) {
      for (const length of [1, 64, 259]) {
        const x: HostTensor = { data: telling(length), shape: [length] }
        const y = await evaluate(gpu, { x }, (t) => activate(t['x']!, name))
        for (const [i, v] of x.data.entries()) {
          // erf is good to 1.5e-7 and enters as 1 + erf; exp and tanh to a few ULP of values up to 1
          const tolerance = 1e-6 * Math.max(1, Math.abs(v))
          expect(Math.abs(y[i]! - formula(v)), `${name}(${v}) = ${y[i]}`).toBeLessThan(tolerance)
        }
      }
    }
  })

  test(`greater on ${gpu.name}`, async () => {
    for (const length of [5, 64]) {
      const x: HostTensor = { data: Float32Array.from({ length }, (_, i) => i / 4), shape: [length] }
      const y = await evaluate(gpu, { x }, (t) => greater(t['x']!, 0.5))
      expect([...y]).toEqual([...x.data].map((v) => (v > 0.5 ? 1 : 0)))
    }
  })

  test(`swiglu on ${gpu.name}, of two tensors and of two halves`, async () => {
    for (const [rows, C] of [
      [1, 1],
      [3, 5],
      [2, 8],
      [9, 100],
    ] as const) {
      const gate = random([rows, C], 1, 6)
      const up = random([rows, C], 2)
      const expected = Float64Array.from(gate.data, (g, i) => g * sigmoid(g) * up.data[i]!)
      const apart = await evaluate(gpu, { gate, up }, (t) => swiglu(t['gate']!, t['up']!))
      expectClose(apart, expected, 1e-6)

      const fused: HostTensor = { shape: [rows, 2 * C], data: new Float32Array(rows * 2 * C) }
      for (let r = 0; r < rows; r++) {
        fused.data.set(gate.data.subarray(r * C, (r + 1) * C), r * 2 * C)
        fused.data.set(up.data.subarray(r * C, (r + 1) * C), r * 2 * C + C)
      }
      const halves = await evaluate(gpu, { fused }, ({ fused: t }) =>
        swiglu(columns(t!, 0, C), columns(t!, C, C)),
      )
      expectSameBits(halves, apart)
    }
  })

  test(`mix on ${gpu.name}: between, and shut from 17 on`, async () => {
    for (const shape of SHAPES) {
      const gate = random(shape, 1, 12)
      const a = random(shape, 2)
      const b = random(shape, 3)
      const y = await evaluate(gpu, { gate, a, b }, (t) => mix(t['gate']!, t['a']!, t['b']!))
      const expected = a.data.map((v, i) => {
        const s = sigmoid(gate.data[i]!)
        return s * v + (1 - s) * b.data[i]!
      })
      expectClose(y, expected, 1e-6, `mix [${shape.join()}]`)
    }
    const a = { data: telling(30), shape: [30] }
    const b = random([30], 1, 1e6)
    for (const g of [17, 30, 1000]) {
      const gate: HostTensor = { data: new Float32Array(30).fill(g), shape: [30] }
      const y = await evaluate(gpu, { gate, a, b }, (t) => mix(t['gate']!, t['a']!, t['b']!))
      expectSameBits(y, a.data)
    }
  })

  test(`in place on ${gpu.name}: the same bits in the input's memory`, async () => {
    const x = random([3, 20], 1, 6)
    const other = random([3, 20], 2)
    const gate = random([3, 20], 3)
    const one: HostTensor = { data: new Float32Array([1]), shape: [1] }
    const chains: Record<string, (x: Tensor, other: Tensor, gate: Tensor) => Tensor> = {
      add,
      sub,
      mul,
      mix: (v, o, g) => mix(g, v, o),
      activate: (v) => activate(v, 'gelu'),
      greater: (v) => greater(v, 0.1),
      swiglu: (v, o) => swiglu(v, o),
    }
    for (const [name, op] of Object.entries(chains)) {
      const apart = await evaluate(gpu, { x, other, gate }, (t) => op(t['x']!, t['other']!, t['gate']!))
      // x * 1 is an intermediate that only `op` reads, and op's result is no output yet
      const { plan: made, run } = await planOf(gpu, { x, other, gate, one }, (t) => ({
        y: mul(op(mul(t['x']!, t['one']!), t['other']!, t['gate']!), t['one']!),
      }))
      expect(
        made.info.dispatches.map((d) => d.inPlace),
        name,
      ).toEqual([false, true, false])
      expectSameBits((await run())['y']!, apart)
      expectSameBits((await run())['y']!, apart)
      made.release()
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
