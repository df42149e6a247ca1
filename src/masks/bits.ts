// Numbers of any width, one after the other, the highest bit first.

/** Writes numbers as bits. */
export class BitWriter {
  readonly #bytes: number[] = []
  #byte = 0
  #filled = 0

  /** The lowest `width` bits of a whole number; at most 32 of them. */
  write(value: number, width: number): void {
    for (let bit = width - 1; bit >= 0; bit--) {
      this.#byte = 2 * this.#byte + (Math.floor(value / 2 ** bit) % 2)
      if (++this.#filled < 8) continue
      this.#bytes.push(this.#byte)
      this.#byte = 0
      this.#filled = 0
    }
  }

  /** The bytes, and zeros up to the next; a whole byte of them where none are needed. */
  finish(): number[] {
    this.write(0, 8 - this.#filled)
    return this.#bytes
  }
}

/** Reads them. */
export class BitReader {
  readonly #bytes: ArrayLike<number>
  #at = 0

  constructor(bytes: ArrayLike<number>) {
    this.#bytes = bytes
  }

  /** The next number of this many bits; NaN past the end. */
  read(width: number): number {
    let value = 0
    for (const end = this.#at + width; this.#at < end; this.#at++) {
      const byte = this.#bytes[this.#at >> 3]
      value = byte === undefined ? Number.NaN : 2 * value + ((byte >> (7 - (this.#at & 7))) & 1)
    }
    return value
  }
}
