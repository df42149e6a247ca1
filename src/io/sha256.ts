// SHA-256 (FIPS 180-4) of bytes that come in pieces: by the host, where it has one for pieces (Node, Deno and Bun,
// about 13 times as fast), else by our own. Browsers have crypto.subtle, which takes a file only whole, and ours may
// have eight gigabytes.

import { hostSha256 } from '#hash'
import { viewOf } from '../view.ts'

/** A hash that takes its bytes in pieces: node:crypto's and ours. */
export interface PiecewiseHash {
  /** Appends bytes; they may be changed as soon as it returns. */
  update(bytes: Uint8Array): unknown
  /** 64 hex digits. Nothing can follow. */
  digest(format: 'hex'): string
}

/** SHA-256 of bytes that come in pieces, by whichever of the two this runtime has. */
export class Sha256 {
  readonly #hash: PiecewiseHash = hostSha256?.() ?? new PortableSha256()

  /** Appends bytes; they may be changed as soon as it returns. */
  update(bytes: Uint8Array): this {
    this.#hash.update(bytes)
    return this
  }

  /** 64 hex digits. Nothing can follow. */
  digest(): string {
    return this.#hash.digest('hex')
  }
}

/** Bytes of a block, and of a word. */
const [BLOCK, WORD] = [64, 4]
/** A word per round: the fractions of the cube roots of the first 64 primes. */
const ROUNDS = fractions(64, Math.cbrt)
/** The first state: the fractions of the square roots of the first 8 primes. */
const START = fractions(8, Math.sqrt)

/** The eight words, named as in the standard. Fields are faster than an array, which is read out by its iterator. */
interface State {
  a: number
  b: number
  c: number
  d: number
  e: number
  f: number
  g: number
  h: number
}

/** Ours, which runs anywhere. */
export class PortableSha256 implements PiecewiseHash {
  readonly #state: State = firstState()
  readonly #schedule = new DataView(new ArrayBuffer(64 * WORD))
  /** Bytes that don't fill a block yet. */
  readonly #rest = new Uint8Array(BLOCK)
  #length = 0

  /** Appends bytes; those of an unfinished block are copied. */
  update(bytes: Uint8Array): this {
    const held = this.#length % BLOCK
    this.#length += bytes.length
    let at = 0
    if (held > 0) {
      at = Math.min(BLOCK - held, bytes.length)
      this.#rest.set(bytes.subarray(0, at), held)
      if (held + at < BLOCK) return this
      this.#compress(viewOf(this.#rest), 0)
    }
    const view = viewOf(bytes)
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.#compress(view, at)
    this.#rest.set(bytes.subarray(at))
    return this
  }

  /** 64 hex digits, whatever the format is called. Nothing can follow. */
  digest(_format: 'hex' = 'hex'): string {
    const bits = BigInt(this.#length) * 8n
    const padding = new Uint8Array(1 + ((119 - (this.#length % BLOCK)) % BLOCK)) // to 8 bytes before a block's end
    const end = new Uint8Array(8)
    new DataView(end.buffer).setBigUint64(0, bits)
    padding[0] = 0x80
    this.update(padding).update(end)
    const { a, b, c, d, e, f, g, h } = this.#state
    return [a, b, c, d, e, f, g, h].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #compress(block: DataView, at: number): void {
    const [w, state] = [this.#schedule, this.#state]
    for (let t = 0; t < 16 * WORD; t += WORD) w.setInt32(t, block.getInt32(at + t), true)
    for (let t = 16 * WORD; t < 64 * WORD; t += WORD) {
      const x = w.getInt32(t - 15 * WORD, true)
      const y = w.getInt32(t - 2 * WORD, true)
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
      w.setInt32(t, (w.getInt32(t - 16 * WORD, true) + s0 + w.getInt32(t - 7 * WORD, true) + s1) | 0, true)
    }
    let { a, b, c, d, e, f, g, h } = state
    for (let t = 0; t < 64 * WORD; t += WORD) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
      const one = (h + s1 + (g ^ (e & (f ^ g))) + ROUNDS.getInt32(t, true) + w.getInt32(t, true)) | 0
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
      const two = (s0 + ((a & b) | (c & (a | b)))) | 0
      h = g
      g = f
      f = e
      e = (d + one) | 0
      d = c
      c = b
      b = a
      a = (one + two) | 0
    }
    state.a = (state.a + a) | 0
    state.b = (state.b + b) | 0
    state.c = (state.c + c) | 0
    state.d = (state.d + d) | 0
    state.e = (state.e + e) | 0
    state.f = (state.f + f) | 0
    state.g = (state.g + g) | 0
    state.h = (state.h + h) | 0
  }
}

/** The hash of a short text, at once. */
export function sha256Hex(text: string): string {
  return new Sha256().update(new TextEncoder().encode(text)).digest()
}

function firstState(): State {
  const word = (i: number): number => START.getInt32(i * WORD, true)
  return { a: word(0), b: word(1), c: word(2), d: word(3), e: word(4), f: word(5), g: word(6), h: word(7) }
}

/** 32 bits after the point of a root of each of the first primes, little endian: doubles hold 52. */
function fractions(count: number, root: (prime: number) => number): DataView {
  const primes: number[] = []
  for (let n = 2; primes.length < count; n++) if (primes.every((p) => n % p !== 0)) primes.push(n)
  const words = new DataView(new ArrayBuffer(count * WORD))
  for (const [i, prime] of primes.entries()) words.setInt32(i * WORD, (root(prime) % 1) * 2 ** 32, true)
  return words
}
