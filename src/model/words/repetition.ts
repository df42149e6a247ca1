// Notices that a model no longer says anything: small ones run on with spaces, a word or a few words for ever, where
// they should have ended the answer, and would do so to the last token that they may write.

/** Tokens at the end of an answer that are looked at. */
export const REPEAT_TOKENS = 64
/** The longest cycle of tokens that counts: it has come back at least four times then. */
const LONGEST_CYCLE = 16

/** Watches the tokens of one answer. */
export class Repetition {
  readonly #isBlank: (id: number) => boolean
  readonly #ids: number[] = []
  /** How many of the last tokens are blank. */
  #blanks = 0
  /** By length of a cycle: how many of the last tokens are what stood so many before them. */
  readonly #same = new Uint32Array(LONGEST_CYCLE + 1)

  /** @param isBlank whether a token is white space */
  constructor(isBlank: (id: number) => boolean) {
    this.#isBlank = isBlank
  }

  /** Takes the next token. @returns true if the last 64 are white space, or a cycle of 1 to 16 tokens */
  push(id: number): boolean {
    this.#blanks = this.#isBlank(id) ? this.#blanks + 1 : 0
    let isCycle = false
    for (let length = 1; length <= LONGEST_CYCLE; length++) {
      const same = this.#ids.at(-length) === id ? (this.#same[length] ?? 0) + 1 : 0
      this.#same[length] = same
      isCycle ||= same >= REPEAT_TOKENS - length
    }
    this.#ids.push(id)
    if (this.#ids.length > LONGEST_CYCLE) this.#ids.shift()
    return this.#blanks >= REPEAT_TOKENS || isCycle
  }
}
