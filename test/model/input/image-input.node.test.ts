// Each kind of image that look takes is recognised by what it has, as in any runtime and from any frame, and gives the
// pixels that it should; what has none says why. Browsers' own classes: image-input.browser.test.ts.

import { afterEach, describe, expect, test, vi } from 'vitest'
import { ImageError } from '../../../src/errors.ts'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import type { Pixels } from '../../../src/gpu/pixels.ts'
import { encodePng } from '../../../src/io/image/image.ts'
import { captureImage, type ImageInput } from '../../../src/model/input/image-input.ts'
import { noise } from '../../io/image/pixels.ts'

afterEach(() => vi.unstubAllGlobals())

/** A device that takes bitmaps, or not. */
const device = (bitmaps: boolean) =>
  ({ device: { queue: bitmaps ? { copyExternalImageToTexture: vi.fn() } : {} } }) as unknown as Gpu

/** Captures something that only looks like an image of the browser's. */
const capture = (fake: unknown, bitmaps = false) => captureImage(fake as ImageInput, device(bitmaps))

async function open(fake: unknown, bitmaps = false): Promise<{ pixels: Pixels; close: () => void }> {
  const image = capture(fake, bitmaps)
  return { pixels: await image.open(), close: () => image.close() }
}

const rgba = noise(7, 5, 4)
const rgb = rgba.filter((_, i) => i % 4 !== 3)
const size = { width: 7, height: 5 }
const imageData = { ...size, data: new Uint8ClampedArray(rgba), colorSpace: 'srgb' }

/** A canvas whose pixels are those of `imageData`. */
function fakeCanvas(getImageData: () => object = () => imageData) {
  const context = { drawImage: vi.fn(), getImageData: vi.fn(getImageData) }
  return { ...size, context, getContext: (kind: string) => (kind === '2d' ? context : null) }
}

/** A browser that makes bitmaps and keeps them. */
function stubBitmaps(fail?: Error) {
  const bitmaps: { source: unknown; options: unknown; close: () => void }[] = []
  vi.stubGlobal('createImageBitmap', async (source: unknown, options: unknown) => {
    if (fail) throw fail
    const bitmap = { ...size, source, options, close: vi.fn() }
    bitmaps.push(bitmap)
    return bitmap
  })
  return bitmaps
}

const video = { ...size, videoWidth: 7, videoHeight: 5, readyState: 4 }
const frame = {
  codedWidth: 8,
  codedHeight: 8,
  displayWidth: 7,
  displayHeight: 5,
  copyTo: vi.fn(),
  clone: vi.fn(),
  close: vi.fn(),
}
const element = { ...size, naturalWidth: 7, naturalHeight: 5 }
const bitmap = { ...size, close: vi.fn() }

