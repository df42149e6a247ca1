// The arena: the sizes of all dispatches of a plan, a slot each, kept in host memory and uploaded in one write.
//
// Most of them never change and are written once. Those that a run may set are listed, so that a replay looks at
// these alone, and uploads only when one of them differs from the last run's.

import { KernelError } from '../errors.ts'
import { type Kernel, SIZES_SLOT_BYTES, type SizeField } from './kernel.ts'
import type { SizeValue } from './recorder.ts'

/** A dispatch, or a piece of one. */
export interface SizedStep {
  readonly kernel: Kernel
  readonly dispatch: { readonly sizes: Readonly<Record<string, SizeValue>>; readonly cut?: string }
  /** What the size named by `cut` is. */
  readonly firstGroup: number
}

/** A size that runs may set. */
interface Place {
  readonly offset: number
  readonly type: SizeField['type']
  readonly param: string
  readonly plus: number
}

export class Arena {
  readonly #plan: string
  readonly #bytes: ArrayBuffer
  readonly #view: DataView
  readonly #places: readonly Place[]
  /** The device has other sizes than we. */
  #stale = true

  constructor(plan: string, steps: readonly SizedStep[]) {
    this.#plan = plan
    this.#bytes = new ArrayBuffer(Arena.bytesFor(steps.length))
    this.#view = new DataView(this.#bytes)
    const places: Place[] = []
    steps.forEach(({ kernel, dispatch, firstGroup }, slot) => {
      kernel.sizes.forEach(({ name, type }, i) => {
        const offset = slot * SIZES_SLOT_BYTES + i * 4
        const value = dispatch.sizes[name] ?? (name === dispatch.cut ? firstGroup : 0)
        if (typeof value === 'number') this.#put(offset, type, value)
        else places.push({ offset, type, ...value })
      })
    })
    this.#places = places
  }

  /** Of the buffer that it is uploaded to. */
  static bytesFor(steps: number): number {
    return Math.max(steps, 1) * SIZES_SLOT_BYTES
  }

  /** @throws KernelError if one that the plan needs is missing */
  set(params: Readonly<Record<string, number>>): void {
    for (const { offset, type, param, plus } of this.#places) {
      const given = params[param]
      if (given === undefined) {
        throw new KernelError(`Plan ${this.#plan}: parameter '${param}' is missing from the run.`)
      }
      this.#stale = this.#put(offset, type, given + plus) || this.#stale
    }
  }

  upload(queue: GPUQueue, to: GPUBuffer): void {
    if (this.#stale) queue.writeBuffer(to, 0, this.#bytes)
    this.#stale = false
  }

  /** @returns whether that changed anything */
  #put(offset: number, type: SizeField['type'], value: number): boolean {
    const before = this.#view.getUint32(offset, true)
    if (type === 'f32') this.#view.setFloat32(offset, value, true)
    else if (type === 'i32') this.#view.setInt32(offset, value, true)
    else this.#view.setUint32(offset, value, true)
    return this.#view.getUint32(offset, true) !== before
  }
}
