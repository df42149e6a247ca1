// Pillow's bilinear resize on the host, as the reference: test/ops/image/resample.test.ts holds it against Pillow's own
// results.
//
// Source: Pillow 12, src/libImaging/Resample.c; spec, section 4.3.

import { at } from './at.ts'

/** An image of three bytes per pixel. */
interface ByteImage {
  readonly width: number
  readonly height: number
  readonly rgb: Uint8Array
}

const PRECISION = 22
const HALF = 1 << (PRECISION - 1)

/** The triangle's weights along one axis. */
interface TriangleTaps {
  /** Most inputs that one output sums. */
  readonly size: number
  /** First input of each output, and how many. */
  readonly first: Int32Array
  readonly count: Int32Array
  /** [outputs, size], in units of 2^-22. */
  readonly weights: Int32Array
}

/** An image of another size, as Pillow 12 resizes it: rows first, each pass rounded to 8 bits. */
export function resizeBilinear(image: ByteImage, width: number, height: number): ByteImage {
  let { rgb } = image
  if (width !== image.width) rgb = alongRows(rgb, image.height, image.width, width)
  if (height !== image.height) rgb = alongColumns(rgb, image.height, height, width)
  return { width, height, rgb }
}

/** [H, n, 3] -> [H, m, 3] */
function alongRows(rgb: Uint8Array, H: number, n: number, m: number): Uint8Array {
  const { size, first, count, weights } = triangle(n, m)
  const out = new Uint8Array(H * m * 3)
  for (let y = 0; y < H; y++) {
    for (let x = 0; x < m; x++) {
      let r = HALF
      let g = HALF
      let b = HALF
      let from = (y * n + at(first, x)) * 3
      for (let i = x * size; i < x * size + at(count, x); i++) {
        const weight = at(weights, i)
        r += weight * at(rgb, from)
        g += weight * at(rgb, from + 1)
        b += weight * at(rgb, from + 2)
        from += 3
      }
      const to = (y * m + x) * 3
      out[to] = to8(r)
      out[to + 1] = to8(g)
      out[to + 2] = to8(b)
    }
  }
  return out
}

/** [n, W, 3] -> [m, W, 3] */
function alongColumns(rgb: Uint8Array, n: number, m: number, W: number): Uint8Array {
  const { size, first, count, weights } = triangle(n, m)
  const row = W * 3
  const out = new Uint8Array(m * row)
  const sums = new Int32Array(row)
  for (let y = 0; y < m; y++) {
    sums.fill(HALF)
    for (let k = 0; k < at(count, y); k++) {
      const weight = at(weights, y * size + k)
      const from = (at(first, y) + k) * row
      for (let i = 0; i < row; i++) sums[i] = at(sums, i) + weight * at(rgb, from + i)
    }
    for (let i = 0; i < row; i++) out[y * row + i] = to8(at(sums, i))
  }
  return out
}

/** A sum rounded to 8 bits. Sums are at most 255 * 2^22 and some roundings, so they fit 31 bits. */
function to8(sum: number): number {
  return Math.min(255, sum >> PRECISION)
}

function triangle(n: number, m: number): TriangleTaps {
  const scale = n / m
  const support = Math.max(scale, 1)
  const perInput = 1 / support // multiplied, not divided by: Pillow's last bit
  const size = Math.ceil(support) * 2 + 1
  const first = new Int32Array(m)
  const count = new Int32Array(m)
  const weights = new Int32Array(m * size)
  const exact = new Float64Array(size)
  for (let x = 0; x < m; x++) {
    const centre = (x + 0.5) * scale
    const lo = Math.max(0, Math.trunc(centre - support + 0.5))
    const hi = Math.min(n, Math.trunc(centre + support + 0.5))
    let sum = 0
    for (let i = lo; i < hi; i++) {
      exact[i - lo] = Math.max(0, 1 - Math.abs((i - centre + 0.5) * perInput))
      sum += at(exact, i - lo)
    }
    first[x] = lo
    count[x] = hi - lo
    for (let k = 0; k < hi - lo; k++) {
      weights[x * size + k] = Math.trunc((at(exact, k) / sum) * 2 ** PRECISION + 0.5)
    }
  }
  return { size, first, count, weights }
}