describe('pixels in host memory', () => {
  test('RGB, RGBA and ImageData as they are', async () => {
    expect((await open({ ...size, rgb })).pixels).toEqual({ ...size, rgb })
    expect((await open({ ...size, rgba })).pixels).toEqual({ ...size, rgba })
    expect((await open(imageData)).pixels).toEqual({ ...size, rgba })
    const { colorSpace: _, ...old } = imageData // older browsers don't say
    expect((await open(old)).pixels).toEqual({ ...size, rgba })
  })

  test('a file, in whatever holds its bytes', async () => {
    const png = encodePng({ ...size, rgb })
    const { buffer } = Uint8Array.from(png)
    for (const bytes of [
      png,
      new DataView(buffer),
      buffer,
      new Blob([buffer]),
      new File([buffer], 'a.png'),
    ]) {
      expect((await open(bytes)).pixels).toEqual({ ...size, rgb })
    }
    await expect(open(new File(['GIF89a'], 'cat.gif'))).rejects.toThrow(
      'cat.gif is damaged or cut short: this GIF',
    )
    await expect(open(new Blob([]))).rejects.toThrow('The Blob is empty')
  })

  test.each([
    [
      { ...size, rgba: rgb },
      'An image of 7 x 5 pixels has 140 bytes of RGBA; 105 are given. Pixels of 3 bytes are named rgb.',
    ],
    [
      { ...size, rgb: rgba },
      'An image of 7 x 5 pixels has 105 bytes of RGB; 140 are given. Pixels of 4 bytes are named rgba.',
    ],
    [
      { width: 0, height: 2, rgb: new Uint8Array(0) },
      'An image has a width and a height, whole numbers of at least 1; 0 and 2 are given.',
    ],
    [{ width: -1, height: -4, rgb: new Uint8Array(12) }, '-1 and -4 are given.'],
    [{ width: '2\n', height: 2, rgb: new Uint8Array(12) }, '"2\\n" and 2 are given.'],
    [{ rgba: new Uint8Array(16) }, 'undefined and undefined are given.'],
    [{ width: 1.5, height: 2, rgb: new Uint8Array(9) }, '1.5 and 2 are given.'],
    [{ ...size, rgba: new Float32Array(140) }, 'it was given a Float32Array.'],
    [{ ...size, rgba: [...rgba] }, 'it was given an array.'],
    [{ ...imageData, data: new Uint16Array(140) }, 'it was given a Uint16Array.'],
    [
      { ...imageData, colorSpace: 'display-p3' },
      "The ImageData is in display-p3; get it with { colorSpace: 'srgb' }.",
    ],
  ])('refused: %#', async (image, message) => {
    const failure = open(image)
    await expect(failure).rejects.toBeInstanceOf(ImageError)
    await expect(failure).rejects.toThrow(message)
  })
})

describe('where the device takes bitmaps', () => {
  test.each([
    ['a video', video],
    ['a VideoFrame', frame],
    ['an image element', element],
    ['a canvas', fakeCanvas()],
    ['a Blob', new Blob(['any format'])],
    ['another bitmap', bitmap],
  ])('%s becomes one, unmultiplied, which is closed in the end', async (_, source) => {
    const bitmaps = stubBitmaps()
    const image = await open(source, true)
    expect(bitmaps).toHaveLength(1)
    const [one] = bitmaps
    expect(image.pixels).toEqual({ ...size, bitmap: one })
    expect(one).toMatchObject({ source, options: { premultiplyAlpha: 'none' } })
    expect(one!.close).not.toHaveBeenCalled()
    image.close()
    expect(one!.close).toHaveBeenCalledOnce()
  })

  test('what the caller gave stays open', async () => {
    stubBitmaps()
    for (const input of [bitmap, frame]) (await open(input, true)).close()
    expect(bitmap.close).not.toHaveBeenCalled()
    expect(frame.close).not.toHaveBeenCalled()
  })

  test('one that is still being made when nobody wants it any more is closed once it is there', async () => {
    const close = vi.fn()
    vi.stubGlobal('createImageBitmap', async () => ({ ...size, close }))
    capture(video, true).close()
    expect(close).not.toHaveBeenCalled()
    await vi.waitFor(() => expect(close).toHaveBeenCalledOnce())
  })

  test('a Blob that the browser cannot decode is decoded here, or named', async () => {
    stubBitmaps(new Error('no'))
    const png = Uint8Array.from(encodePng({ ...size, rgb }))
    expect((await open(new Blob([png]), true)).pixels).toEqual({ ...size, rgb })
    const heic = '\0\0\0\x18ftypheic\0\0\0\0mif1heic'
    await expect(open(new Blob([heic]), true)).rejects.toThrow(
      "The Blob is a HEIC photo, which can't be read here: save or export it as JPEG (an iPhone takes JPEGs with",
    )
    await expect(open(new Blob(['%PDF-1.7']), true)).rejects.toThrow(
      'The Blob is a PDF; a PNG, JPEG, WebP or AVIF',
    )
  })

  test('pixels of another site are refused as such', async () => {
    stubBitmaps(Object.assign(new Error('tainted'), { name: 'SecurityError' }))
    await expect(open(video, true)).rejects.toThrow(
      /doesn't let this page read the video: .* another site .*crossorigin/,
    )
    stubBitmaps(Object.assign(new Error('no image'), { name: 'InvalidStateError' }))
    await expect(open(video, true)).rejects.toThrow(
      new ImageError("The pixels of the video can't be read (InvalidStateError: no image)."),
    )
  })
})

