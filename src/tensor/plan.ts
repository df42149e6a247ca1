// Plans: a recording of ops on tensors, turned into something that runs as often as you like.
//
// `build` is called once, under a recorder (src/gpu/recorder.ts), and declares what each run passes in. What a run
// takes and what it returns are checked here, by name (values.ts); memory, kernels and submissions are src/gpu/plan.

import { expectDefined } from '../check.ts'
import { DISPOSE } from '../dispose.ts'
import { UsageError } from '../errors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { GpuPlan, type PlanInfo, type PlanSpec } from '../gpu/plan/plan.ts'
import { currentRecorder, type Recorder, recordInTurns, recordWith, type Storage } from '../gpu/recorder.ts'
import { expectKind, expectOptions, FUNCTION, NAME, TASK_KINDS } from '../options.ts'
import { printable } from '../printable.ts'
import type { TaskOptions } from '../progress.ts'
import { expectDims, expectDType, expectGpu } from './check.ts'
import type { HostArray } from './host-array.ts'
import { bytesOf, type DType, residentTensor, type Shape, sizeOf, type Tensor } from './tensor.ts'
import { buffersOf, bytesOfInputs, outputsOf, RUN_KINDS, type TensorMap } from './values.ts'

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>

// oxlint-disable-next-line typescript/no-generated-empty-object-type -- a table without names is what is meant
type NoTensors = Readonly<Record<never, Tensor>>

/**
 * The argument of a plan's `build`: two functions that declare what each run passes in. Name the inputs, as in
 * `({ input }: Inputs<'x'>)`, and TypeScript checks the names, here and where the plan runs.
 */
export interface Inputs<Input extends string = string, Bound extends string = string> {
  /** Declares an input, which each run fills from host memory. */
  readonly input: (name: Input, shape: Shape, dtype?: DType) => Tensor
  /** Declares a resident tensor, which each run names; the plan may read it and, through ops that say so, change it. */
  readonly bound: (name: Bound, shape: Shape, dtype?: DType) => Tensor
}

/** The result of a plan's `build`. */
export interface Outputs<Read extends Tensors = Tensors, Keep extends Tensors = Tensors> {
  /** Tensors that are read back to the host after each run. */
  readonly read?: Read
  /**
   * Tensors that become the caller's after each run, as resident tensors to release or to name in a later run's
   * `into`.
   */
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
  /** Owner of kept tensors in the memory report. */
  readonly owner?: string
}

/** The outputs of a run, under the names that `build` returned them by. */
export interface RunResult<Read extends Tensors = Tensors, Keep extends Tensors = Tensors> {
  /** The outputs that were read back: f32 as Float32Array, u32 as Uint32Array. */
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
  /** The cost of a run. */
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
  /** The same as {@link Plan.release}, for `using`. */
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
  const recorded = recordPlan(gpu, name, build)
  return prepared(gpu, name, recorded, options)
}

/**
 * Makes a large plan as {@link plan} does, but `build` is a generator: where it yields, other work of this thread gets
 * its turn.
 */
export async function planInTurns<Read extends Tensors, Keep extends Tensors>(
  gpu: Gpu,
  name: string,
  build: (inputs: Inputs) => Generator<void, Outputs<Read, Keep>, void>,
  options: TaskOptions = {},
): Promise<Plan<Read, Keep>> {
  return prepared(gpu, name, await recordPlanInTurns(gpu, name, build, options), options)
}

async function recordPlanInTurns(
  gpu: Gpu,
  name: string,
  build: (inputs: Inputs) => Generator<void, Outputs, void>,
  { signal }: TaskOptions,
): Promise<RecordedPlan> {
  const what = `plan ${printable(name)}`
  const { recorder, result } = await recordInTurns(
    function* (r) {
      const ways = waysIn(r, what)
      return { ...ways, outputs: yield* build(ways.argument) }
    },
    gpu.adapter,
    signal,
  )
  return recordedPlan(name, recorder, result)
}

async function prepared<
  Read extends Tensors,
  Keep extends Tensors,
  Input extends string,
  Bound extends string,
>(
  gpu: Gpu,
  name: string,
  { spec, inputs: own, bound, read, keep }: RecordedPlan,
  options: TaskOptions,
): Promise<Plan<Read, Keep, Input, Bound>> {
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

/** Compiles the kernels of a large plan, which is recorded as by {@link planInTurns}. */
export async function precompileInTurns(
  gpu: Gpu,
  name: string,
  build: (inputs: Inputs) => Generator<void, Outputs, void>,
  options: TaskOptions = {},
): Promise<void> {
  await GpuPlan.precompile(gpu, (await recordPlanInTurns(gpu, name, build, options)).spec, options)
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
    return { ...ways, outputs: build(ways.argument) }
  }, gpu.adapter)
  return recordedPlan(name, recorded, result)
}

function recordedPlan(
  name: string,
  recorded: Recorder,
  { inputs, bound, outputs }: { inputs: TensorMap; bound: TensorMap; outputs: Outputs },
): RecordedPlan {
  const { read, keep } = outputsOf(`plan ${printable(name)}`, outputs, recorded)
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
): { readonly argument: Inputs; readonly inputs: TensorMap; readonly bound: TensorMap } {
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
  const argument: Inputs = {
    input: (label, shape, dtype) => declare('input', label, shape, dtype),
    bound: (label, shape, dtype) => declare('bind', label, shape, dtype),
  }
  return { argument, inputs: declared.input, bound: declared.bind }
}
