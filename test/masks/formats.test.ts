// Every format that a mask is written in, read back, is the mask; boxes equal pycocotools', the brush's bytes Label
// Studio's; what is damaged is refused, by name.

import { describe, expect, test } from 'vitest'
import { decodeImage, encodePng, type Image } from '../../src/io/image/image.ts'
import { decodeBrush, encodeBrush } from '../../src/masks/brush.ts'
import { cocoBox, decodeCoco } from '../../src/masks/coco.ts'
import { colourOf } from '../../src/masks/colours.ts'
import { polygonsOf } from '../../src/masks/contour.ts'
import { fromGeoJson, toGeoJson } from '../../src/masks/geojson.ts'
import { decodeIndexedPng, encodeIndexedPng } from '../../src/masks/indexed-png.ts'
import { fromLabelStudio, toLabelStudio } from '../../src/masks/label-studio.ts'
import { type Mask, maskOf } from '../../src/masks/mask.ts'
import { boxOf, cutOut } from '../../src/masks/picture.ts'
import { type Polygon, rasterizePolygons } from '../../src/masks/polygon.ts'
import { encodeRle } from '../../src/masks/rle.ts'
import { fromSvgPath, toSvgPath } from '../../src/masks/svg-path.ts'
import { fromYolo, toYolo } from '../../src/masks/yolo.ts'
import { counterBytes } from '../fixtures/random.ts'
import { drawMask, expectSameMask, recorded } from './drawn.ts'

/** Every fifth of the 600, all kinds among them. */
const some = [...recorded.masks.keys()].filter((n) => n % 5 === 0)
const first = drawMask(5)

const there = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
const fill = (polygons: readonly Polygon[], { width, height }: Mask): Mask =>
  rasterizePolygons(polygons, width, height)

const trips: Readonly<Record<string, (mask: Mask) => Mask | undefined | Promise<Mask | undefined>>> = {
  GeoJSON: (mask) => fill(fromGeoJson(there(toGeoJson(polygonsOf(mask)))), mask),
  'an SVG path': (mask) => fill(fromSvgPath(toSvgPath(polygonsOf(mask))), mask),
  'a line of YOLO': (mask) =>
    fill(
      fromYolo(toYolo(polygonsOf(mask), mask, 7), mask).flatMap(({ polygons }) => polygons),
      mask,
    ),
  "Label Studio's brush": (mask) => decodeBrush(encodeBrush(mask), mask),
  "Label Studio's results": (mask) => fromLabelStudio(there(toLabelStudio(mask)))[0]?.mask,
  "COCO's RLE as a segmentation": (mask) => decodeCoco(there(encodeRle(mask)), mask.width, mask.height),
  'an indexed PNG': async (mask) => (await decodeIndexedPng(encodeIndexedPng([mask]))).mask(0),
}

test.each(Object.entries(trips))('%s and back is the mask', async (name, trip) => {
  for (const n of some) {
    const mask = drawMask(n)
    const again = await trip(mask)
    // An empty mask is no region
    if (name === "Label Studio's results" && mask.area === 0) expect(again).toBe(undefined)
    else expectSameMask(again!, mask, `mask ${n}`)
  }
})

test('boxes are as pycocotools has them', () => {
  for (const [n, [, box]] of recorded.masks.entries())
    expect(cocoBox(boxOf(drawMask(n))), `mask ${n}`).toEqual(box)
})

test("the brush's bytes are those of Label Studio's converter", () => {
  expect(recorded.brushes).toHaveLength(13)
  for (const [n, bytes] of recorded.brushes.entries()) {
    expect(Buffer64.of(encodeBrush(drawMask(n))), `mask ${n}`).toBe(bytes)
  }
})

/** Bytes as base64, in any runtime. */
const Buffer64 = { of: (bytes: readonly number[]): string => btoa(String.fromCharCode(...bytes)) }

test('a brush of single values, 4 bits each, and runs beyond 65,536', () => {
  // 1 x 1 pixel: 4 values of 4 bits, one by one: 15 0 0 9
  const parts = [
    '00000000000000000000000000000100',
    '00011',
    '0010001101111111',
    '000011',
    '1111000000001001',
  ]
  const bytes = `${parts.join('')}00000`.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2))
  expect(decodeBrush(bytes, { width: 1, height: 1 }).area).toBe(1)
  const large = maskOf(700, 300, new Uint8Array(210_000).fill(1))
  expectSameMask(decodeBrush(encodeBrush(large), large), large, 'a large mask')
})