describe('read before anything is awaited', () => {
  test('arrays and bytes are copied', async () => {
    const png = encodePng({ ...size, rgb })
    const shared = new SharedArrayBuffer(png.length)
    new Uint8Array(shared).set(png)
    const expected = { rgb: rgb.slice(), rgba: Uint8Array.from(rgba) }
    for (const [input, memory] of [
      [{ ...size, rgb: rgb.slice() }, 'rgb'],
      [{ ...size, rgba: rgba.slice() }, 'rgba'],
      [{ ...size, rgb: Buffer.from(rgb) }, 'rgb'],
      [{ ...size, rgba: Buffer.from(rgba) }, 'rgba'],
      [{ ...size, rgba: new Uint8ClampedArray(rgba) }, 'rgba'],
      [{ ...imageData, data: imageData.data.slice() }, 'data'],
      [Uint8Array.from(png), ''],
      [Uint8Array.from(png).buffer, ''],
      [shared, ''],
      [new DataView(Uint8Array.from(png).buffer), ''],
    ] as const) {
      const image = capture(input)
      const held: unknown = memory === '' ? input : (input as Record<string, unknown>)[memory]
      const bytes = ArrayBuffer.isView(held)
        ? new Uint8Array(held.buffer, held.byteOffset, held.byteLength)
        : new Uint8Array(held as ArrayBuffer)
      bytes.fill(0)
      const pixels = await image.open()
      if ('rgb' in pixels) expect(pixels.rgb).toEqual(expected.rgb)
      else if ('rgba' in pixels) expect(Uint8Array.from(pixels.rgba)).toEqual(expected.rgba)
      else expect.unreachable()
    }
  })

  test.each([
    ['a video', video],
    ['a VideoFrame', frame],
    ['an image element', element],
    ['a canvas', fakeCanvas()],
    ['a bitmap', bitmap],
  ])('%s becomes a bitmap', (_, source) => {
    const bitmaps = stubBitmaps()
    capture(source, true)
    expect(bitmaps).toHaveLength(1)
  })

  test('a VideoFrame is cloned, and the clone is closed', () => {
    const close = vi.fn()
    const clone = vi.fn(() => ({ ...frame, close }))
    const image = capture({ ...frame, clone })
    expect(clone).toHaveBeenCalledOnce()
    image.close()
    expect(close).toHaveBeenCalledOnce()
    expect(frame.close).not.toHaveBeenCalled()
  })
})

