// The fixed sine position embedding of DETR, as Mask2Former uses it: half the channels for y, half for x.

/** Values of a strip, 1 MiB: a few milliseconds. */
const STRIP_VALUES = 2 ** 18

/**
 * Sine position embedding of an H x W map, positions counted from 1 and scaled to (0, 2 pi].
 *
 * @returns [H * W, d], row-major; d / 2 channels of y, then d / 2 of x
 *
 * Source: Carion et al. 2020; Mask2FormerSinePositionEmbedding with normalize = True.
 */
export function sineEmbedding(H: number, W: number, d: number): Float32Array {
  const table = new Float32Array(H * W * d)
  let start = 0
  for (const strip of sineStrips(H, W, d)) {
    table.set(strip, start)
    start += strip.length
  }
  return table
}

/** The values of {@link sineEmbedding}, a strip of rows after the other: a table at full size takes a thread 50 ms. */
export function* sineStrips(
  H: number,
  W: number,
  d: number,
): Generator<Float32Array<ArrayBuffer>, void, void> {
  const half = d / 2
  // Both halves are the same all along a row or a column: a map of 128 x 128 has 256 positions, not 32,768
  const rows = positions(H, half)
  const columns = positions(W, half)
  const most = Math.max(1, Math.floor(STRIP_VALUES / (W * d)))
  for (let first = 0; first < H; first += most) {
    const end = Math.min(first + most, H)
    const strip = new Float32Array((end - first) * W * d)
    for (let row = first, start = 0; row < end; row++) {
      for (let column = 0; column < W; column++, start += d) {
        strip.set(rows.subarray(row * half, (row + 1) * half), start)
        strip.set(columns.subarray(column * half, (column + 1) * half), start + half)
      }
    }
    yield strip
  }
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
