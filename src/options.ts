// Options as callers write them. Types say what is right, but callers in JavaScript, JSON and environment variables
// know nothing of types: a name that doesn't exist or a value of another kind is refused by name, never quietly left
// out.

import { describe, expectNames, isObject, listed, tagOf } from './check.ts'
import { UsageError } from './errors.ts'

/** A kind of value: whether something is one, and what it is called. */
export interface OptionKind {
  /** True if the value is of this kind; an option that is undefined is passed over before. */
  readonly is: (value: unknown) => boolean
  /** The kind with its article, as a message goes on behind 'expected'. */
  readonly what: string
}

/** The kind of each option; all are optional, and undefined stands for the default. */
export type OptionKinds<Options> = { readonly [Name in keyof Required<Options>]: OptionKind }

/** A function of any signature. */
export const FUNCTION: OptionKind = { is: (value) => typeof value === 'function', what: 'a function' }
/** A string, which may be empty. */
export const TEXT: OptionKind = { is: (value) => typeof value === 'string', what: 'a string' }
/** A string that is not empty. */
export const NAME: OptionKind = {
  is: (value) => typeof value === 'string' && value !== '',
  what: "a string that isn't empty",
}
/** A boolean. */
export const FLAG: OptionKind = { is: (value) => typeof value === 'boolean', what: 'true or false' }
/** An object with names of its own. */
export const OBJECT: OptionKind = { is: isObject, what: 'an object' }
/** An AbortSignal of any realm, such as an iframe's. */
export const SIGNAL: OptionKind = {
  is: (value) => isObject(value) && 'aborted' in value && 'addEventListener' in value,
  what: 'the `signal` of an AbortController',
}
/** A URL as a string or as a URL of any realm. */
export const ADDRESS: OptionKind = {
  is: (value) => typeof value === 'string' || tagOf(value) === 'URL',
  what: 'an address',
}
/** A whole number from 1 on, or Infinity. */
export const COUNT: OptionKind = {
  is: (value) => value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 1),
  what: 'a whole number of at least 1',
}
/** A number above 0, Infinity included. */
export const POSITIVE: OptionKind = {
  is: (value) => typeof value === 'number' && value > 0,
  what: 'a number above 0',
}
/** A number from 0 to 1. */
export const SHARE: OptionKind = {
  is: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  what: 'a number from 0 to 1',
}
/** A finite number from 0 on. */
export const SECONDS: OptionKind = {
  is: (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
  what: 'a finite number of at least 0',
}
/** A table of tensors, arrays or numbers, each under its name. */
export const TABLE: OptionKind = {
  is: (value) => isTable(value) && !('storage' in value),
  what: 'an object: a value for each name',
}
/** An object whose values are strings. */
export const TEXTS: OptionKind = {
  is: (value) => isTable(value) && Object.values(value).every((text) => typeof text === 'string'),
  what: 'an object of strings',
}

/** Not a Map, a promise or Headers, which have no names of their own and would pass for an empty one. */
function isTable(value: unknown): value is Record<string, unknown> {
  return isObject(value) && tagOf(value) === 'Object'
}

/** One of these words. */
export function oneOf(...words: readonly string[]): OptionKind {
  const quotes = words.map((word) => `'${word}'`)
  return { is: (value) => typeof value === 'string' && words.includes(value), what: listed(quotes, 'or') }
}

/** The kinds of TaskOptions, which every long task takes. */
export const TASK_KINDS: {
  readonly onProgress: OptionKind
  readonly signal: OptionKind
} = { onProgress: FUNCTION, signal: SIGNAL }

/**
 * @param call for messages: 'FlowSeg.load'
 * @throws UsageError naming the option and what it can be
 */
export function expectOptions<Options extends object>(
  call: string,
  options: Options,
  kinds: OptionKinds<Options>,
): void {
  expectNames(call, options, Object.keys(kinds))
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) expectKind(`${call}: ${name}`, value, kinds[name as keyof Options])
  }
}

/** @param what for messages: 'FlowSeg.load: quantize' */
export function expectKind(what: string, value: unknown, kind: OptionKind): void {
  if (kind.is(value)) return
  throw new UsageError(`${what} is ${describe(value)}, expected ${kind.what}.`)
}
