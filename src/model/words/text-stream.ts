// Token ids to text, as they come. A token may end in the middle of a character: byte-level vocabularies cut UTF-8
// anywhere. So a piece of text is given when its last character is whole.

/** The part of a tokenizer that this needs. */
export interface Decoder {
  /** The text of these ids, U+FFFD for bytes that make no character. */
  decode(ids: readonly number[]): string
}

/** Stands in decoded text for bytes that make no character, such as the first of one that isn't complete. */
const REPLACEMENT = '\uFFFD'
/** Ids that are decoded again with each new one, so that what depends on neighbours comes out as in the whole. */
const MOST_IDS = 16
const KEPT_IDS = 6

/** The text of a growing list of ids. */
export class TextStream {
  readonly #decoder: Decoder
  /** The last ids. */
  #ids: number[]
  /** Length of their text that was given already. */
  #emitted: number

  /** @param before ids that come before: their text isn't given, but may decide about white space after it */
  constructor(decoder: Decoder, before: readonly number[] = []) {
    this.#decoder = decoder
    this.#ids = [...before]
    this.#emitted = decoder.decode(this.#ids).length
  }

  /** Takes one more. @returns the text that is complete with it; often a word, sometimes nothing */
  push(id: number): string {
    this.#ids.push(id)
    const text = this.#decoder.decode(this.#ids)
    const whole = text.endsWith(REPLACEMENT) ? text.length - 1 : text.length
    const piece = text.slice(this.#emitted, whole)
    this.#emitted = Math.max(this.#emitted, whole)
    if (this.#ids.length > MOST_IDS) {
      const held = text.length - this.#emitted
      this.#ids = this.#ids.slice(-KEPT_IDS)
      this.#emitted = this.#decoder.decode(this.#ids).length - held
    }
    return piece
  }

  /** The rest, at the end: bytes that never became a character. */
  end(): string {
    const text = this.#decoder.decode(this.#ids)
    const piece = text.slice(this.#emitted)
    this.#emitted = text.length
    return piece
  }
}
