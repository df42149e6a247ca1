// Recording: model code calls ops, ops describe dispatches, nothing runs. What is recorded is symbolic: a
// Storage says how many bytes a tensor takes and where they come from, not which buffer holds them.

import { KernelError } from '../errors.ts'
import { type AdapterFacts, PLAIN_ADAPTER } from './adapter.ts'
import type { Kernel } from './kernel.ts'

/**
 * Bytes that dispatches read and write.
 *
 * - `resident`      lives in a buffer of its own (weights, caches); any plan may use it
 * - `input`         filled from host memory at each run
 * - `bound`         a resident storage named at each run (a scene's features)
 * - `intermediate`  made and used inside the plan; its slot is chosen by liveness
 */
export interface Storage {
  readonly kind: 'resident' | 'input' | 'bound' | 'intermediate'
  readonly bytes: number
  readonly label: string
  /** Only of resident storages; either of the two. */
  readonly buffer?: GPUBuffer
  readonly texture?: GPUTexture
  /** Where in the buffer it begins; a multiple of STORAGE_ALIGNMENT. */
  readonly offset?: number
}

/** WebGPU's default alignment of a storage binding inside a buffer. */
export const STORAGE_ALIGNMENT = 256

/** A size that may change between runs without a new plan, such as a position in a KV cache. */
export interface Param {
  readonly param: string
  readonly plus: number
}

export type SizeValue = number | Param

/** A named number given at each run: `{ params: { position: 320 } }`. */
export function param(name: string, plus = 0): Param {
  return { param: name, plus }
}

export type Workgroups = number | readonly [x: number, y: number, z: number]

export interface Dispatch {
  readonly kernel: Kernel
  /** By binding name. `undefined`: this variant declares the binding but never reads it. */
  readonly reads: Readonly<Record<string, Storage | undefined>>
  readonly writes: Readonly<Record<string, Storage>>
  readonly sizes: Readonly<Record<string, SizeValue>>
  /** A count (folded into y past 65,535: use `group.x + group.y * groups.x`), or a grid. */
  readonly workgroups: Workgroups
  readonly flops: number
  /** Bytes that have to move at the least; by default what it reads and writes, once each. */
  readonly bytes?: number
  /**
   * Names of a read and a write that may share memory when the read is the tensor's last: the kernel
   * then runs with `IN_PLACE = true` and finds its input in the write.
   */
  readonly inPlace?: { readonly read: string; readonly write: string }
  /** A grid too long for one submission may be cut along y; the kernel adds this size to group.y. */
  readonly cut?: string
}

export interface RecordedDispatch extends Dispatch {
  /** Where in the model: 'sam/layers.3/attn'. */
  readonly scope: string
}

export class Recorder {
  /** What will run it. */
  readonly adapter: AdapterFacts
  readonly dispatches: RecordedDispatch[] = []
  readonly inputs: Map<string, Storage> = new Map()
  readonly bound: Map<string, Storage> = new Map()
  readonly scopes: string[] = []

  constructor(adapter: AdapterFacts = PLAIN_ADAPTER) {
    this.adapter = adapter
  }

  intermediate(bytes: number): Storage {
    return { kind: 'intermediate', bytes, label: this.scopes.join('/') }
  }

  input(name: string, bytes: number): Storage {
    return this.#declare(this.inputs, { kind: 'input', bytes, label: name })
  }

  bind(name: string, bytes: number): Storage {
    return this.#declare(this.bound, { kind: 'bound', bytes, label: name })
  }

  #declare(table: Map<string, Storage>, storage: Storage): Storage {
    if (this.inputs.has(storage.label) || this.bound.has(storage.label)) {
      throw new KernelError(`The plan has two inputs named '${storage.label}'.`)
    }
    table.set(storage.label, storage)
    return storage
  }

  record(dispatch: Dispatch): void {
    const { kernel, reads, writes, sizes } = dispatch
    for (const { name, access } of kernel.bindings) {
      if (access === 'uniform') continue
      const found = access === 'read_write' ? name in writes : name in reads
      if (!found) {
        throw new KernelError(
          `Kernel ${kernel.name}: binding '${name}' (${access}) is missing from the dispatch.`,
        )
      }
    }
    for (const name of [...Object.keys(reads), ...Object.keys(writes)]) {
      if (!kernel.bindings.some((b) => b.name === name)) {
        throw new KernelError(
          `Kernel ${kernel.name}: the dispatch names '${name}', which the shader doesn't bind.`,
        )
      }
    }
    const fields = kernel.sizes.map((f) => f.name)
    const given = Object.keys(sizes)
    const { cut, inPlace } = dispatch
    if (cut !== undefined && (!fields.includes(cut) || given.includes(cut))) {
      throw new KernelError(
        `Kernel ${kernel.name}: '${cut}' cuts the grid: Sizes must have it, the dispatch must not.`,
      )
    }
    if (inPlace && !/ IN_PLACE=false( |$)/.test(kernel.key)) {
      throw new KernelError(`Kernel ${kernel.name}: a dispatch in place needs the constant IN_PLACE: false.`)
    }
    for (const [written, to] of Object.entries(writes)) {
      for (const [name, from] of [...Object.entries(reads), ...Object.entries(writes)]) {
        if (name === written || !from || !sharesMemory(from, to)) continue
        throw new KernelError(
          `Kernel ${kernel.name}: '${name}' and '${written}' are one buffer, and one is written.`,
        )
      }
    }
    for (const name of fields) {
      if (!given.includes(name) && name !== cut) {
        throw new KernelError(`Kernel ${kernel.name}: size '${name}' is missing from the dispatch.`)
      }
    }
    for (const name of given) {
      if (!fields.includes(name)) {
        throw new KernelError(`Kernel ${kernel.name}: the dispatch gives size '${name}', which Sizes lacks.`)
      }
    }
    this.dispatches.push({ ...dispatch, scope: this.scopes.join('/') })
  }
}

/** WebGPU won't bind one buffer as written and for anything else in the same dispatch, even in disjoint ranges. */
function sharesMemory(a: Storage, b: Storage): boolean {
  return a === b || (a.buffer !== undefined && a.buffer === b.buffer)
}

let current: Recorder | undefined

/** The recorder of the plan being built. */
export function recorder(): Recorder {
  if (!current) throw new KernelError('Ops record a plan: call them inside plan(gpu, build).')
  return current
}

/** Runs `build` (synchronously) with a fresh recorder as the current one. */
export function recordWith<T>(
  build: (recorder: Recorder) => T,
  adapter?: AdapterFacts,
): { recorder: Recorder; result: T } {
  const outer = current
  const mine = new Recorder(adapter)
  current = mine
  try {
    return { recorder: mine, result: build(mine) }
  } finally {
    current = outer
  }
}

/** Labels what `build` records, for descriptions, profiles and messages. */
export function scope<T>(label: string, build: () => T): T {
  const { scopes } = recorder()
  scopes.push(label)
  try {
    return build()
  } finally {
    scopes.pop()
  }
}
