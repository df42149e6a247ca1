// An object of a config.json, read key by key: a getter for each kind of value, which says what was expected if it is
// another.

import { WeightsError } from '../../errors.ts'
import { MAX_HEAD } from '../../ops/attention/attention.ts'
import { printable, quoted } from '../../printable.ts'

/** Sizes that have a limit. */
type LimitedSize =
  | 'image'
  | 'grid'
  | 'layers'
  | 'heads'
  | 'channels'
  | 'mlp'
  | 'vocab'
  | 'queries'
  | 'points'
  | 'tokens'
  | 'positions'
  | 'window'
  | 'textLength'
  | 'domainLength'
  | 'words'
  | 'wordLength'
  | 'examples'
  | 'exampleLength'
  | 'axes'

/**
 * The largest sizes that are taken, far above those of any model that runs here. With them a model has at most some
 * 50,000 tensors, whose elements together are fewer than 2^53: its parameters can be listed and counted before anything
 * is known.
 */
export const MOST: Readonly<Record<LimitedSize, number>> = {
  image: 8192,
  /** Patches per side. */
  grid: 512,
  layers: 512,
  heads: 1024,
  channels: 65_536,
  mlp: 2 ** 20,
  vocab: 2 ** 22,
  queries: 10_000,
  points: 64,
  tokens: 32_768,
  positions: 2 ** 31 - 1,
  window: 2 ** 24,
  textLength: 4096,
  domainLength: 400,
  words: 50_000,
  wordLength: 64,
  examples: 24,
  exampleLength: 200,
  axes: 1024,
}

/** Texts of a list, and how they must be. */
interface TextRule {
  /** Texts of the list. */
  readonly most: number
  /** Characters of each. */
  readonly length: number
  readonly is: (text: string) => boolean
  /** The kind of text, for messages: 'a lower-case word'. */
  readonly what: string
}

/** One object of the file. A getter without a fallback insists on its key. */
export class Section {
  readonly #values: ReadonlyMap<string, unknown>
  readonly #path: string
  readonly #file: string
  readonly #read = new Set<string>()