test('a Feature has closed rings and what else is known', () => {
  const { geometry, properties, type } = toGeoJson(
    [
      [
        [
          [0, 0],
          [2, 0],
          [2, 2],
        ],
      ],
    ],
    { score: 0.5 },
  )
  expect([type, geometry.type, properties]).toEqual(['Feature', 'MultiPolygon', { score: 0.5 }])
  expect(geometry.coordinates).toEqual([
    [
      [
        [0, 0],
        [2, 0],
        [2, 2],
        [0, 0],
      ],
    ],
  ])
  const collection = {
    type: 'FeatureCollection',
    features: [toGeoJson([]), { type: 'Feature', geometry: null }],
  }
  expect(fromGeoJson(collection)).toEqual([])
  const ring = [
    [0, 0],
    [2, 0],
    [2, 2],
    [0, 0],
  ]
  const geometries = [{ type: 'Polygon', coordinates: [ring] }]
  expect(fromGeoJson({ type: 'GeometryCollection', geometries })).toEqual([
    [
      [
        [0, 0],
        [2, 0],
        [2, 2],
      ],
    ],
  ])
})

test('paths of other programs: relative, level and upright lines, no spaces', () => {
  expect(fromSvgPath('M1 1h3v2H1z m5,0l1,0 0,1z')).toEqual([
    [
      [
        [1, 1],
        [4, 1],
        [4, 3],
        [1, 3],
      ],
      [
        [6, 1],
        [7, 1],
        [7, 2],
      ],
    ],
  ])
  expect(fromSvgPath('M.5-.5L1e1.5 3 4Z')).toEqual([
    [
      [
        [0.5, -0.5],
        [10, 0.5],
        [3, 4],
      ],
    ],
  ])
  expect(fromSvgPath(' \n')).toEqual([])
  const long = `M0 0L${'1 0 1 1 '.repeat(500_000)}Z`
  expect(fromSvgPath(long).flat(2)).toHaveLength(1_000_001)
})

test('a line of YOLO is one ring, whatever the rings were', () => {
  const polygons: Polygon[] = [
    [
      [
        [0, 0],
        [9, 0],
        [9, 9],
        [0, 9],
      ],
      [
        [2, 2],
        [4, 2],
        [4, 4],
        [2, 4],
      ],
      [
        [6, 6],
        [8, 6],
        [8, 8],
        [6, 8],
      ],
    ],
  ]
  const line = toYolo(polygons, { width: 10, height: 10 }, 3)
  expect(line).toMatch(/^3( [\d.]+)+$/)
  const [{ classId, polygons: again }] = fromYolo(`${line}\n\n`, { width: 10, height: 10 }) as [
    ReturnType<typeof fromYolo>[0],
  ]
  expect([classId, again.flat().length]).toEqual([3, 1])
  expect(rasterizePolygons(again, 10, 10).data).toEqual(rasterizePolygons(polygons, 10, 10).data)
  expect(toYolo([], { width: 10, height: 10 })).toBe('')
})

test('regions of Label Studio: a brush, polygons in percent, and a rectangle back', () => {
  const mask = maskOf(4, 2, Uint8Array.of(1, 1, 0, 0, 1, 1, 0, 0))
  const [brush] = toLabelStudio(mask, { label: 'cup', score: 0.5, id: 'a' })
  expect(brush).toMatchObject({
    id: 'a',
    type: 'brushlabels',
    original_width: 4,
    original_height: 2,
    image_rotation: 0,
  })
  expect(brush).toMatchObject({ score: 0.5, value: { format: 'rle', brushlabels: ['cup'] } })
  const [polygon] = toLabelStudio(mask, { as: 'polygon', tolerance: 0 })
  expect(polygon).toMatchObject({ type: 'polygonlabels', value: { closed: true, polygonlabels: ['object'] } })
  const polygons = fromLabelStudio(there([polygon]))
  expectSameMask(polygons[0]!.mask, mask, 'the polygon')
  const value = { x: 0, y: 0, width: 50, height: 100, rotation: 0, rectanglelabels: ['cup'] }
  const rectangle = { type: 'rectanglelabels', original_width: 4, original_height: 2, value }
  const [box] = fromLabelStudio([rectangle, { type: 'choices', value: { choices: ['good'] } }])
  expect(box!.labels).toEqual(['cup'])
  expectSameMask(box!.mask, mask, 'the rectangle')
})

test('a segmentation of COCO as polygons', () => {
  expect(
    decodeCoco(
      [
        [1, 1, 4, 1, 4, 3, 1, 3],
        [5, 0, 6, 0, 6, 1, 5, 1],
      ],
      8,
      4,
    ).area,
  ).toBe(7)
})

