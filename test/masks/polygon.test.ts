// Polygons become masks by pycocotools' rule, equal to it, or by the centres of pixels, equal to the formula.

import { describe, expect, test } from 'vitest'
import { type Polygon, rasterizePolygons } from '../../src/masks/polygon.ts'
import { encodeRle } from '../../src/masks/rle.ts'
import { drawPolygons, recorded } from './drawn.ts'

const square = (x0: number, y0: number, x1: number, y1: number): [number, number][] => [
  [x0, y0],
  [x1, y0],
  [x1, y1],
  [x0, y1],
]

test('200 lists of polygons by the rule of COCO are as pycocotools has them', () => {
  expect(recorded.polygons).toHaveLength(200)
  for (const [n, counts] of recorded.polygons.entries()) {
    const { polygons, width, height } = drawPolygons(n)
    expect(encodeRle(rasterizePolygons(polygons, width, height, { rule: 'coco' })).counts, `case ${n}`).toBe(
      counts,
    )
  }
})

/** True if a point is inside, by a ray to its left; undefined where rounding decides. */
function isInside(polygon: Polygon, x: number, y: number, isExact: boolean): boolean | undefined {
  let inside = false
  for (const ring of polygon) {
    for (const [i, from] of ring.entries()) {
      const to = ring[(i + 1) % ring.length]!
      const [[x0, y0], [x1, y1]] = from[1] < to[1] ? [from, to] : [to, from]
      if (y < y0 || y >= y1) continue
      // The distance of the point to the right of the line, times the height of the edge
      const aside = (x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)
      if (!isExact && Math.abs(aside) < 1e-9) return undefined
      if (aside >= 0) inside = !inside
    }
  }
  return inside
}

test('the same polygons by centres are as the formula has them', () => {
  let uncertain = 0
  for (const n of recorded.polygons.keys()) {
    const { polygons, width, height, step } = drawPolygons(n)
    // Whatever overlaps as one polygon, too, whose rings then are each other's holes
    for (const list of [polygons, [polygons.flat()]]) {
      const { data } = rasterizePolygons(list, width, height)
      const wrong = [...data.keys()].filter((i) => {
        const [x, y] = [(i % width) + 0.5, Math.floor(i / width) + 0.5]
        // Tenths are no binary fractions
        const sides = list.map((polygon) => isInside(polygon, x, y, step !== 10))
        if (sides.includes(undefined)) uncertain++
        return !sides.includes(undefined) && sides.includes(true) !== (data[i] === 1)
      })
      expect(wrong, `case ${n}`).toEqual([])
    }
  }
  expect(uncertain).toBeLessThan(1000)
})

test('a hole is a hole, by either rule, and what lies in it another polygon', () => {
  const polygons = [[square(0, 0, 9, 9), square(2, 2, 7, 7)], [square(4, 4, 5, 5)]]
  expect(rasterizePolygons(polygons, 9, 9).area).toBe(81 - 25 + 1)
  expect(rasterizePolygons(polygons, 9, 9, { rule: 'coco' }).area).toBe(81 - 25 + 1)
})

test('polygons that share an edge share no pixel and leave none out', () => {
  for (const at of [3, 3.5, 3.25]) {
    const [left, right] = [[square(0, 0, at, 8)], [square(at, 0, 8, 8)]]
    const [a, b] = [rasterizePolygons([left], 8, 8), rasterizePolygons([right], 8, 8)]
    expect(a.area + b.area).toBe(64)
    expect(rasterizePolygons([left, right], 8, 8).area).toBe(64)
  }
})

