// Images of 8 bits resized as Pillow does it, bit for bit, and normalised.
//
// The encoders were trained on images that Pillow had resized, and its "bilinear" is antialiased when it shrinks: the
// triangle is as wide as the input pixels that one output pixel covers. One axis at a time, rows first, each pass
// rounded to 8 bits with weights of 22 bits: whole numbers all the way, which every adapter adds up alike. Pillow 13
// takes columns first where that is faster, which rounds differently by a level; the models were trained with versions
// before it.
//
// Source: Pillow 12, src/libImaging/Resample.c; spec, section 4.3.

import resampleColumnsShader from '#shaders/image/resample-columns.wgsl'
import resampleRowsShader from '#shaders/image/resample-rows.wgsl'
import { ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { strips, THREADS } from '../../kernels/grids.ts'
import {
  expectShape,
  expectType,
  firstDim,
  lastDim,
  record,
  type SizeValue,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'

const PRECISION = 22
/** Words before a row's weights: where its inputs begin, how many they are, and what the sum starts from. */
const HEAD = 3

/** Taps of one axis: each output's inputs and weights, for resampleRows and resampleColumns. */
export interface Taps {
  /** [outputs, words]: first input, how many, start of the sum, then the weights; in units of 2^-22. */
  readonly data: Uint32Array<ArrayBuffer>
  /** Words of an output: three, and one per weight; outputs with fewer inputs end in zeros. */
  readonly words: number
}

/** Pixels of one level around those of an image: it stands at `before` of `length`. */
export interface Margin {
  /** Pixels of the margin before the image's first. */
  readonly before: number
  /** Pixels of the axis with the margin. */
  readonly length: number
  /** The value of the margin, as bytes have it: 0 to 255. */
  readonly level: number
}

/**
 * The triangle's weights from `from` pixels to `to`.
 *
 * @param margin  as if the image had it; its share in a sum doesn't depend on the image, so none of it is read
 */
export function triangleTaps(from: number, to: number, margin?: Margin): Taps {
  const { before, length, level } = margin ?? { before: 0, length: from, level: 0 }
  const scale = length / to
  const support = Math.max(scale, 1)
  const perInput = 1 / support // multiplied, not divided by: Pillow's last bit
  const words = HEAD + Math.ceil(support) * 2 + 1
  const data = new Uint32Array(to * words)
  const exact = new Float64Array(words - HEAD)
  for (let x = 0; x < to; x++) {
    const centre = (x + 0.5) * scale
    const lo = Math.max(0, Math.trunc(centre - support + 0.5))
    const hi = Math.min(length, Math.trunc(centre + support + 0.5))
    let sum = 0
    for (let i = lo; i < hi; i++) {
      const share = Math.max(0, 1 - Math.abs((i - centre + 0.5) * perInput))
      exact[i - lo] = share
      sum += share
    }
    // Half a level, so that the shift rounds
    let start = 2 ** (PRECISION - 1)
    let count = 0
    for (const [n, share] of exact.subarray(0, hi - lo).entries()) {
      const i = lo + n
      const weight = Math.trunc((share / sum) * 2 ** PRECISION + 0.5)
      if (i < before || i >= before + from) start += weight * level
      else data[x * words + HEAD + count++] = weight
    }
    data.set([Math.min(Math.max(lo - before, 0), from), count, start], x * words)
  }
  return { data, words }
}

/** Rows of pixels that were put into a buffer together. */
export interface StripOfRows {
  /** u32 [at least rows * stride]: pixels of 4 bytes, of which the last is alpha and counts nothing. */
  readonly pixels: Tensor
  /** The most rows that it holds. */
  readonly capacity: number
  /** Index in the image of the strip's first row. */
  readonly first: SizeValue
  /** Rows that it holds in a run, of pixels that lie one after the other. */
  readonly rows: SizeValue
  /** Pixels from a row to the next. */
  readonly stride: SizeValue
  /** Bit at which a pixel's red begins: 0, or 16 where blue comes first. */
  readonly red: SizeValue
}

/**
 * A strip of an image, resized along its rows, into those rows of y.
 *
 * @param taps  u32 [width, words]: triangleTaps of an image's width
 * @param y     u32 [H, width] pixels; other rows stay as they are
 */
export function resampleRows(strip: StripOfRows, taps: Tensor, y: Tensor): void {
  const { pixels, capacity, first, rows, stride, red } = strip
  expectShape('resampleRows', 'pixels', pixels, [undefined])
  expectShape('resampleRows', 'y', y, [undefined, undefined])
  const width = lastDim(y)
  expectShape('resampleRows', 'taps', taps, [width, undefined])
  for (const [name, x] of Object.entries({ pixels, taps, y })) expectType('resampleRows', name, x, 'u32')

  const words = lastDim(taps)
  const { across, run, workgroups } = strips(1, capacity, width)
  record({
    kernel: kernel(resampleRowsShader, { WG: THREADS }),
    reads: { x: pixels, taps },
    writes: { y },
    sizes: { stride, first, rows, red, width, words, across, run },
    workgroups,
    flops: tapFlops(capacity * width, words),
    bytes: pixels.size * 4 + capacity * width * 4,
  })
}

/**
 * An image resized along its columns, then each level looked up, at the top left of a square of zeros.
 *
 * @param x      u32 [H, width] pixels, as resampleRows leaves them
 * @param taps   u32 [height, words]: triangleTaps of an image's height
 * @param table  [3, 256]: what a level becomes in each channel
 * @returns      [side, side, 3]
 * @throws ShapeError if the image doesn't fit into the square
 */
export function resampleColumns(x: Tensor, taps: Tensor, table: Tensor, side: number): Tensor {
  expectShape('resampleColumns', 'x', x, [undefined, undefined])
  expectShape('resampleColumns', 'taps', taps, [undefined, undefined])
  expectShape('resampleColumns', 'table', table, [3, 256])
  expectType('resampleColumns', 'x', x, 'u32')
  expectType('resampleColumns', 'taps', taps, 'u32')
  expectType('resampleColumns', 'table', table, 'f32')
  const [width, height, words] = [lastDim(x), firstDim(taps), lastDim(taps)]
  if (!(width <= side && height <= side)) {
    throw new ShapeError(
      `resampleColumns: an image of [${height}, ${width}] is larger than the square of ${side} x ${side}.`,
    )
  }

  const y = tensor([side, side, 3])
  const { across, run, workgroups } = strips(1, side, side)
  record({
    kernel: kernel(resampleColumnsShader, { WG: THREADS }),
    reads: { x, taps, table },
    writes: { y },
    sizes: { width, height, side, words, across, run },
    workgroups,
    flops: tapFlops(width * height, words),
  })
  return y
}

/** A multiplication and an addition a channel, of nearly as many taps as there is room for. */
function tapFlops(pixels: number, words: number): number {
  return 6 * pixels * (words - HEAD)
}
