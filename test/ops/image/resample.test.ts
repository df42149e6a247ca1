// resampleRows and resampleColumns are Pillow's bilinear up to version 12, to the last bit on every adapter: by the
// checksums of what Pillow made, and by a plain reference on the host, which has those checksums as well.

import { describe, expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import { crc32 } from '../../../src/io/image/crc32.ts'
import type { Image } from '../../../src/io/image/image.ts'
import { type Margin, resampleColumns, resampleRows, triangleTaps } from '../../../src/ops/image/resample.ts'
import { resizeBilinear } from '../../../src/selftest/references/resample.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { param, tensor } from '../../../src/tensor/tensor.ts'
import { expectGolden, goldenImage, loadGolden } from '../../fixtures/golden.ts'
import cases from '../../fixtures/io/resize.json' with { type: 'json' }
import { noise } from '../../io/image/pixels.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, planOf } from '../../support.ts'

const CASES = cases as [width: number, height: number, toWidth: number, toHeight: number, crc: number][]
/** Each level itself. */
const LEVELS = { data: Float32Array.from({ length: 768 }, (_, i) => i % 256), shape: [3, 256] }

/** RGB as pixels of 4 bytes, with an alpha that must not matter. @param red bit at which red begins */
function packed({ width, height, rgb }: Image, red: 0 | 16 = 0): Uint32Array {
  return Uint32Array.from({ length: width * height }, (_, i) => {
    const [r, g, b] = [rgb[3 * i]!, rgb[3 * i + 1]!, rgb[3 * i + 2]!]
    return ((r << red) | (g << 8) | (b << (16 - red)) | ((i * 37) << 24)) >>> 0
  })
}

function taps(from: number, to: number, margin?: Margin) {
  const { data, words } = triangleTaps(from, to, margin)
  return { data, shape: [to, words] }
}

/** The top left [height, width] of a square of floats, as bytes; what is around it must be 0. */
function corner(square: ArrayLike<number>, side: number, width: number, height: number): Uint8Array {
  const bytes = new Uint8Array(width * height * 3)
  let outside = 0
  for (let i = 0; i < square.length; i++) {
    const [row, col] = [Math.floor(i / (3 * side)), Math.floor(i / 3) % side]
    if (row < height && col < width) bytes[(row * width + col) * 3 + (i % 3)] = square[i]!
    else outside += Math.abs(square[i]!)
  }
  expect(outside).toBe(0)
  return bytes
}

/** Twice, on this adapter. */
async function resample(gpu: Gpu, image: Image, width: number, height: number): Promise<Uint8Array> {
  const side = Math.max(width, height)
  const inputs = {
    pixels: { data: packed(image), shape: [image.width * image.height] },
    across: taps(image.width, width),
    down: taps(image.height, height),
    table: LEVELS,
  }
  const square = await evaluate(gpu, inputs, (t) => {
    const rows = tensor([image.height, width], 'u32')
    const whole = { capacity: image.height, first: 0, rows: image.height, stride: image.width, red: 0 }
    resampleRows({ pixels: t['pixels'], ...whole }, t['across'], rows)
    return resampleColumns(rows, t['down'], t['table'], side)
  })
  return corner(square, side, width, height)
}

const imageOf = (width: number, height: number): Image => ({ width, height, rgb: noise(width, height) })

/** The same noise again and again: a photograph's worth of it in no time. */
function largeImage(width: number, height: number): Image {
  const rgb = new Uint8Array(width * height * 3)
  const tile = noise(997, 331)
  for (let i = 0; i < rgb.length; i += tile.length) rgb.set(tile.subarray(0, rgb.length - i), i)
  return { width, height, rgb }
}

describe('the reference', () => {
  test(`is Pillow at ${CASES.length} sizes`, () => {
    for (const [width, height, toWidth, toHeight, crc] of CASES) {
      const { rgb } = resizeBilinear(imageOf(width, height), toWidth, toHeight)
      expect(crc32(rgb), `${width} x ${height} to ${toWidth} x ${toHeight}`).toBe(crc)
    }
  })

  const golden = loadGolden('resize')
  test.each(Object.keys(golden.entries))('is the golden file: to %s', (size) => {
    const [height, width] = size.split('x').map(Number)
    const image = { width: 97, height: 61, rgb: goldenImage(golden, 'image') }
    expectGolden(size, Float32Array.from(resizeBilinear(image, width!, height!).rgb), golden, 1e-9)
  })
})

for (const gpu of await adapters()) {
  describe(`resampling on ${gpu.name}`, () => {
    test(`is Pillow at ${CASES.length} sizes`, async () => {
      for (const [width, height, toWidth, toHeight, crc] of CASES) {
        const bytes = await resample(gpu, imageOf(width, height), toWidth, toHeight)
        expect(crc32(bytes), `${width} x ${height} to ${toWidth} x ${toHeight}`).toBe(crc)
      }
    })

    test('is the reference at sizes that nobody thought of', async () => {
      await expectRight(gpu, { ops: ['resample'], count: 8 })
    })

    test('is the reference at sides of one pixel', async () => {
      const thin = [
        [1, 200, 64, 64],
        [200, 1, 64, 64],
        [64, 64, 1, 50],
        [64, 64, 50, 1],
        [3001, 2, 7, 90],
      ]
      for (const [width, height, toWidth, toHeight] of thin as [number, number, number, number][]) {
        const image = imageOf(width, height)
        const bytes = await resample(gpu, image, toWidth, toHeight)
        const { rgb } = resizeBilinear(image, toWidth, toHeight)
        expect(crc32(bytes), `${width} x ${height} to ${toWidth} x ${toHeight}`).toBe(crc32(rgb))
      }
    })

    test('is the reference for a photograph, 4000 x 3000', async () => {
      const image = largeImage(4000, 3000)
      for (const [width, height] of [
        [1024, 768],
        [384, 384],
      ] as const) {
        const bytes = await resample(gpu, image, width, height)
        expect(crc32(bytes)).toBe(crc32(resizeBilinear(image, width, height).rgb))
      }
    })

    test('one colour stays that colour, whatever the sizes', async () => {
      for (const level of [0, 1, 254, 255]) {
        for (const [width, height, toWidth, toHeight] of [
          [1, 1, 9, 9],
          [997, 3, 7, 11],
          [3, 500, 31, 2],
        ] as const) {
          const rgb = new Uint8Array(width * height * 3).fill(level)
          const bytes = await resample(gpu, { width, height, rgb }, toWidth, toHeight)
          expect(bytes.every((value) => value === level)).toBe(true)
        }
      }
    })

    test('comes strip by strip, from rows of any stride, with blue first as well', async () => {
      const image = imageOf(90, 47)
      const [stride, capacity, width, height] = [101, 20, 31, 25]
      for (const red of [0, 16] as const) {
        const pixels = packed(image, red)
        const empty = new Uint32Array(capacity * stride)
        const across = taps(90, width)
        const given = { pixels: { data: empty, shape: [empty.length] }, across }
        const { plan: made, run } = await planOf(gpu, given, (t) => {
          const rows = tensor([47, width], 'u32')
          const place = { first: param('first'), rows: param('rows'), stride, red: param('red') }
          resampleRows({ pixels: t['pixels'], capacity, ...place }, t['across'], rows)
          return { rows }
        })
        // Each run writes its rows only
        const seen = new Uint32Array(47 * width)
        for (let first = 0; first < 47; first += capacity) {
          const rows = Math.min(capacity, 47 - first)
          const strip = empty.map((_, i) => {
            const [row, col] = [Math.floor(i / stride), i % stride]
            return row < rows && col < 90 ? pixels[(first + row) * 90 + col]! : 0xffffffff
          })
          const inputs = { pixels: strip, across: across.data }
          const { rows: y } = await run({ inputs, params: { first, rows, red } })
          seen.set(y.subarray(first * width, (first + rows) * width), first * width)
        }
        made.release()
        const rest = { rows: { data: seen, shape: [47, width] }, down: taps(47, height), table: LEVELS }
        const square = await evaluate(gpu, rest, (t) => resampleColumns(t['rows'], t['down'], t['table'], 33))
        expect(corner(square, 33, width, height)).toEqual(resizeBilinear(image, width, height).rgb)
      }
    })
  })
}

test('a margin is as if the image had it', async () => {
  const gpu = await anyGpu()
  for (const [width, height, level] of [
    [40, 9, 127],
    [7, 60, 127],
    [1, 30, 255],
    [30, 1, 0],
  ] as const) {
    const image = imageOf(width, height)
    const length = Math.max(width, height)
    const [left, top] = [Math.floor((length - width) / 2), Math.floor((length - height) / 2)]
    const padded = new Uint8Array(length * length * 3).fill(level)
    for (let y = 0; y < height; y++)
      padded.set(image.rgb.subarray(y * width * 3, (y + 1) * width * 3), ((y + top) * length + left) * 3)
    for (const side of [5, 28, 77]) {
      const inputs = {
        pixels: { data: packed(image), shape: [width * height] },
        across: taps(width, side, { before: left, length, level }),
        down: taps(height, side, { before: top, length, level }),
        table: LEVELS,
      }
      const square = await evaluate(gpu, inputs, (t) => {
        const rows = tensor([height, side], 'u32')
        const whole = { capacity: height, first: 0, rows: height, stride: width, red: 0 }
        resampleRows({ pixels: t['pixels'], ...whole }, t['across'], rows)
        return resampleColumns(rows, t['down'], t['table'], side)
      })
      const expected = resizeBilinear({ width: length, height: length, rgb: padded }, side, side)
      expect(corner(square, side, side, side), `${width} x ${height} to ${side}`).toEqual(expected.rgb)
    }
  }
})

test('what does not fit is named', async () => {
  const gpu = await anyGpu()
  const columns = (side: number) =>
    plan(gpu, 'test', ({ input }) => {
      const x = input('x', [6, 9], 'u32')
      return { read: { y: resampleColumns(x, input('taps', [8, 6], 'u32'), input('table', [3, 256]), side) } }
    })
  await expect(columns(8)).rejects.toThrow(
    new ShapeError('resampleColumns: an image of [8, 9] is larger than the square of 8 x 8.'),
  )
  const rows = plan(gpu, 'test', ({ input }) => {
    const y = tensor([6, 9], 'u32')
    const strip = { capacity: 6, first: 0, rows: 6, stride: 9, red: 0 }
    resampleRows({ pixels: input('x', [54], 'u32'), ...strip }, input('taps', [8, 6], 'u32'), y)
    return { read: { y } }
  })
  await expect(rows).rejects.toThrow('resampleRows: taps is [8, 6], expected [9, ?].')
})
