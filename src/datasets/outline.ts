// A polygon as ReasonSeg's masks were made: its outline, one pixel wide, and all inside of it. Points lose their
// fractions. This isn't how COCO draws (masks/polygon.ts): there, a pixel belongs to a polygon by its centre.
//
// Equal to OpenCV's polylines and fillPoly with 8-connected lines, within the image.

import { entryOf } from '../check.ts'
import type { Size } from '../io/image/image-kind.ts'

type OutlinePoint = readonly [x: number, y: number]

/** Fractions of a pixel along a row. */
const ONE = 65_536

/** [height, width], 1 where the polygon is. A part outside of the image is cut off. */
export function fillOutline(points: readonly OutlinePoint[], { width, height }: Size): Uint8Array {
  const pixels = new Uint8Array(width * height)
  const corners = points.map(([x, y]): OutlinePoint => [Math.trunc(x), Math.trunc(y)])
  const edges = corners.map((to, i): readonly [OutlinePoint, OutlinePoint] => [corners.at(i - 1) ?? to, to])

  // 1. The outline
  const dot = (x: number, y: number): void => {
    if (x >= 0 && x < width && y >= 0 && y < height) pixels[y * width + x] = 1
  }
  for (const [from, to] of edges) drawLine(from, to, dot)

  // 2. Row by row, from every odd crossing to the next even one
  const crossings: number[][] = Array.from({ length: height }, () => [])
  for (const [from, to] of edges) {
    const [[x, top], [end, bottom]] = from[1] < to[1] ? [from, to] : [to, from]
    const step = Math.trunc(((end - x) * ONE) / (bottom - top))
    for (let y = Math.max(top, 0); y < Math.min(bottom, height); y++)
      crossings[y]?.push(x * ONE + (y - top) * step)
  }
  for (const [y, row] of crossings.entries()) {
    row.sort((a, b) => a - b)
    for (let i = 0; i + 1 < row.length; i += 2) {
      const [left, right] = [Math.ceil(entryOf(row, i) / ONE), Math.floor(entryOf(row, i + 1) / ONE)]
      if (right >= 0 && left < width)
        pixels.fill(1, y * width + Math.max(left, 0), y * width + Math.min(right, width - 1) + 1)
    }
  }
  return pixels
}

/** Bresenham's line, from left to right: of two pixels that are as near, the one straight ahead. */
function drawLine(from: OutlinePoint, to: OutlinePoint, dot: (x: number, y: number) => void): void {
  const [[x0, y0], [x1, y1]] = from[0] <= to[0] ? [from, to] : [to, from]
  const dx = x1 - x0
  const dy = Math.abs(y1 - y0)
  const down = y1 < y0 ? -1 : 1
  const isSteep = dy > dx
  const [long, short] = isSteep ? [dy, dx] : [dx, dy]
  let [x, y, error] = [x0, y0, long - 2 * short]
  for (let i = 0; i <= long; i++) {
    dot(x, y)
    const isDiagonal = error < 0
    error += (isDiagonal ? 2 * long : 0) - 2 * short
    if (isSteep || isDiagonal) y += down
    if (!isSteep || isDiagonal) x += 1
  }
}
