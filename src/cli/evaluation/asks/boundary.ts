// Boundary IoU (Cheng et al. 2021, arXiv 2103.16562): the IoU of what is inside of two masks and near their boundaries.

import { type Bits, iouOf, overlap } from '../../metrics.ts'

/** Pixels from a boundary that count as near it. */
const NEAR = 2

/** @param width pixels of a row of both masks */
export function boundaryIou(a: Bits, b: Bits, width: number): number {
  return iouOf(overlap(boundaryOf(a, width), boundaryOf(b, width)))
}

/** The pixels of a mask with one outside of it, or of the image, at most NEAR columns and NEAR rows away. */
function boundaryOf(mask: Bits, width: number): Uint8Array {
  const height = mask.length / width
  const isOutside = (x: number, y: number): boolean =>
    x < 0 || y < 0 || x >= width || y >= height || !mask[y * width + x]
  // A square is a row of columns: first, whether a column has a pixel outside; then, whether the row has such a column
  const column = new Uint8Array(mask.length)
  const boundary = new Uint8Array(mask.length)
  for (let i = 0; i < mask.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)]
    for (let d = -NEAR; d <= NEAR && column[i] === 0; d++) if (isOutside(x, y + d)) column[i] = 1
  }
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue
    const x = i % width
    for (let d = -NEAR; d <= NEAR && boundary[i] === 0; d++) {
      if (x + d < 0 || x + d >= width || column[i + d] === 1) boundary[i] = 1
    }
  }
  return boundary
}
