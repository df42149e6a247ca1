// Random numbers by counting: the value depends on the key and on how many were drawn, nothing else.
// Any scene can be made alone, in any order, with the same bits in every runtime.

/** A 32-bit mix with good avalanche (lowbias32; Wellons 2018). */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** Numbers that follow from a list of keys, the same on every machine (a hash of key and count). */
export class KeyedRandom {
  readonly #key: number
  #count = 0

  /** A stream of its own for every list of keys. */
  constructor(...keys: readonly number[]) {
    this.#key = keys.reduce((key, k) => mix(key + Math.imul(k + 1, 0x9e3779b9)), 0x51ed270b)
  }

  /** Uniform in [0, 1). */
  next(): number {
    return mix(this.#key ^ mix(Math.imul(++this.#count, 0x9e3779b9))) / 2 ** 32
  }

  /** Uniform in [low, high). */
  range(low: number, high: number): number {
    return low + (high - low) * this.next()
  }

  /** A whole number in [low, high]. */
  int(low: number, high: number): number {
    return low + Math.floor((high - low + 1) * this.next())
  }

  /** True with this probability, from 0 to 1; takes one number of the stream. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** One of them, each as likely. @throws RangeError if there are none */
  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new RangeError('Random.pick: nothing to pick from')
    return from[Math.floor(from.length * this.next())] as T
  }

  /** The same values in a random order (Fisher-Yates). */
  shuffle<T>(values: readonly T[]): T[] {
    const out = [...values]
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(0, i)
      ;[out[i], out[j]] = [out[j] as T, out[i] as T]
    }
    return out
  }
}
