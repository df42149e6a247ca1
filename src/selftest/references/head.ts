// The model's head: cosines with classes, and bytes of masks.

import { at } from './at.ts'

/** scale times the cosine of each row of x [rows, cols] with each of classes [count, cols], within the bound. */
export function cosineReference(
  x: ArrayLike<number>,
  classes: ArrayLike<number>,
  cols: number,
  scale: number,
  bound: number,
): Float64Array {
  const [rows, count] = [x.length / cols, classes.length / cols]
  type Vector = readonly [values: ArrayLike<number>, row: number]
  const dot = ([u, i]: Vector, [v, j]: Vector): number => {
    let sum = 0
    for (let c = 0; c < cols; c++) sum += at(u, i * cols + c) * at(v, j * cols + c)
    return sum
  }
  const norm = (v: Vector): number => Math.max(Math.sqrt(dot(v, v)), 1e-12)
  return Float64Array.from({ length: rows * count }, (_, i) => {
    const [a, b]: [Vector, Vector] = [
      [x, Math.floor(i / count)],
      [classes, i % count],
    ]
    return Math.min(Math.max((scale * dot(a, b)) / norm(a) / norm(b), -bound), bound)
  })
}

/** Bit i of a mask. */
export function bitOf(words: ArrayLike<number>, i: number): number {
  return (at(words, i >>> 5) >>> (i & 31)) & 1
}

/** A mask's bits [height * width] as bytes of 0 and 255, in rows of `rowBytes`. */
export function maskBytesReference(
  bits: ArrayLike<number>,
  [height, width]: readonly [number, number],
  rowBytes: number,
): Uint8Array {
  return Uint8Array.from({ length: height * rowBytes }, (_, i) => {
    const [row, col] = [Math.floor(i / rowBytes), i % rowBytes]
    return col < width ? 255 * bitOf(bits, row * width + col) : 0
  })
}
