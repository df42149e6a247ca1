// Masks from logits on the host, the same way as the last plan makes them on the device: bilinear to the whole
// canvas, then from its part that holds the image to the image, then above zero. For looking at many
// candidates at once; the answer itself comes from the device.

import type { Mask } from '../../model/flowseg.ts'

type Size = readonly [height: number, width: number]

/**
 * @param logits [h, w] row-major, on the model's canvas
 * @param from   [h, w]
 * @param canvas side of the canvas in pixels
 * @param crop   part of the canvas that holds the image
 * @param to     size of the mask
 */
export function maskFromLogits(logits: Float32Array, from: Size, canvas: number, crop: Size, to: Size): Mask {
  const whole = resizeCorner(logits, from[1], from, [canvas, canvas])
  const [height, width] = to
  const same = height === crop[0] && width === crop[1] && width === canvas
  const fine = same ? whole : resizeCorner(whole, canvas, crop, to)
  const data = new Uint8Array(height * width)
  let area = 0
  for (let i = 0; i < data.length; i++) {
    if (fine[i]! > 0) area += data[i] = 1
  }
  return { width, height, data, area }
}

/** Bilinear resize of the top-left [h, w] of a map with rows of `stride`, align_corners false. */
function resizeCorner(x: Float32Array, stride: number, [h, w]: Size, [height, width]: Size): Float32Array {
  const columns = taps(w, width)
  const rows = taps(h, height)
  const y = new Float32Array(height * width)
  for (let r = 0; r < height; r++) {
    const above = rows.low[r]! * stride
    const below = rows.high[r]! * stride
    const down = rows.part[r]!
    for (let c = 0; c < width; c++) {
      const left = columns.low[c]!
      const right = columns.high[c]!
      const along = columns.part[c]!
      const top = x[above + left]! + along * (x[above + right]! - x[above + left]!)
      const bottom = x[below + left]! + along * (x[below + right]! - x[below + left]!)
      y[r * width + c] = top + down * (bottom - top)
    }
  }
  return y
}

/** For every target: the two sources, and how far it is between them. */
function taps(from: number, to: number): { low: Uint32Array; high: Uint32Array; part: Float64Array } {
  const low = new Uint32Array(to)
  const high = new Uint32Array(to)
  const part = new Float64Array(to)
  for (let i = 0; i < to; i++) {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1)
    low[i] = Math.floor(at)
    high[i] = Math.min(low[i]! + 1, from - 1)
    part[i] = at - low[i]!
  }
  return { low, high, part }
}
