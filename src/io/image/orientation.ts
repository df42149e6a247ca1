// Cameras note in EXIF which side of a photograph is up; here it is turned so.

import { breathe } from '../../breathe.ts'
import { viewOf } from '../../view.ts'

interface TurnablePixels {
  readonly width: number
  readonly height: number
  /** [height, width, 3] */
  readonly rgb: Uint8Array
}

/** Pixels between two moments for other work. */
const STEP = 2 ** 16

/**
 * The orientation that EXIF data name, from 1 to 8: tag 0x0112 of the first directory; undefined if it isn't there or
 * makes no sense.
 *
 * @param exif begins with the header of a TIFF file
 */
export function orientationOf(exif: Uint8Array): number | undefined {
  const view = viewOf(exif)
  if (exif.length < 8) return undefined
  const order = view.getUint16(0)
  if (order !== 0x4949 && order !== 0x4d4d) return undefined
  const little = order === 0x4949
  const directory = view.getUint32(4, little)
  if (directory + 2 > exif.length) return undefined
  const entries = view.getUint16(directory, little)
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i
    if (entry + 12 > exif.length) return undefined
    if (view.getUint16(entry, little) !== 0x0112) continue
    const value = view.getUint16(entry + 8, little)
    return value >= 1 && value <= 8 ? value : undefined
  }
  return undefined
}

/** An image as it is to be seen, of one as it is stored. */
export async function upright(
  { width: W, height: H, rgb }: TurnablePixels,
  orientation: number,
  signal?: AbortSignal,
): Promise<TurnablePixels> {
  if (orientation === 1) return { width: W, height: H, rgb }
  const swapped = orientation >= 5
  const [width, height] = swapped ? [H, W] : [W, H]
  // The stored pixel to begin with, and steps from it for one to the right and one down
  const fromRight = [2, 3, 7, 8].includes(orientation)
  const fromBottom = [3, 4, 6, 7].includes(orientation)
  const begin = (fromRight ? W - 1 : 0) + (fromBottom ? (H - 1) * W : 0)
  const [alongRow, alongColumn] = [fromRight ? -1 : 1, fromBottom ? -W : W]
  const [right, down] = swapped ? [alongColumn, alongRow] : [alongRow, alongColumn]

  const stored = viewOf(rgb)
  const seen = new Uint8Array(rgb.length)
  let to = 0
  for (let y = 0, waiting = 0; y < height; y++, waiting += width) {
    if (waiting >= STEP) {
      await breathe(signal)
      waiting = 0
    }
    let from = (begin + y * down) * 3
    for (let x = 0; x < width; x++) {
      seen[to++] = stored.getUint8(from)
      seen[to++] = stored.getUint8(from + 1)
      seen[to++] = stored.getUint8(from + 2)
      from += right * 3
    }
  }
  return { width, height, rgb: seen }
}
