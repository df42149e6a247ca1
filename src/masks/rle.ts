// Run-length encoding as COCO has it, equal to pycocotools: the lengths of runs of 0 and 1 in turn, beginning with 0,
// down the columns, the leftmost first. Either a list of numbers ("uncompressed") or a string of characters.
//
// In the string a run from the fourth on is stored as its difference from the run two before it, which has the same
// value; numbers are split into groups of 5 bits, the lowest first, and a character is '0' (48) plus the group plus 32
// if more follow. The number is negative if its last group has the highest of its bits set (two's complement).

import { describe, isObject } from '../check.ts'
import { MaskError, UsageError } from '../errors.ts'
import { expectOptions, FLAG, type OptionKinds, POSITIVE } from '../options.ts'
import { expectMask, expectSize, type Mask, type MaskPixels, type PixelLimit } from './mask.ts'

/** COCO's run lengths as a list. */
export interface UncompressedRle {
  /** Height and width, in this order. */
  readonly size: readonly [height: number, width: number]
  /** Lengths of the runs, down the columns; the first is outside of the mask and may be 0. */
  readonly counts: readonly number[]
}

/** COCO's run lengths as a string. */
export interface CompressedRle {
  /** Height and width, in this order. */
  readonly size: readonly [height: number, width: number]
  /** Lengths of the runs, as pycocotools writes them. */
  readonly counts: string
}

/** A mask as COCO's annotations and results have it. */
export type Rle = CompressedRle | UncompressedRle

/** Options of {@link encodeRle}. */
export interface RleOptions {
  /** False for a list of numbers; by default the counts are a string. */
  readonly compressed?: boolean | undefined
}

const RLE_KINDS: OptionKinds<RleOptions> = { compressed: FLAG }
const LIMIT_KINDS: OptionKinds<PixelLimit> = { maxPixels: POSITIVE }

const FIRST = 48 // '0'
const BITS = 5
const [VALUE, SIGN, MORE] = [31, 16, 32]
/** Seven groups hold any number below 2 ** 32. */
const MOST_GROUPS = 7

/** The mask as COCO's run lengths; the string equals that of pycocotools' `encode`. */
export function encodeRle(mask: MaskPixels, options: { readonly compressed: false }): UncompressedRle
export function encodeRle(
  mask: MaskPixels,
  options?: { readonly compressed?: true | undefined },
): CompressedRle
export function encodeRle(mask: MaskPixels, options?: RleOptions): Rle
export function encodeRle(mask: MaskPixels, options: RleOptions = {}): Rle {
  const { width, height } = expectMask('encodeRle', mask)
  expectOptions('encodeRle', options, RLE_KINDS)
  const { data } = mask
  const counts: number[] = []
  let inside = false
  let length = 0
  for (let x = 0; x < width; x++) {
    for (let i = x; i < data.length; i += width) {
      if ((data[i] !== 0) !== inside) {
        counts.push(length)
        length = 0
        inside = !inside
      }
      length++
    }
  }
  counts.push(length)
  const size = [height, width] as const
  return options.compressed === false ? { size, counts } : { size, counts: pack(counts) }
}

/**
 * The mask of COCO's run lengths, of either kind.
 *
 * @throws MaskError if the counts are damaged, or don't add up to the pixels of the size
 */
export function decodeRle(rle: Rle, options: PixelLimit = {}): Mask {
  expectOptions('decodeRle', options, LIMIT_KINDS)
  const { size, counts } = fieldsOf(rle)
  const { width, height } = expectSize('decodeRle', size[1], size[0], options.maxPixels)
  const pixels = width * height
  const lengths = typeof counts === 'string' ? unpack(counts) : counts
  let sum = 0
  for (const [i, length] of lengths.entries()) {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new MaskError(
        `decodeRle: count ${i} is ${describe(length)}, expected a whole number of at least 0.`,
      )
    }
    sum += length
  }
  if (sum !== pixels) {
    throw new MaskError(
      `decodeRle: the counts add up to ${sum}, but a size of [${height}, ${width}] has ${pixels} pixels. ` +
        'The size is [height, width]; check that it belongs to these counts.',
    )
  }

  const data = new Uint8Array(pixels)
  let area = 0
  let inside = 0
  let [x, y] = [0, 0]
  for (const length of lengths) {
    area += inside * length
    // The rest of this column, whole ones, and a part of the last
    for (let left = length; left > 0; ) {
      const rows = Math.min(left, height - y)
      if (inside) for (let i = y * width + x, end = (y + rows) * width; i < end; i += width) data[i] = 1
      left -= rows
      y += rows
      if (y === height) [x, y] = [x + 1, 0]
    }
    inside = 1 - inside
  }
  return { width, height, data, area }
}

/** True if a value has the form of a run-length encoding rather than of polygons. decodeRle checks its contents. */
export function isRle(value: unknown): value is Rle {
  return isObject(value) && 'counts' in value
}

function fieldsOf(rle: unknown): { size: readonly unknown[]; counts: string | readonly number[] } {
  const wanted = '{ size: [height, width], counts }, the counts a string or a list of numbers'
  if (!isObject(rle)) throw new UsageError(`decodeRle: the RLE is ${describe(rle)}, expected ${wanted}.`)
  const { size, counts } = rle
  if (!Array.isArray(size) || size.length !== 2 || !(typeof counts === 'string' || Array.isArray(counts))) {
    throw new MaskError(
      `decodeRle: the size is ${describe(size)} and the counts are ${describe(counts)}, expected ${wanted}.`,
    )
  }
  return { size, counts }
}

function pack(counts: readonly number[]): string {
  const codes: number[] = []
  for (const [i, count] of counts.entries()) {
    let left = i > 2 ? count - (counts[i - 2] ?? 0) : count
    for (;;) {
      const group = left & VALUE
      left = Math.floor(left / 2 ** BITS)
      const isLast = group & SIGN ? left === -1 : left === 0
      codes.push(FIRST + group + (isLast ? 0 : MORE))
      if (isLast) break
    }
  }
  // In pieces, as a call takes only so many arguments
  const PIECE = 8192
  let text = ''
  for (let at = 0; at < codes.length; at += PIECE) {
    text += String.fromCharCode(...codes.slice(at, at + PIECE))
  }
  return text
}

function unpack(text: string): number[] {
  const counts: number[] = []
  for (let at = 0; at < text.length; ) {
    let count = 0
    for (let group = 0; ; group++, at++) {
      const code = text.charCodeAt(at) - FIRST
      if (!(code >= 0 && code < 2 * MORE) || group === MOST_GROUPS) throw broken(text, at, group)
      count += (code & VALUE) * 2 ** (BITS * group)
      if (code & MORE) continue
      if (code & SIGN) count -= 2 ** (BITS * (group + 1))
      at++
      break
    }
    counts.push(counts.length > 2 ? count + (counts.at(-2) ?? 0) : count)
  }
  return counts
}

function broken(text: string, at: number, group: number): MaskError {
  const what =
    at >= text.length
      ? 'ends in the middle of a number'
      : group === MOST_GROUPS
        ? `has a number that is too large, before character ${at}`
        : `has ${describe(text[at])} at character ${at}, which no such string has`
  return new MaskError(
    `decodeRle: the string of counts ${what}. It is damaged, cut short or escaped twice: take it from its source again.`,
  )
}
