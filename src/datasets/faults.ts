// Faults of a data set: all of them are looked for before anything runs, and the first few are reported together.

import { FlowSegError } from '../errors.ts'
import { printable } from '../printable.ts'

/** As many as a person reads. */
const SHOWN = 10
/** Nobody waits for more. */
const MOST = 1000

/** Something wrong at one place of a data set. The message says what to do. */
export class Fault extends Error {}

/** The faults of a data set, collected while it is checked. */
export class Faults {
  readonly #name: string
  readonly #found: string[] = []

  /** @param name the data set, as the user typed it */
  constructor(name: string) {
    this.#name = name
  }

  /**
   * @param place where it is: 'line 3', or the name of a file
   * @throws FlowSegError with those so far, once they are very many
   */
  add(place: string, message: string): void {
    this.#found.push(`${place}: ${message}`)
    if (this.#found.length === MOST) this.expectNone()
  }

  /** Does a step; a Fault of it is collected. @returns its result, or undefined */
  take<T>(place: string, step: () => T): T | undefined {
    try {
      return step()
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      this.add(place, error.message)
      return undefined
    }
  }

  /** @throws FlowSegError 'ERR_DATASET' naming the first of them */
  expectNone(): void {
    const { length } = this.#found
    const [first] = this.#found
    if (first === undefined) return
    if (length === 1) throw damagedData(this.#name, first)
    const shown = this.#found.slice(0, SHOWN).map((fault) => `\n  ${fault}`)
    const more = length > SHOWN ? `\n  and ${length - SHOWN}${length === MOST ? ' or more' : ''} others` : ''
    throw new FlowSegError(
      'ERR_DATASET',
      `${printable(this.#name)} has ${length}${length === MOST ? ' or more' : ''} faults:${shown.join('')}${more}`,
    )
  }
}

/** The error for a single fault. */
export function damagedData(name: string, fault: string, options?: ErrorOptions): FlowSegError {
  return new FlowSegError('ERR_DATASET', `${printable(name)}, ${fault}`, options)
}