test('several masks in a PNG: the first is on top, colours differ, and an empty one is kept', async () => {
  const masks = [
    [1, 1, 0, 0],
    [0, 1, 1, 0],
    [0, 0, 0, 0],
  ].map((bits) => maskOf(2, 2, Uint8Array.from(bits)))
  const bytes = encodeIndexedPng(masks)
  const again = await decodeIndexedPng(bytes)
  expect([again.count, ...again.indices]).toEqual([3, 1, 1, 2, 0])
  expect([0, 1, 2].map((k) => [...again.mask(k).data])).toEqual([
    [1, 1, 0, 0],
    [0, 0, 1, 0],
    [0, 0, 0, 0],
  ])
  expect(() => again.mask(3)).toThrow('the number of the mask is 3, expected a whole number from 0 to 2')
  const { rgb } = await decodeImage(bytes)
  expect([...rgb]).toEqual([...colourOf(0), ...colourOf(0), ...colourOf(1), 0, 0, 0])
})

test('255 masks have 255 colours', () => {
  const colours = Array.from({ length: 255 }, (_, k) => colourOf(k))
  expect(new Set(colours.map(String)).size).toBe(255)
  for (const channel of colours.flat())
    expect(Number.isInteger(channel) && channel >= 0 && channel <= 255).toBe(true)
})

describe('a cut-out', () => {
  const image: Image = { width: 4, height: 3, rgb: counterBytes('formats.image', [3, 4, 3]) }
  const mask = maskOf(4, 3, Uint8Array.of(0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0))

  test('is the box of the mask, transparent outside', () => {
    const { width, height, rgba, box } = cutOut(image, mask)
    expect([width, height, box]).toEqual([2, 2, [1, 1, 3, 3]])
    const pixel = (i: number): number[] => [...image.rgb.subarray(3 * i, 3 * i + 3), 255]
    expect([...rgba]).toEqual([...pixel(5), ...pixel(6), 0, 0, 0, 0, ...pixel(10)])
  })

  test('or as large as the image, and a PNG', async () => {
    const whole = cutOut(image, mask, { crop: false })
    expect([whole.width, whole.height, whole.box]).toEqual([4, 3, [0, 0, 4, 3]])
    expect(whole.rgba.filter((level, i) => i % 4 === 3 && level === 255)).toHaveLength(mask.area)
    expect(await decodeImage(encodePng(whole))).toMatchObject({ width: 4, height: 3 })
  })

  test('of nothing, or of another image, is refused', () => {
    const empty = maskOf(4, 3, new Uint8Array(12))
    expect(() => cutOut(image, empty)).toThrow(/the mask is empty: there is nothing to cut out/)
    expect(() => cutOut(image, maskOf(3, 4, new Uint8Array(12)))).toThrow(/they must be of one size/)
    expect(() => cutOut(image, mask, { crop: 1 as never })).toThrow(/crop is 1, expected true or false/)
  })
})

