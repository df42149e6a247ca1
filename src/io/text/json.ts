// A strict JSON reader for files that may be hostile.
//
// JSON.parse builds whatever a file says: 30 MB of `[{},{},...]` become gigabytes of objects. It also keeps the last of
// two equal keys, makes `__proto__` a trap and turns 2^53 + 1 into 2^53. This reader walks over the bytes; its caller
// says what is built, so memory follows what is kept, not what is written. Three ways to use it:
//
//   JsonReader   the caller visits objects and lists, and skips what it doesn't know (safetensors headers, indexes)
//   parseJson    everything as values: objects are Maps, and a whole number is a bigint; what isn't written as one
//                (1.0, 1e3, -0, or more than 20 digits) is a number and so can't pass for a size
//   plainJson    everything as JSON.parse makes it, once the reader has walked over it (configs, tokenizers)
//
// All of them count while they read, and refuse a key that occurs twice in an object, unless that is skipped.

import { breathe } from '../../breathe.ts'
import { quoted } from '../../printable.ts'

/** A JSON value as {@link parseJson} builds it: whole numbers are bigints, objects are Maps. */
export type Json = string | bigint | number | boolean | null | Json[] | Map<string, Json>

/** The most that a file may hold. */
export interface JsonLimits {
  /** Keys and values of any kind. */
  readonly values: number
  /** Objects and lists, which take far more memory than they have characters. */
  readonly containers: number
  /** Bytes of a key. */
  readonly keyBytes: number
}

/** Limits for small files such as config.json. */
export const SMALL_JSON: JsonLimits = { values: 100_000, containers: 10_000, keyBytes: 1024 }

const MAX_DEPTH = 32
/** Keys or elements that are read in a row: a millisecond's work, if the values aren't long. */
const VALUES_PER_TURN = 128
const WHOLE = /^(?:0|[1-9]\d{0,19})$/

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a]
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST] = [0x7b, 0x7d, 0x5b, 0x5d]
const [ZERO, NINE, MINUS, PLUS, POINT] = [0x30, 0x39, 0x2d, 0x2b, 0x2e]
const [TRUE, FALSE, NULL] = [asciiOf('true'), asciiOf('false'), asciiOf('null')]

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws SyntaxError saying what is wrong, and at which byte */
export function parseJson(text: string | Uint8Array, limits: JsonLimits = SMALL_JSON): Json {
  const reader = new JsonReader(text, limits)
  const value = reader.value()
  reader.end()
  return value
}

/**
 * The value that JSON.parse makes.
 *
 * @param text without a byte order mark
 * @throws SyntaxError saying what is wrong, and at which byte; nothing was built then
 */
export function plainJson(text: string, limits: JsonLimits = SMALL_JSON): unknown {
  const reader = new JsonReader(text, limits)
  reader.check()
  reader.end()
  return JSON.parse(text)
}

/** Reads a value after the other: each method takes the one that comes next. All throw SyntaxError. */
export class JsonReader {
  readonly #bytes: Uint8Array
  readonly #limits: JsonLimits
  #at = 0
  #depth = 0
  #values = 0
  #containers = 0

  constructor(text: string | Uint8Array, limits: JsonLimits) {
    this.#bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
    this.#limits = limits
  }

  /**
   * @param visit is called with every key, and must take the value
   * @returns false, and takes nothing, unless an object comes next
   */
  object(visit: (key: string) => void): boolean {
    return this.#object(visit, new Keys())
  }

