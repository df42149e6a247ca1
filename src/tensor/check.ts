// Checks of tensors, and of the numbers that ops take beside them. `op` and `name` are for the message.

import { describe, expectWhole, listed, MOST } from '../check.ts'
import { ShapeError, UsageError } from '../errors.ts'
import { currentRecorder, type SizeValue } from '../gpu/recorder.ts'
import type { DType, Shape, Tensor } from './tensor.ts'

/** Bits of an element. */
export const BITS: Readonly<Record<DType, number>> = { f32: 32, u32: 32, f16: 16, bf16: 16, int8: 8, int4: 4 }
const DTYPES = Object.keys(BITS)

/** A tensor of the plan that is being recorded, or one that outlives plans. */
export function expectTensor(op: string, name: string, x: unknown): asserts x is Tensor {
  if (!isTensor(x)) {
    const why = isPromise(x) ? ': await it before the plan is built' : ''
    throw new UsageError(`${op}: ${name} is ${describe(x)}, expected a tensor${why}.`)
  }
  const { storage, shape, dtype, size, shards, packed } = x
  if (shape.includes(0)) throw new ShapeError(`${op}: ${name} is [${shape.join(', ')}], without any element.`)
  const elements = shape.reduce((product, n) => product * n, 1)
  const isWhole = shards !== undefined || packed !== undefined
  if (elements !== size || (!isWhole && Math.ceil((elements * BITS[dtype]) / 8) > storage.bytes)) {
    throw new ShapeError(
      `${op}: ${name} says [${shape.join(', ')}] ${dtype} and ${size} elements, in a memory of ${storage.bytes} bytes. ` +
        'Tensors are made by the engine: take `reshape` for another shape.',
    )
  }
  if (storage.kind !== 'resident' && currentRecorder()?.owns(storage) === false) {
    throw new UsageError(
      `${op}: ${name} is a tensor of another plan. Inside of a plan there are its own tensors, and those that were allocated, ` +
        'uploaded or kept; take `keep` and `bound` to hand one from plan to plan.',
    )
  }
}

/** The same in one buffer, as most kernels read it. */
export function expectPlain(op: string, name: string, x: Tensor): void {
  if (!x.shards && !x.packed) return
  const where = x.shards ? `in ${x.shards.length} buffers` : 'packed in a texture'
  throw new ShapeError(
    `${op}: ${name} lies ${where}, which ${x.shards ? 'gather and linear' : 'matrix products and convolutions'} can read.`,
  )
}

/** Throws a ShapeError unless `x` has exactly this shape; `undefined` matches any size. */
export function expectShape(
  op: string,
  name: string,
  x: Tensor,
  shape: readonly (number | undefined)[],
): void {
  expectTensor(op, name, x)
  const fits = x.shape.length === shape.length && shape.every((n, i) => n === undefined || n === x.shape[i])
  if (!fits) {
    const wanted = shape.map((n) => n ?? '?').join(', ')
    throw new ShapeError(`${op}: ${name} is [${x.shape.join(', ')}], expected [${wanted}].`)
  }
}

/** Throws a ShapeError unless `x` has one of these types, and lies in one buffer. */
export function expectType(op: string, name: string, x: Tensor, ...dtypes: readonly DType[]): void {
  expectTensor(op, name, x)
  expectPlain(op, name, x)
  if (!dtypes.includes(x.dtype)) {
    throw new ShapeError(`${op}: ${name} is ${x.dtype}, expected ${dtypes.join(' or ')}.`)
  }
}

/** A weight, which may lie in other ways than one buffer: in several, or packed in a texture. */
export function expectWeight(
  op: string,
  name: string,
  x: Tensor,
  may: { readonly dtypes: readonly DType[]; readonly sharded: boolean; readonly packed: boolean },
): void {
  expectTensor(op, name, x)
  if ((x.shards && !may.sharded) || (x.packed && !may.packed)) expectPlain(op, name, x)
  if (!may.dtypes.includes(x.dtype)) {
    throw new ShapeError(`${op}: ${name} is ${x.dtype}, expected ${may.dtypes.join(' or ')}.`)
  }
  if ((x.dtype === 'int8' || x.dtype === 'int4') && !x.scales) {
    throw new ShapeError(
      `${op}: ${name} is ${x.dtype} without its scales, which only quantised weights have.`,
    )
  }
}

function isTensor(x: unknown): x is Tensor {
  if (typeof x !== 'object' || x === null || !('storage' in x)) return false
  const { shape, dtype, storage } = x as Partial<Tensor>
  return (
    Array.isArray(shape) &&
    dtype !== undefined &&
    DTYPES.includes(dtype) &&
    typeof storage === 'object' &&
    storage !== null
  )
}

/** True if a value has a method `then`, and so can be awaited. */
export function isPromise(x: unknown): x is PromiseLike<unknown> {
  return typeof x === 'object' && x !== null && 'then' in x && typeof x.then === 'function'
}

/** @throws UsageError if it isn't what `openGpu` opens; for a promise of that, it says to await it */
export function expectGpu(op: string, gpu: unknown): void {
  if (typeof gpu === 'object' && gpu !== null && 'kernels' in gpu && 'buffers' in gpu) return
  const hint = isPromise(gpu) ? ': await it' : ''
  throw new UsageError(`${op}: the first argument is ${describe(gpu)}, expected what openGpu() opens${hint}.`)
}

/** Axes of whole numbers from 1 on, with elements that can be counted. */
export function expectDims(op: string, name: string, shape: unknown): asserts shape is Shape {
  if (!Array.isArray(shape)) {
    throw new UsageError(
      `${op}: the shape of ${name} is ${describe(shape)}, expected an array such as [2, 3].`,
    )
  }
  let elements = 1
  shape.forEach((n: unknown, axis) => {
    expectWhole(op, `axis ${axis} of ${name}, [${shape.join(', ')}],`, n)
    elements *= n as number
  })
  if (elements <= MOST) return
  throw new ShapeError(
    `${op}: ${name} is [${shape.join(', ')}], that is ${elements} elements: kernels count at most ${MOST}.`,
  )
}

/** @throws UsageError if it is no type of tensors */
export function expectDType(op: string, dtype: unknown): asserts dtype is DType {
  if (typeof dtype === 'string' && DTYPES.includes(dtype)) return
  throw new UsageError(`${op}: the type is ${describe(dtype)}, expected ${listed(DTYPES, 'or')}.`)
}

/** Rows and columns, such as the size of a map. */
export function expectPair(
  op: string,
  name: string,
  pair: unknown,
): asserts pair is readonly [number, number] {
  if (!Array.isArray(pair) || pair.length !== 2) {
    throw new UsageError(`${op}: ${name} is ${describe(pair)}, expected [height, width].`)
  }
  for (const [i, n] of pair.entries()) expectWhole(op, `the ${i === 0 ? 'height' : 'width'} of ${name}`, n)
}

/**
 * Positions are exact up to here (shaders/attention/rope.wgsl), and sums of them stay far from where 32 bits wrap
 * around.
 */
export const MOST_POSITION: number = 2 ** 24

/**
 * A whole number, or a `param`, which is then held to the same bounds at each run.
 * @returns the value with its bounds
 */
export function expectSize(op: string, name: string, value: SizeValue, most: number): SizeValue {
  if (typeof value !== 'object' || value === null || !('param' in value)) {
    expectWhole(op, name, value, 0, most)
    return value
  }
  return { ...value, most: Math.min(most, value.most ?? MOST) }
}
