// A NaN or an infinity is found in weights of every type, wherever it is and however the bytes lie; what is merely
// large is not.

import { expect, test } from 'vitest'
import { firstNotFinite } from '../../src/io/finite.ts'

const { NaN: nan, POSITIVE_INFINITY: infinity, NEGATIVE_INFINITY: minus } = Number

interface Bits {
  Words: Uint32ArrayConstructor | Uint16ArrayConstructor
  finite: number[]
  not: [word: number, value: number][]
}

/** Bits of 1, of the largest finite numbers and of the smallest, and of numbers that aren't finite. */
const TYPES: Record<'F32' | 'BF16' | 'F16', Bits> = {
  F32: {
    Words: Uint32Array,
    finite: [0x3f800000, 0x7f7fffff, 0xff7fffff, 0x00000001, 0x80000000, 0x7f000000],
    not: [
      [0x7f800000, infinity],
      [0xff800000, minus],
      [0x7fc00000, nan],
      [0xffc00000, nan], // the NaN that x86 makes of inf - inf
      [0x7f800001, nan],
    ],
  },
  BF16: {
    Words: Uint16Array,
    finite: [0x3f80, 0x7f7f, 0xff7f, 0x0001, 0x8000, 0x7f00],
    not: [
      [0x7f80, infinity],
      [0xff80, minus],
      [0x7fc0, nan],
      [0xff81, nan],
    ],
  },
  F16: {
    Words: Uint16Array,
    finite: [0x3c00, 0x7bff, 0xfbff, 0x0001, 0x8000, 0x7800],
    not: [
      [0x7c00, infinity],
      [0xfc00, minus],
      [0x7e00, nan],
      [0xfc01, nan],
    ],
  },
}

for (const [dtype, { Words, finite, not }] of Object.entries(TYPES)) {
  const type = dtype as keyof typeof TYPES
  /** The bytes of these words, `shift` bytes into their buffer. */
  const bytesOf = (words: ArrayLike<number>, shift: number): Uint8Array<ArrayBuffer> => {
    const from = new Uint8Array(Words.from(words).buffer)
    const to = new Uint8Array(from.length + shift)
    to.set(from, shift)
    return to.subarray(shift)
  }

  test(`${dtype}: the first number that isn't finite, at any place and alignment`, () => {
    // 70,001 elements are more than one block, and an odd number
    for (const length of [1, 2, 3, 64, 70_001]) {
      for (const shift of [0, 1, 2, 4]) {
        const words = Array.from({ length }, (_, i) => finite[i % finite.length]!)
        expect(firstNotFinite(bytesOf(words, shift), type)).toBeUndefined()
        for (const index of new Set([0, 1, length >> 1, length - 2, length - 1])) {
          if (index < 0 || index >= length) continue
          for (const [word, value] of not) {
            const first = firstNotFinite(bytesOf(words.with(index, word), shift), type)
            expect(first, `${word.toString(16)} at ${index} of ${length}`).toEqual({ index, value })
          }
        }
      }
    }
    expect(firstNotFinite(new Uint8Array(0), type)).toBeUndefined()
  })
}

test('whole numbers have no NaN', () => {
  expect(firstNotFinite(new Uint8Array(8).fill(255), 'I32')).toBeUndefined()
})
