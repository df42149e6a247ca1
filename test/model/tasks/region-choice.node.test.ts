// Of the masks that a region may mean, X-SAM's rule chooses one (spec of the tasks, 4.5): by scores, overlaps and
// clicks.

import { describe, expect, test } from 'vitest'
import { packMask, unpackMask } from '../../../src/model/segmentation.ts'
import { boxOverlap, chooseMask } from '../../../src/model/tasks/region-choice.ts'

describe('the choice', () => {
  const option = (query: number, score: number, overlap: number, isHit = false) => ({
    query,
    score,
    overlap,
    isHit,
  })

  test('of two kept masks, boxes equal to the prompt’s win (check 11)', () => {
    const [mask, prompt] = [
      [2, 2, 8, 8],
      [2, 2, 8, 8],
    ] as const
    expect(boxOverlap(mask, prompt)).toBe(1)
    const options = [option(0, 0.9, boxOverlap([0, 0, 20, 20], prompt)), option(1, 0.6, 1)]
    expect(chooseMask(options, 0.5, false)?.query).toBe(1)
  })

  test('is among those that reach the threshold, or else the best', () => {
    const options = [option(3, 0.45, 0.1), option(1, 0.3, 0.9), option(2, 0.5, 0)]
    expect(chooseMask(options, 0.5, false)?.query).toBe(2)
    expect(chooseMask(options, 0.4, false)?.query).toBe(3)
    expect(chooseMask(options, 0.9, false)?.query).toBe(2)
    expect(chooseMask(options, 0, false)?.query).toBe(1)
    expect(chooseMask([], 0.5, false)).toBeUndefined()
  })

  test('of equal overlaps is the highest score, then the lower query', () => {
    expect(chooseMask([option(0, 0.6, 0), option(1, 0.8, 0), option(2, 0.7, 0)], 0.5, false)?.query).toBe(1)
    expect(chooseMask([option(5, 0.6, 0.2), option(4, 0.6, 0.2)], 0.5, false)?.query).toBe(4)
  })

  test('of hits is the highest score, and without one that of overlaps', () => {
    const options = [option(0, 0.9, 0.1), option(1, 0.7, 0.2, true), option(2, 0.8, 0.1, true)]
    expect(chooseMask(options, 0.5, true)?.query).toBe(2)
    expect(chooseMask(options.slice(0, 1), 0.5, true)?.query).toBe(0)
  })

  test('overlaps are 0 where nothing meets', () => {
    expect(boxOverlap([0, 0, 2, 2], [2, 0, 4, 2])).toBe(0)
    expect(boxOverlap([0, 0, 2, 2], null)).toBe(0)
    expect(boxOverlap([0, 0, 4, 2], [2, 1, 4, 5])).toBe(2 / 14)
  })

  test('bits of a mask and back', () => {
    const data = Uint8Array.from({ length: 77 }, (_, i) => Number(i % 3 === 0 || i > 70))
    expect(unpackMask(packMask(data), 11, 7).data).toEqual(data)
  })
})
