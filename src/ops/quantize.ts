// Weights in 8 or 4 bits.
//
//   int8  w ~ scale[n] * q, q in -127 .. 127, one scale a row: a byte each
//   int4  w ~ scale[n, g] * (q - 8), q in 1 .. 15, one scale for each 32 of a row: half a byte each, the first in the low half
//
// Symmetric, so zero stays zero. A group of int4 is 16 bytes, one load of a kernel; the last one of a row is filled with
// zeros. Kernels widen them as they load (shaders/matmul-texels.wgsl) and sum in f32.

import { ShapeError } from '../errors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { fitsPanels, prefersPanels, uploadPanels } from './panels.ts'
import { type AllocateOptions, type Shape, type Tensor, upload } from './tensor.ts'

export type Quantized = 'int8' | 'int4'

/** Values of an int4 group. */
export const GROUP = 32

export interface QuantizedRows {
  /** As on the device: rows of K bytes, or of 16 bytes for each group. */
  readonly data: Uint8Array
  /** [N], or [N, groups]. */
  readonly scales: Float32Array
}

/**
 * @param values [N, K]
 * @returns      the nearest numbers there are; an error of at most half a scale each
 */
export function quantizeRows(values: Float32Array, K: number, dtype: Quantized): QuantizedRows {
  const N = values.length / K
  if (!Number.isInteger(N)) {
    throw new ShapeError(`quantizeRows: ${values.length} values are no whole number of rows of ${K}.`)
  }
  return dtype === 'int8' ? toInt8(values, N, K) : toInt4(values, N, K)
}

function toInt8(values: Float32Array, N: number, K: number): QuantizedRows {
  const data = new Int8Array(N * K)
  const scales = new Float32Array(N)
  for (let n = 0; n < N; n++) {
    const scale = largest(values, n * K, (n + 1) * K) / 127
    scales[n] = scale
    for (let i = n * K; i < (n + 1) * K; i++) data[i] = scale > 0 ? Math.round(values[i]! / scale) : 0
  }
  return { data: new Uint8Array(data.buffer), scales }
}

function toInt4(values: Float32Array, N: number, K: number): QuantizedRows {
  const groups = Math.ceil(K / GROUP)
  // 8 is zero, in both halves
  const data = new Uint8Array((N * groups * GROUP) / 2).fill(0x88)
  const scales = new Float32Array(N * groups)
  for (let n = 0; n < N; n++) {
    for (let g = 0; g < groups; g++) {
      const first = g * GROUP
      const last = Math.min(first + GROUP, K)
      const scale = largest(values, n * K + first, n * K + last) / 7
      scales[n * groups + g] = scale
      if (scale === 0) continue
      for (let k = first; k < last; k++) {
        const q = Math.round(values[n * K + k]! / scale) + 8
        const at = (n * groups * GROUP + k) >> 1
        data[at] = k % 2 === 0 ? (data[at]! & 0xf0) | q : (data[at]! & 0x0f) | (q << 4)
      }
    }
  }
  return { data, scales }
}

function largest(values: Float32Array, from: number, to: number): number {
  let most = 0
  for (let i = from; i < to; i++) most = Math.max(most, Math.abs(values[i]!))
  return most
}

/** The values that quantised rows stand for, [N, K]. */
export function dequantizeRows({ data, scales }: QuantizedRows, K: number, dtype: Quantized): Float32Array {
  if (dtype === 'int8') {
    return Float32Array.from(new Int8Array(data.buffer), (q, i) => q * scales[Math.floor(i / K)]!)
  }
  const groups = Math.ceil(K / GROUP)
  const values = new Float32Array((scales.length / groups) * K)
  return values.map((_, i) => {
    const [n, k] = [Math.floor(i / K), i % K]
    const byte = data[(n * groups * GROUP + k) >> 1]!
    return ((k % 2 === 0 ? byte & 15 : byte >> 4) - 8) * scales[n * groups + Math.floor(k / GROUP)]!
  })
}

/**
 * A linear layer's weight [N, K] in 8 or 4 bits, with its scales, in the layout that this adapter prefers.
 *
 * @throws ShapeError if it isn't a matrix, or has rows that no kernel here reads
 */
export async function uploadQuantized(
  gpu: Gpu,
  values: Float32Array,
  shape: Shape,
  dtype: Quantized,
  options: AllocateOptions = {},
): Promise<Tensor> {
  const [N = 0, K = 0] = shape
  if (shape.length !== 2 || values.length !== N * K) {
    throw new ShapeError(
      `uploadQuantized: ${values.length} values don't fill [${shape.join(', ')}], a matrix [N, K].`,
    )
  }
  const rows = quantizeRows(values, K, dtype)
  const scales = await upload(gpu, rows.scales, [N, rows.scales.length / N], 'f32', options)
  const panels = { shape, dtype }
  if (prefersPanels(gpu.adapter) && fitsPanels(gpu, panels)) {
    return { ...(await uploadPanels(gpu, rows.data, panels, options)), scales }
  }
  // In memory rows are whole groups
  const held = dtype === 'int4' ? [N, Math.ceil(K / GROUP) * GROUP] : shape
  return { ...(await upload(gpu, rows.data, held, dtype, options)), shape, scales }
}
