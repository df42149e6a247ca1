// The words of a sentence that a checkpoint was not trained on. A model answers any words, so people are told which of
// theirs mean nothing to it.
//
// Case and punctuation don't matter, and a plural or a possessive is as known as its word. A slip of the pen is
// forgiven in words of five letters or more: a letter that is left out, added or swapped with its neighbour, and from
// six letters on another letter. The first letter must be right: "mouse" is no slip of "house".

import { describe } from '../../check.ts'
import { UsageError } from '../../errors.ts'

const WORD = /[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:['\u2019][\p{L}\p{M}\p{N}]+)*|\p{Extended_Pictographic}/gu
const APOSTROPHE = /['\u2019]/
const POSSESSIVE = /['\u2019]s$/
/** Letters of the shortest word with a slip, and of the shortest one with another letter. */
const SLIP = 5
const SUBSTITUTION = 6

/**
 * The words that a checkpoint was trained on, by its config's `knows.words`: which of a sentence's it doesn't know can
 * be told before the sentence is asked. Answers have the same as `unknownWords`.
 *
 * @example
 * ```ts
 * import { FlowSeg, KnownWords } from 'flowseg'
 *
 * const known = new KnownWords(['a', 'clock', 'the', 'umbrella'])
 * console.log(known.unknownIn('The umbrellas, a mug').join()) // mug
 *
 * const model = await FlowSeg.load()
 * const { words = [] } = model.config.knows ?? {} // of a checkpoint that lists none, none counts as unknown
 * console.log(new KnownWords(words).unknownIn('the umbrella').length) // 0
 * model.close()
 * ```
 */
export class KnownWords {
  readonly #words: ReadonlySet<string>
  /** Words by first letter and length, among which those with a typing error are looked for. */
  readonly #similar = new Map<string, string[]>()

  /**
   * @param words lower-case ones; of an empty list nothing follows, so that no word counts as unknown
   * @throws UsageError for what is no list of words
   */
  constructor(words: Iterable<string>) {
    const isList = typeof words === 'object' && words !== null && Symbol.iterator in words
    const all: readonly unknown[] = isList ? [...words] : []
    const wrong = all.find((word) => typeof word !== 'string')
    if (!isList || wrong !== undefined) {
      throw new UsageError(
        `KnownWords: the words are ${isList ? `a list with ${describe(wrong)}` : describe(words)}, expected a list of words.`,
      )
    }
    this.#words = new Set((all as readonly string[]).map(plain))
    for (const word of this.#words) {
      if (word.length < SLIP) continue
      const key = keyOf(word, word.length)
      const others = this.#similar.get(key)
      if (others) others.push(word)
      else this.#similar.set(key, [word])
    }
  }

  /** The words of a text that are not known, as they stand in it, each once. @throws UsageError for what is no text */
  unknownIn(text: string): string[] {
    if (typeof text !== 'string') {
      throw new UsageError(`unknownIn: the text is ${describe(text)}, expected a string.`)
    }
    if (this.#words.size === 0) return []
    const unknown = new Map<string, string>()
    for (const [found] of text.normalize('NFC').matchAll(WORD)) {
      const word = plain(found).replace(POSSESSIVE, '')
      if (!unknown.has(word) && !word.split(APOSTROPHE).every((part) => this.#has(part))) {
        unknown.set(word, found)
      }
    }
    return [...unknown.values()]
  }

  #has(word: string): boolean {
    const forms = formsOf(word)
    return forms.some((form) => this.#words.has(form)) || forms.some((form) => this.#hasSimilar(form))
  }

  #hasSimilar(word: string): boolean {
    if (word.length < SLIP) return false
    const lengths = [word.length - 1, word.length, word.length + 1]
    return lengths.some((length) =>
      this.#similar.get(keyOf(word, length))?.some((other) => isSlip(word, other)),
    )
  }
}

function plain(word: string): string {
  return word.normalize('NFC').toLowerCase()
}

function keyOf(word: string, length: number): string {
  return `${word.charAt(0)}${length}`
}

/** A word, what it may be the plural of, and its own plurals: a list may have only those. */
function formsOf(word: string): string[] {
  const forms = [word, `${word}s`, `${word}es`]
  if (word.endsWith('y')) forms.push(`${word.slice(0, -1)}ies`)
  if (word.length >= 4 && word.endsWith('s')) forms.push(word.slice(0, -1))
  if (word.length >= 5 && word.endsWith('es')) forms.push(word.slice(0, -2))
  if (word.length >= 5 && word.endsWith('ies')) forms.push(`${word.slice(0, -3)}y`)
  return forms
}

/** True if two words that begin with the same letter differ by one typing error. */
function isSlip(a: string, b: string): boolean {
  const [short, long] = a.length <= b.length ? [a, b] : [b, a]
  let i = 0
  while (i < short.length && short[i] === long[i]) i++
  const rest = short.slice(i)
  if (short.length < long.length) return rest === long.slice(i + 1)
  if (short.slice(i + 1) === long.slice(i + 1)) return short.length >= SUBSTITUTION
  return short[i] === long[i + 1] && short[i + 1] === long[i] && short.slice(i + 2) === long.slice(i + 2)
}
