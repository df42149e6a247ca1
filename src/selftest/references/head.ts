// The model's head: cosines with classes, bytes of masks, what masks are at the image's pixels, and rows of regions.

import type { CanvasPlace } from '../../ops/head/place.ts'
import { at } from './at.ts'
import { resizeReference } from './image.ts'

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

/** A map of logits [H, W] at the image's pixels, by way of the canvas. */
export function logitsAt(map: ArrayLike<number>, place: CanvasPlace): Float64Array {
  const onCanvas = resizeReference(map, [1, ...place.map, 1], place.canvas)
  return resizeReference(onCanvas, [1, ...place.canvas, 1], place.size, place.crop)
}

/** 1 / (1 + exp(-x)) */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x))
}

/** The sum of sigmoid(logit) over the pixels whose bit is set. */
export function maskQualityReference(
  map: ArrayLike<number>,
  bits: ArrayLike<number>,
  place: CanvasPlace,
): number {
  return logitsAt(map, place).reduce((sum, logit, i) => sum + bitOf(bits, i) * sigmoid(logit), 0)
}

/** sum_q weights[q, k] sigmoid(mask q), [height * width, K]: on the image's pixels, or on the canvas's and resized. */
export function labelSumsReference(
  masks: ArrayLike<number>,
  weights: ArrayLike<number>,
  place: CanvasPlace,
  grid: 'canvas' | 'image',
): Float64Array {
  const [H, W] = place.map
  const queries = masks.length / (H * W)
  const K = weights.length / queries
  const source = grid === 'canvas' ? { ...place, size: place.crop } : place
  const [height, width] = source.size
  const sums = new Float64Array(height * width * K)
  for (let q = 0; q < queries; q++) {
    const map = Array.from({ length: H * W }, (_, i) => at(masks, q * H * W + i))
    logitsAt(map, source).forEach((logit, i) => {
      for (let k = 0; k < K; k++)
        sums[i * K + k] = at(sums, i * K + k) + at(weights, q * K + k) * sigmoid(logit)
    })
  }
  return grid === 'canvas' ? resizeReference(sums, [1, height, width, K], place.size) : sums
}

/** scores[q] sigmoid(mask q), [height * width, masks]. */
export function ownershipReference(
  masks: ArrayLike<number>,
  scores: ArrayLike<number>,
  place: CanvasPlace,
): Float64Array {
  const [H, W] = place.map
  const N = scores.length
  const weights = new Float64Array(place.size[0] * place.size[1] * N)
  for (let q = 0; q < N; q++) {
    const map = Array.from({ length: H * W }, (_, i) => at(masks, q * H * W + i))
    logitsAt(map, place).forEach((logit, i) => {
      weights[i * N + q] = at(scores, q) * sigmoid(logit)
    })
  }
  return weights
}

/**
 * The maximum or mean of a map [H, W, C] at every `count` of these points (x, y), between cells bilinear.
 */
export function sampleRegionsReference(
  map: ArrayLike<number>,
  [H, W, C]: readonly [number, number, number],
  points: ArrayLike<number>,
  count: number,
  pool: 'max' | 'mean',
): Float64Array {
  const sample = (p: number, c: number): number => {
    const [x, y] = [
      Math.min(Math.max(at(points, 2 * p), 0), W - 1),
      Math.min(Math.max(at(points, 2 * p + 1), 0), H - 1),
    ]
    let sum = 0
    for (const row of [Math.floor(y), Math.floor(y) + 1]) {
      for (const column of [Math.floor(x), Math.floor(x) + 1]) {
        const weight = (1 - Math.abs(y - row)) * (1 - Math.abs(x - column))
        if (weight > 0) sum += weight * at(map, (row * W + column) * C + c)
      }
    }
    return sum
  }
  return Float64Array.from({ length: (points.length / 2 / count) * C }, (_, i) => {
    const values = Array.from({ length: count }, (_, p) => sample(Math.floor(i / C) * count + p, i % C))
    return pool === 'max' ? Math.max(...values) : values.reduce((sum, v) => sum + v, 0) / count
  })
}
