// SHA-256 (FIPS 180-4) of bytes that come in pieces: by the host, where it has one for pieces (Node, Deno and Bun,
// about 13 times as fast), else by our own. Browsers have crypto.subtle, which takes a file only whole, and ours may
// have eight gigabytes.

import { hostSha256 } from '#hash'

/** A hash that takes its bytes in pieces: node:crypto's and ours. */
export interface PiecewiseHash {
  update(bytes: Uint8Array): unknown
  digest(format: 'hex'): string
}

export class Sha256 {
  readonly #hash: PiecewiseHash = hostSha256?.() ?? new PortableSha256()

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes)
    return this
  }

  /** 64 hex digits. Nothing can follow. */
  digest(): string {
    return this.#hash.digest('hex')
  }
}

/** Of 64 bytes; the fractions of the cube roots of the first 64 primes. */
const ROUNDS = fractions(64, Math.cbrt)
/** The fractions of the square roots of the first 8. */
const START = fractions(8, Math.sqrt)
const BLOCK = 64

/** Ours, which runs anywhere. */
export class PortableSha256 implements PiecewiseHash {
  readonly #state = Int32Array.from(START)
  readonly #schedule = new Int32Array(64)
  /** Bytes that don't fill a block yet. */
  readonly #rest = new Uint8Array(BLOCK)
  #length = 0

  update(bytes: Uint8Array): this {
    const held = this.#length % BLOCK
    this.#length += bytes.length
    let at = 0
    if (held > 0) {
      at = Math.min(BLOCK - held, bytes.length)
      this.#rest.set(bytes.subarray(0, at), held)
      if (held + at < BLOCK) return this
      this.#compress(this.#rest, 0)
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.#compress(bytes, at)
    this.#rest.set(bytes.subarray(at))
    return this
  }

  digest(_format: 'hex' = 'hex'): string {
    const bits = BigInt(this.#length) * 8n
    const padding = new Uint8Array(1 + ((119 - (this.#length % BLOCK)) % BLOCK)) // to 8 bytes before a block's end
    const end = new Uint8Array(8)
    new DataView(end.buffer).setBigUint64(0, bits)
    padding[0] = 0x80
    this.update(padding).update(end)
    return hexOf(this.#state)
  }

  #compress(bytes: Uint8Array, at: number): void {
    const [w, state] = [this.#schedule, this.#state]
    for (let t = 0, i = at; t < 16; t++, i += 4) {
      w[t] = (bytes[i]! << 24) | (bytes[i + 1]! << 16) | (bytes[i + 2]! << 8) | bytes[i + 3]!
    }
    for (let t = 16; t < 64; t++) {
      const [x, y] = [w[t - 15]!, w[t - 2]!]
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
      w[t] = (w[t - 16]! + s0 + w[t - 7]! + s1) | 0
    }
    let a = state[0]!
    let b = state[1]!
    let c = state[2]!
    let d = state[3]!
    let e = state[4]!
    let f = state[5]!
    let g = state[6]!
    let h = state[7]!
    for (let t = 0; t < 64; t++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
      const one = (h + s1 + (g ^ (e & (f ^ g))) + ROUNDS[t]! + w[t]!) | 0
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
    state[0]! += a
    state[1]! += b
    state[2]! += c
    state[3]! += d
    state[4]! += e
    state[5]! += f
    state[6]! += g
    state[7]! += h
  }
}

/** Of a short text, at once. */
export function sha256Hex(text: string): string {
  return new Sha256().update(new TextEncoder().encode(text)).digest()
}

function hexOf(words: Int32Array): string {
  return Array.from(words, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
}

/** 32 bits after the point of a root of each of the first primes: doubles hold 52. */
function fractions(count: number, root: (prime: number) => number): Int32Array {
  const primes: number[] = []
  for (let n = 2; primes.length < count; n++) if (primes.every((p) => n % p !== 0)) primes.push(n)
  return Int32Array.from(primes, (prime) => ((root(prime) % 1) * 2 ** 32) | 0)
}
