// Tensors. A Tensor is a shape, a type and a place; ops make tensors by recording dispatches (src/gpu/recorder.ts),
// which a plan (plan.ts) then runs.
//
// Layout is row-major and contiguous, feature maps are channels-last. f16, bf16, int8 and int4 are storage types of
// weights, widened in the kernels; activations are f32. Weights of matrix products may be packed
// (src/kernels/packed.ts).

import { describe, entryOf, expectDefined, expectNoMore, expectWhole } from '../check.ts'
import { LimitError, ShapeError, UsageError } from '../errors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { formatBytes, roundUp } from '../gpu/memory.ts'
import { isKernel } from '../gpu/plan/dispatch.ts'
import { type Dispatch, recorder, STORAGE_ALIGNMENT, type Storage } from '../gpu/recorder.ts'
import { Uploader } from '../gpu/transfer.ts'
import { expectKind, expectOptions, FLAG, NAME, type OptionKinds, TABLE } from '../options.ts'
import { BITS, expectDims, expectDType, expectGpu, expectPlain, expectTensor } from './check.ts'
import { deviceBytes, type HostArray } from './host-array.ts'

export { param, type SizeValue, scope } from '../gpu/recorder.ts'
export { expectShape, expectType } from './check.ts'
export type { HostArray } from './host-array.ts'

/** The type of a tensor's elements as stored. Ops compute in f32 from any of them; int8 and int4 have scales. */
export type DType = 'f32' | 'u32' | 'f16' | 'bf16' | 'int8' | 'int4'
/** Lengths of the axes, the slowest first: [rows, columns]. An empty list is a scalar. */
export type Shape = readonly number[]

/** An array on the device, or the place of one in a plan: ops take tensors and return tensors. */
export interface Tensor {
  /** Lengths of the axes, the slowest first. */
  readonly shape: Shape
  /** The type of the elements as stored. */
  readonly dtype: DType
  /** Number of elements. */
  readonly size: number
  /** @internal Where the elements are. */
  readonly storage: Storage
  /**
   * @internal A weight too large for one binding is several buffers along its first axis, in order; `storage` is then
   * the first of them. Only `gather` and `matmul` read such tensors.
   */
  readonly shards?: readonly WeightShard[]
  /**
   * @internal A weight laid out for subgroup kernels, in a texture: see src/kernels/packed.ts. Only matrix products and
   * convolutions read it.
   */
  readonly packed?: Packed
  /**
   * The scales of a quantised weight, which its codes are multiplied by: [rows] f32 of int8, [rows, groups of 32] bf16
   * of int4. See src/kernels/quantize.ts.
   */
  readonly scales?: Tensor
}

/**
 * The layout of a packed weight in a texture: groups of rows, in which texel t of all rows precedes texel t + 1 of all.
 */
export interface Packed {
  /** Rows of a group: as many as a subgroup has lanes. */
  readonly lanes: number
  /** Texels of a row. */
  readonly texels: number
  /** The row of the texture's weight that the tensor begins at: a multiple of `lanes`. */
  readonly firstRow: number
}

/** One of the buffers of a weight that is too large for one binding. */
export interface WeightShard {
  /** The buffer, which the shard fills. */
  readonly storage: Storage
  /** Index of its first row in the weight. */
  readonly firstRow: number
  /** Number of its rows. */
  readonly rows: number
}

/** Columns [start, start + count) of a tensor's last axis, read in place: one part of a fused qkv. */
export interface Columns {
  /** The tensor that the columns are a part of. */
  readonly tensor: Tensor
  /** The first column of the part. */
  readonly start: number
  /** Number of columns. */
  readonly count: number
}

/** Elements of a shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, n) => product * n, 1)
}

/** Bytes on the device: 16-bit types are stored in pairs. */
export function bytesOf(shape: Shape, dtype: DType): number {
  return roundUp((sizeOf(shape) * BITS[dtype]) / 8, 4)
}

/** A new tensor that the op being recorded will write. */
export function tensor(shape: Shape, dtype: DType = 'f32'): Tensor {
  expectDims('tensor', 'the tensor', shape)
  expectDType('tensor', dtype)
  return { shape, dtype, size: sizeOf(shape), storage: recorder().intermediate(bytesOf(shape, dtype)) }
}

/** The same elements under another shape; no work is done. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  expectNoMore('reshape', arguments, 2)
  expectTensor('reshape', 'x', x)
  expectDims('reshape', 'the result', shape)
  if (sizeOf(shape) !== x.size) {
    throw new ShapeError(
      `reshape: [${x.shape.join(', ')}] has ${x.size} elements, [${shape.join(', ')}] has ${sizeOf(shape)}.`,
    )
  }
  return { ...x, shape }
}

/**
 * Rows [start, start + count) of a resident tensor without a copy, or undefined where the adapter can't bind
 * them because they begin at an odd place, and of int8 and int4: then slice them (layout.ts).
 */
