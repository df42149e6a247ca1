// Colours for several masks, by their numbers: no two of 255 are the same, and those of neighbours differ much.

import { describe } from '../check.ts'
import { UsageError } from '../errors.ts'
import type { Rgb } from './picture.ts'

/** The part of the circle from one hue to the next: the golden angle, by which no two of them ever come close soon. */
const GOLDEN = 0.381966

/** The colour of mask k, from 0 on. @throws UsageError for what is no such number */
export function colourOf(k: number): Rgb {
  if (!Number.isSafeInteger(k) || k < 0) {
    throw new UsageError(`colourOf: the number is ${describe(k)}, expected a whole number from 0 on.`)
  }
  const hue = 6 * ((0.92 + k * GOLDEN) % 1)
  const level = 1 - 0.25 * (Math.floor(k / 8) % 3)
  const channel = (shift: number): number => {
    const place = (hue + shift) % 6
    const share = Math.min(1, Math.max(0, Math.abs(place - 3) - 1))
    return Math.round(255 * level * (0.08 + 0.92 * share))
  }
  return [channel(0), channel(4), channel(2)]
}
