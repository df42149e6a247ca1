// The sine position embedding is transformers': square, oblong and at full width.

import { expect, test } from 'vitest'
import { sineEmbedding } from '../../../src/model/checkpoint/sine.ts'
import { expectGolden, loadGolden } from '../../fixtures/golden.ts'

const golden = loadGolden('sine')

test.each([
  ['64x4x4', 4, 4, 64],
  ['64x3x5', 3, 5, 64],
  ['256x32x32', 32, 32, 256],
])('sine embedding %s', (entry, H, W, d) => {
  expectGolden(entry, sineEmbedding(H, W, d), golden, 1e-7) // computed in float64, rounded once
})

test('y comes before x, and positions count from 1', () => {
  const [H, W, d] = [2, 3, 8]
  const table = sineEmbedding(H, W, d)
  const lastPixel = table.subarray((H * W - 1) * d)
  // The last row and the last column are both at 2 pi: sine 0, cosine 1 in the fastest pair of each half
  for (const half of [0, d / 2]) {
    expect(lastPixel[half]).toBeCloseTo(0, 4)
    expect(lastPixel[half + 1]).toBeCloseTo(1, 6)
  }
  // In the first pixel y is half way round, x a third
  expect(table[0]).toBeCloseTo(Math.sin(Math.PI), 5)
  expect(table[d / 2]).toBeCloseTo(Math.sin((2 / 3) * Math.PI), 5)
})
