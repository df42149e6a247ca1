// The pixels of a bitmap, a strip of rows at a time, so that there is never a second whole copy.

import { contextOf } from './context.ts'

/** Rows read back per step. */
const STRIP = 512

/** RGBA bytes of some whole rows. */
interface Strip {
  /** The first row. */
  readonly top: number
  readonly data: Uint8ClampedArray
}

/** The strips from the top down. Each is drawn when it is asked for. */
export function* stripsOf(bitmap: ImageBitmap): Generator<Strip, void> {
  const { width, height } = bitmap
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height))
  const context = contextOf(canvas, { willReadFrequently: true })
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top)
    context.clearRect(0, 0, width, rows)
    context.drawImage(bitmap, 0, -top)
    yield { top, data: context.getImageData(0, 0, width, rows).data }
  }
}
