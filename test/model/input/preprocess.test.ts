// An image reaches the encoders as the formulas of the spec have it, and coordinates find their way back.

import { afterEach, describe, expect, test, vi } from 'vitest'
import { vec2 } from 'wgpu-matrix'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import { type Pixels, Strip } from '../../../src/gpu/pixels.ts'
import type { Vision } from '../../../src/model/checkpoint/config.ts'
import {
  type InputSizes,
  type PrepareOptions,
  Preprocessor,
  placeImage,
} from '../../../src/model/input/preprocess.ts'
import { resizeBilinear } from '../../../src/selftest/references/resample.ts'
import { expectGolden, goldenImage, loadGolden, readFixture } from '../../fixtures/golden.ts'
import { noise } from '../../io/image/pixels.ts'
import { adapters, anyGpu, creations, expectSameBits } from '../../support.ts'
import { valuesOf } from '../../values.ts'

afterEach(() => vi.restoreAllMocks())

const vision: readonly Vision[] = ['siglip', 'sam']
const config = { siglip: { image: 28 }, sam: { image: 64 }, prompt: { vision } }
const imageOf = (width: number, height: number) => ({ width, height, rgb: noise(width, height) })
const mean = [0.485, 0.456, 0.406]
const std = [0.229, 0.224, 0.225]

/** The pixels that the encoders get of an image, by a preprocessor of its own. */
async function prepare(
  gpu: Gpu,
  pixels: Pixels,
  options: PrepareOptions & { sizes?: InputSizes; stripBytes?: number } = {},
): Promise<{ siglip: Float32Array; sam: Float32Array }> {
  const preprocessor = new Preprocessor(gpu, options.sizes ?? config, options.stripBytes)
  const { siglip, sam } = await preprocessor.run(pixels, options)
  const values = { siglip: await valuesOf(gpu, siglip!), sam: await valuesOf(gpu, sam!) }
  preprocessor.release()
  return values
}

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

/** By the formula, in float64 rounded once. */
function reference(width: number, height: number): { siglip: Float32Array; sam: Float32Array } {
  const image = imageOf(width, height)
  const square = resizeBilinear(image, 28, 28)
  const siglip = Float32Array.from(square.rgb, (value) => (value / 255 - 0.5) / 0.5)
  const s = 64 / Math.max(width, height)
  const [h, w] = [Math.max(1, Math.floor(height * s + 0.5)), Math.max(1, Math.floor(width * s + 0.5))]
  const { rgb } = resizeBilinear(image, w, h)
  const sam = new Float32Array(64 * 64 * 3)
  for (let i = 0; i < rgb.length; i++) {
    const [y, x, c] = [Math.floor(i / (3 * w)), Math.floor(i / 3) % w, i % 3]
    sam[(y * 64 + x) * 3 + c] = (rgb[i]! / 255 - mean[c]!) / std[c]!
  }
  return { siglip, sam }
}

for (const gpu of await adapters()) {
  describe(`on ${gpu.name}`, () => {
    test.each(sizes)(
      '%i x %i: squashed for SigLIP, at the top left of zeros for SAM',
      async (width, height) => {
        const prepared = await prepare(gpu, imageOf(width, height))
        const expected = reference(width, height)
        expectSameBits(prepared.siglip, expected.siglip)
        expectSameBits(prepared.sam, expected.sam)
      },
    )

    test('nothing depends on how many strips an image comes in', async () => {
      for (const [width, height] of sizes) {
        // One row at a time, three of 200 pixels (256 with what textures want), all at once
        for (const stripBytes of [1, 3 * 256 * 4, 2 ** 20]) {
          const { siglip, sam } = await prepare(gpu, imageOf(width, height), { stripBytes })
          expectSameBits(siglip, reference(width, height).siglip)
          expectSameBits(sam, reference(width, height).sam)
        }
      }
    })

    test('pixels of 4 bytes and textures are the same image, whatever their alpha', async () => {
      for (const [width, height] of sizes) {
        const { rgb } = imageOf(width, height)
        const expected = reference(width, height)
        for (const [format, order] of [
          ['rgba8unorm', [0, 1, 2]],
          ['bgra8unorm', [2, 1, 0]],
          ['rgba8unorm-srgb', [0, 1, 2]],
          ['bgra8unorm-srgb', [2, 1, 0]],
        ] as const) {
          const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) => {
            const channel = order[i % 4]
            return channel === undefined ? (i * 31) & 255 : rgb[Math.floor(i / 4) * 3 + channel]!
          })
          const texture = gpu.device.createTexture({
            size: [width, height],
            format,
            usage: GPUTextureUsage.COPY_DST | GPUTextureUsage.COPY_SRC,
          })
          gpu.device.queue.writeTexture({ texture }, rgba, { bytesPerRow: width * 4 }, [width, height])
          const sources: Pixels[] = [{ width, height, texture }]
          if (order[0] === 0) sources.push({ width, height, rgba: new Uint8ClampedArray(rgba) })
          for (const pixels of sources) {
            const { siglip, sam } = await prepare(gpu, pixels, { stripBytes: 64 * 256 })
            expectSameBits(siglip, expected.siglip)
            expectSameBits(sam, expected.sam)
          }
          texture.destroy()
        }
      }
    })

    test('a second image of a size makes nothing on the device', async () => {
      const preprocessor = new Preprocessor(gpu, config, 8000)
      await preprocessor.run(imageOf(50, 37))
      const { rgb } = imageOf(50, 37)
      const [before, created] = [gpu.memory().bytes, creations(gpu)]
      const { sam } = await preprocessor.run({ width: 50, height: 37, rgb: rgb.toReversed() })
      expect([...created]).toEqual([])
      const again = await preprocessor.run(imageOf(50, 37))
      expect([...created]).toEqual([])
      expect(again['sam']!.storage.buffer).toBe(sam!.storage.buffer)
      expectSameBits(await valuesOf(gpu, again['sam']!), reference(50, 37).sam)

      // The memory of an image of another size replaces it
      await preprocessor.run(imageOf(500, 370))
      await preprocessor.run(imageOf(50, 37))
      expect(gpu.memory().bytes).toBe(before)
      preprocessor.release()
    })
  })
}