test('a ring may be closed, run either way, and lie beyond the image', () => {
  const ring = square(1, 1, 4, 3)
  const expected = rasterizePolygons([[ring]], 6, 5)
  expect(expected.area).toBe(6)
  expect(rasterizePolygons([[[...ring, ring[0]!]]], 6, 5)).toEqual(expected)
  expect(rasterizePolygons([[ring.toReversed()]], 6, 5)).toEqual(expected)
  for (const rule of ['centres', 'coco'] as const) {
    expect(rasterizePolygons([[square(-1e8, -1e8, 1e8, 1e8)]], 6, 5, { rule }).area).toBe(30)
    for (const [x, y] of [
      [100, 0],
      [-100, 0],
      [0, 100],
      [0, -100],
      [1e8, -1e8],
    ] as const) {
      expect(rasterizePolygons([[square(x, y, x + 9, y + 9)]], 6, 5, { rule }).area).toBe(0)
    }
    expect(rasterizePolygons([], 6, 5, { rule }).area).toBe(0)
    expect(rasterizePolygons([[]], 6, 5, { rule }).area).toBe(0)
  }
})

test('lines that are all but level, and steps that are all but none', () => {
  const tiny = Number.MIN_VALUE
  const ring: [number, number][] = [
    [0, 0.5],
    [4, 0.5 + tiny],
    [4, 3 + 1e-16],
    [0, 3],
    [tiny, 1],
  ]
  for (const rule of ['centres', 'coco'] as const) {
    expect(rasterizePolygons([[ring]], 4, 4, { rule }).area, rule).toBe(rule === 'coco' ? 8 : 12)
  }
})

describe('is refused', () => {
  const bad: readonly (readonly [string, unknown, string, RegExp])[] = [
    ['null', null, 'ERR_USAGE', /the polygons is null/],
    [
      'flat numbers',
      [[1, 2, 3, 4, 5, 6]],
      'ERR_USAGE',
      /ring 0 of polygon 0 is 1, expected a list of points/,
    ],
    [
      'points without rings',
      [
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      ],
      'ERR_USAGE',
      /point 0 of ring 0 of polygon 0 is 1/,
    ],
    [
      'NaN',
      [
        [
          [
            [0, 0],
            [1, Number.NaN],
            [1, 1],
          ],
        ],
      ],
      'ERR_MASK',
      /point 1 of ring 0 of polygon 0 is \[1, NaN\]/,
    ],
    [
      'infinity',
      [
        [
          [
            [0, 0],
            [Infinity, 0],
            [1, 1],
          ],
        ],
      ],
      'ERR_MASK',
      /\[Infinity, 0\], expected \[x, y\], two finite/,
    ],
    [
      'what is too far away',
      [
        [
          [
            [0, 0],
            [1e300, 0],
            [1, 1],
          ],
        ],
      ],
      'ERR_MASK',
      /pixels below/,
    ],
    [
      'three coordinates',
      [
        [
          [
            [0, 0, 0],
            [1, 0, 0],
            [1, 1, 0],
          ],
        ],
      ],
      'ERR_MASK',
      /\[0, 0, 0\]/,
    ],
    [
      'text',
      [
        [
          [
            ['0', 0],
            [1, 0],
            [1, 1],
          ],
        ],
      ],
      'ERR_MASK',
      /\["0", 0\]/,
    ],
    [
      'two points',
      [
        [
          [
            [0, 0],
            [1, 1],
          ],
        ],
      ],
      'ERR_MASK',
      /ring 0 of polygon 0 has 2 points, expected three or more/,
    ],
  ]
  test.each(bad)('%s', (_, polygons, code, message) => {
    const attempt = (): unknown => rasterizePolygons(polygons as Polygon[], 4, 4)
    expect(attempt).toThrow(message)
    expect(attempt).toThrow(expect.objectContaining({ code }))
  })

  test.each([
    [0, 0, /width and height are 0 and 0/],
    [-4, 4, /-4 and 4/],
    [Number.NaN, 4, /NaN and 4/],
    [4, 2.5, /4 and 2.5/],
    [1e6, 1e6, /1000000 megapixels; the limit is 64 megapixels/],
  ])('a mask of %d x %d', (width, height, message) => {
    expect(() => rasterizePolygons([], width, height)).toThrow(message)
    expect(() => rasterizePolygons([], width, height)).toThrow(expect.objectContaining({ code: 'ERR_MASK' }))
  })

  test('another rule', () => {
    expect(() => rasterizePolygons([], 4, 4, { rule: 'nonzero' as never })).toThrow(
      /rule is "nonzero", expected/,
    )
  })
})
