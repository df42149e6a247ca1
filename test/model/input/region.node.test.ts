// Gestures become the pixels that X-SAM draws for them (spec of the tasks, 4.1), on the model's canvas as Pillow
// resizes masks, and back as PyTorch does (4.2, 4.5); points are spread over them evenly (4.3). Bad gestures are
// refused by name.

import { describe, expect, test } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import type { Size } from '../../../src/io/image/image-kind.ts'
import { placeImage } from '../../../src/model/input/preprocess.ts'
import { gesturesOf, type Region } from '../../../src/model/input/region.ts'
import {
  frameRegion,
  nearestPixels,
  nearestPixelsBack,
  regionPixels,
  samplePoints,
} from '../../../src/model/input/region-frame.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { random } from '../../support.ts'

/** The region on a canvas of the image's own size: its pixels. */
function drawn(region: Region, image: Size): Uint8Array {
  return frameRegion(gesturesOf('test', region, image).gestures, image, [image.height, image.width]).inside
}

function expectPixels(
  inside: Uint8Array,
  { width }: Size,
  isInside: (x: number, y: number) => boolean,
): void {
  const wrong = [...inside.keys()].filter(
    (i) => (inside[i] === 1) !== isInside(i % width, Math.floor(i / width)),
  )
  expect(wrong.map((i) => [i % width, Math.floor(i / width)])).toEqual([])
}

const areaOf = (inside: Uint8Array): number => inside.reduce((sum, v) => sum + v, 0)

/** The distance of a pixel from the line between two others. */
function distance([x, y]: number[], [ax, ay]: number[], [bx, by]: number[]): number {
  const [dx, dy] = [bx! - ax!, by! - ay!]
  const length = dx ** 2 + dy ** 2
  const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((x! - ax!) * dx + (y! - ay!) * dy) / length))
  return Math.hypot(x! - ax! - t * dx, y! - ay! - t * dy)
}

