// Recording: model code calls ops, ops describe dispatches, nothing runs. What is recorded is symbolic: a
// Storage says how many bytes a tensor takes and where they come from, not which buffer holds them.

import { breathe } from '../breathe.ts'
import { describe } from '../check.ts'
import { UsageError } from '../errors.ts'
import { expectKind, FUNCTION, NAME } from '../options.ts'
import { type AdapterFacts, PLAIN_ADAPTER } from './adapter.ts'
import type { Kernel } from './kernel.ts'
import { checkDispatch } from './plan/dispatch.ts'

/**
 * Bytes that dispatches read and write.
 *
 * - `resident`      lives in a buffer of its own (weights, caches); any plan may use it
 * - `input`         filled from host memory at each run
 * - `bound`         a resident storage named at each run (a scene's features)
 * - `intermediate`  made and used inside the plan; its slot is chosen by liveness
 */
export interface Storage {
  /** Where its bytes live and for how long, as above. */
  readonly kind: 'resident' | 'input' | 'bound' | 'intermediate'
  /** The length of the binding that kernels see. */
  readonly bytes: number
  /** The name of an input or a bound tensor, the place in the model of an intermediate; for messages. */
  readonly label: string
  /** Only of resident storages; either of the two. */
  readonly buffer?: GPUBuffer
  /** The memory of weights that kernels read as a storage texture. */
  readonly texture?: GPUTexture
  /** Its first byte in the buffer; a multiple of STORAGE_ALIGNMENT. */
  readonly offset?: number
}

/** WebGPU's default alignment of a storage binding inside a buffer. */
export const STORAGE_ALIGNMENT = 256

/** A size that may change between runs without a new plan, such as a position in a KV cache. */
export interface Param {
  /** The name under which a run passes its value. */
  readonly param: string
  /** A number that is added to the value. */
  readonly plus: number
  /** The largest sum of both that a run may pass, which the op sets. */
  readonly most?: number
}

/** A number of a kernel's `Sizes`: a constant of the plan, or a {@link param} that each run gives. */
export type SizeValue = number | Param

/**
 * A named number given at each run: `{ params: { position: 320 } }`. A run may give it even where the plan doesn't need
 * it.
 */
export function param(name: string, plus = 0): Param {
  expectKind('param: the name', name, NAME)
  if (!Number.isSafeInteger(plus)) {
    throw new UsageError(`param: what is added to '${name}' is ${describe(plus)}, expected a whole number.`)
  }
  current?.params.add(name)
  return { param: name, plus }
}

/** The workgroups of a dispatch: a count, or a grid along x, y and z. */
export type Workgroups = number | readonly [x: number, y: number, z: number]

/** One launch of a kernel, as ops record it. */
export interface Dispatch {
  /** The kernel that runs. */
  readonly kernel: Kernel
  /** The tensors read, by binding name. `undefined`: this variant declares the binding but never reads it. */
  readonly reads: Readonly<Record<string, Storage | undefined>>
  /** The tensors written, by binding name. */
  readonly writes: Readonly<Record<string, Storage>>
  /** The values of the kernel's `Sizes`, by field name. */
  readonly sizes: Readonly<Record<string, SizeValue>>
  /** A count (folded into y past 65,535: use `group.x + group.y * groups.x`), or a grid. */
  readonly workgroups: Workgroups
  /** Floating-point operations, for cost reports and for cutting long plans into submissions. */
  readonly flops: number
  /** Bytes that have to move at the least; by default what it reads and writes, once each. */
  readonly bytes?: number
  /**
   * Names of a read and a write that may share memory when the read is the tensor's last: the kernel
   * then runs with `IN_PLACE = true` and finds its input in the write.
   */
  readonly inPlace?: {
    /** The binding that is read. */
    readonly read: string
    /** The binding that is written. */
    readonly write: string
  }
  /** A grid too long for one submission may be cut along y; the kernel adds this size to group.y. */
  readonly cut?: string
}

/** A dispatch with its place in the model. */
export interface RecordedDispatch extends Dispatch {
  /** Its place in the model: 'sam/layers.3/attn'. */
  readonly scope: string
}

/** A recording: what ops add while a plan's `build` runs. */
export class Recorder {
  /** The adapter that will run it. */
  adapter: AdapterFacts
  /** What was recorded, in the order in which it runs. */
  readonly dispatches: RecordedDispatch[] = []
  /** The storages that each run fills from host memory, by name. */
  readonly inputs: Map<string, Storage> = new Map()
  /** The storages that each run names a buffer for, by name; no name is also an input's. */
  readonly bound: Map<string, Storage> = new Map()
  /** Inputs that are row numbers, with how many rows the smallest table that they are looked up in has. */
  readonly tableRows: Map<Storage, number> = new Map()
  /** Names that `param` made. */
  readonly params: Set<string> = new Set()
  /** The labels of the scopes that are open, the outermost first. */
  readonly scopes: string[] = []
  readonly #own = new Set<Storage>()

