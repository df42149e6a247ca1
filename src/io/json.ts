// A strict JSON reader for headers that may be hostile.
//
// JSON.parse keeps the last of two equal keys, makes `__proto__` a trap and turns 2^53 + 1 into 2^53.
// Here objects are Maps, a key that occurs twice is an error, and a whole number is a bigint: what is
// not written as one (1.0, 1e3, -0, or more than 20 digits) is a number and so can't pass for a size.

export type Json = string | bigint | number | boolean | null | Json[] | Map<string, Json>

const MAX_DEPTH = 32
const SPACE = /[ \t\n\r]*/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const WHOLE = /^(?:0|[1-9]\d{0,19})$/

/** @throws SyntaxError saying what is wrong, and at which character */
export function parseJson(text: string): Json {
  let at = 0

  const fail = (what: string): never => {
    throw new SyntaxError(`${what} at character ${at}`)
  }
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    at += found?.length ?? 0
    return found
  }
  /** Skips space, then takes `mark` if it is next. */
  const took = (mark: string): boolean => {
    match(SPACE)
    if (!text.startsWith(mark, at)) return false
    at += mark.length
    return true
  }
  const expect = (mark: string) => took(mark) || fail(`"${mark}" is missing`)

  const string = (): string => {
    match(SPACE)
    const begin = at
    if (text[at] !== '"') fail('a string is missing')
    // By hand: a regular expression exhausts the stack on a string of some megabytes
    do at = text.indexOf('"', at + 1)
    while (at > 0 && backslashesBefore(text, at) % 2 === 1)
    const raw = at > 0 ? text.slice(begin, ++at) : ''
    try {
      const value: unknown = JSON.parse(raw)
      if (typeof value === 'string' && !/\p{Surrogate}/u.test(value)) return value
    } catch {}
    at = begin
    return fail('a string has no end, or a bad character or escape')
  }

  const value = (depth: number): Json => {
    if (depth > MAX_DEPTH) fail(`more than ${MAX_DEPTH} levels`)
    if (took('{')) {
      const object = new Map<string, Json>()
      if (took('}')) return object
      do {
        match(SPACE)
        const begin = at
        const key = string()
        if (object.has(key)) {
          at = begin
          fail(`the key ${quote(key)} occurs twice, again`)
        }
        expect(':')
        object.set(key, value(depth + 1))
      } while (took(','))
      expect('}')
      return object
    }
    if (took('[')) {
      const array: Json[] = []
      if (took(']')) return array
      do array.push(value(depth + 1))
      while (took(','))
      expect(']')
      return array
    }
    if (text[at] === '"') return string()
    if (took('true')) return true
    if (took('false')) return false
    if (took('null')) return null
    const number = match(NUMBER) ?? fail('a value is missing')
    return WHOLE.test(number) ? BigInt(number) : Number(number)
  }

  const result = value(0)
  match(SPACE)
  if (at < text.length) fail('something follows the end')
  return result
}

function backslashesBefore(text: string, end: number): number {
  let begin = end
  while (text[begin - 1] === '\\') begin--
  return end - begin
}

/** For messages: quoted, escaped and of bounded length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text)
}
