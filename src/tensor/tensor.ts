// Tensors and plans. A Tensor is a shape, a type and a place; ops make tensors by recording dispatches
// (src/gpu/recorder.ts), and `plan` turns a recording into something that runs.
//
// Layout is row-major and contiguous, feature maps are channels-last. f16, bf16, int8 and int4 are storage types of
// weights, widened in the kernels; activations are f32. Weights of matrix products may be packed (packed.ts).

import { describe, entryOf, expectDefined, expectWhole } from '../check.ts'
import { DISPOSE } from '../dispose.ts'
import { LimitError, ShapeError, UsageError } from '../errors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { formatBytes, roundUp } from '../gpu/memory.ts'
import { isKernel } from '../gpu/plan/dispatch.ts'
import { GpuPlan, type PlanInfo, type PlanSpec } from '../gpu/plan/plan.ts'
import {
  currentRecorder,
  type Dispatch,
  type Recorder,
  recorder,
  recordWith,
  STORAGE_ALIGNMENT,
  type Storage,
} from '../gpu/recorder.ts'
import { Uploader } from '../gpu/transfer.ts'
import { expectKind, expectOptions, FLAG, FUNCTION, type Kinds, NAME, TABLE, TASK_KINDS } from '../options.ts'
import { printable } from '../printable.ts'
import type { TaskOptions } from '../progress.ts'
import { BITS, expectDims, expectDType, expectGpu, expectPlain, expectTensor } from './check.ts'
import { deviceBytes, type HostArray } from './host-array.ts'
import { buffersOf, bytesOfInputs, outputsOf, RUN_KINDS, type TensorMap } from './values.ts'

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
  readonly shards?: readonly Shard[]
  /**
   * @internal A weight laid out for subgroup kernels, in a texture: see src/kernels/packed.ts. Only matrix products and
   * convolutions read it.
   */
  readonly packed?: Packed
  /** Of int8 [rows] and int4 [rows, groups of 32]: what stored numbers are multiplied by, f32. See quantize.ts. */
  readonly scales?: Tensor
}

export interface Packed {
  /** Rows of a group. */
  readonly lanes: number
  /** Texels of a row. */
  readonly texels: number
  /** Where the tensor begins in the texture: a multiple of lanes. */
  readonly firstRow: number
}

export interface Shard {
  readonly storage: Storage
  readonly firstRow: number
  readonly rows: number
}

