// The parts of answers that are computed on the host, each against its definition: probabilities, pairs, segments,
// overlaps, and maps of labels.

import { describe, expect, test } from 'vitest'
import { withMask } from '../../../src/model/output/answers.ts'
import { bestPairs, classProbabilities, likelyQueries } from '../../../src/model/output/classes.ts'
import { extentsOf, maskOfLabel, paintMasks } from '../../../src/model/output/label-map.ts'
import { distinct, overlapOf, unionOf } from '../../../src/model/output/overlap.ts'
import { segmentsOf } from '../../../src/model/output/panoptic.ts'
import { boxOf } from '../../../src/masks/picture.ts'
import { unpackMask } from '../../../src/model/segmentation.ts'
import { meant } from '../../../src/model/tasks/instances.ts'

describe('classes', () => {
  test('the background takes its share, and logits of any size are taken', () => {
    expect([...classProbabilities([0, 0, 0], 2)]).toEqual([1 / 3, 1 / 3])
    expect([...classProbabilities([500, -500, 500], 2)]).toEqual([0.5, 0])
    const [p = 0] = classProbabilities([0, 0.4], 1)
    expect(p).toBeCloseTo(1 / (1 + Math.exp(0.4)), 15)
  })

  test('as many pairs as queries, the best; ties by query, then by class', () => {
    const P = Float64Array.of(0.4, 0.4, 0.1, 0.4, 0.3, 0.2)
    expect(bestPairs(P, 2, 0).map(({ query, category }) => [query, category])).toEqual([
      [0, 0],
      [0, 1],
      [1, 1],
    ])
    expect(bestPairs(P, 2, 0.4)).toHaveLength(3) // at least the threshold
    expect(bestPairs(P, 2, 0.41)).toEqual([])
  })

  test('a query is its best class where that is above the threshold; the background has no say', () => {
    const P = Float64Array.of(0.5, 0.5, 0.1, 0.4, 0, 0.3)
    expect(likelyQueries(P, 2, 0.3)).toEqual([
      { query: 0, category: 0, probability: 0.5 },
      { query: 1, category: 1, probability: 0.4 },
    ])
  })
})

describe('segments', () => {
  const kept = [7, 1, 7, 2].map((category, query) => ({ query, category, probability: 0.75 + query / 64 }))
  const isStuff = (category: number) => category === 7

  test('ids grow, and fused stuff is listed once with its best score', () => {
    const counts = { own: [5, 6, 7, 8], full: [5, 6, 7, 8] }
    const { entries, ids } = segmentsOf(kept, counts, isStuff, false)
    expect(ids).toEqual([1, 2, 1, 3])
    expect(entries.map(({ id, area, score, queries }) => [id, area, score, queries])).toEqual([
      [1, 12, 0.78125, [0, 2]],
      [2, 6, 0.765625, [1]],
      [3, 8, 0.796875, [3]],
    ])
  })

  test("X-SAM's collide", () => {
    const { entries, ids } = segmentsOf(kept, { own: [1, 1, 1, 1], full: [1, 1, 1, 1] }, isStuff, true)
    expect(ids).toEqual([1, 2, 1, 2])
    expect(entries.map(({ id }) => id)).toEqual([1, 2, 1, 2])
  })

  test.each([
    [4, 5, 1],
    [79, 100, 0],
    [80, 100, 1],
    [0, 5, 0],
    [5, 0, 0],
    [9, 5, 1],
  ])('%i of %i pixels', (own, full, id) => {
    const one = kept.slice(1, 2)
    expect(segmentsOf(one, { own: [own], full: [full] }, isStuff, false).ids).toEqual([id])
  })
})

describe('masks as bits', () => {
  const bits = (...pixels: number[]) => {
    const words = new Uint32Array(3)
    for (const i of pixels) words[i >> 5]! |= 1 << (i & 31)
    return { bits: words, area: pixels.length }
  }

  test('overlap is intersection over union', () => {
    expect(overlapOf(bits(0, 31, 32, 70), bits(31, 32, 71, 0))).toBe(3 / 5)
    expect(overlapOf(bits(), bits())).toBe(0)
    expect(overlapOf(bits(5), bits())).toBe(0)
  })

  test('near-duplicates of a better one go, exactly 0.8 stays', () => {
    const nine = bits(0, 1, 2, 3, 4, 5, 6, 7, 8)
    const ten = bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    expect(distinct([ten, nine, bits(20)])).toEqual([ten, bits(20)])
    expect(distinct([bits(0, 1, 2, 3, 4), bits(0, 1, 2, 3)])).toHaveLength(2)
  })

  test('union, and painting with the first on top', () => {
    const [a, b] = [bits(0, 31), bits(31, 64)]
    expect(unionOf([a, b], 3)).toEqual(bits(0, 31, 64).bits)
    expect(unionOf([], 3)).toEqual(new Uint32Array(3))
    const labels = paintMasks([a, b], 70)
    expect([...labels.entries()].filter(([, label]) => label > 0)).toEqual([
      [0, 1],
      [31, 1],
      [64, 2],
    ])
  })
})

test('extents of labels are those of their masks', () => {
  const [width, height] = [7, 5]
  const labels = Uint16Array.from({ length: width * height }, (_, i) => [0, 3, 1, 3, 3, 0][(i * i) % 6]!)
  const map = { width, height, labels }
  extentsOf(map, 5).forEach(({ area, box }, label) => {
    const mask = maskOfLabel(map, label)
    expect([area, box]).toEqual([mask.area, boxOf(mask)])
  })
})

test('a mask is unpacked once, when it is asked for, and is there for structuredClone', () => {
  let times = 0
  const one = withMask({ id: 3 }, () => {
    times++
    return unpackMask([0b101], 3, 1)
  })
  expect(times).toBe(0)
  expect(one.mask.area).toBe(2)
  expect(structuredClone(one)).toEqual({ id: 3, mask: one.mask })
  expect(times).toBe(1)
})

test('several are meant from their own threshold on, and the best from that of what is found', () => {
  const ranking = [0.55, 0.52, 0.1].map((score, query) => ({ query, score }))
  const at = (threshold: number, all: number) => meant(ranking, { threshold, all }).map(({ query }) => query)
  expect(at(0.5, 0.6)).toEqual([0])
  expect(at(0.5, 0.5)).toEqual([0, 1])
  expect(at(0.56, 0.6)).toEqual([])
  expect(at(0.56, 0.5)).toEqual([]) // what is none can't be several
  expect(at(0, 0)).toEqual([0, 1, 2])
})