describe('gestures', () => {
  const image = { width: 640, height: 480 }

  test('a point is a disc of 317 pixels where the longer side is 640', () => {
    const inside = drawn({ point: [320.7, 100.2] }, image)
    expect(areaOf(inside)).toBe(317)
    expectPixels(inside, image, (x, y) => Math.hypot(x - 320, y - 100) <= 10)
    // Twice the image, twice the radius; in a small one it is a pixel and its four neighbours
    const large = { width: 1280, height: 960 }
    expectPixels(drawn({ point: [600, 500] }, large), large, (x, y) => Math.hypot(x - 600, y - 500) <= 20)
    expect(areaOf(drawn({ point: [7, 7] }, { width: 20, height: 16 }))).toBe(5)
  })

  test('a click in the corner is the part of the disc that is in the image', () => {
    for (const [x, y] of [
      [0, 0],
      [639.99, 0],
      [0, 479.5],
    ] as const) {
      const inside = drawn({ point: [x, y] }, image)
      expectPixels(inside, image, (u, v) => Math.hypot(u - Math.floor(x), v - Math.floor(y)) <= 10)
    }
  })

  test('several clicks are one region', () => {
    const points = [
      [100, 100],
      [105, 108],
      [300, 20],
    ] as const
    const inside = drawn({ point: points }, image)
    expectPixels(inside, image, (x, y) => points.some(([u, v]) => Math.hypot(x - u, y - v) <= 10))
  })

  test('a scribble of one point is a disc of 81 pixels, of more a thick line', () => {
    expect(areaOf(drawn({ scribble: [[50, 60]] }, image))).toBe(81)
    const lines = random([40, 4], 5)
    for (let i = 0; i < 40; i++) {
      const [ax, ay, bx, by] = [...lines.data.subarray(4 * i, 4 * i + 4)].map((v) => Math.floor(50 * v + 60))
      const small = { width: 120, height: 120 }
      const inside = drawn(
        {
          scribble: [
            [ax!, ay!],
            [bx!, by!],
            [60, 60],
          ],
        },
        small,
      )
      const radius = Math.max(1, (5 * 120) / 640)
      // Pixels on the very edge may fall on either side by rounding
      const exact = (x: number, y: number): number =>
        Math.min(distance([x, y], [ax!, ay!], [bx!, by!]), distance([x, y], [bx!, by!], [60, 60]))
      expectPixels(inside, small, (x, y) => {
        const d = exact(x, y)
        return Math.abs(d - radius) < 1e-9 ? inside[y * 120 + x] === 1 : d < radius
      })
    }
  })

  test('a scribble may leave the image, however far, in no time', () => {
    const inside = drawn(
      {
        scribble: [
          [-1e9, 240],
          [320, 240],
          [1e9, 240.3],
        ],
      },
      image,
    )
    expectPixels(inside, image, (_, y) => Math.abs(y - 240) <= 5)
    const wild = random([10_000, 2], 3, 600)
    const points = Array.from(
      { length: 10_000 },
      (_, i) => [wild.data[2 * i]!, wild.data[2 * i + 1]!] as const,
    )
    const started = performance.now()
    expect(areaOf(drawn({ scribble: points }, image))).toBeGreaterThan(280_000)
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  test('a box has the pixels whose centres are inside', () => {
    expectPixels(
      drawn({ box: [10, 20, 13, 22] }, image),
      image,
      (x, y) => x >= 10 && x < 13 && y >= 20 && y < 22,
    )
    expectPixels(
      drawn({ box: [10.4, 20.6, 12.6, 22.5] }, image),
      image,
      (x, y) => x >= 10 && x < 13 && y >= 21 && y < 22,
    )
    // Past the image it is cut, between centres it is the pixel that its middle is in
    expectPixels(drawn({ box: [-50, 470, 3, 1e9] }, image), image, (x, y) => x < 3 && y >= 470)
    expectPixels(drawn({ box: [5.6, 7.1, 5.9, 7.3] }, image), image, (x, y) => x === 5 && y === 7)
    expectPixels(drawn({ box: [639.7, 479.8, 900, 900] }, image), image, (x, y) => x === 639 && y === 479)
  })

  test('a mask is taken as it is, whatever its bytes, and copied', () => {
    const small = { width: 5, height: 4 }
    const data = new Uint8ClampedArray(20)
    data[7] = 255
    data[12] = 1
    const { gestures } = gesturesOf('test', { mask: { ...small, data } }, small)
    data.fill(0)
    const { inside } = frameRegion(gestures, small, [4, 5])
    expect([...inside.keys()].filter((i) => inside[i] === 1)).toEqual([7, 12])
  })

  test('several gestures are all that they cover', () => {
    const inside = drawn({ point: [20, 20], box: [100, 100, 103, 101], scribble: [[200, 200]] }, image)
    expect(areaOf(inside)).toBe(317 + 3 + 81)
  })
})

describe('bad gestures are refused', () => {
  const image = { width: 64, height: 48 }
  const mask = { ...image, data: new Uint8Array(64 * 48) }
  const many = Array.from({ length: 10_001 }, () => [1, 1])
  test.each<[string, unknown, string]>([
    ['nothing', {}, 'the region is empty. Give a point: [x, y]'],
    ['undefined', { point: undefined }, 'the region is empty'],
    [
      'another name',
      { points: [1, 2] },
      "there is no option 'points'. It takes: point, box, scribble and mask.",
    ],
    ['a terminal sequence', { '\u001b[31m': 1 }, "there is no option '\\e[31m'"],
    ['a list', [1, 2], 'expected an object with point, box, scribble and mask'],
    [
      'a point to the left',
      { point: [-1, 5] },
      'test: point is [-1, 5], outside of the image: x is from 0 up to 64',
    ],
    ['a point below', { point: [5, 48] }, 'point is [5, 48], outside of the image'],
    ['a point at NaN', { point: [5, Number.NaN] }, 'point is [5, NaN], expected [x, y], two finite numbers'],
    ['a point at infinity', { point: [Infinity, 1] }, 'expected [x, y], two finite numbers'],
    ['a point of three', { point: [1, 2, 3] }, 'point is [1, 2, 3], expected [x, y]'],
    ['a point of words', { point: ['1', '2'] }, 'point is ["1", "2"], expected [x, y]'],
    ['a point as an object', { point: { x: 1, y: 2 } }, 'point is an object, expected [x, y]'],
    ['a number', { point: 5 }, 'point is 5, expected [x, y]'],
    ['null', { point: null }, 'point is null, expected [x, y]'],
    ['no points', { point: [] }, 'expected points [x, y], at least one'],
    [
      'one of two points',
      {
        point: [
          [1, 1],
          [1, 99],
        ],
      },
      'point is [1, 99], outside of the image',
    ],
    ['too many points', { point: many }, 'point has 10001 points, expected at most 10000'],
    ['an empty box', { box: [5, 5, 5, 9] }, 'box is [5, 5, 5, 9], without any area'],
    [
      'a box upside down',
      { box: [5, 9, 8, 2] },
      'box is [5, 9, 8, 2], upside down: expected [left, top, right, bottom]',
    ],
    [
      'a box outside',
      { box: [64, 0, 80, 10] },
      'box is [64, 0, 80, 10], outside of the image, which has 64 x 48',
    ],
    ['a box of NaN', { box: [0, 0, Number.NaN, 5] }, 'expected four finite numbers'],
    ['a box of three', { box: [0, 0, 5] }, 'box is [0, 0, 5], expected [left, top, right, bottom]'],
    ['a box of words', { box: 'all' }, 'box is "all", expected [left'],
    ['a box that is null', { box: null }, 'box is null, expected [left'],
    ['no scribble', { scribble: [] }, 'scribble is [], expected points [x, y], at least one'],
    [
      'a scribble outside',
      {
        scribble: [
          [-5, -5],
          [70, 70],
        ],
      },
      'scribble has no point inside of the image',
    ],
    ['a scribble with a hole', { scribble: [[1, 1], [2]] }, 'scribble is [2], expected [x, y]'],
    ['numbers in a row', { scribble: [1, 2, 3, 4] }, 'scribble is 1, expected [x, y]'],
    ['too long a scribble', { scribble: many }, 'scribble has 10001 points'],
    ['an empty mask', { mask }, 'mask is empty: all of its pixels are 0'],
    [
      'a mask of another size',
      { mask: { width: 48, height: 64, data: mask.data } },
      'mask is 48 x 64 pixels, but the image is 64 x 48',
    ],
    [
      'a short mask',
      { mask: { ...image, data: new Uint8Array(7) } },
      'mask has 7 bytes, expected one per pixel: 64 x 48 = 3072',
    ],
    [
      'a mask of floats',
      { mask: { ...image, data: new Float32Array(64 * 48) } },
      'mask: data is a Float32Array',
    ],
    [
      'a bare array',
      { mask: mask.data },
      'mask is a Uint8Array, expected an object with width, height and data',
    ],
    ['a mask without a size', { mask: { data: mask.data } }, 'mask is undefined x undefined pixels'],
    ['a texture', { mask: { ...image, texture: {} } }, 'mask is an object, expected an object with width'],
  ])('%s', (_, region, message) => {
    const call = () => gesturesOf('test', region as Region, image)
    expect(call).toThrow(UsageError)
    expect(call).toThrow(message)
  })
})

describe('on the canvas', () => {
  const golden = loadGolden('regions')
  const tokens = goldenInput(golden, 'tokens')

  test.each([
    [60, 80],
    [948, 1290],
    [97, 61],
    [33, 500],
  ])('a mask of %i x %i goes there and back as with Pillow and PyTorch', (height, width) => {
    const name = `${height}x${width}`
    const image = { width, height }
    const level = golden.facts[`level.${name}`] as number
    const data = Uint8Array.from(goldenInput(golden, `mask.${name}`), (v) => (v > level ? 1 : 0))
    const { scaled } = placeImage(image, 256)
    expect(scaled).toEqual(golden.facts[`scaled.${name}`])
    const frame = frameRegion(gesturesOf('test', { mask: { ...image, data } }, image).gestures, image, scaled)
    expect(areaOf(frame.inside)).toBe(golden.facts[`pixels.${name}`])
    expectGolden(`frame.${name}`, frame.inside, golden, 1e-9)
    expectGolden(`back.${name}`, regionPixels(frame, image), golden, 1e-9)
    expect(tokens).toHaveLength(8 * 8 * 20)
  })

  test('drawing there is drawing in the image and resizing', () => {
    const image = { width: 1290, height: 948 }
    const { scaled } = placeImage(image, 256)
    const region: Region = {
      point: [700, 400],
      box: [3, 5, 90, 70],
      scribble: [
        [900, 100],
        [1200, 900],
      ],
    }
    const data = drawn(region, image)
    const direct = frameRegion(gesturesOf('test', region, image).gestures, image, scaled)
    const resized = frameRegion(
      gesturesOf('test', { mask: { ...image, data } }, image).gestures,
      image,
      scaled,
    )
    expect(direct.inside).toEqual(resized.inside)
  })

  test("nearest pixels follow Pillow's running sum, not the formula (check 9)", () => {
    const formula = (n: number, m: number) =>
      Array.from({ length: m }, (_, i) => Math.floor(((i + 0.5) * n) / m))
    const sizes = Array.from({ length: 120 }, (_, i) => [301 + 37 * i, 1024 - (i % 300)] as const)
    const different = sizes.filter(([n, m]) => String(nearestPixels(n, m)) !== String(formula(n, m)))
    expect(different.length).toBeGreaterThan(0)
    for (const [n, m] of sizes) {
      const picked = nearestPixels(n, m)
      expect(picked).toHaveLength(m)
      expect(Math.min(...picked)).toBeGreaterThanOrEqual(0)
      expect(Math.max(...picked)).toBeLessThan(n)
      expect(Math.max(...nearestPixelsBack(m, n))).toBeLessThan(m)
    }
  })

  test('a region that no pixel picks gets the one that its middle is in', () => {
    const image = { width: 4000, height: 3000 }
    const scaled = [768, 1024] as const
    const data = new Uint8Array(4000 * 3000)
    data[2001 * 4000 + 3001] = 1
    const { inside } = frameRegion(
      gesturesOf('test', { mask: { ...image, data } }, image).gestures,
      image,
      scaled,
    )
    expect(areaOf(inside)).toBe(1)
    expect(inside.indexOf(1)).toBe(
      Math.floor((2001.5 / 3000) * 768) * 1024 + Math.floor((3001.5 / 4000) * 1024),
    )
    const corner = frameRegion(
      gesturesOf('test', { box: [3999.2, 2999.2, 4000, 3000] }, image).gestures,
      image,
      scaled,
    )
    expect(areaOf(corner.inside)).toBe(1)
  })
})

describe('points', () => {
  /** A canvas of 1024 with the map's 32 cells a side. */
  const pointsOf = (pixels: readonly (readonly [x: number, y: number])[], points = 256) => {
    const inside = new Uint8Array(1024 * 1024)
    for (const [x, y] of pixels) inside[y * 1024 + x] = 1
    return samplePoints({ scaled: [1024, 1024], inside }, { points }, 1024, 32)
  }

  test('a pixel is where it is from corner to corner, but for the last one (check 8)', () => {
    expect([...pointsOf([[0, 0]], 2)]).toEqual([0, 0, 0, 0])
    const last = Math.fround((1023 / 1024) * 31)
    expect([...pointsOf([[1023, 1023]], 1)]).toEqual([last, last])
    expect(31 - last).toBeCloseTo(31 / 1024, 5)
    expect([...pointsOf([[512, 256]], 1)]).toEqual([15.5, 7.75])
  })

  test('a seed draws each pixel once, if there are enough', () => {
    const inside = new Uint8Array(64 * 64).fill(1, 0, 300)
    const placesOf = (seed?: number) =>
      String(samplePoints({ scaled: [64, 64], inside }, { points: 256 }, 64, 2, seed)).match(/[^,]+,[^,]+/g)!
    expect(new Set(placesOf(5)).size).toBe(256)
    expect(placesOf(5)).toEqual(placesOf(5))
    expect(placesOf(5)).not.toEqual(placesOf(6))
    expect(placesOf(5)).not.toEqual(placesOf())
    // Fewer pixels than points are all taken, so that a maximum is the same whatever the seed
    inside.fill(0, 200)
    expect(new Set(placesOf(5))).toEqual(new Set(placesOf()))
  })

  test('few pixels are taken in turn, many evenly, in the order of rows', () => {
    const three = pointsOf(
      [
        [10, 0],
        [20, 0],
        [0, 1],
      ],
      7,
    )
    const columns = Array.from({ length: 7 }, (_, i) => Math.round((three[2 * i]! / 31) * 1024))
    expect(columns).toEqual([10, 20, 0, 10, 20, 0, 10])
    const row = Array.from({ length: 1000 }, (_, x) => [x, 5] as const)
    const many = pointsOf(row)
    const chosen = Array.from({ length: 256 }, (_, i) => Math.round((many[2 * i]! / 31) * 1024))
    expect(chosen).toEqual(Array.from({ length: 256 }, (_, i) => Math.floor(((i + 0.5) * 1000) / 256)))
  })
})