describe('is refused', () => {
  const size = { width: 4, height: 4 }
  const bad: readonly (readonly [string, () => unknown, string, RegExp])[] = [
    [
      'GeoJSON of a point',
      () => fromGeoJson({ type: 'Point', coordinates: [0, 0] }),
      'ERR_MASK',
      /the type is "Point"/,
    ],
    ['GeoJSON of nothing', () => fromGeoJson(null), 'ERR_MASK', /the type is null/],
    [
      'GeoJSON without coordinates',
      () => fromGeoJson({ type: 'Polygon' }),
      'ERR_MASK',
      /coordinates is undefined/,
    ],
    [
      'GeoJSON with NaN',
      () =>
        toGeoJson([
          [
            [
              [0, Number.NaN],
              [1, 1],
              [2, 2],
            ],
          ],
        ]),
      'ERR_MASK',
      /NaN/,
    ],
    [
      'a curve',
      () => fromSvgPath('M0 0C1 1 2 2 3 3Z'),
      'ERR_MASK',
      /"C1 1 2 2 3 3Z" at character 4 is no straight line/,
    ],
    ['numbers without a command', () => fromSvgPath('1 2'), 'ERR_MASK', /"1 2" at character 0/],
    ['a path that is closed before it begins', () => fromSvgPath('Z'), 'ERR_MASK', /"Z" at character 0/],
    ['a number after Z', () => fromSvgPath('M0 0L1 0 1 1Z5'), 'ERR_MASK', /"Z5" at character 12/],
    ['a path without M', () => fromSvgPath('L0 0'), 'ERR_MASK', /A path begins with M/],
    ['half a point', () => fromSvgPath('M0 0L1'), 'ERR_MASK', /"L1" at character 4/],
    ['a path that is no text', () => fromSvgPath(7 as never), 'ERR_USAGE', /the path is 7/],
    ['a path of two points', () => fromSvgPath('M0 0L1 1Z'), 'ERR_MASK', /has 2 points/],
    ['a box of YOLO', () => fromYolo('0 0.5 0.5 0.1 0.1', size), 'ERR_MASK', /line 1 is "0 0.5.*a box/],
    ['a word in YOLO', () => fromYolo('\n0 a 0 1 0 1 1', size), 'ERR_MASK', /line 2 is "0 a 0/],
    ['a class of YOLO', () => toYolo([], size, -1), 'ERR_SHAPE', /the class is -1/],
    ['YOLO without a size', () => fromYolo('', { width: 0, height: 4 }), 'ERR_MASK', /0 and 4/],
    ['YOLO of no image', () => toYolo([], undefined as never), 'ERR_USAGE', /the image's size is undefined/],
    ['a brush of no image', () => decodeBrush([0], null as never), 'ERR_USAGE', /the image's size is null/],
    [
      'a brush of another image',
      () => decodeBrush(encodeBrush(first), size),
      'ERR_MASK',
      /values, but 4 x 4 pixels have 64/,
    ],
    [
      'a brush cut short',
      () => decodeBrush(encodeBrush(first).slice(0, -3), first),
      'ERR_MASK',
      /end before the last pixel/,
    ],
    ['no bytes of a brush', () => decodeBrush([], size), 'ERR_MASK', /has NaN values/],
    ['a brush of text', () => decodeBrush('abc' as never, size), 'ERR_USAGE', /the RLE is "abc"/],
    ['a brush of other numbers', () => decodeBrush([300], size), 'ERR_MASK', /byte 0 is 300/],
    ['results that are no list', () => fromLabelStudio({}), 'ERR_USAGE', /the list `result`/],
    [
      'a region without a size',
      () => fromLabelStudio([{ value: { rle: [] } }]),
      'ERR_MASK',
      /result 0: the mask's width and height are undefined/,
    ],
    [
      'a rectangle that is turned',
      () =>
        fromLabelStudio([
          {
            type: 'rectanglelabels',
            original_width: 4,
            original_height: 4,
            value: { x: 0, y: 0, width: 1, height: 1, rotation: 30 },
          },
        ]),
      'ERR_MASK',
      /rotated by 30/,
    ],
    [
      'polygons with holes',
      () => toLabelStudio(maskOf(3, 3, Uint8Array.of(1, 1, 1, 1, 0, 1, 1, 1, 1)), { as: 'polygon' }),
      'ERR_MASK',
      /Use \{ as: 'brush' \}/,
    ],
    ['a label that is empty', () => toLabelStudio(first, { label: '' }), 'ERR_USAGE', /label is ""/],
    [
      'an RLE of another image',
      () => decodeCoco({ size: [1, 2], counts: [2] }, 4, 4),
      'ERR_MASK',
      /RLE is of 2 x 1 pixels/,
    ],
    ['a segmentation of text', () => decodeCoco('poly', 4, 4), 'ERR_MASK', /the segmentation is "poly"/],
    [
      'polygons of half a point',
      () => decodeCoco([[1, 2, 3, 4, 5, 6, 7]], 4, 4),
      'ERR_MASK',
      /polygon 0 is \[1, 2/,
    ],
    ['NaN in COCO', () => decodeCoco([[1, 2, 3, Number.NaN, 5, 6]], 4, 4), 'ERR_MASK', /NaN/],
    ['no masks in a PNG', () => encodeIndexedPng([]), 'ERR_MASK', /there are 0 masks, expected 1 to 255/],
    [
      '256 masks in a PNG',
      () => encodeIndexedPng(Array.from({ length: 256 }, () => first)),
      'ERR_MASK',
      /256 masks/,
    ],
    [
      'masks of two sizes',
      () => encodeIndexedPng([first, maskOf(1, 1, Uint8Array.of(1))]),
      'ERR_MASK',
      /mask 1 is 1 x 1/,
    ],
    [
      'one mask that is no list',
      () => encodeIndexedPng(first as never),
      'ERR_USAGE',
      /expected a list of masks/,
    ],
  ]
  test.each(bad)('%s', (_, attempt, code, message) => {
    expect(attempt).toThrow(message)
    expect(attempt).toThrow(expect.objectContaining({ code }))
  })

  test('a PNG without a palette, and what is no PNG', async () => {
    const grey = encodePng({ width: 1, height: 1, grey: Uint8Array.of(1) })
    await expect(decodeIndexedPng(grey)).rejects.toThrow(/no palette/)
    await expect(decodeIndexedPng(Uint8Array.of(1, 2, 3))).rejects.toThrow(/no PNG/)
    await expect(decodeIndexedPng(encodeIndexedPng([first]), { maxPixels: 1 })).rejects.toThrow(
      /the limit is/,
    )
    await expect(decodeIndexedPng(encodeIndexedPng([first]).slice(0, -20))).rejects.toThrow(
      /cut short|damaged/,
    )
  })
})
