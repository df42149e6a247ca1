// Tensors whose elements are not in C order where they are stored: transposed matrices, columns, every second row.
//
// A part of such a tensor is gathered: the file is read in windows of a few MiB, and each window's elements are put in
// their places. A range of elements is cut into boxes first (the rest of a row, whole rows, the beginning of a row),
// and a box that spreads over more than a window is halved along its longest step until it fits.

import { entryOf } from '../../check.ts'
import type { Source } from '../source.ts'
import type { TensorEntry } from './checkpoint.ts'
import { DTYPE_BITS } from './dtype.ts'

/** Bytes of the file that are read at a time. */
const WINDOW_BYTES = 4 * 2 ** 20

/** The place of a tensor's elements: its type, its axes and its first byte. */
export type Strided = Pick<TensorEntry, 'dtype' | 'shape' | 'begin'> & {
  readonly strides: readonly number[]
}

interface Axis {
  readonly length: number
  /** The step from an index to the next, in elements. */
  readonly stride: number
}

/** A part of a tensor that has a length along every axis. */
interface TensorBox {
  /** Elements before its first one, in the file and in the result. */
  readonly from: number
  readonly to: number
  readonly axes: readonly (Axis & { readonly toStride: number })[]
}

/** The strides of a tensor in C order. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = []
  let step = 1
  for (const length of shape.toReversed()) {
    strides.unshift(step)
    step *= length
  }
  return strides
}

/** True if the elements follow each other in C order (row-major, without gaps). */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true
  const [axis, ...others] = axesOf(shape, strides)
  return others.length === 0 && (axis === undefined || axis.stride === 1)
}

/** Elements from the first to the last of a tensor where it is stored, both counted; 0 for an empty tensor. */
export function extentOf(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0
  return axesOf(shape, strides).reduce((sum, { length, stride }) => sum + (length - 1) * stride, 1)
}

/**
 * Elements of a tensor, in C order.
 *
 * @param first  of them, counted in C order
 * @param window bytes of the file that are read at a time
 * @throws WeightsError if the file can't be read
 */
export async function gather(
  source: Source,
  { dtype, shape, strides, begin }: Strided,
  first: number,
  count: number,
  signal?: AbortSignal,
  window: number = WINDOW_BYTES,
): Promise<Uint8Array<ArrayBuffer>> {
  const width = DTYPE_BITS[dtype] / 8
  // 64-bit elements are moved as pairs of words: a float's bits must stay as they are
  const unit = Math.min(width, 4)
  const words = width / unit
  const axes = [
    ...axesOf(shape, strides).map(({ length, stride }) => ({ length, stride: stride * words })),
    ...(words > 1 ? [{ length: words, stride: 1 }] : []),
  ]
  const bytes = new Uint8Array(count * width)
  const result = viewOf(bytes, unit)
  for (const box of boxesOf(axes, first * words, (first + count) * words)) {
    for (const part of fitting(box, Math.floor(window / unit))) {
      const read = await source.read(begin + part.from * unit, spanOf(part) * unit, signal)
      copy(viewOf(read, unit), 0, result, part.to, part.axes, 0)
    }
  }
  return bytes
}

/** The axes with more than one index, where axes that follow each other as in C order are joined. */
function axesOf(shape: readonly number[], strides: readonly number[]): Axis[] {
  const axes: Axis[] = []
  for (const [i, length] of shape.entries()) {
    const stride = strides[i] ?? 0
    if (length === 1) continue
    const before = axes.at(-1)
    if (before?.stride === stride * length) axes.splice(-1, 1, { length: before.length * length, stride })
    else axes.push({ length, stride })
  }
  return axes
}

type Words = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>

function viewOf({ buffer }: Uint8Array<ArrayBuffer>, unit: number): Words {
  if (unit === 4) return new Uint32Array(buffer)
  return unit === 2 ? new Uint16Array(buffer) : new Uint8Array(buffer)
}

/** The elements from `begin` to `end`, counted in C order, as boxes. */
function boxesOf(axes: readonly Axis[], begin: number, end: number): TensorBox[] {
  const inner = stridesOf(axes.map(({ length }) => length))
  const boxes: TensorBox[] = []
  const cut = (k: number, low: number, high: number, from: number): void => {
    if (low >= high) return
    const axis = axes[k]
    if (!axis) {
      boxes.push({ from, to: 0, axes: [] })
      return
    }
    const rest = inner[k] ?? 1
    const [row, lastRow] = [Math.ceil(low / rest), Math.floor(high / rest)]
    if (row > lastRow)
      return cut(k + 1, low - lastRow * rest, high - lastRow * rest, from + lastRow * axis.stride)
    cut(k + 1, low - (row - 1) * rest, rest, from + (row - 1) * axis.stride)
    if (row < lastRow) {
      boxes.push({
        from: from + row * axis.stride,
        to: 0,
        axes: axes.slice(k).map(({ length, stride }, i) => {
          return { length: i === 0 ? lastRow - row : length, stride, toStride: inner[k + i] ?? 1 }
        }),
      })
    }
    cut(k + 1, 0, high - lastRow * rest, from + lastRow * axis.stride)
  }
  cut(0, begin, end, 0)

  // They follow each other in the result
  let to = 0
  return boxes.map((box) => {
    const placed = { ...box, to }
    to += box.axes.reduce((product, { length }) => product * length, 1)
    return placed
  })
}

/** The number of elements from the first to the last, both counted. */
function spanOf({ axes }: TensorBox): number {
  return axes.reduce((sum, { length, stride }) => sum + (length - 1) * stride, 1)
}

/** The box in parts, none of which spreads over more than `most`. */
function* fitting(box: TensorBox, most: number): Generator<TensorBox> {
  if (spanOf(box) <= most) {
    yield box
    return
  }
  const spans = box.axes.map(({ length, stride }) => (length - 1) * stride)
  const k = spans.indexOf(Math.max(...spans))
  const { length, stride, toStride } = entryOf(box.axes, k)
  const half = length >> 1
  const part = (at: number, end: number): TensorBox => ({
    from: box.from + at * stride,
    to: box.to + at * toStride,
    axes: box.axes.with(k, { length: end - at, stride, toStride }),
  })
  yield* fitting(part(0, half), most)
  yield* fitting(part(half, length), most)
}

function copy(from: Words, i: number, to: Words, j: number, axes: TensorBox['axes'], k: number): void {
  const axis = axes[k]
  if (!axis) {
    to[j] = from[i] as number
    return
  }
  const { length, stride, toStride } = axis
  if (k < axes.length - 1) {
    for (let n = 0; n < length; n++) copy(from, i + n * stride, to, j + n * toStride, axes, k + 1)
  } else if (stride === 1) {
    to.set(from.subarray(i, i + length), j)
  } else {
    for (let n = 0; n < length; n++) to[j + n] = from[i + n * stride] as number
  }
}
