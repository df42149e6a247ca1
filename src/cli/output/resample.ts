// Masks from logits on the host, the same way as the last plan makes them on the device: bilinear to the whole
// canvas, then from its part that holds the image to the image, then above zero. For looking at many
// candidates at once; the answer itself comes from the device.

import type { Mask } from '../../model/flowseg.ts'
import { viewOf } from '../../view.ts'

/** Bytes of a value. */
const F32 = Float32Array.BYTES_PER_ELEMENT

type HeightWidth = readonly [height: number, width: number]

/**
 * The pixels whose logit is above zero once it is resized.
 *
 * @param logits [h, w] row-major, on the model's canvas
 * @param from   [h, w]
 * @param canvas side of the canvas in pixels
 * @param crop   part of the canvas that holds the image
 * @param to     size of the mask
 */
export function maskFromLogits(
  logits: Float32Array,
  from: HeightWidth,
  canvas: number,
  crop: HeightWidth,
  to: HeightWidth,
): Mask {
  const whole = resizeCorner(logits, from[1], from, [canvas, canvas])
  const [height, width] = to
  const same = height === crop[0] && width === crop[1] && width === canvas
  const fine = same ? whole : resizeCorner(whole, canvas, crop, to)
  const data = new Uint8Array(height * width)
  let area = 0
  const levels = viewOf(fine)
  for (let i = 0; i < data.length; i++) {
    if (levels.getFloat32(F32 * i, true) > 0) area += data[i] = 1
  }
  return { width, height, data, area }
}

/** Bilinear resize of the top-left [h, w] of a map with rows of `stride`, align_corners false. */
function resizeCorner(
  x: Float32Array,
  stride: number,
  [h, w]: HeightWidth,
  [height, width]: HeightWidth,
): Float32Array {
  const columns = taps(w, width)
  const y = new Float32Array(height * width)
  const values = viewOf(x)
  const at = (i: number): number => values.getFloat32(F32 * i, true)
  let i = 0
  for (const { low: top, high: bottom, part: down } of taps(h, height)) {
    const [above, below] = [top * stride, bottom * stride]
    for (const { low: left, high: right, part: along } of columns) {
      const upper = at(above + left) + along * (at(above + right) - at(above + left))
      const lower = at(below + left) + along * (at(below + right) - at(below + left))
      y[i++] = upper + down * (lower - upper)
    }
  }
  return y
}

/** The two sources of a target, and how far it is between them. */
interface Tap {
  readonly low: number
  readonly high: number
  readonly part: number
}

function taps(from: number, to: number): Tap[] {
  return Array.from({ length: to }, (_, i): Tap => {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1)
    const low = Math.floor(at)
    return { low, high: Math.min(low + 1, from - 1), part: at - low }
  })
}
