// Weights packed for subgroup kernels, once, when they are loaded.
//
// A kernel whose lanes each own a row of a weight wants coalesced loads. So rows go in groups of as many as a
// subgroup has lanes, and a group holds texel 0 of all its rows, then texel 1 of all ... A texel is 16 bytes: 4
// values of f32, 8 of 16 bits, 16 of int8, 32 of int4. Rows end in zeros where K leaves part of a texel.
//
// They are in a storage texture, which costs a CPU behind Vulkan half of what a storage buffer does to read
// (lavapipe: 30 cycles against 60 for eight lanes of 16 bytes, November 2026). Texel i of the whole is at x = i %
// TEXTURE_WIDTH.

import { LimitError, ShapeError } from '../errors.ts'
import type { AdapterFacts } from '../gpu/adapter.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { Uploader } from '../gpu/transfer.ts'
import {
  type AllocateOptions,
  type DType,
  type Packed,
  type Shape,
  sizeOf,
  type Tensor,
} from '../tensor/tensor.ts'
import { weightType } from './weight-types.ts'

/** Texels of a row of the texture: a power of two, as kernels divide by it. */
export const TEXTURE_WIDTH = 2048
/** Rows of the texture written at a time. */
const ROWS_AT_ONCE = 32

/** The layout of a weight of a matrix product in memory: row after row as in a checkpoint, or packed for subgroups. */
export type WeightLayout = 'rows' | 'packed'
/** The weight layouts. */
export const WEIGHT_LAYOUTS: readonly WeightLayout[] = ['rows', 'packed']

/** The shape and type of a weight that may be packed. */
export interface PackedShape {
  /** [N, ...]: rows of outputs. */
  readonly shape: Shape
  /** The type of the values. */
  readonly dtype: DType
  /** A row is this many runs, each of which begins a texel: the kernel rows of a convolution. 1 by default. */
  readonly runs?: number
}

function texelsOfRow({ shape, dtype, runs = 1 }: PackedShape): number {
  const [N = 1] = shape
  return runs * Math.ceil(sizeOf(shape) / N / runs / weightType(dtype).perTexel)
}

/** The packed layout of a weight, in groups of `lanes` rows. */
export function packedAs(weight: PackedShape, lanes: number): Packed {
  return { lanes, texels: texelsOfRow(weight), firstRow: 0 }
}

/** Rows of the texture that hold a weight in groups of `lanes` rows. */
function textureRows(weight: PackedShape, lanes: number): number {
  const rows = Math.ceil((weight.shape[0] ?? 1) / lanes) * lanes
  return Math.ceil((rows * texelsOfRow(weight)) / TEXTURE_WIDTH)
}

/** True if kernels for subgroups, and packed weights, take subgroups of this size: one fixed size of 4 to 32 lanes. */
export function takesLanes(subgroupSize: number): boolean {
  return subgroupSize >= 4 && subgroupSize <= 32
}

/** True if the adapter can hold this weight packed: it reads storage textures, and the texture fits its limits. */
export function fitsPacked(gpu: Gpu, weight: PackedShape): boolean {
  const { subgroupSize, readsTextures } = gpu.adapter
  if (!takesLanes(subgroupSize) || !readsTextures) return false
  return textureRows(weight, subgroupSize) <= gpu.device.limits.maxTextureDimension2D
}

/**
 * True if weights should be packed on this adapter, which by default is a CPU with wide subgroups. On a GPU workgroup
 * memory spreads operands better, and with four lanes a broadcast costs what it saves (SwiftShader: 5.6 GFLOP/s packed,
 * 6 in registers; lavapipe with eight: 52 against 12; November 2026).
 */
export function prefersPacked(
  { software, subgroupSize, choices }: AdapterFacts,
  dtype: DType = 'f32',
): boolean {
  const wanted = choices.forced.get('weights') ?? choices.tuned.get('weights')
  if (wanted) return wanted === 'packed'
  // Weights in few bits are read by no kernel in registers
  return software && (subgroupSize >= 8 || dtype === 'int8' || dtype === 'int4')
}

/** Memory for a packed weight; fill it with a PackedWriter. */
export async function allocatePacked(
  gpu: Gpu,
  weight: PackedShape,
  { label = '', owner = 'tensors' }: AllocateOptions = {},
): Promise<Tensor> {
  const { shape, dtype } = weight
  const lanes = gpu.adapter.subgroupSize
  if (!fitsPacked(gpu, weight)) {
    throw new LimitError(`${label}: [${shape.join(', ')}] ${dtype} can't be packed on ${gpu.name}.`)
  }
  const height = textureRows(weight, lanes)
  const texture = await gpu.buffers.allocateTexture({ label, width: TEXTURE_WIDTH, height, owner })
  return {
    shape,
    dtype,
    size: sizeOf(shape),
    storage: { kind: 'resident', bytes: TEXTURE_WIDTH * height * 16, label, texture },
    packed: packedAs(weight, lanes),
  }
}

