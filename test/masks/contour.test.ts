// The outlines of masks, filled again, are the masks: bit for bit at the default tolerance, whatever the mask, and with
// an IoU that falls as the tolerance grows. Holes stay holes, and noise takes no time out of proportion.

import { describe, expect, test } from 'vitest'
import { EXACT_TOLERANCE, polygonsOf } from '../../src/masks/contour.ts'
import { type Mask, maskOf } from '../../src/masks/mask.ts'
import { boxOf } from '../../src/masks/picture.ts'
import { rasterizePolygons } from '../../src/masks/polygon.ts'
import { counterBytes } from '../fixtures/random.ts'
import { drawMask, expectSameMask, kindOf, recorded } from './drawn.ts'

function iou(a: Mask, b: Mask): number {
  const both = a.data.filter((bit, i) => bit & b.data[i]!).length
  return both / (a.area + b.area - both)
}

test('the tolerance that is exact lies below the distance of a line from the nearest centre', () => {
  expect(EXACT_TOLERANCE).toBeLessThan(Math.SQRT2 / 4)
})

test.each(recorded.kinds)('masks of the kind %s come back bit for bit', (kind) => {
  for (const n of recorded.masks.keys()) {
    if (kindOf(n) !== kind) continue
    const mask = drawMask(n)
    const polygons = polygonsOf(mask)
    expectSameMask(rasterizePolygons(polygons, mask.width, mask.height), mask, `mask ${n}`)
    for (const ring of polygons.flat()) expect(ring.length).toBeGreaterThanOrEqual(3)
  }
})

test('a higher tolerance leaves fewer points, and masks of the model stay much the same', () => {
  const masks = [...recorded.masks.keys()].filter((n) => kindOf(n) === 'real').map(drawMask)
  const large = masks.filter(({ area }) => area > 200)
  expect(large.length).toBeGreaterThan(30)
  const counts = [0, EXACT_TOLERANCE, 1].map((tolerance) => {
    let points = 0
    for (const mask of large) {
      const polygons = polygonsOf(mask, { tolerance })
      points += polygons.flat(2).length
      const least = tolerance > EXACT_TOLERANCE ? 0.9 : 1
      expect(iou(rasterizePolygons(polygons, mask.width, mask.height), mask)).toBeGreaterThanOrEqual(least)
    }
    return points
  })
  expect(counts[1]).toBeLessThan(0.9 * counts[0]!)
  expect(counts[2]).toBeLessThan(0.5 * counts[1]!)
})

test('a ring has its hole, and an island in it is a polygon of its own', () => {
  const mask = maskOf(
    7,
    7,
    Uint8Array.from({ length: 49 }, (_, i) => {
      const distance = Math.max(Math.abs((i % 7) - 3), Math.abs(Math.floor(i / 7) - 3))
      return distance === 3 || distance === 0 ? 1 : 0
    }),
  )
  const polygons = polygonsOf(mask)
  expect(polygons.map((rings) => rings.length).sort((a, b) => a - b)).toEqual([1, 2])
})

test('points lie within half a pixel of the mask', () => {
  for (const tolerance of [0, EXACT_TOLERANCE, 3]) {
    const mask = drawMask(12)
    const [x0, y0, x1, y1] = boxOf(mask)!
    for (const [x, y] of polygonsOf(mask, { tolerance }).flat(2)) {
      expect(x >= x0 && x <= x1 && y >= y0 && y <= y1).toBe(true)
    }
  }
})

test('a single pixel stays at any tolerance', () => {
  const mask = maskOf(3, 3, Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0))
  for (const tolerance of [0, EXACT_TOLERANCE, 2, 1e6]) {
    expect(rasterizePolygons(polygonsOf(mask, { tolerance }), 3, 3).area, `at ${tolerance}`).toBe(1)
  }
})

test('any value that is not 0 is inside', () => {
  const data = Uint8Array.of(0, 255, 7, 1, 0, 0)
  const ones = data.map((value) => Math.min(value, 1))
  expect(polygonsOf({ width: 3, height: 2, data })).toEqual(polygonsOf({ width: 3, height: 2, data: ones }))
})

test('noise of 600 x 600 pixels, a comb of 2,000 teeth: exact, and in seconds', () => {
  const noise = maskOf(
    600,
    600,
    counterBytes('contour.noise', [600, 600]).map((byte) => Number(byte < 158)),
  )
  const comb = maskOf(
    4000,
    60,
    Uint8Array.from({ length: 240_000 }, (_, i) => Number(i < 4000 || i % 2 === 0)),
  )
  for (const mask of [noise, comb]) {
    const begin = performance.now()
    const polygons = polygonsOf(mask)
    // Whole, noise takes half a minute on an idle machine, and tiles a second
    expect(performance.now() - begin).toBeLessThan(20_000)
    expectSameMask(
      rasterizePolygons(polygons, mask.width, mask.height),
      mask,
      `${mask.width} x ${mask.height}`,
    )
  }
})

describe('is refused', () => {
  test.each([
    [{ width: 2, height: 2, data: Uint8Array.of(1) }, {}, /2 x 2 pixels, but data has 1 byte/],
    [{ width: 0, height: 0, data: new Uint8Array(0) }, {}, /0 x 0/],
    [null, {}, /the mask is null/],
    [drawMask(0), { tolerance: -1 }, /tolerance is -1, expected a finite number of at least 0/],
    [drawMask(0), { tolerance: Number.NaN }, /tolerance is NaN/],
    [drawMask(0), { tolerence: 1 }, /no option 'tolerence'/],
  ])('case %#', (mask, options, message) => {
    expect(() => polygonsOf(mask as never, options as never)).toThrow(message)
  })
})
