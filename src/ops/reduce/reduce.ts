// Reductions: sums, maxima and their indices, and the ops built on them. All are over the last axis, but means of rows.

import argmaxF32 from '#shaders/reduce/argmax.wgsl'
import argmaxVec4 from '#shaders/reduce/argmax.wgsl?VEC4'
import meanRowsShader from '#shaders/reduce/mean-rows.wgsl'
import meanSpansShader from '#shaders/reduce/mean-spans.wgsl'
import normalizeRowsF32 from '#shaders/reduce/normalize-rows.wgsl'
import normalizeRowsVec4 from '#shaders/reduce/normalize-rows.wgsl?VEC4'
import reduceF32 from '#shaders/reduce/reduce.wgsl'
import reduceVec4 from '#shaders/reduce/reduce.wgsl?VEC4'
import softmaxF32 from '#shaders/reduce/softmax.wgsl'
import softmaxVec4 from '#shaders/reduce/softmax.wgsl?VEC4'
import { expectNames, expectNoMore, MOST } from '../../check.ts'
import { kernel } from '../../gpu/kernel.ts'
import type { SizeValue } from '../../gpu/recorder.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { groupsFor, THREADS } from '../../kernels/grids.ts'
import { alongRows } from '../../kernels/rows.ts'
import { type KernelFamily, recordBest } from '../../kernels/variants.ts'
import { expectSize } from '../../tensor/check.ts'
import {
  expectShape,
  expectType,
  firstDim,
  record,
  type Shape,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'

const argmaxShader: ByWidth = { 1: argmaxF32, 4: argmaxVec4 }
const normalizeRowsShader: ByWidth = { 1: normalizeRowsF32, 4: normalizeRowsVec4 }
const reduceShader: ByWidth = { 1: reduceF32, 4: reduceVec4 }
const softmaxShader: ByWidth = { 1: softmaxF32, 4: softmaxVec4 }

/**
 * y = exp(x) / sum(exp(x)) over the last axis. A row with NaN or infinity in it is NaN.
 *
 * @param x [..., C]
 * @returns [..., C]
 */
export function softmax(x: Tensor): Tensor {
  expectNoMore('softmax', arguments, 1)
  expectType('softmax', 'x', x, 'f32')
  const y = tensor(x.shape)
  recordBest(softmaxFamily, { x, y })
  return y
}

interface Mapped {
  readonly x: Tensor
  readonly y: Tensor
}

/** The variants of `softmax`. */
export const softmaxFamily: KernelFamily<Mapped> = alongRows(
  'softmax',
  false,
  ({ x, y }, { rows, width, cols, threads, workgroups }) => {
    record({
      kernel: kernel(softmaxShader[width], {
        IN_PLACE: false,
        ...threads,
      }),
      reads: { x },
      writes: { y },
      sizes: { rows, cols },
      workgroups,
      flops: 10 * x.size,
      inPlace: { read: 'x', write: 'y' },
    })
  },
)

/** Sums over the last axis: [..., C] -> [...]; a vector [C] gives one number, [1]. */
export function sumLast(x: Tensor): Tensor {
  expectNoMore('sumLast', arguments, 1)
  return reduce('sumLast', x, false)
}

/** Maxima over the last axis, NaN where one is among them: [..., C] -> [...]; a vector [C] gives one number, [1]. */
export function maxLast(x: Tensor): Tensor {
  expectNoMore('maxLast', arguments, 1)
  return reduce('maxLast', x, true)
}

function reduce(op: string, x: Tensor, maximum: boolean): Tensor {
  expectType(op, 'x', x, 'f32')
  const y = tensor(leading(x))
  recordBest(reduceFamily, { x, y, maximum })
  return y
}

/** The variants of `sumLast` and `maxLast`. */
export const reduceFamily: KernelFamily<Mapped & { readonly maximum: boolean }> = alongRows(
  'reduce',
  false,
  ({ x, y, maximum }, { rows, width, cols, threads, workgroups }) => {
    record({
      kernel: kernel(reduceShader[width], {
        MAXIMUM: maximum,
        ...threads,
      }),
      reads: { x },
      writes: { y },
      sizes: { rows, cols },
      workgroups,
      flops: x.size,
    })
  },
)

/**
 * The index of the largest value of the last axis; of several, the first. NaN is larger than any number, as in NumPy
 * and PyTorch.
 *
 * @param x [..., C]
 * @returns [...] u32; a vector [C] gives one number, [1]
 */
export function argmax(x: Tensor): Tensor {
  expectNoMore('argmax', arguments, 1)
  expectType('argmax', 'x', x, 'f32')
  const y = tensor(leading(x), 'u32')
  recordBest(argmaxFamily, { x, y })
  return y
}

/** The variants of `argmax`. */
export const argmaxFamily: KernelFamily<Mapped> = alongRows(
  'argmax',
  false,
  ({ x, y }, { rows, width, cols, threads, workgroups }) => {
    record({
      kernel: kernel(argmaxShader[width], { ...threads }),
      reads: { x },
      writes: { y },
      sizes: { rows, cols },
      workgroups,
      flops: x.size,
    })
  },
)

/**
 * Rows of length one: y = x / max(|x|, 1e-12) over the last axis, for rows of any length. A row with NaN in it is NaN.
 *
 * @param x [..., C]
 * @returns [..., C]
 */
export function normalizeRows(x: Tensor): Tensor {
  expectNoMore('normalizeRows', arguments, 1)
  expectType('normalizeRows', 'x', x, 'f32')
  const y = tensor(x.shape)
  recordBest(normalizeFamily, { x, y })
  return y
}

/** The variants of `normalizeRows`. */
export const normalizeFamily: KernelFamily<Mapped> = alongRows(
  'normalizeRows',
  false,
  ({ x, y }, { rows, width, cols, threads, workgroups }) => {
    record({
      kernel: kernel(normalizeRowsShader[width], {
        ...threads,
      }),
      reads: { x },
      writes: { y },
      sizes: { rows, cols },
      workgroups,
      flops: 5 * x.size,
    })
  },
)

/**
 * The mean of the first rows.
 *
 * @param x [N, C]
 * @param options.length  how many rows, all by default and where there are fewer; may be a `param`. No rows have the
 *   mean 0.
 * @returns [C]
 */
export function meanRows(x: Tensor, options: { readonly length?: SizeValue } = {}): Tensor {
  expectNoMore('meanRows', arguments, 2)
  expectNames('meanRows', options, ['length'])
  expectShape('meanRows', 'x', x, [undefined, undefined])
  expectType('meanRows', 'x', x, 'f32')
  const [N = 0, C = 0] = x.shape
  const { length: rows = N } = options
  const length = expectSize('meanRows', 'length', rows, MOST)
  const width = widthOf(C)
  const y = tensor([C])
  record({
    kernel: kernel(meanRowsShader, { Elem: width === 4 ? 'vec4f' : 'f32', WG: THREADS }),
    reads: { x },
    writes: { y },
    sizes: { rows: N, cols: C / width, length },
    workgroups: groupsFor(C / width),
    flops: x.size,
  })
  return y
}

/**
 * The mean of each span of rows; a span may be empty, with the mean 0, and spans may overlap.
 *
 * @param x     [N, C]
 * @param spans [P, 2] u32: the first row of each, and the one after its last; rows that x doesn't have don't count
 * @returns     [P, C]
 * @throws ShapeError if shapes or types are others
 */
export function meanSpans(x: Tensor, spans: Tensor): Tensor {
  expectNoMore('meanSpans', arguments, 2)
  expectShape('meanSpans', 'x', x, [undefined, undefined])
  expectType('meanSpans', 'x', x, 'f32')
  expectShape('meanSpans', 'spans', spans, [undefined, 2])
  expectType('meanSpans', 'spans', spans, 'u32')
  const [N = 0, C = 0] = x.shape
  const phrases = firstDim(spans)
  const width = widthOf(C)
  const y = tensor([phrases, C])
  record({
    kernel: kernel(meanSpansShader, { Elem: width === 4 ? 'vec4f' : 'f32', WG: THREADS }),
    reads: { x, spans },
    writes: { y },
    sizes: { rows: N, cols: C / width, phrases },
    workgroups: groupsFor((phrases * C) / width),
    flops: x.size,
  })
  return y
}

/** The shape without its last axis. */
function leading(x: Tensor): Shape {
  return x.shape.length === 1 ? [1] : x.shape.slice(0, -1)
}