/** Packs rows as they come. */
export class PackedWriter {
  readonly #uploader: Uploader
  readonly #texture: GPUTexture
  readonly #lanes: number
  readonly #texels: number
  readonly #rowBytes: number
  readonly #runBytes: number
  /** The row being read, one run after another, each padded with zeros. */
  readonly #row: Uint32Array<ArrayBuffer>
  readonly #rowView: Uint8Array
  #read = 0
  /** The group of rows being filled, and how many of its rows are there. */
  readonly #group: Uint32Array<ArrayBuffer>
  #rows = 0
  /** Rows of the texture to be written next. */
  readonly #block: Uint32Array<ArrayBuffer>
  #filled = 0
  #y = 0

  /** @param runs as in the PackedShape that the tensor was made of */
  constructor(uploader: Uploader, { shape, dtype, packed, storage }: Tensor, runs = 1) {
    if (!packed || !storage.texture) throw new ShapeError('A PackedWriter fills packed tensors only.')
    this.#uploader = uploader
    this.#texture = storage.texture
    this.#lanes = packed.lanes
    this.#texels = packed.texels
    // Rows of int4 come in whole groups
    const values = sizeOf(shape) / (shape[0] ?? 1)
    this.#rowBytes = dtype === 'int4' ? 16 * packed.texels : (16 * values) / weightType(dtype).perTexel
    this.#runBytes = this.#rowBytes / runs
    this.#row = new Uint32Array(4 * packed.texels)
    this.#rowView = new Uint8Array(this.#row.buffer)
    this.#group = new Uint32Array(4 * packed.texels * packed.lanes)
    this.#block = new Uint32Array(4 * TEXTURE_WIDTH * ROWS_AT_ONCE)
  }

  /** The next bytes of the weight, row after row as in a checkpoint; they may end anywhere. */
  async write(bytes: Uint8Array): Promise<void> {
    const runTexelBytes = (16 * this.#texels * this.#runBytes) / this.#rowBytes
    for (let from = 0; from < bytes.length; ) {
      const inRun = this.#read % this.#runBytes
      const count = Math.min(this.#runBytes - inRun, bytes.length - from)
      const run = Math.floor(this.#read / this.#runBytes)
      this.#rowView.set(bytes.subarray(from, from + count), run * runTexelBytes + inRun)
      from += count
      this.#read += count
      if (this.#read === this.#rowBytes) await this.#endRow()
    }
  }

  /** Writes what is left. The uploader is still to be flushed. */
  async finish(): Promise<void> {
    if (this.#rows > 0) await this.#endGroup()
    if (this.#filled === 0) return
    const words = 4 * TEXTURE_WIDTH
    const rest = this.#block.slice(0, Math.ceil(this.#filled / words) * words)
    rest.fill(0, this.#filled)
    await this.#uploader.writeRows(this.#texture, this.#y, rest)
  }

  async #endRow(): Promise<void> {
    const [row, group] = [this.#row, this.#group]
    const step = 4 * this.#lanes
    // Indexed directly, as `from` stays below the length, a multiple of 4: a checked index takes four times as long
    // (view.ts)
    for (let from = 0, to = 4 * this.#rows; from < row.length; from += 4, to += step) {
      group[to] = row[from]!
      group[to + 1] = row[from + 1]!
      group[to + 2] = row[from + 2]!
      group[to + 3] = row[from + 3]!
    }
    this.#read = 0
    if (++this.#rows === this.#lanes) await this.#endGroup()
  }

  async #endGroup(): Promise<void> {
    const group = this.#group
    for (let from = 0; from < group.length; ) {
      const count = Math.min(group.length - from, this.#block.length - this.#filled)
      this.#block.set(group.subarray(from, from + count), this.#filled)
      from += count
      this.#filled += count
      if (this.#filled === this.#block.length) {
        await this.#uploader.writeRows(this.#texture, this.#y, this.#block)
        this.#y += ROWS_AT_ONCE
        this.#filled = 0
      }
    }
    group.fill(0)
    this.#rows = 0
  }
}

/** A weight from the host, packed. `data` holds the device's bytes: 16-bit types as Uint16Array. */
export async function uploadPacked(
  gpu: Gpu,
  data: ArrayBufferView,
  weight: PackedShape,
  options: AllocateOptions = {},
): Promise<Tensor> {
  const x = await allocatePacked(gpu, weight, options)
  const uploader = new Uploader(gpu)
  const writer = new PackedWriter(uploader, x, weight.runs)
  await writer.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  await writer.finish()
  await uploader.flush()
  return x
}
