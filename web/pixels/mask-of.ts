// A layer's mask at the image's size, computed as the engine computes the answer's: the logits are resized to the
// model's canvas, then the part of the canvas that holds the image is resized to the image, both bilinear; a pixel is
// inside if its logit is above zero. The engine does this on the device for the answer only; this is for saving another
// layer's mask.

import type { Mask, Segmentation } from '../../src/index.ts'
import { viewOf } from './pixels.ts'

/** Bytes of a value. */
const F32 = Float32Array.BYTES_PER_ELEMENT

interface Grid {
  readonly width: number
  readonly height: number
  readonly data: Float32Array
}

/**
 * The pixels of an image that logits on the model's canvas are inside of.
 *
 * @param grid   logits, [height, width] on the model's canvas
 * @param side   of the model's canvas, in pixels
 * @param part   [height, width] of it that holds the image
 */
export function maskOf(
  grid: Grid,
  side: number,
  part: Segmentation['canvas'],
  width: number,
  height: number,
): Mask {
  const canvas = resized(grid, side, side)
  const data = new Uint8Array(width * height)
  let area = 0
  const [rows, columns] = part
  const row = new Float32Array(width)
  const logits = viewOf(row)
  for (let y = 0; y < height; y++) {
    resizeRow(canvas, y, [columns, rows], [width, height], row)
    for (let x = 0; x < width; x++) {
      if (logits.getFloat32(F32 * x, true) <= 0) continue
      data[y * width + x] = 1
      area++
    }
  }
  return { width, height, data, area }
}

function resized(grid: Grid, width: number, height: number): Grid {
  const data = new Float32Array(width * height)
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width)
    resizeRow(grid, y, [grid.width, grid.height], [width, height], row)
  }
  return { width, height, data }
}

/** One row of a bilinear resize of the grid's top left part. Pixel centres are at one half; edges are clamped. */
function resizeRow(
  grid: Grid,
  y: number,
  [columns, rows]: readonly [number, number],
  [width, height]: readonly [number, number],
  into: Float32Array,
): void {
  const values = viewOf(grid.data)
  const at = (row: number, column: number): number =>
    values.getFloat32(F32 * (row * grid.width + column), true)
  const [top, bottom, down] = between(y, height, rows)
  for (let x = 0; x < width; x++) {
    const [left, right, across] = between(x, width, columns)
    const above = at(top, left) + across * (at(top, right) - at(top, left))
    const below = at(bottom, left) + across * (at(bottom, right) - at(bottom, left))
    into[x] = above + down * (below - above)
  }
}

/** The two pixels of `from` that pixel `at` of `to` lies between, and how far from the first. */
function between(at: number, to: number, from: number): [number, number, number] {
  const place = Math.min(Math.max(((at + 0.5) * from) / to - 0.5, 0), from - 1)
  const first = Math.floor(place)
  return [first, Math.min(first + 1, from - 1), place - first]
}
