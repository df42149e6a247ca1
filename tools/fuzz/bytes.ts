// Mutations that know nothing of what the bytes mean.

import type { Random } from './random.ts'

const BYTES = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x7d, 0x5b, 0x20, 0x0a, 0x1b]

/** Another array, changed in one to four ways. */
export function mutateBytes(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  let changed = bytes
  for (let i = random.chance(0.5) ? 0 : random.below(4); i >= 0; i--)
    changed = mutateOnce(random, changed, others)
  return changed
}

function mutateOnce(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const { length } = bytes
  const at = random.below(length + 1)
  const end = Math.min(length, at + 1 + random.below(random.of([1, 4, 16, 256])))
  const copy = bytes.slice()
  switch (random.below(9)) {
    case 0: // flip bits
      for (let i = random.below(8); i >= 0; i--) copy[random.below(length)]! ^= 1 << random.below(8)
      return copy
    case 1: // set bytes
      for (let i = at; i < end; i++) copy[i] = random.chance(0.5) ? random.below(256) : random.of(BYTES)
      return copy
    case 2: // truncate
      return copy.subarray(0, at)
    case 3: // leave out
      return join(bytes.subarray(0, at), bytes.subarray(end))
    case 4: // repeat
      return join(bytes.subarray(0, end), bytes.subarray(at))
    case 5: // repeat often
      return join(
        bytes.subarray(0, at),
        ...Array<Uint8Array>(1 + random.below(200)).fill(bytes.subarray(at, end)),
        bytes.subarray(end),
      )
    case 6: // put in
      return join(
        bytes.subarray(0, at),
        Uint8Array.from({ length: 1 + random.below(64) }, () => random.below(256)),
        bytes.subarray(at),
      )
    case 7: {
      // splice with another file
      const other = random.of(others)
      return join(bytes.subarray(0, at), other.subarray(random.below(other.length + 1)))
    }
    default: {
      // a huge or a tiny number, in either order
      const value = random.of([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xffff, 0x10000, length])
      const view = new DataView(copy.buffer, copy.byteOffset)
      if (at + 4 <= length) view.setUint32(at, value, random.chance(0.5))
      return copy
    }
  }
}

export function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
