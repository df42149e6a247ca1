// Checks of arguments. Types refuse a caller's slips while it compiles, but not those of JavaScript, of values that
// were read from a file, or of an object that was put together elsewhere. A slip that passes in silence computes
// something else.
//
// Options and values are refused with a UsageError, sizes with a ShapeError. `what` is the function's name, for the
// message. A Kind says which values an option can have (options.ts).

import { ShapeError, UsageError } from './errors.ts'
import { printable, quoted } from './printable.ts'

/** A value that the engine itself must have put there; `what` names it in the error. */
export function expectDefined<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`${what} is missing: a fault of flowseg, please report it.`)
  return value
}

/** An entry of a list that has it: an index out of its bounds is an error here, not `undefined` somewhere else. */
export function entryOf<T>(list: readonly T[], index: number): T {
  const entry = list[index]
  // The words are made for a failure alone: this runs per dispatch
  return entry === undefined ? expectDefined(entry, `entry ${index} of a list of ${list.length}`) : entry
}

/** The last of a list that has one. */
export function lastOf<T>(list: readonly T[], what: string = 'a list'): T {
  return expectDefined(list.at(-1), `the last of ${what}`)
}

/** The names of an options type, all of them: the compiler counts. */
export function namesOf<T extends object>(names: Readonly<Record<keyof T, true>>): readonly string[] {
  return Object.keys(names)
}

/** An object with these options and no others. Their values are checked by what takes them, or by options.ts. */
export function expectNames(what: string, options: unknown, known: readonly string[]): void {
  // Neither a signal nor a promise nor a map, which have no names of their own and would pass for no options at all
  if (typeof options !== 'object' || options === null || tagOf(options) !== 'Object') {
    throw new UsageError(
      `${what}: the options are ${describe(options)}, expected an object with ${listed(known)}.`,
    )
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const remedy = 'storage' in options ? 'Tensors are passed by name' : 'It takes'
    throw new UsageError(`${what}: there is no option '${printable(name)}'. ${remedy}: ${listed(known)}.`)
  }
}

/** A call's `arguments` are at most so many: JavaScript drops others in silence, such as an axis. */
export function expectNoMore(what: string, all: ArrayLike<unknown>, most: number): void {
  for (let i = most; i < all.length; i++) {
    if (all[i] === undefined) continue
    throw new UsageError(
      `${what}: argument ${i + 1} is ${describe(all[i])}, and there are at most ${most}. Leave it out.`,
    )
  }
}

/** A number that isn't NaN nor infinite; `least` is the least that is taken. */
export function expectFinite(what: string, name: string, value: unknown, least: number = -Infinity): void {
  if (typeof value === 'number' && Number.isFinite(value) && value >= least) return
  const wanted = least === -Infinity ? 'a finite number' : `a finite number of at least ${least}`
  throw new UsageError(`${what}: ${name} is ${describe(value)}, expected ${wanted}.`)
}

/** A size or a count. */
export function expectWhole(
  what: string,
  name: string,
  value: unknown,
  least: number = 1,
  most: number = MOST,
): void {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return
  const wanted = most === MOST ? `of at least ${least}` : `from ${least} to ${most}`
  throw new ShapeError(`${what}: ${name} is ${describe(value)}, expected a whole number ${wanted}.`)
}

/** Elements of a tensor, and of one of its axes: kernels count in 32 bits. */
export const MOST: number = 2 ** 32 - 1

/** Describes a value in a few words, for messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return quoted(value, 60)
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return printable(String(value), 60)
  if (Array.isArray(value)) return value.length < 9 ? `[${value.map(brief).join(', ')}]` : 'an array'
  if ('storage' in value && 'shape' in value) return 'a tensor'
  const kind = printable(tagOf(value), 60)
  return `${/^[AEIO]/.test(kind) ? 'an' : 'a'} ${kind === 'Object' ? 'object' : kind}`
}

/** 'Object', 'Array', 'Promise': the same in every realm. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}

function brief(value: unknown): string {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
    ? '...'
    : describe(value)
}

/** True if a value is an object with named properties, and neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** 'a, b and c'. */
export function listed(words: readonly string[], joint: 'and' | 'or' = 'and'): string {
  const shown = words.map((word) => printable(word, 60))
  const last = shown.pop()
  if (last === undefined) return 'nothing'
  return shown.length === 0 ? last : `${shown.join(', ')} ${joint} ${last}`
}
