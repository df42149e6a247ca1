// Elementwise ops. Every op here can run in place: if its first operand is read for the last time, the plan gives its
// memory to the result.

import binaryShader from '#shaders/elementwise/binary.wgsl'
import mixF32 from '#shaders/elementwise/mix.wgsl'
import mixVec4 from '#shaders/elementwise/mix.wgsl?VEC4'
import swigluF32 from '#shaders/elementwise/swiglu.wgsl'
import swigluVec4 from '#shaders/elementwise/swiglu.wgsl?VEC4'
import unaryF32 from '#shaders/elementwise/unary.wgsl'
import unaryVec4 from '#shaders/elementwise/unary.wgsl?VEC4'
import { expectFinite, expectNoMore } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { chunks, rowChunks, THREADS } from '../../kernels/grids.ts'
import {
  asColumns,
  type Columns,
  expectShape,
  expectType,
  lastDim,
  record,
  rowsOf,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'
import { ACTIVATIONS, type Activation, expectActivation } from './activation.ts'

const mixShader: ByWidth = { 1: mixF32, 4: mixVec4 }
const swigluShader: ByWidth = { 1: swigluF32, 4: swigluVec4 }
const unaryShader: ByWidth = { 1: unaryF32, 4: unaryVec4 }

/**
 * a + b, shaped like a [...]. b has a's shape, or its last axes (repeated over the others), or one element. @throws
 * ShapeError if b has none of these shapes
 */
export function add(a: Tensor, b: Tensor): Tensor {
  expectNoMore('add', arguments, 2)
  return binary('add', a, b)
}

/**
 * a - b, shaped like a [...]. b has a's shape, or its last axes (repeated over the others), or one element. @throws
 * ShapeError if b has none of these shapes
 */
export function sub(a: Tensor, b: Tensor): Tensor {
  expectNoMore('sub', arguments, 2)
  return binary('sub', a, b)
}

/**
 * a * b, shaped like a [...]. b has a's shape, or its last axes (repeated over the others), or one element. @throws
 * ShapeError if b has none of these shapes
 */
export function mul(a: Tensor, b: Tensor): Tensor {
  expectNoMore('mul', arguments, 2)
  return binary('mul', a, b)
}

const BINARY = { add: 0, sub: 1, mul: 2 } as const

/**
 * @param a [...]
 * @param b a's shape, or the last axes of it (repeated over the others), or one element
 * @returns a's shape
 * @throws ShapeError if b is none of these
 */
function binary(op: keyof typeof BINARY, a: Tensor, b: Tensor): Tensor {
  expectType(op, 'a', a, 'f32')
  expectType(op, 'b', b, 'f32')
  const offset = a.shape.length - b.shape.length
  const isSuffix = offset >= 0 && b.shape.every((n, i) => n === a.shape[offset + i])
  if (!isSuffix && b.size !== 1) {
    throw new ShapeError(
      `${op}: b is [${b.shape.join(', ')}], expected a's shape [${a.shape.join(', ')}], its last axes, or one element.`,
    )
  }

  const one = b.size === 1
  const width = one ? widthOf(a.size) : widthOf(b.size)
  const y = tensor(a.shape)
  // If the op is commutative, the operand whose memory the plan may reuse comes first
  const swaps = op !== 'sub' && a.size === b.size && a.storage.kind !== 'intermediate'
  const [first, second] = swaps ? [b, a] : [a, b]
  const Elem = width === 4 ? 'vec4f' : 'f32'
  const repeated = !one && b.size !== a.size
  const [rows, cols] = repeated ? [a.size / b.size, b.size / width] : [1, a.size / width]
  const flat = chunks(cols)
  const { lanes, run, workgroups } = repeated
    ? rowChunks(rows, cols)
    : { lanes: THREADS, run: flat.chunk, workgroups: flat.workgroups }
  record({
    kernel: kernel(binaryShader, {
      Elem,
      Other: one ? 'f32' : Elem,
      OPERATION: BINARY[op],
      REPEATED: repeated,
      ONE: one,
      IN_PLACE: false,
      WG: THREADS,
    }),
    reads: { a: first, b: second },
    writes: { y },
    sizes: { rows, cols, lanes, chunk: run },
    workgroups,
    flops: a.size,
    inPlace: { read: 'a', write: 'y' },
  })
  return y
}

/** 1 where a > threshold, NaN where a is, else 0; shaped like a. */
export function greater(a: Tensor, threshold: number): Tensor {
  expectNoMore('greater', arguments, 2)
  expectFinite('greater', 'threshold', threshold)
  return unary('greater', a, GREATER, threshold)
}

/** The activation of every element, NaN where x is; shaped like x. */
export function activate(x: Tensor, activation: Activation): Tensor {
  expectNoMore('activate', arguments, 2)
  expectActivation('activate', activation)
  return unary('activate', x, ACTIVATIONS[activation], 0)
}

/** Beside the activations' numbers; see shaders/elementwise/unary.wgsl. */
const GREATER = 100

function unary(op: string, x: Tensor, operation: number, threshold: number): Tensor {
  expectType(op, 'x', x, 'f32')
  const width = widthOf(x.size)
  const { chunk, workgroups } = chunks(x.size / width)
  const y = tensor(x.shape)
  record({
    kernel: kernel(unaryShader[width], {
      OPERATION: operation,
      IN_PLACE: false,
      WG: THREADS,
    }),
    reads: { x },
    writes: { y },
    sizes: { count: x.size / width, chunk, threshold },
    workgroups,
    flops: (operation === GREATER ? 1 : 8) * x.size,
    inPlace: { read: 'x', write: 'y' },
  })
  return y
}

/**
 * Gated linear unit of Llama, Qwen and Phi: y = silu(gate) * up
 *
 * @param gate [..., C], or C columns of a wider tensor (a fused gate_up projection)
 * @param up   likewise
 * @returns    [..., C]
 * @throws ShapeError if rows or columns differ
 *
 * Source: Shazeer 2020, eq. 6.
 */
export function swiglu(gate: Tensor | Columns, up: Tensor | Columns): Tensor {
  expectNoMore('swiglu', arguments, 2)
  const g = asColumns('swiglu', 'gate', gate)
  const u = asColumns('swiglu', 'up', up)
  const [C, gateStride, upStride] = [g.count, lastDim(g.tensor), lastDim(u.tensor)]
  expectType('swiglu', 'gate', g.tensor, 'f32')
  expectType('swiglu', 'up', u.tensor, 'f32')
  expectShape('swiglu', 'up', u.tensor, [...g.tensor.shape.slice(0, -1), undefined])
  if (u.count !== C) throw new ShapeError(`swiglu: gate has ${C} columns, up has ${u.count}.`)

  const width = widthOf(C, gateStride, upStride, g.start, u.start)
  const y = tensor([...g.tensor.shape.slice(0, -1), C])
  const { chunk, workgroups } = chunks(y.size / width)
  record({
    kernel: kernel(swigluShader[width], {
      IN_PLACE: false,
      WG: THREADS,
    }),
    reads: { gate: g.tensor, up: u.tensor },
    writes: { y },
    sizes: {
      count: y.size / width,
      chunk,
      cols: C / width,
      gate_stride: gateStride / width,
      gate_start: g.start / width,
      up_stride: upStride / width,
      up_start: u.start / width,
    },
    workgroups,
    flops: 8 * y.size,
    bytes: 12 * rowsOf(y) * C,
    // A wider tensor is never put in place: its size differs from the result's
    inPlace: { read: 'gate', write: 'y' },
  })
  return y
}

/**
 * A gate between two tensors: y = s * a + (1 - s) * b with s = sigmoid(gate), all of one shape. From gate = 17
 * on, y is a bit for bit: a closed gate leaves its input unchanged. y is NaN where the gate isn't finite.
 *
 * @throws ShapeError if the shapes differ
 */
export function mix(gate: Tensor, a: Tensor, b: Tensor): Tensor {
  expectNoMore('mix', arguments, 3)
  expectType('mix', 'a', a, 'f32')
  for (const [name, x] of Object.entries({ gate, b })) {
    expectType('mix', name, x, 'f32')
    expectShape('mix', name, x, a.shape)
  }
  const width = widthOf(a.size)
  const { chunk, workgroups } = chunks(a.size / width)
  const y = tensor(a.shape)
  record({
    kernel: kernel(mixShader[width], {
      IN_PLACE: false,
      WG: THREADS,
    }),
    reads: { gate, a, b },
    writes: { y },
    sizes: { count: a.size / width, chunk },
    workgroups,
    flops: 12 * a.size,
    inPlace: { read: 'a', write: 'y' },
  })
  return y
}