export function viewRows(x: Tensor, start: number, count: number): Tensor | undefined {
  const [rows = 1, ...rest] = x.shape
  if (start < 0 || count < 1 || start + count > rows) {
    throw new ShapeError(
      `viewRows: [${start}, ${start + count}) is outside of the first axis of [${x.shape.join(', ')}].`,
    )
  }
  const { storage, packed } = x
  const shape = [count, ...rest]
  // The scales of int8 and int4 are of all rows
  if (x.scales) return undefined
  if (packed) {
    if (start % packed.lanes !== 0) return undefined
    const firstRow = packed.firstRow + start
    return { ...x, shape, size: sizeOf(shape), packed: { ...packed, firstRow } }
  }
  const offset = (storage.offset ?? 0) + (start * sizeOf(rest) * BITS[x.dtype]) / 8
  if (storage.kind !== 'resident' || x.shards || offset % STORAGE_ALIGNMENT !== 0) return undefined
  return {
    shape,
    dtype: x.dtype,
    size: sizeOf(shape),
    storage: { ...storage, offset, bytes: bytesOf(shape, x.dtype) },
  }
}

/** Part of the last axis, without a copy; attention and rope take it where they take a tensor. */
export function columns(x: Tensor, start: number, count: number): Columns {
  expectNoMore('columns', arguments, 3)
  expectTensor('columns', 'x', x)
  const width = lastDim(x)
  expectWhole('columns', 'start', start, 0)
  expectWhole('columns', 'count', count)
  if (start + count > width) {
    throw new ShapeError(
      `columns: [${start}, ${start + count}) is outside of the last axis of [${x.shape.join(', ')}].`,
    )
  }
  return { tensor: x, start, count }
}

/**
 * @param op, name for messages: columns may have been put together by hand, and are then checked like those of
 *   `columns`
 */
export function asColumns(op: string, name: string, x: Tensor | Columns): Columns {
  const isPart = typeof x === 'object' && x !== null && 'tensor' in x
  const { tensor: whole, start, count } = isPart ? x : { tensor: x, start: 0, count: undefined }
  expectTensor(op, name, whole)
  expectPlain(op, name, whole)
  return count === undefined ? { tensor: whole, start, count: lastDim(whole) } : columns(whole, start, count)
}

/**
 * Length of the first axis.
 *
 * @throws ShapeError for a scalar
 */
export function firstDim(x: Tensor): number {
  expectTensor('firstDim', 'x', x)
  const [first] = x.shape
  if (first === undefined) throw new ShapeError('expected at least one axis, found a scalar')
  return first
}

/**
 * Length of the last axis.
 *
 * @throws ShapeError for a scalar
 */
export function lastDim(x: Tensor): number {
  expectTensor('lastDim', 'x', x)
  const last = x.shape.at(-1)
  if (last === undefined) throw new ShapeError('expected at least one axis, found a scalar')
  return last
}

/** Product of all axes but the last. */
export function rowsOf(x: Tensor): number {
  return x.size / lastDim(x)
}

/** A dispatch on tensors; see Dispatch for the fields. */
export interface DispatchOf extends Omit<Dispatch, 'reads' | 'writes'> {
  /**
   * The tensors read, by the names of the bindings. `undefined`: this variant declares the binding but never reads it.
   */
  readonly reads: Readonly<Record<string, Tensor | undefined>>
  /** The tensors written, by the names of the bindings. */
  readonly writes: Readonly<Record<string, Tensor>>
}

/**
 * Adds a dispatch to the plan being recorded.
 *
 * @throws UsageError if it doesn't fit its kernel, or names what is no tensor of this plan
 */
export function record(dispatch: DispatchOf): void {
  const { kernel } = dispatch
  if (!isKernel(kernel)) {
    throw new UsageError(`record: kernel is ${describe(kernel)}, expected what \`kernel\` makes.`)
  }
  const op = kernel.own ? `your kernel '${kernel.name}'` : `kernel ${kernel.name}`
  for (const table of ['reads', 'writes', 'sizes'] as const) {
    expectKind(`${op}: ${table}`, dispatch[table], TABLE)
  }
  const storages = (table: 'reads' | 'writes'): Record<string, Storage> => {
    const all = Object.entries(dispatch[table]).map(([name, x]) => {
      if (x === undefined && table === 'reads') return [name, undefined] as const
      expectTensor(op, `${table}.${name}`, x)
      // The engine's own take shards one by one
      if (kernel.own) {
        expectPlain(op, `${table}.${name}`, x)
        // Words of any type may be taken apart as u32; bits of another type read as floats are noise
        const floats = kernel.floats.get(name) ?? x.dtype
        if (floats !== x.dtype) {
          throw new ShapeError(
            `${op}: ${table}.${name} is ${x.dtype}, but the shader binds an array of ${floats}.`,
          )
        }
      }
      return [name, x.storage] as const
    })
    return Object.fromEntries(all) as Record<string, Storage>
  }
  recorder().record({ ...dispatch, reads: storages('reads'), writes: storages('writes') })
}

// ---------------------------------------------------------------------------------------------------------
// Resident tensors

const USAGE_RESIDENT = () => GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST

/** Wraps a buffer of the engine's as a tensor. */
export function residentTensor(buffer: GPUBuffer, shape: Shape, dtype: DType, label = ''): Tensor {
  const storage: Storage = { kind: 'resident', bytes: bytesOf(shape, dtype), label, buffer }
  return { shape, dtype, size: sizeOf(shape), storage }
}

/** Options of `allocate`: names for reports, and leave to split a large tensor over several buffers. */
export interface AllocateOptions {
  /** Name of the buffer, for messages and debuggers. */
  readonly label?: string
  /** Key of the memory report. */
  readonly owner?: string
  /** Split along the first axis when larger than one binding allows. Only for gather and matmul. */
  readonly sharded?: boolean
}

const ALLOCATE_KINDS: OptionKinds<AllocateOptions> = { label: NAME, owner: NAME, sharded: FLAG }

function expectAllocation(op: string, gpu: Gpu, shape: Shape, dtype: DType, options: AllocateOptions): void {
  expectGpu(op, gpu)
  expectDims(op, 'the tensor', shape)
  expectDType(op, dtype)
  expectOptions(op, options, ALLOCATE_KINDS)
}

/** A zeroed tensor in memory of its own, until `release`. */
export async function allocate(
  gpu: Gpu,
  shape: Shape,
  dtype: DType,
  options: AllocateOptions = {},
): Promise<Tensor> {
  expectAllocation('allocate', gpu, shape, dtype, options)
  const { label = 'tensor', owner = 'tensors', sharded = false } = options
  await gpu.check()
  const bytes = bytesOf(shape, dtype)
  const usage = USAGE_RESIDENT()
  if (bytes <= gpu.bindingLimit) {
    const [buffer] = await gpu.buffers.allocate([{ label, bytes, usage, owner }])
    return residentTensor(expectDefined(buffer, 'buffer'), shape, dtype, label)
  }
  const [rows = 1, ...rest] = shape
  // Whole pairs of rows, so that 16-bit shards end on a word
  const rowBytes = (sizeOf(rest) * BITS[dtype]) / 8
  const perShard = Math.floor(gpu.bindingLimit / rowBytes / 2) * 2
  if (!sharded || perShard < 2) {
    throw new LimitError(
      `${label}: [${shape.join(', ')}] ${dtype} is ${formatBytes(bytes)}, this adapter binds at most ` +
        `${formatBytes(gpu.bindingLimit)} at once. Use a smaller model, or an adapter with a larger limit.`,
    )
  }
  const parts: { firstRow: number; rows: number }[] = []
  for (let firstRow = 0; firstRow < rows; firstRow += perShard) {
    parts.push({ firstRow, rows: Math.min(perShard, rows - firstRow) })
  }
  const buffers = await gpu.buffers.allocate(
    parts.map((part, i) => ({
      label: `${label} ${i}`,
      bytes: bytesOf([part.rows, ...rest], dtype),
      usage,
      owner,
    })),
  )
  const shards = parts.map((part, i): WeightShard => {
    const partBytes = bytesOf([part.rows, ...rest], dtype)
    return { ...part, storage: { kind: 'resident', bytes: partBytes, label, buffer: entryOf(buffers, i) } }
  })
  return { shape, dtype, size: sizeOf(shape), storage: entryOf(shards, 0).storage, shards }
}

/**
 * A tensor in memory of its own, filled from the host.
 *
 * @param data an array of the type's own class, as in `RunValues.inputs`; it is read before this returns its promise
 * @throws UsageError if it is an array of another class, ShapeError if it has another length
 */
export async function upload(
  gpu: Gpu,
  data: HostArray,
  shape: Shape,
  dtype: DType,
  options: AllocateOptions = {},
): Promise<Tensor> {
  expectAllocation('upload', gpu, shape, dtype, options)
  // A copy: the caller's array may change while memory is being allocated
  const all = deviceBytes('upload: the data', data, shape, dtype).slice()
  const x = await allocate(gpu, shape, dtype, options)
  try {
    const uploader = new Uploader(gpu)
    let offset = 0
    for (const { buffer, bytes: length } of storagesOf(x)) {
      await uploader.write(expectDefined(buffer, 'buffer'), 0, all.subarray(offset, offset + length))
      offset += length
    }
    return x
  } catch (error) {
    release(gpu, x)
    throw error
  }
}

/** The storages of a tensor: one, or its shards. */
export function storagesOf(x: Tensor): readonly Storage[] {
  return x.shards ? x.shards.map((s) => s.storage) : [x.storage]
}

/** Frees a resident tensor. */
export function release(gpu: Gpu, x: Tensor): void {
  expectGpu('release', gpu)
  expectTensor('release', 'x', x)
  if (x.storage.kind !== 'resident') {
    throw new UsageError("release: x is a plan's own; it is freed with the plan, by its `release`.")
  }
  for (const { buffer, texture } of storagesOf(x)) {
    if (buffer) gpu.buffers.release(buffer)
    if (texture) gpu.buffers.release(texture)
  }
  if (x.scales) release(gpu, x.scales)
}
