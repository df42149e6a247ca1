// Outlines are filled as OpenCV does it: outlines.json has masks that cv2.polylines and cv2.fillPoly of OpenCV 5.0
// painted together, of points that lost their fractions (numpy's int32).

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { fillOutline } from '../../src/datasets/outline.ts'

const cases = JSON.parse(readFileSync(new URL('outlines.json', import.meta.url), 'utf8')) as {
  points: [number, number][]
  rows: string[]
}[]

test('polygons of OpenCV', () => {
  expect(cases).toHaveLength(24)
  for (const { points, rows } of cases) {
    const width = rows[0]!.length
    const pixels = fillOutline(points, { width, height: rows.length })
    const own = rows.map((_, y) => pixels.slice(y * width, (y + 1) * width).join(''))
    expect(own, JSON.stringify(points)).toEqual(rows)
  }
})

test('a part outside of the image is cut off', () => {
  const pixels = fillOutline(
    [
      [-1000, 1],
      [1000, 1],
      [1000, 2],
      [-1000, 2],
    ],
    { width: 3, height: 4 },
  )
  expect([...pixels]).toEqual([0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0])
})
