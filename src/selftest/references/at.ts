// Elements of arrays. One that isn't there is NaN, which no comparison passes. The innermost loops of the slow
// references index directly: `at` sees arrays of every class, and takes three times as long.

/** An element, or NaN where there is none. */
export function at(values: ArrayLike<number>, i: number): number {
  return values[i] ?? Number.NaN
}

/** values[i] += more */
export function addAt(values: Float64Array, i: number, more: number): void {
  values[i] = at(values, i) + more
}

/** Sets a bit of 32-bit words. */
export function setBit(words: Uint32Array, i: number): void {
  words[i >>> 5] = (words[i >>> 5] ?? 0) | (1 << (i & 31))
}
