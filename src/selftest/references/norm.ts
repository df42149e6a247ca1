// Norms, in float64.

import { at } from './at.ts'

/** x / sqrt(mean(x^2) + eps) * weight, along rows of C */
export function rmsNormReference(
  x: ArrayLike<number>,
  C: number,
  weight: ArrayLike<number>,
  eps: number,
): Float64Array {
  const y = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += C) {
    let sum = 0
    for (let c = 0; c < C; c++) sum += at(x, start + c) ** 2
    const scale = 1 / Math.sqrt(sum / C + eps)
    for (let c = 0; c < C; c++) y[start + c] = at(x, start + c) * scale * at(weight, c)
  }
  return y
}

/** (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, along rows of C */
export function layerNormReference(
  x: ArrayLike<number>,
  C: number,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  eps: number,
): Float64Array {
  const y = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += C) {
    let mean = 0
    for (let c = 0; c < C; c++) mean += at(x, start + c) / C
    let variance = 0
    for (let c = 0; c < C; c++) variance += (at(x, start + c) - mean) ** 2 / C
    const scale = 1 / Math.sqrt(variance + eps)
    for (let c = 0; c < C; c++) y[start + c] = (at(x, start + c) - mean) * scale * at(weight, c) + at(bias, c)
  }
  return y
}

/** Group norm: the mean and variance are those of all pixels and all channels of a group; x [pixels, C] */
export function groupNormReference(
  x: ArrayLike<number>,
  C: number,
  groups: number,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  eps: number,
): Float64Array {
  const y = new Float64Array(x.length)
  const channels = C / groups
  const size = x.length / groups
  for (let g = 0; g < groups; g++) {
    const places: number[] = []
    for (let p = 0; p < x.length; p += C) for (let c = 0; c < channels; c++) places.push(p + g * channels + c)
    const mean = places.reduce((sum, i) => sum + at(x, i) / size, 0)
    const variance = places.reduce((sum, i) => sum + (at(x, i) - mean) ** 2 / size, 0)
    const scale = 1 / Math.sqrt(variance + eps)
    for (const i of places) y[i] = (at(x, i) - mean) * scale * at(weight, i % C) + at(bias, i % C)
  }
  return y
}
