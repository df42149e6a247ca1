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
  // Both halves are the same all along a row or a column: a map of 128 x 128 has 256 positions, not 32,768
  const rows = positions(H, half)
  const columns = positions(W, half)
  for (let row = 0, start = 0; row < H; row++) {
    for (let column = 0; column < W; column++, start += d) {
      table.set(rows.subarray(row * half, (row + 1) * half), start)
      table.set(columns.subarray(column * half, (column + 1) * half), start + half)
    }
  }
  return table
}

/** The channels of each of `count` positions, [count, half]. */
function positions(count: number, half: number): Float32Array {
  return Float32Array.from({ length: count * half }, (_, i) => {
    const [place, j] = [Math.floor(i / half), i % half]
    const position = ((place + 1) / (count + 1e-6)) * 2 * Math.PI
    const angle = position / 10_000 ** ((2 * Math.floor(j / 2)) / half)
    return j % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  })
}