describe('where it does not', () => {
  test("a canvas's own pixels are read", async () => {
    expect((await open(fakeCanvas())).pixels).toEqual({ ...size, rgba: imageData.data })
    const tainted = fakeCanvas(() => {
      throw Object.assign(new Error('tainted'), { name: 'SecurityError' })
    })
    await expect(open(tainted)).rejects.toThrow("doesn't let this page read the canvas")
  })

  test.each([
    ['a video', video],
    ['an image element', element],
    ['a bitmap', bitmap],
    ['a canvas for 3D', { ...fakeCanvas(), getContext: () => null }],
  ])('%s is drawn on a canvas, of which there may be none', async (_, source) => {
    vi.stubGlobal('OffscreenCanvas', undefined)
    vi.stubGlobal('document', undefined)
    await expect(open(source)).rejects.toThrow(
      /^This runtime has no way to read the pixels of .* give \{ width, height, rgba \}/,
    )

    const canvas = fakeCanvas()
    const make = vi.fn(function OffscreenCanvas() {
      return canvas
    })
    vi.stubGlobal('OffscreenCanvas', make)
    expect((await open(source)).pixels).toEqual({ ...size, rgba: imageData.data })
    expect(make).toHaveBeenCalledWith(7, 5)
    expect(canvas.context.drawImage).toHaveBeenCalledWith(source, 0, 0, 7, 5)

    vi.stubGlobal('OffscreenCanvas', undefined)
    const another = fakeCanvas()
    vi.stubGlobal('document', { createElement: () => another })
    expect((await open(source)).pixels).toEqual({ ...size, rgba: imageData.data })
    expect(another.context.drawImage).toHaveBeenCalledOnce()
  })

  test('a VideoFrame converts itself', async () => {
    const copied = {
      ...frame,
      clone() {
        return this
      },
      visibleRect: { x: 0, y: 0, ...size },
      allocationSize: () => 140,
      copyTo: async (target: Uint8Array) => target.set(rgba),
    }
    expect((await open(copied)).pixels).toEqual({ ...size, rgba: Uint8Array.from(rgba) })
    const failing = { ...copied, copyTo: () => Promise.reject(new TypeError('RGBA is not supported')) }
    await expect(open(failing)).rejects.toThrow(
      "The pixels of the VideoFrame can't be read (TypeError: RGBA is not supported).",
    )
  })
})

describe.each([true, false])('no pixels (bitmaps: %s)', (bitmaps) => {
  test.each([
    [
      { ...video, readyState: 1 },
      "The video has no frame yet (readyState 1, 7 x 5): wait for its 'loadeddata' event.",
    ],
    [{ ...video, videoWidth: 0, videoHeight: 0 }, 'The video has no frame yet (readyState 4, 0 x 0)'],
    [{ ...frame, codedWidth: 0 }, 'The VideoFrame was closed: it must be open when look is called.'],
    [{ ...bitmap, width: 0, height: 0 }, 'The ImageBitmap was closed: it must be open when look is called.'],
    [{ ...element, naturalWidth: 0 }, 'The image element has no pixels: await its decode()'],
    [{ ...fakeCanvas(), width: 0 }, 'The canvas is 0 x 5: it has no pixels.'],
  ])('%#: %o', async (image, message) => {
    stubBitmaps()
    const failure = open(image, bitmaps)
    await expect(failure).rejects.toBeInstanceOf(ImageError)
    await expect(failure).rejects.toThrow(message)
  })
})

test('a texture must be one that can be copied from', async () => {
  vi.stubGlobal('GPUTextureUsage', { COPY_SRC: 1 })
  const texture = {
    ...size,
    createView: () => undefined,
    format: 'bgra8unorm',
    dimension: '2d',
    sampleCount: 1,
    usage: 5,
  }
  for (const [wrong, message] of [
    [{ format: 'rgba16float' }, /^The GPUTexture has the format rgba16float; rgba8unorm, .* can be read\.$/],
    [{ dimension: '3d' }, /is 3d with 1 samples a texel; it must be 2d with one/],
    [{ sampleCount: 4 }, /is 2d with 4 samples/],
    [{ usage: 4 }, /was made without GPUTextureUsage.COPY_SRC/],
  ] as const) {
    await expect(open({ ...texture, ...wrong })).rejects.toThrow(message)
  }
})

test.each([
  [
    'photo.jpg',
    'look was given "photo.jpg"; it takes an ImageBitmap, .* Read the file or fetch the address first',
  ],
  [Promise.resolve(), 'look was given a Promise; .* Await it first'],
  [undefined, 'look was given undefined;'],
  [null, 'look was given null;'],
  [7, 'look was given 7;'],
  [{}, 'look was given an object;'],
  [[1, 2], 'look was given \\[1, 2\\];'],
  [() => 0, 'look was given a function;'],
])('what is no image is named: %o', async (input, message) => {
  const failure = open(input)
  await expect(failure).rejects.toBeInstanceOf(ImageError)
  await expect(failure).rejects.toThrow(new RegExp(message))
})
