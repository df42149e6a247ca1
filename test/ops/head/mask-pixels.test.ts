// maskPixels: bilinear resize of a corner in float64, then > 0, bit by bit; and the same bits as `resize` would give.
// maskBytes: those bits, a byte each.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { maskBytes, maskPixels } from '../../../src/ops/head/mask-pixels.ts'
import { plan } from '../../../src/tensor/tensor.ts'
import {
  adapters,
  anyGpu,
  evaluate,
  expectSameBits,
  type HostTensor,
  random,
  uniform,
} from '../../support.ts'

type Size = readonly [H: number, W: number]

/** The logits before the threshold. */
function reference(
  { data, shape: [, W = 0] }: HostTensor,
  [h, w]: Size,
  [height, width]: Size,
): Float64Array {
  const taps = (i: number, from: number, to: number): [number, number, number] => {
    const s = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1)
    const low = Math.floor(s)
    return [low, Math.min(low + 1, from - 1), s - low]
  }
  return Float64Array.from({ length: height * width }, (_, i) => {
    const [top, bottom, v] = taps(Math.floor(i / width), h, height)
    const [left, right, u] = taps(i % width, w, width)
    const row = (r: number) => data[r * W + left]! * (1 - u) + data[r * W + right]! * u
    return row(top) * (1 - v) + row(bottom) * v
  })
}

const bit = (words: ArrayLike<number>, i: number): number => (words[i >>> 5]! >>> (i & 31)) & 1

for (const gpu of await adapters()) {
  test(`maskPixels on ${gpu.name}`, async () => {
    const cases: [map: Size, crop: Size, image: Size][] = [
      [
        [1, 1],
        [1, 1],
        [1, 1],
      ],
      [
        [4, 4],
        [4, 4],
        [5, 7],
      ], //             35 pixels: a word and three bits
      [
        [8, 8],
        [6, 8],
        [60, 80],
      ],
      [
        [16, 16],
        [16, 11],
        [16, 11],
      ], //       no resize at all
      [
        [16, 12],
        [13, 1],
        [2, 3],
      ], //          a crop one column wide, shrunk
      [
        [128, 128],
        [128, 97],
        [33, 25],
      ], //    shrunk without antialias
      [
        [64, 64],
        [43, 64],
        [301, 449],
      ], //     several workgroups
    ]
    for (const [map, crop, image] of cases) {
      const x = random(map, 3)
      // What lies outside of the crop must not matter
      const spoilt = x.data.map((v, i) =>
        Math.floor(i / map[1]) < crop[0] && i % map[1] < crop[1] ? v : 1e6,
      )
      const bits = await evaluate(gpu, { x: { data: spoilt, shape: map } }, (t) =>
        maskPixels(t['x']!, crop, image),
      )
      const expected = reference(x, crop, image)
      expect(bits.length).toBe(Math.ceil(expected.length / 32))
      // Positions up to 128 are good to 1e-5 in f32, so a logit nearer to 0 than that may fall on either side
      const wrong = expected.findIndex(
        (logit, i) => Math.abs(logit) > 1e-4 && bit(bits, i) !== Number(logit > 0),
      )
      expect(wrong, `pixel ${wrong} of ${JSON.stringify({ map, crop, image })}: ${expected[wrong]}`).toBe(-1)
      const unsure = expected.filter((logit) => Math.abs(logit) <= 1e-4).length
      expect(unsure).toBeLessThanOrEqual(expected.length / 500)
      // Bits past the last pixel are 0
      for (let i = expected.length; i < bits.length * 32; i++) expect(bit(bits, i)).toBe(0)
    }
  })

  test(`a logit of 0 is outside on ${gpu.name}`, async () => {
    const x = { data: Float32Array.of(0, 1e-30, -1e-30, -0), shape: [2, 2] }
    const y = await evaluate(gpu, { x }, (t) => maskPixels(t['x']!, [2, 2], [2, 2]))
    expectSameBits(y, Uint32Array.of(0b0010))
  })
}

for (const gpu of await adapters()) {
  test(`maskBytes on ${gpu.name}`, async () => {
    for (const [height, width, rowBytes] of [
      [1, 1, 4],
      [7, 5, 8], //       35 pixels: a word and three bits
      [3, 64, 64],
      [37, 257, 512], //  rows begin in the middle of words
      [301, 449, 512], // several workgroups
    ] as const) {
      const noise = uniform(Math.ceil((height * width) / 32), 7)
      const bits = Uint32Array.from(noise, (v) => Math.imul((v + 2) * 2 ** 23, 0x9e3779b1))
      const y = await evaluate(gpu, { bits: { data: bits, shape: [bits.length] } }, (t) =>
        maskBytes(t['bits']!, [height, width], rowBytes),
      )
      const bytes = new Uint8Array(y.buffer, y.byteOffset, y.byteLength)
      const expected = Uint8Array.from({ length: height * rowBytes }, (_, i) => {
        const [row, col] = [Math.floor(i / rowBytes), i % rowBytes]
        return col < width ? 255 * bit(bits, row * width + col) : 0
      })
      expect(bytes, `${height} x ${width}`).toEqual(expected)
    }
  })
}

test('bytes of other bits, or without room for a row, are named', async () => {
  const gpu = await anyGpu()
  const make = (words: number, rowBytes: number) =>
    plan(gpu, 'test', ({ input }) => ({
      read: { y: maskBytes(input('bits', [words], 'u32'), [5, 20], rowBytes) },
    }))
  await expect(make(3, 20)).rejects.toThrow(new ShapeError('maskBytes: bits is [3], expected [4].'))
  await expect(make(4, 16)).rejects.toThrow('rows of 16 bytes, expected a multiple of 4 that holds 20 pixels')
  await expect(make(4, 22)).rejects.toThrow('rows of 22 bytes')
})

test('a crop that does not fit is named', async () => {
  const gpu = await anyGpu()
  const make = (crop: Size) =>
    plan(gpu, 'test', ({ input }) => ({ read: { y: maskPixels(input('x', [4, 6]), crop, [2, 2]) } }))
  await expect(make([5, 6])).rejects.toThrow(
    new ShapeError('maskPixels: the crop [5, 6] is not inside of the map [4, 6].'),
  )
  await expect(make([0, 6])).rejects.toThrow(
    'maskPixels: the height of crop is 0, expected a whole number of at least 1.',
  )
})
