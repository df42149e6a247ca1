// The browser's own images: each kind reaches the encoders as the same pixels given as bytes do, to the last bit, and
// one whose pixels can't be had says why.

import { encode } from 'fast-png'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ImageError } from '../../../src/errors.ts'
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts'
import { encodePng } from '../../../src/io/image/image.ts'
import { captureImage, type ImageInput } from '../../../src/model/input/image-input.ts'
import { Preprocessor } from '../../../src/model/input/preprocess.ts'
import { noise } from '../../io/image/pixels.ts'
import { valuesOf } from '../../values.ts'

const [width, height] = [70, 45]
const rgb = noise(width, height)
/** Opaque: a canvas keeps colours multiplied by alpha, and so not all of them. */
const rgba = Uint8ClampedArray.from({ length: width * height * 4 }, (_, i) =>
  i % 4 === 3 ? 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)]!,
)
const png = Uint8Array.from(encodePng({ width, height, rgb }))
const imageData = () => new ImageData(rgba.slice(), width, height)

describe.skipIf(typeof document === 'undefined')('in a browser', () => {
  let gpu: Gpu
  beforeAll(async () => {
    gpu = await openGpu()
  })
  afterAll(() => gpu.close())

  /** The pixels that SAM gets of it. */
  async function seen(input: ImageInput, meanwhile: () => void = () => undefined): Promise<Float32Array> {
    const config = { siglip: { image: 28 }, sam: { image: 64 }, prompt: { vision: ['sam'] as const } }
    const preprocessor = new Preprocessor(gpu, config, 20 * 128 * 4) // three strips
    const image = captureImage(input, gpu)
    meanwhile()
    try {
      const { sam } = await preprocessor.run(await image.open())
      return await valuesOf(gpu, sam!)
    } finally {
      image.close()
      preprocessor.release()
    }
  }

  function canvas(): OffscreenCanvas {
    const canvas = new OffscreenCanvas(width, height)
    canvas.getContext('2d')!.putImageData(imageData(), 0, 0)
    return canvas
  }

  async function imageElement(): Promise<HTMLImageElement> {
    const image = new Image()
    image.src = URL.createObjectURL(new Blob([png], { type: 'image/png' }))
    await image.decode()
    return image
  }

  const KINDS: [string, () => ImageInput | Promise<ImageInput>][] = [
    ['ImageData', imageData],
    ['ImageBitmap', () => createImageBitmap(imageData())],
    ['Blob', () => new Blob([png], { type: 'image/png' })],
    ['OffscreenCanvas', canvas],
    [
      'HTMLCanvasElement',
      () => {
        const canvas = Object.assign(document.createElement('canvas'), { width, height })
        canvas.getContext('2d')!.putImageData(imageData(), 0, 0)
        return canvas
      },
    ],
    ['HTMLImageElement', imageElement],
    ['VideoFrame', () => new VideoFrame(canvas(), { timestamp: 0 })],
  ]

  test.each(KINDS)('%s: the same pixels as bytes', async (_, make) => {
    const input = await make()
    const expected = await seen({ width, height, rgb })
    expect(await seen(input)).toEqual(expected)
    // And again: it was not closed
    expect(await seen(input)).toEqual(expected)
  })

  test.each(KINDS)('%s: read at once, whatever becomes of it in the next line', async (_, make) => {
    const input = await make()
    const expected = await seen({ width, height, rgb })
    const overwritten = await seen(input, () => {
      if (input instanceof ImageData) input.data.fill(0)
      if ('getContext' in input) {
        const context = input.getContext('2d') as CanvasRenderingContext2D
        context.fillRect(0, 0, width, height)
      }
      if (input instanceof HTMLImageElement) input.src = ''
      if ('close' in input) input.close()
    })
    expect(overwritten).toEqual(expected)
  })

  test('colours under alpha are kept where the image has them', async () => {
    const clear = rgba.map((v, i) => (i % 4 === 3 ? i % 256 : v))
    const options = { premultiplyAlpha: 'none' } as const
    const bitmap = await createImageBitmap(new ImageData(clear, width, height), options)
    const expected = await seen({ width, height, rgb })
    expect(await seen(bitmap)).toEqual(expected)
    const file = encode({ width, height, data: clear, channels: 4 })
    expect(await seen(new Blob([Uint8Array.from(file)], { type: 'image/png' }))).toEqual(expected)
  })

  test('a bitmap of our own is closed, and the device is as before', async () => {
    const close = vi.spyOn(ImageBitmap.prototype, 'close')
    try {
      await seen(new Blob([png], { type: 'image/png' }))
      expect(close).toHaveBeenCalledTimes(1)
      const theirs = await createImageBitmap(imageData())
      await seen(theirs)
      expect(close).toHaveBeenCalledTimes(2) // the copy of theirs
      expect(close.mock.contexts).not.toContain(theirs)
    } finally {
      close.mockRestore()
    }
    expect(gpu.memory().bytes).toBe(0)
  })

  test('a panorama that is wider than a texture', async () => {
    const size = { width: gpu.device.limits.maxTextureDimension2D + 100, height: 9 }
    const colours = noise(size.width, size.height)
    const levels = Uint8ClampedArray.from({ length: size.width * size.height * 4 }, (_, i) =>
      i % 4 === 3 ? 255 : colours[Math.floor(i / 4) * 3 + (i % 4)]!,
    )
    const bitmap = await createImageBitmap(new ImageData(levels, size.width, size.height))
    expect(await seen(bitmap)).toEqual(await seen({ ...size, rgb: colours }))
  })

  test('a video, once it has a frame', async () => {
    const stream = document.createElement('canvas')
    Object.assign(stream, { width, height })
    const context = stream.getContext('2d')!
    context.fillStyle = 'rgb(200, 60, 30)'
    context.fillRect(0, 0, width, height)
    const video = Object.assign(document.createElement('video'), { muted: true })
    await expect(seen(video)).rejects.toThrow('The video has no frame yet (readyState 0, 0 x 0)')
    const loaded = new Promise((done) => video.addEventListener('loadeddata', done))
    video.srcObject = stream.captureStream(30)
    void video.play()
    const timer = setInterval(() => context.fillRect(0, 0, width, height), 20)
    await loaded
    clearInterval(timer)

    // The way through a video costs a few levels
    const levels = await seen(video)
    const one = Uint8Array.from({ length: width * height * 3 }, (_, i) => [200, 60, 30][i % 3]!)
    const expected = await seen({ width, height, rgb: one })
    const worst = Math.max(...levels.map((v, i) => Math.abs(v - expected[i]!)))
    expect(worst).toBeLessThan(0.2) // a level is 0.018
    video.pause()
  })

  describe('no pixels', () => {
    test('what was closed', async () => {
      const bitmap = await createImageBitmap(imageData())
      bitmap.close()
      await expect(seen(bitmap)).rejects.toThrow('The ImageBitmap was closed')
      const frame = new VideoFrame(canvas(), { timestamp: 0 })
      frame.close()
      await expect(seen(frame)).rejects.toThrow('The VideoFrame was closed')
      await expect(seen(new Image())).rejects.toThrow('The image element has no pixels')
    })

    test('a canvas with pixels of another site', async () => {
      // A document of another origin, drawn: browsers taint the canvas
      const image = new Image()
      const svg =
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><foreignObject width="9" height="9">' +
        '<p xmlns="http://www.w3.org/1999/xhtml">a</p></foreignObject></svg>'
      image.src = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }))
      await image.decode()
      const tainted = new OffscreenCanvas(9, 9)
      const context = tainted.getContext('2d')!
      context.drawImage(image, 0, 0)
      let isTainted = false
      try {
        context.getImageData(0, 0, 1, 1)
      } catch {
        isTainted = true
      }
      expect(isTainted).toBe(true)
      const failure = seen(tainted)
      await expect(failure).rejects.toBeInstanceOf(ImageError)
      await expect(failure).rejects.toThrow('another site')
    })
  })
})
