// An image reaches the encoders as the formulas of the spec have it, and coordinates find their way back.

import { describe, expect, test } from 'vitest'
import { vec2 } from 'wgpu-matrix'
import { ImageError } from '../../src/errors.ts'
import { resizeBilinear } from '../../src/io/resize.ts'
import { prepareImage } from '../../src/model/preprocess.ts'
import { expectGolden, goldenImage, loadGolden, readFixture } from '../fixtures/golden.ts'
import { noise } from '../io/pixels.ts'

const config = { siglip: { image: 28 }, sam: { image: 64 } }
const imageOf = (width: number, height: number) => ({ width, height, rgb: noise(width, height) })
const mean = [0.485, 0.456, 0.406]
const std = [0.229, 0.224, 0.225]

// Wide, tall, square, smaller than the canvas, slivers
const sizes = [
  [50, 37],
  [37, 50],
  [64, 64],
  [5, 3],
  [1, 1],
  [200, 113],
  [3, 500],
  [700, 2],
] as const

test.each(sizes)('%i x %i: SigLIP takes it squashed, -1 to 1', (width, height) => {
  const image = imageOf(width, height)
  const { siglip } = prepareImage(image, config)
  const { rgb } = resizeBilinear(image, 28, 28)
  expect(siglip).toEqual(Float32Array.from(rgb, (value) => (value / 255 - 0.5) / 0.5))
})

test.each(sizes)('%i x %i: SAM takes it at the top left of a canvas of zeros', (width, height) => {
  const image = imageOf(width, height)
  const { sam, scaled } = prepareImage(image, config)
  const s = 64 / Math.max(width, height)
  const [h, w] = [Math.max(1, Math.floor(height * s + 0.5)), Math.max(1, Math.floor(width * s + 0.5))]
  expect(scaled).toEqual([h, w])
  expect(Math.max(h, w)).toBe(64)

  const { rgb } = resizeBilinear(image, w, h)
  const expected = new Float32Array(64 * 64 * 3)
  for (let i = 0; i < rgb.length; i++) {
    const [y, x, c] = [Math.floor(i / (3 * w)), Math.floor(i / 3) % w, i % 3]
    expected[(y * 64 + x) * 3 + c] = (rgb[i]! / 255 - mean[c]!) / std[c]!
  }
  expect(sam).toEqual(expected)
})

describe("transformers' image processors", () => {
  const golden = loadGolden('preprocess')
  const small = readFixture('small.json') as { siglip: { image: number }; sam: { image: number } }

  test.each(Object.entries(golden.inputs))('%s', (name, { shape }) => {
    const [height = 0, width = 0] = shape
    const { siglip, sam, scaled } = prepareImage({ width, height, rgb: goldenImage(golden, name) }, small)
    expect(scaled).toEqual(golden.facts[`${name}.scaledSize`])
    // The library normalises in float32
    expectGolden(`${name}.siglip`, siglip, golden, 1e-6)
    expectGolden(`${name}.sam`, sam, golden, 1e-6)
  })
})

test('known values: black, white and grey', () => {
  const rgb = Uint8Array.of(0, 0, 0, 255, 255, 255, 127, 127, 127, 0, 255, 127)
  const { siglip, sam } = prepareImage(
    { width: 2, height: 2, rgb },
    { siglip: { image: 2 }, sam: { image: 2 } },
  )
  const close = (values: Float32Array, at: number, expected: number[]) =>
    expected.forEach((value, i) => expect(values[at + i]).toBeCloseTo(value, 5))
  close(siglip, 0, [-1, -1, -1, 1, 1, 1, -0.003922, -0.003922, -0.003922])
  close(sam, 0, [-2.117904, -2.035714, -1.804444, 2.248908, 2.428571, 2.64])
})

test('grey padding centres the image in a square, for SigLIP alone', () => {
  for (const [width, height, left, top] of [
    [7, 4, 0, 1],
    [4, 7, 1, 0],
    [7, 7, 0, 0],
  ] as const) {
    const image = imageOf(width, height)
    const padded = prepareImage(image, { siglip: { image: 7 }, sam: { image: 7 } }, { padding: 'grey' })
    for (let i = 0; i < 7 * 7 * 3; i++) {
      const [y, x, c] = [Math.floor(i / 21) - top, (Math.floor(i / 3) % 7) - left, i % 3]
      const inside = y >= 0 && y < height && x >= 0 && x < width
      const value = inside ? image.rgb[(y * width + x) * 3 + c]! : 127
      expect(padded.siglip[i]).toBe(Math.fround((value / 255 - 0.5) / 0.5))
    }
    expect(padded.sam).toEqual(prepareImage(image, { siglip: { image: 7 }, sam: { image: 7 } }).sam)
  }
})

test('a sliver that grey padding would blow up is refused, and taken without', () => {
  const sliver = { width: 9000, height: 1, rgb: new Uint8Array(9000 * 3) }
  const pad = () => prepareImage(sliver, config, { padding: 'grey' })
  expect(pad).toThrow(ImageError)
  expect(pad).toThrow(
    'An image of 9000 x 1 pixels, padded to a square of 9000 x 9000, has 81 megapixels; the limit is 64 megapixels.',
  )
  expect(prepareImage(sliver, config).scaled).toEqual([1, 64])
})

test.each(sizes)('%i x %i: coordinates go to the canvas and back', (width, height) => {
  const { toModel, toImage, scaled } = prepareImage(imageOf(width, height), config)
  const [h, w] = scaled
  const near = (point: Float32Array, [x, y]: readonly [number, number]) => {
    expect(point[0]).toBeCloseTo(x, 3)
    expect(point[1]).toBeCloseTo(y, 3)
  }
  near(vec2.transformMat3([0, 0], toModel), [0, 0])
  near(vec2.transformMat3([width, height], toModel), [w, h])
  near(vec2.transformMat3([w / 2, h], toImage), [width / 2, height])
  for (const point of [
    [0.5, 0.5],
    [width / 3, height / 7],
    [width, 0],
    [-3, height + 2],
  ] as const) {
    near(vec2.transformMat3(vec2.transformMat3(point, toModel), toImage), point)
  }
})

test('refuses pixels that do not fit their size', () => {
  expect(() => prepareImage({ width: 2, height: 2, rgb: new Uint8Array(16) }, config)).toThrow(
    'An image of 2 x 2 pixels has 12 bytes of RGB; 16 are given. Drop alpha',
  )
  expect(() => prepareImage({ width: 0, height: 2, rgb: new Uint8Array(0) }, config)).toThrow(ImageError)
  expect(() => prepareImage({ width: 1.5, height: 2, rgb: new Uint8Array(9) }, config)).toThrow(ImageError)
})