  /** Another plan's tensors are taken for its own: of a recording that answers a question, and never runs. */
  readonly #isQuestion: boolean

  constructor(adapter: AdapterFacts = PLAIN_ADAPTER, isQuestion = false) {
    this.adapter = adapter
    this.#isQuestion = isQuestion
  }

  /** A storage that lives inside the plan; a dispatch must write it before another reads it. */
  intermediate(bytes: number): Storage {
    const storage: Storage = { kind: 'intermediate', bytes, label: this.scopes.join('/') }
    this.#own.add(storage)
    return storage
  }

  /** A storage that each run fills from host memory. @throws UsageError if the plan has an input of that name */
  input(name: string, bytes: number): Storage {
    return this.#declare(this.inputs, { kind: 'input', bytes, label: name })
  }

  /** A storage that each run names a buffer for. @throws UsageError if the plan has an input of that name */
  bind(name: string, bytes: number): Storage {
    return this.#declare(this.bound, { kind: 'bound', bytes, label: name })
  }

  /** True if the storage is an input, a bound tensor or an intermediate of this plan. */
  owns(storage: Storage): boolean {
    return this.#isQuestion || this.#own.has(storage)
  }

  /** The range of an input's ids: a run with others is refused before it begins. */
  limitIds(ids: Storage, rows: number): void {
    if (ids.kind !== 'input') return
    this.tableRows.set(ids, Math.min(rows, this.tableRows.get(ids) ?? rows))
  }

  #declare(table: Map<string, Storage>, storage: Storage): Storage {
    if (this.inputs.has(storage.label) || this.bound.has(storage.label)) {
      throw new UsageError(`The plan has two inputs named '${storage.label}'.`)
    }
    table.set(storage.label, storage)
    this.#own.add(storage)
    return storage
  }

  /** Adds it under the scopes that are open. @throws UsageError, KernelError (ours) if it doesn't fit its kernel */
  record(dispatch: Dispatch): void {
    checkDispatch(dispatch)
    this.dispatches.push({ ...dispatch, scope: this.scopes.join('/') })
  }
}

let current: Recorder | undefined

/** The recorder of the plan being built. */
export function recorder(): Recorder {
  if (!current) {
    throw new UsageError(
      'Ops record a plan: call them inside of the function that is passed to plan(gpu, name, build), before it returns.',
    )
  }
  return current
}

/** The recorder of the plan being built; undefined if none is. */
export function currentRecorder(): Recorder | undefined {
  return current
}

/** Runs `build` (synchronously) with a fresh recorder as the current one. */
export function recordWith<T>(
  build: (recorder: Recorder) => T,
  adapter?: AdapterFacts,
  isQuestion?: boolean,
): { recorder: Recorder; result: T } {
  const mine = new Recorder(adapter, isQuestion)
  return { recorder: mine, result: recordOn(mine, () => build(mine)) }
}

/** Runs a long `build` with a fresh recorder. Where it yields, other work of this thread gets its turn. */
export async function recordInTurns<T>(
  build: (recorder: Recorder) => Generator<void, T, void>,
  adapter: AdapterFacts,
  signal?: AbortSignal,
): Promise<{ recorder: Recorder; result: T }> {
  const mine = new Recorder(adapter)
  const steps = recordOn(mine, () => build(mine))
  for (;;) {
    await breathe(signal)
    const step = recordOn(mine, () => steps.next())
    if (step.done) return { recorder: mine, result: step.value }
  }
}

function recordOn<T>(mine: Recorder, work: () => T): T {
  const outer = current
  current = mine
  try {
    return work()
  } finally {
    current = outer
  }
}

/** Records `build` as part of the current plan, with other choices among variants than those of its Gpu. */
export function recordFor<T>(adapter: AdapterFacts, build: () => T): T {
  const mine = recorder()
  const outer = mine.adapter
  mine.adapter = adapter
  try {
    return build()
  } finally {
    mine.adapter = outer
  }
}

/** Labels what `build` records, for descriptions, profiles and messages. */
export function scope<T>(label: string, build: () => T): T {
  expectKind('scope: the label', label, NAME)
  expectKind('scope: build', build, FUNCTION)
  const { scopes } = recorder()
  scopes.push(label)
  try {
    return build()
  } finally {
    scopes.pop()
  }
}

/** Labels what a build that yields records, as {@link scope} does. */
export function* scopeSteps<T>(label: string, steps: Generator<void, T, void>): Generator<void, T, void> {
  for (;;) {
    const step = scope(label, () => steps.next())
    if (step.done) return step.value
    yield
  }
}

/** Runs a build that yields to its end, in one go. */
export function inOneGo<T>(steps: Generator<void, T, void>): T {
  let step = steps.next()
  while (!step.done) step = steps.next()
  return step.value
}
