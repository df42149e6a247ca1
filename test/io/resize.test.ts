// resizeBilinear is that of Pillow up to version 12, to the last bit, shrinking and enlarging along either axis.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ImageError } from '../../src/errors.ts'
import { crc32 } from '../../src/io/crc32.ts'
import { resizeBilinear } from '../../src/io/resize.ts'
import { expectGolden, goldenImage, loadGolden } from '../fixtures/golden.ts'
import { noise } from './pixels.ts'

const cases: [number, number, number, number, number][] = JSON.parse(
  readFileSync('test/fixtures/io/resize.json', 'utf8'),
)

test(`${cases.length} sizes, by the checksum of what Pillow made`, () => {
  for (const [width, height, toWidth, toHeight, crc] of cases) {
    const resized = resizeBilinear({ width, height, rgb: noise(width, height) }, toWidth, toHeight)
    const what = `${width} x ${height} to ${toWidth} x ${toHeight}`
    expect([resized.width, resized.height, resized.rgb.length], what).toEqual([
      toWidth,
      toHeight,
      toWidth * toHeight * 3,
    ])
    expect(crc32(resized.rgb), what).toBe(crc)
  }
})

test('an image that has the size already is returned as it is', () => {
  const image = { width: 5, height: 4, rgb: noise(5, 4) }
  expect(resizeBilinear(image, 5, 4)).toBe(image)
})

test('one colour stays that colour, whatever the sizes', () => {
  for (const level of [0, 1, 254, 255]) {
    for (const [width, height, toWidth, toHeight] of [
      [1, 1, 9, 9],
      [997, 3, 7, 11],
      [3, 500, 31, 2],
    ] as const) {
      const { rgb } = resizeBilinear(
        { width, height, rgb: new Uint8Array(width * height * 3).fill(level) },
        toWidth,
        toHeight,
      )
      expect(rgb.every((value) => value === level)).toBe(true)
    }
  }
})

test('refuses sides that are none', () => {
  const image = { width: 2, height: 2, rgb: noise(2, 2) }
  for (const side of [0, -1, 1.5, Number.NaN]) {
    expect(() => resizeBilinear(image, side, 2)).toThrow(ImageError)
    expect(() => resizeBilinear(image, 2, side)).toThrow(/from 2 x 2 to 2 x .*whole numbers from 1 on/)
  }
})

const golden = loadGolden('resize')
test.each(Object.keys(golden.entries))('the golden file: to %s', (size) => {
  const [height, width] = size.split('x').map(Number)
  const image = { width: 97, height: 61, rgb: goldenImage(golden, 'image') }
  expectGolden(size, Float32Array.from(resizeBilinear(image, width!, height!).rgb), golden, 1e-9)
})
