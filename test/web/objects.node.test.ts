// The objects of an answer, as the page gets them: colours, what is on top, and what is at a place.

import { expect, test } from 'vitest'
import { colourOf, type Mask } from '../../src/index.ts'
import { Objects } from '../../web/pixels/objects-of.ts'

function maskOf(width: number, height: number, isInside: (x: number, y: number) => boolean): Mask {
  const data = Uint8Array.from({ length: width * height }, (_, i) =>
    isInside(i % width, Math.floor(i / width)) ? 1 : 0,
  )
  return { width, height, data, area: data.reduce((sum, bit) => sum + bit, 0) }
}

const [width, height] = [6, 2]
const objects = new Objects(
  [
    { name: 'left', score: 0.9, found: true, mask: maskOf(width, height, (x) => x < 3) },
    { name: 'middle', found: true, mask: maskOf(width, height, (x) => x >= 2 && x < 5) },
    { name: 'missing', score: 0.1, found: false, mask: maskOf(width, height, () => true) },
  ],
  { width, height },
)

/** RGBA of a pixel in the first row. */
function pixel({ data }: { readonly data: Uint8Array }, x: number): number[] {
  return [...data.subarray(4 * x, 4 * x + 4)]
}

test('an object has its colour, and the first of two is on top', () => {
  const { scale, ...map } = objects.colours()
  expect([map.width, map.height, ...scale]).toEqual([6, 2, 1, 1])
  expect(pixel(map, 2)).toEqual([...colourOf(0), 255])
  expect(pixel(map, 3)).toEqual([...colourOf(1), 255])
  expect(pixel(map, 5)).toEqual([0, 0, 0, 0]) // what was not found is not drawn
})

test('a highlighted object is on top of all, and the others are pale', () => {
  const map = objects.colours(1)
  expect(pixel(map, 2)).toEqual([...colourOf(1), 255])
  const [red, , , alpha] = pixel(map, 0)
  expect(alpha).toBeGreaterThan(0)
  expect(alpha).toBeLessThan(128)
  expect(red).toBe(Math.round((colourOf(0)[0] * (alpha ?? 0)) / 255)) // multiplied by its opacity
  expect(pixel(objects.colours(2), 5)[3]).toBe(255)
})

test('the object at a place is the one that is drawn there', () => {
  expect([0.5, 2.9, 3.1, 5.5].map((x) => objects.at(x, 1.9))).toEqual([0, 0, 1, undefined])
  expect([objects.at(-0.1, 0), objects.at(0, 2), objects.at(6, 0)]).toEqual([undefined, undefined, undefined])
})

test('the union is all that was found, and facts say how much', () => {
  expect(objects.union()).toEqual(maskOf(width, height, (x) => x < 5))
  expect(objects.facts().map(({ name, area, share, found }) => [name, area, share, found])).toEqual([
    ['left', 6, 0.5, true],
    ['middle', 6, 0.5, true],
    ['missing', 12, 1, false],
  ])
})

test('the map of a large image is small, and its scale leads to it', () => {
  const [wide, high] = [5001, 3]
  const all = new Objects([{ name: 'all', found: true, mask: maskOf(wide, high, (x) => x >= 2502) }], {
    width: wide,
    height: high,
  })
  const map = all.colours()
  expect([map.width, map.height]).toEqual([1667, 1])
  expect(map.scale).toEqual([1, 1])
  expect([833, 834].map((x) => pixel(map, x)[3])).toEqual([0, 255])
})