/** Columns [start, start + count) of a tensor's last axis, read in place: one part of a fused qkv. */
export interface Columns {
  /** The whole. */
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
 * them because they begin at an odd place: then slice them (layout.ts).
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
  if (packed) {
    if (x.scales || start % packed.lanes !== 0) return undefined
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
  /** By the names of the bindings. `undefined`: this variant declares the binding but never reads it. */
  readonly reads: Readonly<Record<string, Tensor | undefined>>
  /** By the names of the bindings. */
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

/** How memory for a tensor is named in reports, and whether it may be split. */
export interface AllocateOptions {
  /** Name of the buffer, for messages and debuggers. */
  readonly label?: string
  /** Key of the memory report. */
  readonly owner?: string
  /** Split along the first axis when larger than one binding allows. Only for gather and matmul. */
  readonly sharded?: boolean
}

const ALLOCATE_KINDS: Kinds<AllocateOptions> = { label: NAME, owner: NAME, sharded: FLAG }

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
  const shards = parts.map((part, i): Shard => {
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

// ---------------------------------------------------------------------------------------------------------
// Plans

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>

// oxlint-disable-next-line typescript/no-generated-empty-object-type -- a table without names is what is meant
type NoTensors = Readonly<Record<never, Tensor>>

/**
 * The argument of a plan's `build`: two functions that declare what each run passes in. Name the inputs, as in
 * `({ input }: Inputs<'x'>)`, and TypeScript checks the names, here and where the plan runs.
 */
export interface Inputs<Input extends string = string, Bound extends string = string> {
  /** Filled from host memory at each run. */
  readonly input: (name: Input, shape: Shape, dtype?: DType) => Tensor
  /** A resident tensor named at each run; the plan may read it and, through ops that say so, change it. */
  readonly bound: (name: Bound, shape: Shape, dtype?: DType) => Tensor
}

/** The result of a plan's `build`. */
export interface Outputs<Read extends Tensors = Tensors, Keep extends Tensors = Tensors> {
  /** Read back to the host after each run. */
  readonly read?: Read
  /** Handed over after each run as resident tensors, which the caller releases or names in a later run's `into`. */
  readonly keep?: Keep
}

/** The values that a run of a plan is given. */
export interface RunValues<
  Input extends string = string,
  Bound extends string = string,
  Keep extends Tensors = Tensors,
> extends TaskOptions {
  /**
   * One array for each input, of its type: Float32Array, Uint32Array, Uint16Array of the bits of f16 and bf16. They are
   * read before `run` returns its promise. Row numbers of a `gather` that no row has are refused.
   */
  readonly inputs?: Readonly<Record<Input, HostArray>>
  /** One resident tensor for each name that `build` declared with {@link Inputs.bound}. */
  readonly bound?: Readonly<Record<Bound, Tensor>>
  /** One whole number for each {@link param}. */
  readonly params?: Readonly<Record<string, number>>
  /** Kept tensors of an earlier run, to be overwritten: a run that makes no new ones creates nothing on the device. */
  readonly into?: Partial<Keep>
  /** Owner of kept tensors on the memory ledger. */
  readonly owner?: string
}

/** The outputs of a run, under the names that `build` returned them by. */
export interface RunResult<Read extends Tensors = Tensors, Keep extends Tensors = Tensors> {
  /** f32 as Float32Array, u32 as Uint32Array. */
  readonly read: { readonly [Name in keyof Read]: Float32Array | Uint32Array }
  /** The outputs that stay on the device; the caller releases them. */
  readonly kept: { readonly [Name in keyof Keep]: Tensor }
}

/** A recording that is ready to run. `plan` infers the names of its outputs: `(await p.run()).read.y`. */
export interface Plan<
  Read extends Tensors = Tensors,
  Keep extends Tensors = Tensors,
  Input extends string = string,
  Bound extends string = string,
> {
  /** What a run costs. */
  readonly info: PlanInfo
  /**
   * Runs the plan once.
   *
   * @throws UsageError if what it is given doesn't fit the plan; DeviceLostError; the signal's reason
   */
  run(values?: RunValues<Input, Bound, Keep>): Promise<RunResult<Read, Keep>>
  /** Milliseconds of each dispatch in `info.dispatches`, by timestamps. */
  profile(values?: RunValues<Input, Bound, Keep>): Promise<number[]>
  /** Frees what the plan owns; kept outputs are the caller's. */
  release(): void
  /** The same, for `using`. */
  [Symbol.dispose](): void
}

/**
 * Records `build` and makes it ready to run: memory laid out, kernels compiled, sizes in place.
 *
 * @param name   for messages, profiles and the memory report
 * @param build  calls ops on tensors; synchronous, does no GPU work
 * @throws ShapeError and UsageError from the ops; LimitError or OutOfMemoryError naming the largest tensors
 *
 * @example
 * ```ts
 * import { linear, matmul, openGpu, plan, upload } from 'flowseg/engine'
 *
 * const gpu = await openGpu()
 * const weight = await upload(gpu, new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3], 'f32') // [N, K]
 * const layer = await plan(gpu, 'layer', ({ input }) => {
 *   const y = linear(input('x', [2, 3]), weight, { activation: 'relu' }) //                 [2, N]
 *   return { read: { y, gram: matmul(y, y, { transposeB: true }) } }
 * })
 * const { read } = await layer.run({ inputs: { x: new Float32Array([1, 1, 1, 0, 0, -1]) } })
 * console.log(Array.from(read.y).join()) // 6,15,0,0
 * console.log(Array.from(read.gram).join()) // 261,0,0,0
 * console.log(layer.info.dispatches.length) // 2
 * gpu.close()
 * ```
 */
export async function plan<
  Read extends Tensors = NoTensors,
  Keep extends Tensors = NoTensors,
  Input extends string = string,
  Bound extends string = string,
>(
  gpu: Gpu,
  name: string,
  build: (inputs: Inputs<Input, Bound>) => Outputs<Read, Keep>,
  options: TaskOptions = {},
): Promise<Plan<Read, Keep, Input, Bound>> {
  expectOptions('plan', options, TASK_KINDS)
  const { spec, inputs: own, bound, read, keep } = recordPlan(gpu, name, build)
  const ready = await GpuPlan.create(gpu, spec, options)
  const what = `plan ${printable(name)}`

  const translate = (values: RunValues<Input, Bound, Keep>) => {
    expectOptions(what, values, RUN_KINDS)
    const { inputs = {}, params = {}, owner } = values
    return {
      inputs: bytesOfInputs(what, inputs, own, spec),
      params: { ...params },
      bound: buffersOf(what, 'bound', values.bound ?? {}, bound),
      into: buffersOf(what, 'into', values.into ?? {}, keep),
      ...(owner === undefined ? {} : { keepOwner: owner }),
    }
  }

  return {
    info: ready.info,
    run: async (values = {}) => {
      const result = await ready.run(translate(values), values)
      const host = [...read].map(([label, x]): [string, Float32Array | Uint32Array] => {
        const buffer = expectDefined(result.read.get(label), `${what}: what was read of ${label}`)
        return [label, x.dtype === 'f32' ? new Float32Array(buffer) : new Uint32Array(buffer)]
      })
      const kept = [...keep].map(([label, x]): [string, Tensor] => {
        const buffer = expectDefined(result.kept.get(label), `${what}: the buffer of ${label}`)
        return [label, residentTensor(buffer, x.shape, x.dtype, label)]
      })
      // The names are those of the tables that `build` returned, which the types can't follow through the maps
      const outputs = { read: Object.fromEntries(host), kept: Object.fromEntries(kept) }
      return outputs as RunResult<Read, Keep>
    },
    profile: async (values = {}) => ready.profile(translate(values)),
    release: () => ready.release(),
    [DISPOSE]: () => ready.release(),
  }
}

/** Compiles the kernels of a plan that will be wanted later. */
export async function precompile(
  gpu: Gpu,
  name: string,
  build: (inputs: Inputs) => Outputs,
  options: TaskOptions = {},
): Promise<void> {
  await GpuPlan.precompile(gpu, recordPlan(gpu, name, build).spec, options)
}

interface RecordedPlan {
  readonly spec: PlanSpec
  readonly inputs: TensorMap
  readonly bound: TensorMap
  readonly read: TensorMap
  readonly keep: TensorMap
}

function recordPlan<Read extends Tensors, Keep extends Tensors>(
  gpu: Gpu,
  name: string,
  build: (inputs: Inputs) => Outputs<Read, Keep>,
): RecordedPlan {
  expectGpu('plan', gpu)
  expectKind('plan: the name', name, NAME)
  const what = `plan ${printable(name)}`
  expectKind(`${what}: build`, build, FUNCTION)
  const { recorder: recorded, result } = recordWith((r) => {
    const ways = waysIn(r, what)
    return { ...ways, outputs: build(ways.given) }
  }, gpu.adapter)
  const { inputs, bound, outputs } = result

  const { read, keep } = outputsOf(what, outputs, recorded)
  const storages = (table: TensorMap): Map<string, Storage> =>
    new Map([...table].map(([label, x]) => [label, x.storage]))
  return {
    spec: { name, recorder: recorded, read: storages(read), keep: storages(keep) },
    inputs,
    bound,
    read,
    keep,
  }
}

/** The argument of a plan's `build`, and the inputs that were declared by it. */
export function waysIn(
  r: Recorder,
  what: string,
): { readonly given: Inputs; readonly inputs: TensorMap; readonly bound: TensorMap } {
  const declared = { input: new Map<string, Tensor>(), bind: new Map<string, Tensor>() }
  const declare = (kind: 'input' | 'bind', label: string, shape: Shape, dtype: DType = 'f32'): Tensor => {
    if (currentRecorder() !== r) {
      throw new UsageError(`${what}: its inputs are declared inside of its own build function.`)
    }
    expectKind(`${what}: the name of an input`, label, NAME)
    expectDims(what, `'${printable(label)}'`, shape)
    expectDType(`${what}: '${printable(label)}'`, dtype)
    const x: Tensor = { shape, dtype, size: sizeOf(shape), storage: r[kind](label, bytesOf(shape, dtype)) }
    declared[kind].set(label, x)
    return x
  }
  const given: Inputs = {
    input: (label, shape, dtype) => declare('input', label, shape, dtype),
    bound: (label, shape, dtype) => declare('bind', label, shape, dtype),
  }
  return { given, inputs: declared.input, bound: declared.bind }
}
