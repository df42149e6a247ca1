// Weights in 8 or 4 bits.
//
//   int8  w ~ scale[n] * q, q in -127 .. 127, one f32 scale per row: a byte per value
//   int4  w ~ scale[n, g] * (q - 8), q in 0 .. 15, one bf16 scale per 32 values: half a byte per value, the first in
//         the low half
//
// Zero stays zero. A group of int4 is 16 bytes, one load of a kernel; the last one of a row is filled with zeros.
// Kernels widen them as they load (shaders/lib/operands.wgsl) and sum in f32.
//
// int4 reaches one step further on one side of zero than on the other. So the scale of a group may be negative: its
// largest value then is code 0. Rounding against max / 8 and against max / 7, each with the scale that then fits its
// codes best, and keeping the better one, leaves 14 % less error than max / 7 alone, which used 15 of the 16 codes
// (normal values, groups of 32). Scales are rounded to bf16 first, which costs 0.1 %, and are stored and held in that
// (docs/quantized.md).

import { expectDefined } from '../check.ts'
import { ShapeError } from '../errors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { Uploader } from '../gpu/transfer.ts'
import type { TaskOptions } from '../progress.ts'
import {
  type AllocateOptions,
  allocate,
  lastDim,
  release,
  type Shape,
  sizeOf,
  storagesOf,
  type Tensor,
} from '../tensor/tensor.ts'
import { viewOf } from '../view.ts'
import { allocatePacked, fitsPacked, PackedWriter, prefersPacked } from './packed.ts'

/** The types that a weight can be quantised to. */
export const QUANTIZED = ['int8', 'int4'] as const
/** The types that weights can be quantised to: 8 bits with a scale per row, or 4 bits with a scale per 32 values. */
export type Quantized = (typeof QUANTIZED)[number]

/** Values of an int4 group. */
export const GROUP = 32

/** Rows of a weight in few bits. */
export interface QuantizedRows {
  /** The codes as on the device: rows of K bytes, or of 16 bytes for each group. */
  readonly data: Uint8Array<ArrayBuffer>
  /** [N], or [N, groups]. */
  readonly scales: Float32Array<ArrayBuffer>
}

/** Bytes of a row of K values, and its scales. */
export function quantizedRow(
  K: number,
  dtype: Quantized,
): { readonly bytes: number; readonly scales: number } {
  const groups = Math.ceil(K / GROUP)
  return dtype === 'int8' ? { bytes: K, scales: 1 } : { bytes: groups * (GROUP / 2), scales: groups }
}

/**
 * @param values [N, K], finite
 * @returns      codes and scales: each value is within half a scale, but for those of int4 past its last code
 */
export function quantizeRows(values: Float32Array, K: number, dtype: Quantized): QuantizedRows {
  const N = values.length / K
  if (!Number.isInteger(N)) {
    throw new ShapeError(`quantizeRows: ${values.length} values are no whole number of rows of ${K}.`)
  }
  return dtype === 'int8' ? toInt8(values, N, K) : toInt4(values, N, K)
}

/** This is added to a double and taken away again to round it to a whole number. */
const ROUND = 1.5 * 2 ** 52

function toInt8(values: Float32Array, N: number, K: number): QuantizedRows {
  const data = new Int8Array(N * K)
  const scales = new Float32Array(N)
  for (let n = 0; n < N; n++) {
    const [begin, end] = [n * K, (n + 1) * K]
    scales[n] = Math.abs(furthest(values, begin, end)) / 127
    // As it is stored
    const scale = Number(scales[n])
    if (scale === 0) continue
    for (let i = begin; i < end; i++) data[i] = Number(values[i]) / scale + ROUND - ROUND
  }
  return { data: new Uint8Array(data.buffer), scales }
}

function toInt4(values: Float32Array, N: number, K: number): QuantizedRows {
  const groups = Math.ceil(K / GROUP)
  // 8 is zero, in both halves
  const data = new Uint8Array((N * groups * GROUP) / 2).fill(0x88)
  const scales = new Float32Array(N * groups)
  for (let n = 0, group = 0; n < N; n++) {
    const end = (n + 1) * K
    for (let begin = n * K; begin < end; begin += GROUP, group++) {
      const last = Math.min(begin + GROUP, end)
      const scale = int4Scale(values, begin, last)
      if (scale === 0) continue
      scales[group] = scale
      writeCodes(values, begin, last, scale, data, group * (GROUP / 2))
    }
  }
  return { data, scales }
}

/** The value of the largest magnitude; NaN if one isn't finite, which then spoils the scale and with it the row. */
function furthest(values: Float32Array, begin: number, end: number): number {
  let low = 0
  let high = 0
  let spoilt = 0
  for (let i = begin; i < end; i++) {
    const v = Number(values[i])
    low = v < low ? v : low
    high = v > high ? v : high
    spoilt += v - v
  }
  return (-low > high ? low : high) + spoilt
}

/** The scale of a group of int4, a number of bf16; 0 if that holds none but zeros. */
function int4Scale(values: Float32Array, begin: number, end: number): number {
  const most = furthest(values, begin, end)
  if (most === 0) return 0
  // Codes of two scales, and sums that give the scale which then fits best: sum(v q) / sum(q q) leaves the error
  // sum(v v) - sum(v q)^2 / sum(q q)
  const [eighth, seventh] = [-8 / most, -7 / most]
  let vqA = 0
  let qqA = 0
  let vqB = 0
  let qqB = 0
  for (let i = begin; i < end; i++) {
    const v = Number(values[i])
    let a = v * eighth + ROUND - ROUND
    a = a > 7 ? 7 : a
    const b = v * seventh + ROUND - ROUND
    vqA += v * a
    qqA += a * a
    vqB += v * b
    qqB += b * b
  }
  return toBf16(vqA * vqA * qqB > vqB * vqB * qqA ? vqA / qqA : vqB / qqB)
}

