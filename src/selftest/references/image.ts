// Bilinear resize, dilation and erosion, in float64.

import { at } from './at.ts'

type RowsColumns = readonly [H: number, W: number]

/**
 * Two neighbours of a place and the share of the second: PyTorch's bilinear with align_corners = false, no antialias.
 */
function taps(i: number, from: number, to: number): [low: number, high: number, share: number] {
  const s = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1)
  const low = Math.floor(s)
  return [low, Math.min(low + 1, from - 1), s - low]
}

/** The top left `crop` of maps [B, H, W, C], resized. */
export function resizeReference(
  x: ArrayLike<number>,
  [B, H, W, C]: readonly [B: number, H: number, W: number, C: number],
  [height, width]: RowsColumns,
  [h, w]: RowsColumns = [H, W],
): Float64Array {
  const y = new Float64Array(B * height * width * C)
  let i = 0
  for (let b = 0; b < B; b++) {
    for (let row = 0; row < height; row++) {
      const [top, bottom, v] = taps(row, h, height)
      for (let col = 0; col < width; col++) {
        const [left, right, u] = taps(col, w, width)
        for (let c = 0; c < C; c++) {
          const pixel = (r: number, q: number): number => at(x, ((b * H + r) * W + q) * C + c)
          const upper = pixel(top, left) * (1 - u) + pixel(top, right) * u
          y[i++] = upper * (1 - v) + (pixel(bottom, left) * (1 - u) + pixel(bottom, right) * u) * v
        }
      }
    }
  }
  return y
}

/** The extreme of the 3 x 3 window around each pixel, clipped at the border. */
export function morphologyReference(
  x: ArrayLike<number>,
  [H, W]: RowsColumns,
  extreme: (...values: number[]) => number,
): Float64Array {
  return Float64Array.from({ length: H * W }, (_, i) => {
    const window: number[] = []
    for (const r of [-1, 0, 1]) {
      for (const c of [-1, 0, 1]) {
        const [row, col] = [Math.floor(i / W) + r, (i % W) + c]
        if (row >= 0 && row < H && col >= 0 && col < W) window.push(at(x, row * W + col))
      }
    }
    return extreme(...window)
  })
}
