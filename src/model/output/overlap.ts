// Masks as bits, 32 pixels per word: what they have in common, and all of them together.

import { expectDefined } from '../../check.ts'

/** Masks that overlap by more than this are of the same object. */
export const SAME_OBJECT = 0.8

/** A mask as bits with its area. */
export interface MaskBits {
  /** One per pixel, row-major, the first in the lowest bit. */
  readonly bits: Uint32Array
  /** Pixels inside. */
  readonly area: number
}

/** Pixels that both have. */
function commonArea(a: MaskBits, b: MaskBits): number {
  let common = 0
  a.bits.forEach((word, i) => {
    if (word !== 0) common += bitsIn(word & expectDefined(b.bits[i], 'a word of the other mask'))
  })
  return common
}

/** Intersection over union; of two empty masks 0. */
export function overlapOf(a: MaskBits, b: MaskBits): number {
  const common = commonArea(a, b)
  const union = a.area + b.area - common
  return union === 0 ? 0 : common / union
}

/** The masks, which come best first, without near-duplicates of earlier ones. */
export function distinct<M extends MaskBits>(masks: readonly M[]): M[] {
  const kept: M[] = []
  for (const mask of masks) {
    if (kept.every((before) => !isSame(mask, before))) kept.push(mask)
  }
  return kept
}

/** Masks whose areas alone are too different needn't be compared. */
function isSame(a: MaskBits, b: MaskBits): boolean {
  const [smaller, larger] = a.area < b.area ? [a.area, b.area] : [b.area, a.area]
  return smaller > SAME_OBJECT * larger && overlapOf(a, b) > SAME_OBJECT
}

/** The pixels that any of them has. @param words of a mask */
export function unionOf(masks: readonly MaskBits[], words: number): Uint32Array {
  const union = new Uint32Array(words)
  for (const { bits } of masks) {
    bits.forEach((word, i) => {
      union[i] = expectDefined(union[i], 'a word of the union') | word
    })
  }
  return union
}

/** Bits of a word that are set. */
function bitsIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555)
  const nibbles = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333)
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}