  constructor(json: unknown, path: string, file: string) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new WeightsError(
        `${printable(file)}: ${path.slice(0, -1) || 'the file'} is ${show(json)}, expected an object.`,
      )
    }
    this.#values = new Map<string, unknown>(Object.entries(json))
    this.#path = path
    this.#file = file
  }

  /** True if the file has the key, which counts as asked for. */
  has(key: string): boolean {
    this.#read.add(key)
    return this.#values.has(key)
  }

  /** The object under a key, whose own keys `done` doesn't check. @param fallback its contents without the key */
  section(key: string, fallback?: object): Section {
    return new Section(this.#get(key, fallback), `${this.#path}${key}.`, this.#file)
  }

  /** A whole number from 1 to `most`. @throws WeightsError */
  size(key: string, most: number, fallback?: number): number {
    const isSize = (v: unknown): v is number => isWhole(v) && v > 0 && v <= most
    return this.#checked(key, fallback, isSize, `a positive whole number, at most ${most}`)
  }

  /** A number from `least` to `most`, both included. @throws WeightsError */
  between(key: string, least: number, most: number, fallback?: number): number {
    const isBetween = (v: unknown): v is number => isNumber(v) && v >= least && v <= most
    return this.#checked(key, fallback, isBetween, `a positive number from ${least} to ${most}`)
  }

  /** A text with more than white space. @param most characters @throws WeightsError */
  text(key: string, fallback?: string, most: number = MOST.textLength): string {
    const isText = (v: unknown): v is string => typeof v === 'string' && v.trim() !== '' && v.length <= most
    return this.#checked(key, fallback, isText, `a text of at most ${most} characters`)
  }

  /** A list of different texts, none by default. The message names the first that is another. */
  texts(key: string, { most, length, is, what }: TextRule): readonly string[] {
    const isList = (v: unknown): v is unknown[] => Array.isArray(v) && v.length <= most
    const all = this.#checked(key, [], isList, `a list of at most ${most} texts`)
    const seen = new Set<string>()
    for (const [i, text] of all.entries()) {
      const isGood = typeof text === 'string' && text.length <= length && is(text) && !seen.has(text)
      if (!isGood)
        this.fail(`${key}[${i}]`, text, `${what} of at most ${length} characters, once in the list`)
      seen.add(text)
    }
    return [...seen]
  }

  /** @throws WeightsError if it is neither true nor false */
  flag(key: string, fallback?: boolean): boolean {
    return this.#checked(key, fallback, (v): v is boolean => typeof v === 'boolean', 'true or false')
  }

  /** One of these texts, as it is written. @throws WeightsError */
  oneOf<T extends string>(key: string, among: readonly T[], fallback?: T): T {
    return this.#checked(key, fallback, isOneOf(among), among.map((v) => `'${v}'`).join(' or '))
  }

  /** Whole numbers from 0 to `most`; the list may be empty, but not missing. @throws WeightsError */
  list(key: string, mostElements: number, most: number): number[] {
    const isList = (v: unknown): v is number[] =>
      Array.isArray(v) && v.length <= mostElements && v.every((n) => isWhole(n) && n >= 0 && n <= most)
    const wanted = `a list of whole numbers from 0 to ${most}, at most ${mostElements} of them`
    return this.#checked(key, undefined, isList, wanted)
  }

  /** Texts of these, each at most once. @throws WeightsError */
  listOf<T extends string>(key: string, among: readonly T[], fallback: readonly T[]): readonly T[] {
    const isList = (v: unknown): v is T[] =>
      Array.isArray(v) && v.every(isOneOf(among)) && new Set(v).size === v.length
    const wanted = `a list of ${among.map((v) => `'${v}'`).join(' and ')}, each at most once`
    return this.#checked(key, fallback, isList, wanted)
  }

  /** A rule of several keys, of which the message blames one. @throws WeightsError unless it holds */
  expect(holds: boolean, key: string, wanted: string): void {
    if (!holds) this.fail(key, this.#values.get(key), wanted)
  }

  /** @param value that of `ofKey`, which `divisor` must divide. @throws WeightsError that blames `key` */
  expectDivisor(key: string, divisor: number, ofKey: string, value: number): void {
    this.expect(value % divisor === 0, key, `a divisor of ${this.#path}${ofKey} (${value})`)
  }

  /** Checks that `heads` divides `hidden` channels, and that attention takes heads of that size. */
  expectHeads(heads: number, hidden: number): void {
    this.expectDivisor('heads', heads, 'hidden', hidden)
    const size = hidden / heads
    this.expect(isHead(size), 'heads', `heads of ${HEAD}; ${this.#path}hidden (${hidden}) makes them ${size}`)
  }

  /** Throws if there are keys that no getter asked for. */
  done(): void {
    const unknown = [...this.#values.keys()].find((key) => !this.#read.has(key))
    if (unknown === undefined) return
    const known = [...this.#read].join(', ')
    throw new WeightsError(
      `${printable(this.#file)}: ${this.#path}${printable(unknown, 80)} is not a key of this engine; expected one of ${known}. ` +
        'Is it misspelt, or the file made for a newer version?',
    )
  }

  /** @param value found there; undefined is told as missing. @throws WeightsError always */
  fail(key: string, value: unknown, wanted: string): never {
    const actual = value === undefined ? 'missing' : show(value)
    throw new WeightsError(`${printable(this.#file)}: ${this.#path}${key} is ${actual}, expected ${wanted}.`)
  }

  #get(key: string, fallback: unknown): unknown {
    this.#read.add(key)
    return this.#values.has(key) ? this.#values.get(key) : fallback
  }

  #checked<T>(key: string, fallback: T | undefined, fits: (value: unknown) => value is T, wanted: string): T {
    const value = this.#get(key, fallback)
    return fits(value) ? value : this.fail(key, value, wanted)
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number'
}

function isWhole(value: unknown): value is number {
  return Number.isInteger(value)
}

/**
 * The requirement of every attention on a head's channels, for messages. Deformable attention needs only the multiple
 * of 4.
 */
export const HEAD: string = `a multiple of 4 channels, at most ${MAX_HEAD}`

/** True if attention takes heads of so many channels. */
export function isHead(size: number): boolean {
  return size % 4 === 0 && size <= MAX_HEAD
}

function isOneOf<T extends string>(among: readonly T[]): (value: unknown) => value is T {
  return (value): value is T => among.some((v) => v === value)
}

/** A value as the file has it, shortened. */
function show(value: unknown): string {
  if (typeof value === 'string') return quoted(value, 80)
  return printable((typeof value === 'bigint' ? String(value) : JSON.stringify(value)) ?? 'undefined', 80)
}
