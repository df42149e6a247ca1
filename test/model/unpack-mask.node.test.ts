// Bits of a mask become bytes: whole words and mixed ones, and a last word that is longer than the mask.

import { expect, test } from 'vitest'
import { unpackMask } from '../../src/model/segmentation.ts'
import { uniform } from '../support.ts'

test.each([
  [1, 1],
  [31, 1],
  [32, 3],
  [33, 7],
  [640, 481],
])('a mask of %i x %i', (width, height) => {
  const size = width * height
  // A third of the words is empty, a third full; the rest, and what is past the end, is anything
  const kinds = uniform(Math.ceil(size / 32), 7)
  const noise = uniform(kinds.length, 9)
  const bits = Uint32Array.from(kinds, (kind, i) =>
    kind < -0.33 ? 0 : kind > 0.33 ? 0xffff_ffff : Math.floor(((noise[i] ?? 0) + 1) * 2 ** 31),
  )
  const expected = Uint8Array.from({ length: size }, (_, i) => ((bits[i >>> 5] ?? 0) >>> (i & 31)) & 1)
  const mask = unpackMask(bits, width, height)
  expect(mask.data).toEqual(expected)
  expect(mask).toMatchObject({ width, height, area: expected.filter((bit) => bit === 1).length })
})