  /** @param keys collects the keys; without it they aren't read, and nobody notices that one occurs twice */
  #object(visit: (key: string) => void, keys?: Keys): boolean {
    if (!this.#took(OPEN_OBJECT)) return false
    this.#enter()
    if (!this.#took(CLOSE_OBJECT)) {
      do {
        if (keys) {
          visit(this.#key(keys))
          continue
        }
        this.#skipSpace()
        this.#count()
        this.#skipString(this.#limits.keyBytes)
        this.#expect(COLON)
        visit('')
      } while (this.#took(COMMA))
      this.#expect(CLOSE_OBJECT)
    }
    this.#depth--
    return true
  }

  #key(keys: Keys): string {
    this.#skipSpace()
    const begin = this.#at
    this.#count()
    const key = this.#string(this.#limits.keyBytes)
    if (keys.had(key)) this.#fail(`the key ${quoted(key, 80)} occurs twice, again`, begin)
    this.#expect(COLON)
    return key
  }

  /**
   * The same as `object`, for one that is large or has large values: lets other work of this thread in.
   *
   * @param visit may return a promise, which is awaited
   */
  async objectInTurns(visit: (key: string) => unknown, signal?: AbortSignal): Promise<boolean> {
    if (!this.#took(OPEN_OBJECT)) return false
    this.#enter()
    if (!this.#took(CLOSE_OBJECT)) {
      const keys = new Keys()
      let count = 0
      do {
        const visited = visit(this.#key(keys))
        if (visited instanceof Promise) await visited
        if (++count % VALUES_PER_TURN === 0) await breathe(signal)
      } while (this.#took(COMMA))
      this.#expect(CLOSE_OBJECT)
    }
    this.#depth--
    return true
  }

  /** @param visit is called for every element, and must take it */
  list(visit: (index: number) => void): boolean {
    if (!this.#took(OPEN_LIST)) return false
    this.#enter()
    if (!this.#took(CLOSE_LIST)) {
      let index = 0
      do visit(index++)
      while (this.#took(COMMA))
      this.#expect(CLOSE_LIST)
    }
    this.#depth--
    return true
  }

  /** The same as `list`, for a long one: lets other work of this thread in. */
  async listInTurns(visit: (index: number) => void, signal?: AbortSignal): Promise<boolean> {
    if (!this.#took(OPEN_LIST)) return false
    this.#enter()
    if (!this.#took(CLOSE_LIST)) {
      let index = 0
      do {
        visit(index++)
        if (index % VALUES_PER_TURN === 0) await breathe(signal)
      } while (this.#took(COMMA))
      this.#expect(CLOSE_LIST)
    }
    this.#depth--
    return true
  }

  /** @returns undefined, and takes nothing, unless a string comes next */
  string(): string | undefined {
    this.#skipSpace()
    if (this.#bytes[this.#at] !== QUOTE) return undefined
    this.#count()
    return this.#string()
  }

  /** @returns undefined, and skips it, if an object or a list comes next */
  scalar(): string | bigint | number | boolean | null | undefined {
    this.#skipSpace()
    const next = this.#bytes[this.#at]
    return next === OPEN_OBJECT || next === OPEN_LIST ? this.skip() : this.#scalar()
  }

  /** The value that comes next, as a whole: objects as Maps, whole numbers as bigints. */
  value(): Json {
    const object = new Map<string, Json>()
    if (this.object((key) => object.set(key, this.value()))) return object
    const list: Json[] = []
    if (this.list(() => list.push(this.value()))) return list
    return this.#scalar()
  }

  /** The value that comes next, as JSON.parse makes it. */
  plain(): unknown {
    this.#skipSpace()
    const begin = this.#at
    this.check()
    return JSON.parse(strictUtf8.decode(this.#bytes.subarray(begin, this.#at)))
  }

  /** Passes over the value that comes next. Only its syntax is checked, and nothing of it is kept. */
  skip(): undefined {
    const skip = (): void => this.skip()
    if (!this.#object(skip) && !this.list(skip)) this.#skipScalar()
  }

  /** The same, but a key that occurs twice is an error here too. */
  check(): void {
    const check = (): void => this.check()
    if (!this.object(check) && !this.list(check)) this.#skipScalar()
  }

  /** @throws SyntaxError if anything but space is left */
  end(): void {
    this.#skipSpace()
    if (this.#at < this.#bytes.length) this.#fail('something follows the end')
  }

  #skipScalar(): void {
    this.#skipSpace()
    this.#count()
    const next = this.#bytes[this.#at]
    if (next === QUOTE) this.#skipString()
    else if (isDigit(next) || next === MINUS) this.#skipNumber()
    else if (!this.#tookWord(TRUE) && !this.#tookWord(FALSE) && !this.#tookWord(NULL))
      this.#fail('a value is missing')
  }

  #scalar(): string | bigint | number | boolean | null {
    const string = this.string()
    if (string !== undefined) return string
    this.#count()
    if (this.#tookWord(TRUE)) return true
    if (this.#tookWord(FALSE)) return false
    if (this.#tookWord(NULL)) return null
    const number = this.#number()
    return WHOLE.test(number) ? BigInt(number) : Number(number)
  }

  #string(most = Number.POSITIVE_INFINITY): string {
    const begin = this.#at + 1
    const kind = this.#skipString(most)
    return this.#textOf(begin, this.#at - 1, kind)
  }

  /** @returns what is in it; unless that is ASCII alone, it was read for bad characters and escapes */
  #skipString(most = Number.POSITIVE_INFINITY): Kind {
    const bytes = this.#bytes
    const begin = this.#at
    if (bytes[begin] !== QUOTE) this.#fail('a string is missing')
    let at = begin + 1
    let kind: Kind = 'ascii'
    for (let byte = bytes[at]; byte !== QUOTE; byte = bytes[at]) {
      if (byte === undefined || byte < 0x20) this.#fail(BAD_STRING)
      if (byte === BACKSLASH) {
        kind = 'escaped'
        at++
      } else if (byte > 0x7f && kind === 'ascii') {
        kind = 'utf-8'
      }
      at++
    }
    if (at - begin - 1 > most) this.#fail(`a key of more than ${most} bytes`)
    if (kind !== 'ascii') this.#textOf(begin + 1, at, kind)
    this.#at = at + 1
    return kind
  }

  #textOf(begin: number, end: number, kind: Kind): string {
    if (kind === 'ascii' && end - begin < 64) return this.#ascii(begin, end)
    let text: string
    try {
      text = strictUtf8.decode(this.#bytes.subarray(begin, end))
      if (kind !== 'escaped') return text
      text = JSON.parse(`"${text}"`) as string
    } catch {
      return this.#fail(BAD_STRING, begin - 1)
    }
    // Half a surrogate pair: no UTF-8 text has one
    return /\p{Surrogate}/u.test(text) ? this.#fail(BAD_STRING, begin - 1) : text
  }

  #ascii(begin: number, end: number): string {
    return String.fromCharCode.apply(null, this.#bytes.subarray(begin, end) as unknown as number[])
  }

  /** Reads a number, and returns it as it is written. */
  #number(): string {
    const begin = this.#at
    this.#skipNumber()
    if (this.#at - begin < 64) return this.#ascii(begin, this.#at)
    return strictUtf8.decode(this.#bytes.subarray(begin, this.#at))
  }

  #skipNumber(): void {
    const begin = this.#at
    this.#tookByte(MINUS)
    if (!this.#tookByte(ZERO) && this.#digits() === 0) this.#fail('a value is missing', begin)
    if (this.#tookByte(POINT) && this.#digits() === 0) this.#fail('a digit is missing')
    if (this.#tookByte(0x65) || this.#tookByte(0x45)) {
      if (!this.#tookByte(PLUS)) this.#tookByte(MINUS)
      if (this.#digits() === 0) this.#fail('a digit is missing')
    }
  }

  #digits(): number {
    const begin = this.#at
    while (isDigit(this.#bytes[this.#at])) this.#at++
    return this.#at - begin
  }

  #tookByte(byte: number): boolean {
    if (this.#bytes[this.#at] !== byte) return false
    this.#at++
    return true
  }

  #tookWord(word: Uint8Array): boolean {
    for (let i = 0; i < word.length; i++) if (this.#bytes[this.#at + i] !== word[i]) return false
    this.#at += word.length
    return true
  }

  #skipSpace(): void {
    const bytes = this.#bytes
    let at = this.#at
    for (let byte = bytes[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; ) {
      byte = bytes[++at]
    }
    this.#at = at
  }

  /** Skips space, then takes `mark` if it is next. */
  #took(mark: number): boolean {
    this.#skipSpace()
    return this.#tookByte(mark)
  }

  #expect(mark: number): void {
    if (!this.#took(mark)) this.#fail(`"${String.fromCharCode(mark)}" is missing`)
  }

  #enter(): void {
    this.#count()
    if (++this.#depth > MAX_DEPTH + 1) this.#fail(`more than ${MAX_DEPTH} levels`)
    if (++this.#containers > this.#limits.containers) {
      this.#fail(`more than ${this.#limits.containers} objects and lists`)
    }
  }

  #count(): void {
    if (++this.#values > this.#limits.values) this.#fail(`more than ${this.#limits.values} keys and values`)
  }

  #fail(what: string, at = this.#at): never {
    throw new SyntaxError(`${what} at byte ${at}`)
  }
}

/** The keys of an object: most have a few, and a Set for each of 100,000 objects takes longer than all the rest. */
class Keys {
  readonly #list: string[] = []
  /** The same keys, once there are more than 8. */
  #set: Set<string> | undefined

  /** Adds a key. @returns true if it was there before */
  had(key: string): boolean {
    if (this.#set) {
      const { size } = this.#set
      return this.#set.add(key).size === size
    }
    if (this.#list.includes(key)) return true
    if (this.#list.push(key) > 8) this.#set = new Set(this.#list)
    return false
  }
}

/** The characters of a string: escapes may stand among those of UTF-8. */
type Kind = 'ascii' | 'utf-8' | 'escaped'

function asciiOf(word: string): Uint8Array {
  return new TextEncoder().encode(word)
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE
}

const BAD_STRING = 'a string has no end, or a bad character or escape'
