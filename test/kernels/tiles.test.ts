// The tile search takes the least work, edges and idle workers included; a grid has a workgroup for each tile.

import { expect, test } from 'vitest'
import { gridOf, leastWork } from '../../src/kernels/tiles.ts'

test('the tile with the least work: what lies past the edges counts, and so do workers that have nothing to do', () => {
  const small = { name: 'small', rows: 4, cols: 4, cycles: 40 }
  const large = { name: 'large', rows: 8, cols: 8, cycles: 100 }
  const chosen = (M: number, N: number, parallel: number) =>
    leastWork([large, small], { M, N }, parallel).name
  expect(chosen(64, 64, 1)).toBe('large') // 64 x 100 of 256 x 40
  expect(chosen(4, 64, 1)).toBe('small') // 16 x 40 of 8 x 100
  expect(chosen(64, 64, 1000)).toBe('small') // neither fills a thousand workers
  expect(leastWork([small], { M: 9, N: 5, batch: 3 }, 1)).toEqual({
    ...small,
    tilesM: 3,
    tilesN: 2,
    cost: 3 * 2 * 3 * 40,
  })
  expect(leastWork([{ ...small, workers: 4 }], { M: 9, N: 5 }, 1).cost).toBe(4 * 6 * 40)
  // Of equals the first
  expect(leastWork([{ ...small, name: 'first' }, small], { M: 9, N: 5 }, 1).name).toBe('first')
})

test('a grid has all workgroups, as few as can be in x, and rows to cut along y', () => {
  for (const groups of [1, 7, 8, 95, 4096, 65_535, 1_000_000, 5_000_000]) {
    const [x, y] = gridOf(groups)
    expect(x * y).toBeGreaterThanOrEqual(groups)
    expect(x * (y - 1)).toBeLessThan(groups)
    expect(Math.max(x, y)).toBeLessThanOrEqual(65_535)
  }
  expect(gridOf(95)).toEqual([8, 12])
})
