// Cases of elementwise ops: tensors alike and broadcast, vec4s and not, values where functions saturate.

import type { Activation } from '../../ops/elementwise/activation.ts'
import { activate, add, greater, mix, mul, sub, swiglu } from '../../ops/elementwise/elementwise.ts'
import { columns, type Tensor } from '../../tensor/tensor.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../case.ts'
import { type HostTensor, hostTensor, type Random } from '../random.ts'
import { at } from '../references/at.ts'
import { ACTIVATION_FORMULAS, BINARY, mixReference, swigluReference } from '../references/elementwise.ts'
import { ACTIVATION_NAMES } from './matmul.ts'

/** Zero, tiny, huge, and where activations saturate. */
const TELLING = [
  0, -0, 1e-30, -1e-30, 1, -1, 15, -15, 44, -44, 100, -100, 1e5, -1e5, 1e13, -1e13, 3.4e38, -3.4e38,
]

function drawShape(random: Random): number[] {
  return random.sizes(100_000, ...random.pick([[70_000], [1100, 300], [9, 130, 70]]))
}

function binary(name: keyof typeof BINARY, op: (a: Tensor, b: Tensor) => Tensor): KernelTest {
  const draw = (random: Random): KernelCase => {
    const shape = drawShape(random)
    // b is like a, its last axes, or one element
    const bShape = random.pick([shape, shape.slice(random.whole(0, shape.length - 1)), [1]])
    const [a, b] = [random.tensor(shape, 3), random.tensor(bShape)]
    return kernelCase({
      shape: `[${shape.join(', ')}] and [${bShape.join(', ')}]`,
      inputs: { a, b },
      run: (t) => op(t.a, t.b),
      reference: () => Float64Array.from(a.data, (v, i) => BINARY[name](v, at(b.data, i % b.data.length))),
      tolerance: 1e-7, // one f32 operation, rounded once
    })
  }
  return { name, draw }
}

function drawActivate(activation: Activation, random: Random): KernelCase {
  const length = random.size(2000)
  const values = Float32Array.from(random.floats(length, 6), (v, i) => TELLING[i] ?? v)
  const x = hostTensor(values, [length])
  return kernelCase({
    shape: `${length}`,
    inputs: { x },
    run: (t) => activate(t.x, activation),
    reference: () => Float64Array.from(values, ACTIVATION_FORMULAS[activation]),
    // erf is good to 1.5e-7 and enters as 1 + erf; exp and tanh to some ULP of values up to 1
    measure: (actual, expected) => {
      let worst = 0
      values.forEach((v, i) => {
        const error = Math.abs(at(actual, i) - at(expected, i)) / Math.max(1, Math.abs(v))
        worst = Math.max(worst, Number.isNaN(error) ? Infinity : error)
      })
      return worst
    },
    tolerance: 1e-6,
  })
}

function drawGreater(random: Random): KernelCase {
  const length = random.size(2000)
  const values = Float32Array.from({ length }, (_, i) => (i % 9) / 4)
  return kernelCase({
    shape: `${length}`,
    inputs: { x: hostTensor(values, [length]) },
    run: (t) => greater(t.x, 0.5),
    reference: () => Array.from(values, (v) => (v > 0.5 ? 1 : 0)),
    tolerance: 0,
  })
}

function drawSwiglu(random: Random): KernelCase {
  const [rows, C] = random.sizes(50_000, 300, 700) as [number, number]
  const fused = random.tensor([rows, 2 * C], 6)
  const half = (first: number): Float32Array =>
    Float32Array.from({ length: rows * C }, (_, i) =>
      at(fused.data, Math.floor(i / C) * 2 * C + first + (i % C)),
    )
  const [gate, up] = [half(0), half(C)]
  const apart = random.flip()
  const inputs: Record<'gate' | 'up' | 'fused', HostTensor> = {
    gate: hostTensor(gate, [rows, C]),
    up: hostTensor(up, [rows, C]),
    fused,
  }
  return kernelCase({
    shape: `${rows} x ${C}${apart ? '' : ', columns'}`,
    inputs,
    run: (t) => (apart ? swiglu(t.gate, t.up) : swiglu(columns(t.fused, 0, C), columns(t.fused, C, C))),
    reference: () => swigluReference(gate, up),
    tolerance: 1e-6,
  })
}

function drawMix(random: Random): KernelCase {
  const shape = drawShape(random)
  const [gate, a, b] = [random.tensor(shape, 12), random.tensor(shape), random.tensor(shape)]
  return kernelCase({
    shape: `[${shape.join(', ')}]`,
    inputs: { gate, a, b },
    run: (t) => mix(t.gate, t.a, t.b),
    reference: () => mixReference(gate.data, a.data, b.data),
    tolerance: 1e-6,
  })
}

/** The tests of the ops in src/ops/elementwise. */
export const ELEMENTWISE: readonly KernelTest[] = [
  binary('add', add),
  binary('sub', sub),
  binary('mul', mul),
  // One test each, as a draw among them may leave one out
  ...ACTIVATION_NAMES.map((kind) => ({
    name: `activate ${kind}`,
    draw: (random: Random) => drawActivate(kind, random),
  })),
  { name: 'greater', draw: drawGreater },
  { name: 'swiglu', draw: drawSwiglu },
  { name: 'mix', draw: drawMix },
]
