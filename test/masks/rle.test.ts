// COCO's run lengths of 600 masks equal those of pycocotools, letter for letter, and are decoded to the same masks;
// what is damaged is refused, by name.

import { describe, expect, test } from 'vitest'
import { decodeRle, encodeRle, type Rle } from '../../src/masks/rle.ts'
import { drawMask, expectSameMask, kindOf, recorded } from './drawn.ts'

test.each(recorded.kinds)('masks of the kind %s are as pycocotools has them', (kind) => {
  const own = recorded.masks.flatMap((known, n) => (kindOf(n) === kind ? [{ n, known }] : []))
  expect(own.length).toBeGreaterThan(40)
  for (const { n, known } of own) {
    const mask = drawMask(n)
    const [area, , counts] = known
    const size = [mask.height, mask.width]
    expect(mask.area, `area of mask ${n}`).toBe(area)
    expect(encodeRle(mask), `RLE of mask ${n}`).toEqual({ size, counts })
    expectSameMask(decodeRle(encodeRle(mask)), mask, `mask ${n}`)

    const list = encodeRle(mask, { compressed: false })
    expect(list.counts.reduce((sum, count) => sum + count)).toBe(mask.data.length)
    expectSameMask(decodeRle(JSON.parse(JSON.stringify(list)) as Rle), mask, `mask ${n}, from a list`)
  }
})

test('a list of counts goes down the columns and begins outside', () => {
  const mask = { width: 3, height: 2, data: Uint8Array.of(1, 0, 0, 1, 0, 1), area: 3 }
  expect(encodeRle(mask, { compressed: false })).toEqual({ size: [2, 3], counts: [0, 2, 3, 1] })
})

test('runs of length 0 in the middle are runs all the same', () => {
  expect(decodeRle({ size: [1, 4], counts: [1, 0, 1, 2, 0] }).data).toEqual(Uint8Array.of(0, 0, 1, 1))
})

test('runs of more than 2 million pixels', () => {
  const [height, width] = [1500, 1600]
  const rle = encodeRle({ width, height, data: new Uint8Array(height * width).fill(1) })
  expect(rle.counts).toBe('0PhWY2')
  expect(decodeRle(rle).area).toBe(height * width)
})

test('any value that is not 0 is inside', () => {
  const data = Uint8Array.of(255, 0, 7, 1)
  expect(encodeRle({ width: 2, height: 2, data }).counts).toBe(
    encodeRle({ width: 2, height: 2, data: Uint8Array.of(1, 0, 1, 1) }).counts,
  )
})

describe('is refused', () => {
  const refused: readonly (readonly [string, unknown, string, RegExp])[] = [
    ['null', null, 'ERR_USAGE', /the RLE is null, expected \{ size: \[height, width\], counts \}/],
    ['a list', [1, 2], 'ERR_USAGE', /the RLE is \[1, 2\]/],
    ['no size', { counts: [4] }, 'ERR_MASK', /the size is undefined/],
    ['a size of three', { size: [2, 2, 1], counts: [4] }, 'ERR_MASK', /the size is \[2, 2, 1\]/],
    ['no counts', { size: [2, 2] }, 'ERR_MASK', /the counts are undefined/],
    ['counts of bytes', { size: [2, 2], counts: Uint8Array.of(52) }, 'ERR_MASK', /a Uint8Array/],
    ['no pixels', { size: [0, 4], counts: [0] }, 'ERR_MASK', /width and height are 4 and 0/],
    ['half a pixel', { size: [1.5, 4], counts: [6] }, 'ERR_MASK', /4 and 1.5/],
    ['a size of text', { size: ['2', 2], counts: [4] }, 'ERR_MASK', /2 and "2"/],
    [
      'too many pixels',
      { size: [1e5, 1e5], counts: [1e10] },
      'ERR_MASK',
      /10000 megapixels.*raise \{ maxPixels \}/,
    ],
    [
      'too few counts',
      { size: [2, 2], counts: [3] },
      'ERR_MASK',
      /add up to 3, but a size of \[2, 2\] has 4 pixels/,
    ],
    ['too many counts', { size: [2, 2], counts: [3, 2] }, 'ERR_MASK', /add up to 5/],
    ['none', { size: [2, 2], counts: [] }, 'ERR_MASK', /add up to 0/],
    ['an empty string', { size: [2, 2], counts: '' }, 'ERR_MASK', /add up to 0/],
    ['a negative count', { size: [2, 2], counts: [5, -1] }, 'ERR_MASK', /count 1 is -1/],
    ['NaN', { size: [2, 2], counts: [4, Number.NaN] }, 'ERR_MASK', /count 1 is NaN/],
    ['a part of a pixel', { size: [2, 2], counts: [3.5, 0.5] }, 'ERR_MASK', /count 0 is 3.5/],
    ['a count of text', { size: [2, 2], counts: ['4'] }, 'ERR_MASK', /count 0 is "4"/],
    ['a foreign letter', { size: [2, 2], counts: '4\n' }, 'ERR_MASK', /has "\\n" at character 1/],
    ['a letter past the alphabet', { size: [2, 2], counts: 'p' }, 'ERR_MASK', /has "p" at character 0/],
    ['a string cut short', { size: [100, 100], counts: 'P' }, 'ERR_MASK', /ends in the middle of a number/],
    [
      'a number without end',
      { size: [2, 2], counts: 'oooooooooooo0' },
      'ERR_MASK',
      /number that is too large/,
    ],
    ['a negative difference', { size: [2, 2], counts: 'O' }, 'ERR_MASK', /count 0 is -1/],
    ['a count that falls below 0', { size: [2, 2], counts: '121M' }, 'ERR_MASK', /count 3 is -1/],
  ]
  test.each(refused)('%s', (_, rle, code, message) => {
    const attempt = (): unknown => decodeRle(rle as Rle)
    expect(attempt).toThrow(message)
    expect(attempt).toThrow(expect.objectContaining({ code }))
  })

  test.each([
    [
      { width: 2, height: 2, data: Uint8Array.of(1, 0, 1) },
      'ERR_IMAGE',
      /2 x 2 pixels, but data has 3 bytes/,
    ],
    [{ width: 0, height: 0, data: new Uint8Array(0) }, 'ERR_IMAGE', /0 x 0 pixels/],
    [
      { width: 2, height: 2, data: [1, 0, 1, 0] },
      'ERR_USAGE',
      /expected an object with width, height and data/,
    ],
    [undefined, 'ERR_USAGE', /the mask is undefined/],
  ])('the mask %o', (mask, code, message) => {
    const attempt = (): unknown => encodeRle(mask as never)
    expect(attempt).toThrow(message)
    expect(attempt).toThrow(expect.objectContaining({ code }))
  })

  test('options that do not exist', () => {
    const mask = { width: 1, height: 1, data: Uint8Array.of(1) }
    expect(() => encodeRle(mask, { compress: false } as never)).toThrow(/no option 'compress'/)
    expect(() => decodeRle({ size: [1, 1], counts: [1] }, { maxPixels: 'all' } as never)).toThrow(/maxPixels/)
  })

  test('more pixels than are allowed, but not more than are asked for', () => {
    expect(() => decodeRle({ size: [3, 3], counts: [9] }, { maxPixels: 8 })).toThrow(/the limit is/)
    expect(decodeRle({ size: [3, 3], counts: [9] }, { maxPixels: 9 }).area).toBe(0)
  })
})
