// A mask: one byte per pixel of an image. The types, and the checks of what callers in JavaScript put together by hand.

import { describe, isObject, tagOf } from '../check.ts'
import { ImageError, MaskError, UsageError } from '../errors.ts'
import type { Size } from '../io/image/image-kind.ts'
import { MAX_PIXELS, megapixels } from '../io/image/pixel-limit.ts'
import { expectKind, POSITIVE } from '../options.ts'

export type { Size }

/** The pixels of a mask. Functions that take a mask take these. */
export interface MaskPixels extends Size {
  /** [height, width], row-major: not 0 inside, 0 outside. */
  readonly data: Uint8Array
}

/** One byte per pixel of an image. */
export interface Mask extends MaskPixels {
  /** 1 inside, 0 outside, row-major. */
  readonly data: Uint8Array
  /** Pixels inside. */
  readonly area: number
}

/** The option of every function that makes a mask of a size that its input names. */
export interface PixelLimit {
  /** Larger masks are refused, before memory is taken; 64 megapixels by default. */
  readonly maxPixels?: number | undefined
}

/** A mask of these pixels, which are kept, not copied. @param data 0 or 1 */
export function maskOf(width: number, height: number, data: Uint8Array): Mask {
  let area = 0
  for (const value of data) area += value
  return { width, height, data, area }
}

/**
 * The size of a mask, which has a byte for each of its pixels.
 *
 * @param call for messages: 'boxOf'
 * @throws UsageError or ImageError if it is no such mask
 */
export function expectMask(call: string, mask: unknown): Size {
  return expectPixels(call, 'the mask', mask, 'data', 1)
}

/** The width and height of an object that has as many bytes under `field` as these take. */
export function expectPixels(
  call: string,
  name: string,
  x: unknown,
  field: 'rgb' | 'data',
  channels: number,
): Size {
  const wanted = `an object with width, height and ${field}, a Uint8Array`
  if (!isObject(x) || !(field in x)) {
    throw new UsageError(`${call}: ${name} is ${describe(x)}, expected ${wanted}.`)
  }
  const { width, height, [field]: bytes } = x
  const [columns, rows] = [Number(width), Number(height)]
  if (width !== columns || height !== rows || !isBytes(bytes)) {
    const fields = `${describe(width)}, ${describe(height)} and ${describe(bytes)}`
    throw new UsageError(`${call}: width, height and ${field} of ${name} are ${fields}, expected ${wanted}.`)
  }
  if (!isCount(columns) || !isCount(rows) || bytes.length !== columns * rows * channels) {
    throw new ImageError(
      `${call}: ${name} is ${columns} x ${rows} pixels, but ${field} has ${bytes.length} bytes: ` +
        `expected ${channels} per pixel.`,
    )
  }
  return { width: columns, height: rows }
}

/**
 * The size of a mask that is about to be made.
 *
 * @throws MaskError if it isn't whole pixels, or more than the limit
 */
export function expectSize(
  call: string,
  width: unknown,
  height: unknown,
  maxPixels: number = MAX_PIXELS,
): Size {
  expectKind(`${call}: maxPixels`, maxPixels, POSITIVE)
  if (!isCount(width) || !isCount(height)) {
    throw new MaskError(
      `${call}: the mask's width and height are ${describe(width)} and ${describe(height)}, expected whole numbers of at least 1.`,
    )
  }
  if (width * height > maxPixels) {
    throw new MaskError(
      `${call}: a mask of ${width} x ${height} pixels has ${megapixels(width * height)}; the limit is ` +
        `${megapixels(maxPixels)}. Scale it down, or raise { maxPixels }.`,
    )
  }
  return { width, height }
}

/**
 * The same of an object that has the size, such as an image.
 *
 * @throws UsageError or MaskError
 */
export function expectSizeOf(call: string, size: unknown, maxPixels: number = MAX_PIXELS): Size {
  if (isObject(size)) return expectSize(call, size['width'], size['height'], maxPixels)
  throw new UsageError(
    `${call}: the image's size is ${describe(size)}, expected an object with width and height.`,
  )
}

/** True if a value can be the length of a side: a whole number of at least 1. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

/** True of a Uint8Array by its tag, as it may come from another realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return tagOf(value) === 'Uint8Array'
}