test('SigLIP is left out where the language model does not see it', async () => {
  const gpu = await anyGpu()
  const preprocessor = new Preprocessor(gpu, { ...config, prompt: { vision: ['sam'] } })
  expect(Object.keys(await preprocessor.run(imageOf(5, 3)))).toEqual(['sam'])
  preprocessor.release()
})

test('what is given up or refused leaves nothing behind', async () => {
  const gpu = await anyGpu()
  const before = gpu.memory().bytes
  const preprocessor = new Preprocessor(gpu, config, 1)
  const reason = new Error('enough')
  const controller = new AbortController()
  // In the middle of the image's 37 strips
  const fill = vi.spyOn(Strip.prototype, 'fill').mockImplementationOnce(async function (
    this: Strip,
    ...args
  ) {
    controller.abort(reason)
    return this.fill(...args)
  })
  const { signal } = controller
  await expect(preprocessor.run(imageOf(50, 37), { signal })).rejects.toBe(reason)
  expect(fill.mock.calls.length).toBeLessThan(5)
  fill.mockRestore()
  // The next image is none the worse
  const { sam } = await preprocessor.run(imageOf(50, 37))
  expectSameBits(await valuesOf(gpu, sam!), reference(50, 37).sam)

  const texture = gpu.device.createTexture({
    size: [9, 9],
    format: 'rgba8unorm',
    usage: GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST,
  })
  texture.destroy()
  await expect(preprocessor.run({ width: 9, height: 9, texture })).rejects.toThrow(
    /^The device can't read the GPUTexture: .* neither closed nor destroyed/s,
  )
  preprocessor.release()
  expect(gpu.memory().bytes).toBe(before)
  await gpu.check()
})

describe("transformers' image processors", () => {
  const golden = loadGolden('preprocess')
  const small = readFixture('small.json') as InputSizes

  test.each(Object.entries(golden.inputs))('%s', async (name, { shape }) => {
    const [height = 0, width = 0] = shape
    const image = { width, height, rgb: goldenImage(golden, name) }
    const { siglip, sam } = await prepare(await anyGpu(), image, { sizes: small })
    expect(placeImage(image, small.sam.image).scaled).toEqual(golden.facts[`${name}.scaledSize`])
    // The library normalises in float32
    expectGolden(`${name}.siglip`, siglip, golden, 1e-6)
    expectGolden(`${name}.sam`, sam, golden, 1e-6)
  })
})

test('known values: black, white and grey', async () => {
  const rgb = Uint8Array.of(0, 0, 0, 255, 255, 255, 127, 127, 127, 0, 255, 127)
  const sizes = { siglip: { image: 2 }, sam: { image: 2 }, prompt: { vision } }
  const { siglip, sam } = await prepare(await anyGpu(), { width: 2, height: 2, rgb }, { sizes })
  const close = (values: Float32Array, at: number, expected: number[]) =>
    expected.forEach((value, i) => expect(values[at + i]).toBeCloseTo(value, 5))
  close(siglip, 0, [-1, -1, -1, 1, 1, 1, -0.003922, -0.003922, -0.003922])
  close(sam, 0, [-2.117904, -2.035714, -1.804444, 2.248908, 2.428571, 2.64])
})

test('grey padding centres the image in a square, for SigLIP alone', async () => {
  const gpu = await anyGpu()
  const sizes = { siglip: { image: 7 }, sam: { image: 7 }, prompt: { vision } }
  for (const [width, height, left, top] of [
    [7, 4, 0, 1],
    [4, 7, 1, 0],
    [7, 7, 0, 0],
  ] as const) {
    const image = imageOf(width, height)
    const padded = await prepare(gpu, image, { sizes, padding: 'grey' })
    for (let i = 0; i < 7 * 7 * 3; i++) {
      const [y, x, c] = [Math.floor(i / 21) - top, (Math.floor(i / 3) % 7) - left, i % 3]
      const inside = y >= 0 && y < height && x >= 0 && x < width
      const value = inside ? image.rgb[(y * width + x) * 3 + c]! : 127
      expect(padded.siglip[i]).toBe(Math.fround((value / 255 - 0.5) / 0.5))
    }
    expectSameBits(padded.sam, (await prepare(gpu, image, { sizes })).sam)
  }
  // A sliver needs no room for its square
  const { siglip } = await prepare(gpu, imageOf(30_000, 1), { padding: 'grey' })
  expect(new Set(siglip)).toEqual(new Set([Math.fround((127 / 255 - 0.5) / 0.5)]))
})

test.each(sizes)('%i x %i: coordinates go to the canvas and back', (width, height) => {
  const { toModel, toImage, scaled } = placeImage({ width, height }, 64)
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
