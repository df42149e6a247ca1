// Random numbers that are the same for the same seed, and choices made with them.

export class Random {
  #state: number

  /** @param words numbers and texts that tell one stream from the others */
  constructor(...words: readonly (string | number)[]) {
    let hash = 0x811c9dc5 // FNV-1a
    for (const letter of words.join('\0')) hash = Math.imul(hash ^ letter.codePointAt(0)!, 0x01000193)
    this.#state = hash >>> 0
  }

  /** In [0, 1): mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.next() * below)
  }

  chance(share: number): boolean {
    return this.next() < share
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }
}