function writeCodes(
  values: Float32Array,
  begin: number,
  end: number,
  scale: number,
  data: Uint8Array,
  at: number,
): void {
  const steps = 1 / scale
  let i = begin
  let to = at
  for (; i + 1 < end; i += 2) {
    data[to++] = codeOf(Number(values[i]) * steps) | (codeOf(Number(values[i + 1]) * steps) << 4)
  }
  if (i < end) data[to] = codeOf(Number(values[i]) * steps) | 0x80
}

/** The nearest code; the number is at most a little outside of -8 to 8. */
function codeOf(steps: number): number {
  const code = (steps + 8.5) | 0
  return code < 0 ? 0 : code > 15 ? 15 : code
}

const word = new DataView(new ArrayBuffer(4))

/** The nearest number of bf16. */
function toBf16(value: number): number {
  word.setFloat32(0, value)
  const bits = word.getInt32(0)
  word.setInt32(0, (bits + 0x7fff + ((bits >>> 16) & 1)) & ~0xffff)
  return word.getFloat32(0)
}

/** The values that quantised rows stand for, [N, K]. */
export function dequantizeRows(
  { data, scales }: QuantizedRows,
  K: number,
  dtype: Quantized,
): Float32Array<ArrayBuffer> {
  if (dtype === 'int8') {
    return Float32Array.from(new Int8Array(data.buffer), (q, i) => q * Number(scales[Math.floor(i / K)]))
  }
  const groups = Math.ceil(K / GROUP)
  const values = new Float32Array((scales.length / groups) * K)
  return values.map((_, i) => {
    const [n, k] = [Math.floor(i / K), i % K]
    const byte = Number(data[(n * groups * GROUP + k) >> 1])
    return ((k % 2 === 0 ? byte & 15 : byte >> 4) - 8) * Number(scales[n * groups + Math.floor(k / GROUP)])
  })
}

/** The type that scales are stored and held in. */
export const SCALE_TYPES: Readonly<Record<Quantized, 'f32' | 'bf16'>> = { int8: 'f32', int4: 'bf16' }

/** Scales in that type: f32 as they are, or the bits of bf16, which those of int4 are numbers of. */
export function heldScales(
  scales: Float32Array,
  dtype: Quantized,
): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  const own = new Float32Array(scales)
  if (dtype === 'int8') return own
  const bits = new Uint16Array(own.length)
  const words = viewOf(own)
  for (let i = 0; i < bits.length; i++) bits[i] = words.getUint32(4 * i, true) >>> 16
  return bits
}

/** True if this adapter has a kernel that multiplies by a weight of this shape and type. */
export function fitsQuantized(gpu: Gpu, shape: Shape, dtype: Quantized): boolean {
  const [, K = 0] = shape
  return shape.length === 2 && (liesPacked(gpu, shape, dtype) || K % 4 === 0)
}

function liesPacked(gpu: Gpu, shape: Shape, dtype: Quantized): boolean {
  return prefersPacked(gpu.adapter, dtype) && fitsPacked(gpu, { shape, dtype })
}

/**
 * Memory for a linear layer's weight [N, K] in 8 or 4 bits and its scales, in the layout that this adapter prefers;
 * fill it with a QuantizedWriter.
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
  const scales = await allocate(gpu, [N, dtype === 'int4' ? groups : 1], SCALE_TYPES[dtype], options)
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
  #rest: Float32Array = new Float32Array(0)
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
    const K = lastDim(this.#x)
    const all = joined(this.#rest, values)
    const whole = all.length - (all.length % K)
    this.#rest = all.slice(whole)
    if (whole === 0) return
    const { data, scales } = quantizeRows(all.subarray(0, whole), K, this.#x.dtype as Quantized)
    this.#scales.set(scales, this.#scaled)
    this.#scaled += scales.length
    if (this.#packed) await this.#packed.write(data)
    else await writeInto(this.#uploader, this.#x, this.#bytes, data)
    this.#bytes += data.length
  }

  /** Writes what is left. The uploader is still to be flushed. */
  async finish(): Promise<void> {
    await this.#packed?.finish()
    const { dtype, scales } = this.#x
    const { buffer } = heldScales(this.#scales, dtype as Quantized)
    await writeInto(this.#uploader, expectDefined(scales, 'the scales'), 0, new Uint8Array(buffer))
  }
}

/**
 * Writes bytes into a tensor that may be in several buffers; pieces and buffers end on whole words, but for the last.
 *
 * @param offset of the first, counted from the tensor's
 */
export async function writeInto(
  uploader: Uploader,
  x: Tensor,
  offset: number,
  bytes: Uint8Array,
  options: TaskOptions = {},
): Promise<void> {
  let begin = 0
  for (const { buffer, bytes: length } of storagesOf(x)) {
    const from = Math.max(offset, begin)
    const to = Math.min(offset + bytes.length, begin + length)
    if (from < to) {
      const part = bytes.subarray(from - offset, to - offset)
      await uploader.write(expectDefined(buffer, 'buffer'), from - begin, part, options)
    }
    begin += length
  }
}

function joined(rest: Float32Array, values: Float32Array): Float32Array {
  if (rest.length === 0) return values
  const all = new Float32Array(rest.length + values.length)
  all.set(rest)
  all.set(values, rest.length)
  return all
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
