// The fixed sine position embedding of DETR, as Mask2Former uses it: half the channels for y, half for x.

/**
 * Sine position embedding of an H x W map, positions counted from 1 and scaled to (0, 2 pi].
 *
 * @returns [H * W, d], row-major; d / 2 channels of y, then d / 2 of x
 *
 * Source: Carion et al. 2020; Mask2FormerSinePositionEmbedding with normalize = True.
 */
export function sineEmbedding(H: number, W: number, d: number): Float32Array {
  const half = d / 2
  const table = new Float32Array(H * W * d)
  const fill = (start: number, position: number): void => {
    for (let j = 0; j < half; j++) {
      const angle = position / 10_000 ** ((2 * Math.floor(j / 2)) / half)
      table[start + j] = j % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
    }
  }
  for (let row = 0; row < H; row++) {
    for (let column = 0; column < W; column++) {
      const start = (row * W + column) * d
      fill(start, ((row + 1) / (H + 1e-6)) * 2 * Math.PI)
      fill(start + half, ((column + 1) / (W + 1e-6)) * 2 * Math.PI)
    }
  }
  return table
}
