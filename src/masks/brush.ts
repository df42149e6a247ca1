// The run lengths of Label Studio's brush: bits, given as a list of bytes, which hold the image [height, width, RGBA].
//
//   32 bits   how many values there are: 4 per pixel
//   5 bits    bits of a value, less 1
//   4 x 4     bits of a run's length, for each of four kinds of runs, less 1
//   then runs: 1 bit, whether one value follows for all of the run or one for each; 2 bits, its kind; its length, less
//   1, in as many bits as that kind has; the value, or the values
//
// All four channels of a pixel are 255 inside and 0 outside; readers look at alpha. The bytes equal those of Label
// Studio's own converter.

import { describe } from '../check.ts'
import { MaskError, UsageError } from '../errors.ts'
import { BitReader, BitWriter } from './bits.ts'
import { expectMask, expectSize, type Mask, type MaskPixels, maskOf, type PixelLimit, type Size } from './mask.ts'

const CHANNELS = 4
const VALUE_BITS = 8
/** Bits of a run's length, of each kind. */
const LENGTH_BITS = [3, 4, 8, 16] as const
const LONGEST = 2 ** 16

/** The mask as Label Studio's brush has it. */
export function encodeBrush(mask: MaskPixels): number[] {
  expectMask('encodeBrush', mask)
  const { data } = mask
  const bits = new BitWriter()
  bits.write(CHANNELS * data.length, 32)
  bits.write(VALUE_BITS - 1, 5)
  for (const width of LENGTH_BITS) bits.write(width - 1, 4)
  for (let at = 0; at < data.length; ) {
    const begin = at
    const isIn = data[begin] !== 0
    while (at < data.length && (data[at] !== 0) === isIn) at++
    for (let left = CHANNELS * (at - begin); left > 0; ) {
      const length = Math.min(left, LONGEST)
      const kind = LENGTH_BITS.findIndex((width) => length <= 2 ** width)
      bits.write(1, 1)
      bits.write(kind, 2)
      bits.write(length - 1, LENGTH_BITS[kind] ?? 0)
      bits.write(isIn ? 255 : 0, VALUE_BITS)
      left -= length
    }
  }
  return bits.finish()
}

/**
 * The mask of a brush: pixels whose alpha isn't 0.
 *
 * @param rle  the bytes
 * @param size of the image, in pixels
 * @throws MaskError if they are damaged, or of an image of another size
 */
export function decodeBrush(
  rle: readonly number[] | Uint8Array,
  size: Size,
  options: PixelLimit = {},
): Mask {
  const bytes: unknown = rle
  if (!(Array.isArray(bytes) || bytes instanceof Uint8Array)) {
    throw new UsageError(`decodeBrush: the RLE is ${describe(rle)}, expected a list of bytes.`)
  }
  for (const [i, byte] of rle.entries()) {
    if (Number.isInteger(byte) && byte >= 0 && byte <= 255) continue
    throw new MaskError(`decodeBrush: byte ${i} is ${describe(byte)}, expected a whole number from 0 to 255.`)
  }
  const { width, height } = expectSize('decodeBrush', size.width, size.height, options.maxPixels)
  const bits = new BitReader(rle)
  const count = bits.read(32)
  if (count !== CHANNELS * width * height) {
    throw new MaskError(
      `decodeBrush: the RLE has ${describe(count)} values, but ${width} x ${height} pixels have ${CHANNELS * width * height}, four each. ` +
        'Pass original_width and original_height of the same result.',
    )
  }
  const valueBits = bits.read(5) + 1
  const lengthBits = LENGTH_BITS.map(() => bits.read(4) + 1)
  const data = new Uint8Array(width * height)
  for (let at = 0; at < count; ) {
    const isSame = bits.read(1) === 1
    const end = at + bits.read(lengthBits[bits.read(2)] ?? Number.NaN) + 1
    // Not a number past the last byte
    if (!(end <= count)) throw tooShort(rle.length)
    let value = Number.NaN
    for (const begin = at; at < end; at++) {
      if (at === begin || !isSame) value = bits.read(valueBits)
      if (Number.isNaN(value)) throw tooShort(rle.length)
      if (at % CHANNELS === CHANNELS - 1 && value > 0) data[(at - CHANNELS + 1) / CHANNELS] = 1
    }
  }
  return maskOf(width, height, data)
}

function tooShort(length: number): MaskError {
  return new MaskError(
    `decodeBrush: the ${length} bytes end before the last pixel, or are damaged. Take them from their source again.`,
  )
}
