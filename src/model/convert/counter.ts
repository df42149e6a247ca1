// Random numbers by name and index. Element i of the stream `name` is a hash of both, so any part of a tensor can be
// made alone, in any order, bit for bit the same in every runtime; training/golden/counter.py makes the same in Python.

/** FNV-1a over the UTF-8 bytes of the name: 32 bits. */
export function streamSeed(name: string): number {
  let seed = 0x811c9dc5
  for (const byte of new TextEncoder().encode(name)) seed = Math.imul(seed ^ byte, 0x01000193)
  return seed >>> 0
}

/** A 32-bit bijection that looks random (lowbias32 with Wellons' later constants). */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0xd35a2d97)
  return x ^ (x >>> 15)
}

/** 32 bits for element i of a stream, as an unsigned integer. */
export function counterBits(seed: number, i: number): number {
  return mix(mix(i) ^ seed) >>> 0
}

/** Element i of a stream as one of the 2^24 multiples of 2^-23 in [-1, 1). */
export function counterUnit(seed: number, i: number): number {
  return (counterBits(seed, i) >>> 8) * 2 ** -23 - 1
}
