// The order in which layout ops put values.

import { at } from './at.ts'

type Map3 = readonly [H: number, W: number, C: number]

/** out[y, x, (dy 2 + dx) C + c] = in[2y + dy, 2x + dx, c]; x [H, W, C] */
export function spaceToDepthReference(x: ArrayLike<number>, [H, W, C]: Map3): Float64Array {
  const y = new Float64Array(H * W * C)
  for (let row = 0; row < H; row++) {
    for (let col = 0; col < W; col++) {
      const block = Math.floor(row / 2) * (W / 2) + Math.floor(col / 2)
      for (let c = 0; c < C; c++) {
        y[block * 4 * C + ((row % 2) * 2 + (col % 2)) * C + c] = at(x, (row * W + col) * C + c)
      }
    }
  }
  return y
}

/** out[2y + dy, 2x + dx, c] = in[y, x, (dx 2 + dy) C + c]; the result is [H, W, C] */
export function depthToSpaceReference(x: ArrayLike<number>, [H, W, C]: Map3): Float64Array {
  return Float64Array.from({ length: H * W * C }, (_, i) => {
    const [row, col, c] = [Math.floor(i / C / W), Math.floor(i / C) % W, i % C]
    const block = Math.floor(row / 2) * (W / 2) + Math.floor(col / 2)
    return at(x, block * 4 * C + ((col % 2) * 2 + (row % 2)) * C + c)
  })
}

/** Windows of `window` x `window` pixels, filled with zeros past the edges; x [H, W, C] */
export function splitWindowsReference(x: ArrayLike<number>, [H, W, C]: Map3, window: number): Float64Array {
  const [down, across] = [Math.ceil(H / window), Math.ceil(W / window)]
  const y = new Float64Array(down * across * window * window * C)
  let i = 0
  for (let w = 0; w < down * across; w++) {
    for (let token = 0; token < window * window; token++) {
      const row = Math.floor(w / across) * window + Math.floor(token / window)
      const col = (w % across) * window + (token % window)
      const inside = row < H && col < W
      for (let c = 0; c < C; c++) y[i++] = inside ? at(x, (row * W + col) * C + c) : 0
    }
  }
  return y
}

/** The map [H, W, C] that was split; x [windows, window * window, C] */
export function joinWindowsReference(x: ArrayLike<number>, [H, W, C]: Map3, window: number): Float64Array {
  const across = Math.ceil(W / window)
  return Float64Array.from({ length: H * W * C }, (_, i) => {
    const [row, col, c] = [Math.floor(i / C / W), Math.floor(i / C) % W, i % C]
    const w = Math.floor(row / window) * across + Math.floor(col / window)
    return at(x, ((w * window + (row % window)) * window + (col % window)) * C + c)
  })
}

/** [B, M, N] to [B, N, M] */
export function transposeReference(
  x: ArrayLike<number>,
  [, M, N]: readonly [B: number, M: number, N: number],
): Float64Array {
  return Float64Array.from({ length: x.length }, (_, i) => {
    const [b, n, m] = [Math.floor(i / (M * N)), Math.floor(i / M) % N, i % M]
    return at(x, (b * M + m) * N + n)
  })
}

/** Rows of a, each followed by the row of b. */
export function concatColumnsReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  rows: number,
): Float64Array {
  const [Ca, Cb] = [a.length / rows, b.length / rows]
  return Float64Array.from({ length: a.length + b.length }, (_, i) => {
    const [r, c] = [Math.floor(i / (Ca + Cb)), i % (Ca + Cb)]
    return c < Ca ? at(a, r * Ca + c) : at(b, r * Cb + c - Ca)
  })
}

/** Rows of a table [V, C]; zeros for ids that it doesn't have. */
export function gatherReference(table: ArrayLike<number>, C: number, ids: ArrayLike<number>): Float64Array {
  return Float64Array.from(
    { length: ids.length * C },
    (_, i) => table[at(ids, Math.floor(i / C)) * C + (i % C)] ?? 0,
  )
}
