// Inputs: numbers that any process makes alone, the same every time, and never zero: some engines are faster on
// zeros, and a kernel that does nothing at all would pass a check against them.

/** FNV-1a. */
function seedOf(name) {
  let seed = 0x811c9dc5
  for (let i = 0; i < name.length; i++) seed = Math.imul(seed ^ name.charCodeAt(i), 0x01000193)
  return seed >>> 0
}

/** 32 random bits from a seed and an index. */
function hash(seed, index) {
  let h = Math.imul(index + 1, 0x9e3779b1) ^ seed
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b)
  return (h ^ (h >>> 16)) >>> 0
}

/** Numbers in (-scale, scale) without 0. */
export function uniform(name, length, scale = 1) {
  const seed = seedOf(name)
  const values = new Float32Array(length)
  // An odd number over 2^24 is exact in f32, and never 0
  for (let i = 0; i < length; i++) values[i] = scale * (((hash(seed, i) >>> 8) | 1) / 2 ** 23 - 1)
  return values
}

/** Whole numbers in [0, limit). */
export function whole(name, length, limit) {
  const seed = seedOf(name)
  return Array.from({ length }, (_, i) => hash(seed, i) % limit)
}

/** `count` places in [0, size): both ends, and others at random. */
export function samplePlaces(name, size, count = 64) {
  if (size <= count) return Array.from({ length: size }, (_, i) => i)
  return [0, size - 1, ...whole(`places of ${name}`, count - 2, size)]
}

// ---------------------------------------------------------------------------------------------------------
// Narrow types

/** f32 to the nearest bfloat16: its bits, and the value they stand for. */
export function toBf16(values) {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint16Array(words.length)
  const rounded = new Uint32Array(words.length)
  for (let i = 0; i < words.length; i++) {
    bits[i] = (words[i] + 0x7fff + ((words[i] >>> 16) & 1)) >>> 16
    rounded[i] = bits[i] << 16
  }
  return { bits, values: new Float32Array(rounded.buffer) }
}

/** f32 to the nearest float16, ties to even: its bits, and the value they stand for. For |x| < 65504. */
export function toF16(values) {
  const bits = new Uint16Array(values.length)
  const rounded = new Float32Array(values.length)
  const view = new Float32Array(1)
  const word = new Uint32Array(view.buffer)
  for (let i = 0; i < values.length; i++) {
    const x = Math.abs(values[i])
    // Spacing of float16 around x: 2^-24 below 2^-14, else 2^(exponent - 10)
    view[0] = Math.max(x, 2 ** -14)
    const step = 2 ** ((word[0] >>> 23) - 127 - 10)
    const units = x / step
    let n = Math.floor(units)
    const rest = units - n
    if (rest > 0.5 || (rest === 0.5 && n % 2 === 1)) n++
    const y = n * step
    view[0] = y
    const exponent = (word[0] >>> 23) - 127
    const sign = values[i] < 0 ? 0x8000 : 0
    bits[i] = sign | (y < 2 ** -14 ? y * 2 ** 24 : ((exponent + 15) << 10) + ((word[0] >>> 13) & 0x3ff))
    rounded[i] = values[i] < 0 ? -y : y
  }
  return { bits, values: rounded }
}

/** float16 bits to numbers. */
export function fromF16(bits) {
  return Float32Array.from(bits, (h) => {
    const sign = h & 0x8000 ? -1 : 1
    const exponent = (h >>> 10) & 31
    const fraction = h & 0x3ff
    if (exponent === 0) return sign * fraction * 2 ** -24
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
  })
}

/**
 * A weight [N, K] that quantises without loss: whole numbers times a scale a block, with the largest whole number
 * in every block, so that every quantiser that scales by the largest magnitude finds the same.
 *
 * @returns quants in [-limit, limit], scales [N, K / block], values [N, K]
 */
export function quantised(name, [N, K], { limit, block }) {
  const blocks = Math.ceil(K / block)
  const quants = new Int8Array(N * K)
  const scales = new Float32Array(N * blocks)
  const values = new Float32Array(N * K)
  const seed = seedOf(name)
  for (let n = 0; n < N; n++) {
    for (let b = 0; b < blocks; b++) {
      const scale = (1 + (hash(seed ^ 0x5bd1e995, n * blocks + b) % 1024) / 1024) / (limit * 8)
      // Exact in bf16, as our scales of int4 are stored, and so in f16, as onnxruntime may store them
      const [exact] = toBf16(Float32Array.of(scale)).values
      scales[n * blocks + b] = exact
      const end = Math.min((b + 1) * block, K)
      for (let k = b * block; k < end; k++) {
        const i = n * K + k
        const q = k === b * block ? limit : (hash(seed, i) % (2 * limit + 1)) - limit
        quants[i] = q
        values[i] = q * exact
      }
    }
  }
  return { quants, scales, values, blocks }
}

/** [rows, cols] to [cols, rows]. */
export function transposed(values, rows, cols) {
  const result = new values.constructor(values.length)
  const T = 32
  for (let r0 = 0; r0 < rows; r0 += T) {
    for (let c0 = 0; c0 < cols; c0 += T) {
      const r1 = Math.min(r0 + T, rows)
      const c1 = Math.min(c0 + T, cols)
      for (let r = r0; r < r1; r++) for (let c = c0; c < c1; c++) result[c * rows + r] = values[r * cols + c]
    }
  }
  return result
}
