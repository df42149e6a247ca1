// Several masks in one PNG with a palette: 0 is no mask, 1 the first one, and so on, as data sets of instances have
// them. Viewers show a colour per mask; readers of indices (Pillow's mode P) get the numbers.

import { encode } from 'fast-png'
import { describe, expectWhole } from '../check.ts'
import { ImageError, MaskError, UsageError } from '../errors.ts'
import { kindOf } from '../io/image/image-kind.ts'
import { decodePng, PALETTE, readPngHeader } from '../io/image/png.ts'
import { expectOptions, type OptionKinds, POSITIVE } from '../options.ts'
import { viewOf } from '../view.ts'
import { colourOf } from './colours.ts'
import {
  expectMask,
  expectSize,
  isBytes,
  type Mask,
  type MaskPixels,
  maskOf,
  type PixelLimit,
  type Size,
} from './mask.ts'

/** A byte has 256 values, of which 0 is no mask. */
const MOST = 255

const LIMIT_KINDS: OptionKinds<PixelLimit> = { maxPixels: POSITIVE }

/**
 * Masks of one size as a PNG file. Where masks overlap, the pixel is that of the first.
 *
 * @returns the bytes of the file
 * @throws MaskError if there are none, more than 255, or their sizes differ
 */
export function encodeIndexedPng(masks: readonly MaskPixels[]): Uint8Array {
  const call = 'encodeIndexedPng'
  if (!Array.isArray(masks))
    throw new UsageError(`${call}: the masks are ${describe(masks)}, expected a list of masks.`)
  const list: readonly MaskPixels[] = masks
  const [first] = list
  if (!first || list.length > MOST) {
    throw new MaskError(
      `${call}: there are ${list.length} masks, expected 1 to ${MOST}. Write several files.`,
    )
  }
  const { width, height } = expectMask(call, first)
  const data = new Uint8Array(width * height)
  for (const [k, mask] of list.entries()) {
    const size = expectMask(call, mask)
    if (size.width !== width || size.height !== height) {
      throw new MaskError(
        `${call}: mask ${k} is ${size.width} x ${size.height} pixels, mask 0 is ${width} x ${height}: they must be of one size.`,
      )
    }
    for (let i = 0; i < data.length; i++) if (data[i] === 0 && mask.data[i] !== 0) data[i] = k + 1
  }
  const palette = [[0, 0, 0], ...list.map((_, k) => [...colourOf(k)])]
  return encode({ width, height, data, channels: 1, depth: 8, palette })
}

/** Masks that share an image, none of them in the same place as another. */
export interface IndexedMasks extends Size {
  /** 0 outside of all masks, 1 in the first, and so on; row-major. */
  readonly indices: Uint8Array
  /** Masks, of which some may be empty. */
  readonly count: number
  /**
   * One of them.
   *
   * @param k from 0 to count - 1
   */
  mask(k: number): Mask
}

/**
 * The masks of a PNG with a palette: one per entry of the palette from the second on, which may be empty.
 *
 * @throws ImageError if it is no such PNG, or damaged
 */
export async function decodeIndexedPng(bytes: Uint8Array, options: PixelLimit = {}): Promise<IndexedMasks> {
  const call = 'decodeIndexedPng'
  expectOptions(call, options, LIMIT_KINDS)
  const name = 'The indexed PNG'
  if (!isBytes(bytes) || kindOf(bytes) !== 'PNG') {
    throw new ImageError(`${call}: the file is ${describe(bytes)} and no PNG.`)
  }
  const header = readPngHeader(bytes, name)
  const { width, height } = expectSize(call, header.width, header.height, options.maxPixels)
  if (header.colour !== PALETTE) {
    throw new ImageError(
      `${call}: this PNG has no palette, so its pixels are no indices. Read it as an image.`,
    )
  }
  // With a palette of greys, of which each is its own index, the pixels are the indices
  const palette = Uint8Array.from({ length: 3 * (MOST + 1) }, (_, i) => Math.floor(i / 3))
  const pixels = viewOf(await decodePng({ ...header, palette }, name))
  const indices = new Uint8Array(width * height)
  let most = 0
  for (let i = 0; i < indices.length; i++) {
    const index = pixels.getUint8(3 * i)
    indices[i] = index
    if (index > most) most = index
  }
  const count = Math.max(most, Math.floor(header.palette.length / 3) - 1)
  const mask = (k: number): Mask => {
    expectWhole(call, 'the number of the mask', k, 0, count - 1)
    return maskOf(
      width,
      height,
      indices.map((index) => Number(index === k + 1)),
    )
  }
  return { width, height, indices, count, mask }
}
