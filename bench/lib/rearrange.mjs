// Inputs in the orders that peers expect, made on the host before anything is timed.

/** [batch, pixels, channels] to [batch, channels, pixels]. */
export function toPlanes(values, pixels, channels, batch = 1) {
  const result = new Float32Array(values.length)
  for (let b = 0; b < batch; b++) {
    const start = b * pixels * channels
    for (let c = 0; c < channels; c++) {
      for (let p = 0; p < pixels; p++) result[start + c * pixels + p] = values[start + p * channels + c]
    }
  }
  return result
}

/** The first `count` rows of [T, heads * d] as [heads, capacity, d]. */
export function toHeads(values, count, capacity, heads, d) {
  const result = new Float32Array(heads * capacity * d)
  for (let h = 0; h < heads; h++) {
    for (let t = 0; t < count; t++) {
      const from = (t * heads + h) * d
      result.set(values.subarray(from, from + d), (h * capacity + t) * d)
    }
  }
  return result
}

/** Bytes that we are ready to make of relative positions; the whole map would take 1 GiB. */
const MOST_BYTES = 2 ** 28

/** SAM's relative positions as a bias of every score [B, heads, Tq, Tk], which peers get ready made. */
export function relativeBias({ B, heads, d, Tq, Tk, map: [H, W] }, { query, height, width }) {
  const bytes = B * heads * Tq * Tk * 4
  if (bytes > MOST_BYTES) {
    throw new Error(
      `has no relative positions; as a ready bias they take ${(bytes / 2 ** 30).toFixed(1)} GiB`,
    )
  }
  const result = new Float32Array(bytes / 4)
  const dot = (at, table, row) => {
    let sum = 0
    for (let c = 0; c < d; c++) sum += query.values[at + c] * table[row * d + c]
    return sum
  }
  for (let b = 0; b < B; b++) {
    for (let q = 0; q < Tq; q++) {
      const [y, x] = [Math.floor(q / W), q % W]
      for (let h = 0; h < heads; h++) {
        const at = ((b * Tq + q) * heads + h) * d
        const rows = Array.from({ length: H }, (_, ky) => dot(at, height.values, y - ky + H - 1))
        const columns = Array.from({ length: W }, (_, kx) => dot(at, width.values, x - kx + W - 1))
        const to = ((b * heads + h) * Tq + q) * Tk
        for (let t = 0; t < Tk; t++) result[to + t] = rows[Math.floor(t / W)] + columns[t % W]
      }
    }
  }
  return result
}

/** [B, T, heads * d] as [B, heads, T, d]. */
export function headsFirst(values, B, T, heads, d) {
  if (B === 1) return toHeads(values, T, T, heads, d)
  const size = T * heads * d
  const result = new Float32Array(values.length)
  for (let b = 0; b < B; b++)
    result.set(toHeads(values.subarray(b * size, (b + 1) * size), T, T, heads, d), b * size)
  return result
}

/** The index in [B, heads, Tq, d] of the output at index `place` of [B, Tq, heads * d]. */
export function placeHeadsFirst(place, { heads, d, Tq }) {
  const [c, h] = [place % d, Math.floor(place / d) % heads]
  const row = Math.floor(place / d / heads)
  return ((Math.floor(row / Tq) * heads + h) * Tq + (row % Tq)) * d + c
}

/** The mask that hides later keys: [Tq, Tk], once for each of `group` heads that share keys. */
export function causalBias(Tq, Tk, start, group = 1) {
  return Float32Array.from({ length: group * Tq * Tk }, (_, i) =>
    i % Tk > start + (Math.floor(i / Tk) % Tq) ? -1e30 : 0,
  )
}
