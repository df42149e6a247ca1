// Weights in 8 or 4 bits.
//
//   int8  w ~ scale[n] * q, q in -127 .. 127, one scale a row: a byte each
//   int4  w ~ scale[n, g] * (q - 8), q in 1 .. 15, one scale for each 32 of a row: half a byte each, the first in the low half
//
// Symmetric, so zero stays zero. A group of int4 is 16 bytes, one load of a kernel; the last one of a row is filled with
// zeros. Kernels widen them as they load (shaders/lib/weight.wgsl) and sum in f32.

import { ShapeError } from '../errors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { Uploader } from '../gpu/transfer.ts'
import { type AllocateOptions, allocate, release, type Shape, sizeOf, type Tensor } from '../tensor/tensor.ts'
import { allocatePacked, fitsPacked, PackedWriter, prefersPacked } from './packed.ts'

/** The types that a weight can be quantised to. */
export const QUANTIZED = ['int8', 'int4'] as const
/** The types that weights can be quantised to: 8 bits with a scale per row, or 4 bits with a scale per 32 values. */
export type Quantized = (typeof QUANTIZED)[number]

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

/** Whether a kernel of this adapter multiplies by such a weight. */
export function fitsQuantized(gpu: Gpu, shape: Shape, dtype: Quantized): boolean {
  const [, K = 0] = shape
  return shape.length === 2 && (liesPacked(gpu, shape, dtype) || K % 4 === 0)
}

function liesPacked(gpu: Gpu, shape: Shape, dtype: Quantized): boolean {
  return prefersPacked(gpu.adapter, dtype) && fitsPacked(gpu, { shape, dtype })
}

/**
 * Memory for a linear layer's weight [N, K] in 8 or 4 bits and its scales, in the layout that this adapter prefers; fill it
 * with a QuantizedWriter.
 *
 * @throws ShapeError if it isn't a matrix, or has rows that no kernel here reads
 */
export async function allocateQuantized(
  gpu: Gpu,
  shape: Shape,
  dtype: Quantized,
  options: AllocateOptions = {},
): Promise<Tensor> {
  const [N = 0, K = 0] = shape
  const { label = 'a weight' } = options
  if (!fitsQuantized(gpu, shape, dtype)) {
    throw new ShapeError(
      `${label}: [${shape.join(', ')}] can't be held in ${dtype} on ${gpu.name}, ` +
        'where that takes a matrix [N, K] with K a multiple of 4. Keep it in f32, f16 or bf16.',
    )
  }
  const groups = Math.ceil(K / GROUP)
  const scales = await allocate(gpu, [N, dtype === 'int4' ? groups : 1], 'f32', options)
  try {
    if (liesPacked(gpu, shape, dtype)) {
      return { ...(await allocatePacked(gpu, { shape, dtype }, options)), scales }
    }
    // In memory rows are whole groups
    const held = dtype === 'int4' ? [N, groups * GROUP] : shape
    return { ...(await allocate(gpu, held, dtype, options)), shape, size: sizeOf(shape), scales }
  } catch (error) {
    release(gpu, scales)
    throw error
  }
}

/** Quantises rows as they come. */
export class QuantizedWriter {
  readonly #uploader: Uploader
  readonly #x: Tensor
  readonly #packed: PackedWriter | undefined
  readonly #scales: Float32Array
  /** Values of a row that has not ended yet. */
  #rest = new Float32Array(0)
  #bytes = 0
  #scaled = 0

  /** @param x as `allocateQuantized` makes it */
  constructor(uploader: Uploader, x: Tensor) {
    if (!x.scales) throw new ShapeError('A QuantizedWriter fills weights in 8 or 4 bits only.')
    this.#uploader = uploader
    this.#x = x
    this.#packed = x.packed && new PackedWriter(uploader, x)
    this.#scales = new Float32Array(x.scales.size)
  }

  /** The next values of the weight, row after row; they may end anywhere. */
  async write(values: Float32Array): Promise<void> {
    const K = this.#x.shape[1]!
    const all = new Float32Array(this.#rest.length + values.length)
    all.set(this.#rest)
    all.set(values, this.#rest.length)
    const whole = all.length - (all.length % K)
    this.#rest = all.slice(whole)
    if (whole === 0) return
    const { data, scales } = quantizeRows(all.subarray(0, whole), K, this.#x.dtype as Quantized)
    this.#scales.set(scales, this.#scaled)
    this.#scaled += scales.length
    if (this.#packed) await this.#packed.write(data)
    else await this.#uploader.write(this.#x.storage.buffer!, this.#bytes, data)
    this.#bytes += data.length
  }

  /** Writes what is left. The uploader is still to be flushed. */
  async finish(): Promise<void> {
    await this.#packed?.finish()
    await this.#uploader.write(this.#x.scales!.storage.buffer!, 0, new Uint8Array(this.#scales.buffer))
  }
}

/**
 * A linear layer's weight from the host, in 8 or 4 bits.
 *
 * @throws ShapeError as allocateQuantized, or if the values don't fill the shape
 */
export async function uploadQuantized(
  gpu: Gpu,
  values: Float32Array,
  shape: Shape,
  dtype: Quantized,
  options: AllocateOptions = {},
): Promise<Tensor> {
  if (shape.length !== 2 || values.length !== sizeOf(shape)) {
    throw new ShapeError(
      `uploadQuantized: ${values.length} values don't fill [${shape.join(', ')}], a matrix [N, K].`,
    )
  }
  const x = await allocateQuantized(gpu, shape, dtype, options)
  const uploader = new Uploader(gpu)
  const writer = new QuantizedWriter(uploader, x)
  await writer.write(values)
  await writer.finish()
  await uploader.flush()
  return x
}
