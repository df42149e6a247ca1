// The arena: the sizes of all dispatches of a plan, a slot each, kept in host memory and uploaded in one write.
//
// Most of them never change and are written once. Those that a run may set are listed, so that a replay looks at
// these alone, and uploads only when one of them differs from the last run's.

import { describe, listed } from '../../check.ts'
import { UsageError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { type Kernel, SIZES_SLOT_BYTES, type SizeField } from '../kernel.ts'
import type { SizeValue } from '../recorder.ts'
import { fitsSize, SIZE_RANGES } from './dispatch.ts'

/** A dispatch, or a piece of one. */
export interface SizedStep {
  /** The kernel, whose `Sizes` fix the place of each field in the slot. */
  readonly kernel: Kernel
  /** The values by field name; `cut` names the field that gets `firstGroup`. */
  readonly dispatch: { readonly sizes: Readonly<Record<string, SizeValue>>; readonly cut?: string }
  /** The size that `cut` names. */
  readonly firstGroup: number
}

/** A size that runs may set. */
interface Place {
  readonly offset: number
  readonly type: SizeField['type']
  readonly param: string
  readonly plus: number
  readonly most?: number
}

/**
 * The sizes of all steps of a plan, a slot of SIZES_SLOT_BYTES each, and the parameters of a run that they depend
 * on.
 */
export class Arena {
  readonly #plan: string
  readonly #bytes: ArrayBuffer
  readonly #view: DataView
  readonly #places: readonly Place[]
  readonly #names: ReadonlySet<string>
  /** The device has other sizes than we. */
  #stale = true

  /** @param declared names of parameters that runs may give, though no step needs them */
  constructor(plan: string, steps: readonly SizedStep[], declared: Iterable<string> = []) {
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
    this.#names = new Set([...declared, ...places.map(({ param }) => param)])
  }

  /** Bytes of the buffer that the arena of so many steps is uploaded to. */
  static bytesFor(steps: number): number {
    return Math.max(steps, 1) * SIZES_SLOT_BYTES
  }

  /** @throws UsageError if one that the plan needs is missing, one is no such number, or one isn't the plan's */
  set(params: Readonly<Record<string, number>>): void {
    const plan = printable(this.#plan)
    for (const name of Object.keys(params)) {
      if (this.#names.has(name)) continue
      throw new UsageError(
        `Plan ${plan}: there is no parameter '${printable(name)}'. Its parameters: ${listed([...this.#names])}.`,
      )
    }
    for (const { offset, type, param, plus, most } of this.#places) {
      const argument = Object.hasOwn(params, param) ? params[param] : undefined
      if (argument === undefined) {
        throw new UsageError(`Plan ${plan}: parameter '${printable(param)}' is missing from the run.`)
      }
      const value = typeof argument === 'number' ? argument + plus : argument
      if (!fitsSize(type, value) || (most !== undefined && value > most)) {
        const sum = plus === 0 ? '' : ` and ${plus} are added to it`
        throw new UsageError(
          `Plan ${plan}: parameter '${printable(param)}' is ${describe(argument)}${sum}; expected ` +
            `${most === undefined ? SIZE_RANGES[type] : `a whole number from 0 to ${most}`}.`,
        )
      }
      this.#stale = this.#put(offset, type, value) || this.#stale
    }
  }

  /** Writes all slots to the start of the buffer, unless nothing changed since the last upload. */
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
