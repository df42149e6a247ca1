// The kinds of images that `look` takes, and where their pixels are.
//
// An image is read when it is given, since its owner may draw on it, reuse it or close it in the next line; its turn to
// be looked at may come much later. Browsers have a dozen kinds of image; what we can't take as it is becomes an
// ImageBitmap, whose pixels go to the device without a detour, or is drawn on a canvas where there is no such way.
// Kinds are recognised by their properties, never by `instanceof`: the classes don't exist in Node, and an image of
// another frame is of another class. Alpha is dropped, never multiplied by, as for files.

import { orAborted } from '../../breathe.ts'
import { describe, tagOf } from '../../check.ts'
import { ImageError } from '../../errors.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import {
  copyOfTexture,
  expectSameOrigin,
  PIXEL_FORMATS,
  type Pixels,
  takesBitmaps,
} from '../../gpu/pixels.ts'
import { bytesOfBlob, decodeOwn, expectSound, type Image } from '../../io/image/image.ts'
import { kindOf } from '../../io/image/image-kind.ts'

/** Pixels of 4 bytes: red, green, blue and alpha, which is dropped. */
export interface RgbaImage {
  /** Width in pixels. */
  readonly width: number
  /** Height in pixels. */
  readonly height: number
  /** [height, width, 4] */
  readonly rgba: Uint8Array | Uint8ClampedArray
}

/**
 * An image to look at: pixels, the bytes of a file (PNG, JPEG, WebP, AVIF; in pages all that the browser knows), a Blob
 * or File, what browsers show or decode, or a texture of the model's own device (rgba8unorm or bgra8unorm, -srgb or
 * not, made with COPY_SRC).
 */
export type ImageInput =
  | Image
  | RgbaImage
  | ImageData
  | Uint8Array
  | ArrayBuffer
  | Blob
  | ImageBitmap
  | VideoFrame
  | HTMLVideoElement
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | GPUTexture

/** An image as it was when it was given. What the caller does with it afterwards changes nothing. */
export interface CapturedImage {
  /** Decodes what is a file. The pixels can be read until the image is closed. */
  open(signal?: AbortSignal): Promise<Pixels>
  /** Frees what was made of it, also while that is under way. What the caller gave stays open. */
  close(): void
}

const ACCEPTED =
  'an ImageBitmap, ImageData, VideoFrame, video, image or canvas element, OffscreenCanvas, Blob, GPUTexture, ' +
  'the bytes of an image file, { width, height, rgba } or { width, height, rgb }'

/** The readyState of a video that has a frame. */
const HAVE_CURRENT_DATA = 2

/** The owner in the memory report. */
const OWNER = 'image'

/**
 * Reads an image as it is now. Nothing is awaited before this returns: arrays are copied, what the browser shows
 * becomes a bitmap or is drawn, a texture is copied on the device. A Blob is read when it is opened: it never changes,
 * or, if it is a file that has changed on disk, can't be read any more.
 *
 * @throws ImageError naming what was given and why it has no pixels to read
 */
export function captureImage(input: ImageInput, gpu: Gpu): CapturedImage {
  if (typeof input !== 'object' || input === null) throw unknownImage(input)
  const bitmaps = takesBitmaps(gpu)
  if (ArrayBuffer.isView(input)) {
    return captureBytes(new Uint8Array(input.buffer, input.byteOffset, input.byteLength), bitmaps)
  }
  if (isBuffer(input)) return captureBytes(new Uint8Array(input), bitmaps)
  if ('rgb' in input) return captureArray(expectPixels(input, input.rgb, 3))
  if ('rgba' in input) return captureArray(expectPixels(input, input.rgba, 4))
  if ('createView' in input) return captureTexture(input, gpu)

  if ('videoWidth' in input) {
    const { videoWidth: width, videoHeight: height, readyState } = input
    if (readyState < HAVE_CURRENT_DATA || width === 0) {
      throw new ImageError(
        `The video has no frame yet (readyState ${readyState}, ${width} x ${height}): wait for its 'loadeddata' event.`,
      )
    }
    return snapshot('the video', input, { width, height }, bitmaps)
  }
  if ('codedWidth' in input) {
    const { displayWidth: width, displayHeight: height, codedWidth } = input
    if (codedWidth === 0) throw closed('VideoFrame')
    return bitmaps ? snapshot('the VideoFrame', input, { width, height }, bitmaps) : captureFrame(input)
  }
  if ('naturalWidth' in input) {
    const { naturalWidth: width, naturalHeight: height } = input
    if (width === 0) {
      throw new ImageError(
        "The image element has no pixels: await its decode(), and look at its 'error' event.",
      )
    }
    return snapshot('the image element', input, { width, height }, bitmaps)
  }
  if ('getContext' in input) {
    const { width, height } = input
    if (width === 0 || height === 0) throw empty('The canvas', width, height)
    const own = bitmaps ? null : (input.getContext('2d') as CanvasRenderingContext2D | null)
    if (own) return captured(drawnPixels('the canvas', own, width, height))
    return snapshot('the canvas', input, { width, height }, bitmaps)
  }
  if ('data' in input) return captureArray(imageDataPixels(input))
  if (isBlob(input)) return captureBlob(input, bitmaps)
  if ('close' in input && 'width' in input) {
    const { width, height } = input
    if (width === 0) throw closed('ImageBitmap')
    return snapshot('the ImageBitmap', input, { width, height }, bitmaps)
  }
  throw unknownImage(input)
}

/** Pixels that are nobody else's. */
function captured(pixels: Pixels): CapturedImage {
  return { open: async () => pixels, close: () => undefined }
}

/** A copy of pixels in host memory, which the caller may write to at once. */
function captureArray(pixels: Pixels): CapturedImage {
  // Not by slice(), which for Node's Buffer copies nothing
  if ('rgb' in pixels) return captured({ ...pixels, rgb: new Uint8Array(pixels.rgb) })
  if ('rgba' in pixels) return captured({ ...pixels, rgba: new Uint8Array(pixels.rgba) })
  return captured(pixels)
}

function captureBytes(encoded: Uint8Array, bitmaps: boolean): CapturedImage {
  const bytes = new Uint8Array(encoded) // a copy
  return captureFile(async () => bytes, 'The image', bitmaps)
}

/** A Blob isn't read before its turn. */
function captureBlob(blob: Blob, bitmaps: boolean): CapturedImage {
  const name = 'name' in blob ? String(blob.name) : 'The Blob'
  return captureFile(() => bytesOfBlob(blob, name), name, bitmaps)
}

/**
 * Captures a file, to be decoded later. If the device takes bitmaps, the browser decodes it: it knows more formats than
 * we do, and works beside this thread. Faults in the headers, or in the data of a JPEG, are refused all the same.
 */
function captureFile(
  read: () => Promise<Uint8Array<ArrayBuffer>>,
  name: string,
  bitmaps: boolean,
): CapturedImage {
  let [bitmap, isClosed]: [ImageBitmap | undefined, boolean] = [undefined, false]
  const decode = async (signal?: AbortSignal): Promise<Pixels> => {
    const bytes = await read()
    if (bitmaps && typeof createImageBitmap === 'function') {
      const file = kindOf(bytes) ? await expectSound(bytes, { name, signal }) : new Blob([bytes])
      bitmap = file && (await makeBitmap(name, file, 'none').catch(() => undefined))
      if (isClosed) bitmap?.close()
      if (bitmap) return bitmapPixels(bitmap)
    }
    // We may know a format that the browser doesn't, or can at least name it
    return decodeOwn(bytes, { name, signal })
  }
  return {
    open: (signal) => orAborted(decode(signal), signal),
    close: () => {
      isClosed = true
      bitmap?.close()
    },
  }
}

/** An image that is still being made; it is freed once it is there. */
function capturing<T>(
  copying: Promise<T>,
  pixels: (copying: T) => Pixels,
  free: (copying: T) => void,
): CapturedImage {
  let [there, isClosed]: [T | undefined, boolean] = [undefined, false]
  const kept = copying.then((x) => {
    if (isClosed) free(x)
    else there = x
    return x
  })
  kept.catch(() => undefined) // the error is reported when it is opened, if it is
  return {
    open: async () => pixels(await kept),
    close: () => {
      isClosed = true
      if (there !== undefined) free(there)
      there = undefined
    },
  }
}

function captureTexture(texture: GPUTexture, gpu: Gpu): CapturedImage {
  const { width, height } = texture
  expectReadable(texture)
  return capturing(
    copyOfTexture(gpu, texture, OWNER),
    (copy) => ({ width, height, texture: copy }),
    (copy) => gpu.buffers.release(copy),
  )
}

/** A copy of what is seen at this moment. */
function snapshot(
  what: string,
  source: CanvasImageSource,
  { width, height }: { readonly width: number; readonly height: number },
  bitmaps: boolean,
): CapturedImage {
  if (bitmaps && typeof createImageBitmap === 'function') {
    return captureBitmap(makeBitmap(what, source, 'default'))
  }
  const canvas = makeCanvas(width, height)
  const context = canvas?.getContext('2d') as CanvasRenderingContext2D | null | undefined
  if (!context) {
    throw new ImageError(
      `This runtime has no way to read the pixels of ${what}: give { width, height, rgba }, or the bytes of a file.`,
    )
  }
  try {
    context.drawImage(source, 0, 0, width, height)
  } catch (error) {
    throw unreadable(what, error)
  }
  return captured(drawnPixels(what, context, width, height))
}

function captureBitmap(making: Promise<ImageBitmap>): CapturedImage {
  return capturing(making, bitmapPixels, (bitmap) => bitmap.close())
}

function bitmapPixels(bitmap: ImageBitmap): Pixels {
  const { width, height } = bitmap
  return { width, height, bitmap }
}

async function makeBitmap(
  what: string,
  source: ImageBitmapSource,
  colorSpaceConversion: 'default' | 'none',
): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(source, { premultiplyAlpha: 'none', colorSpaceConversion })
  } catch (error) {
    throw unreadable(what, error)
  }
}

function makeCanvas(width: number, height: number): OffscreenCanvas | HTMLCanvasElement | undefined {
  if (typeof OffscreenCanvas === 'function') return new OffscreenCanvas(width, height)
  if (typeof document !== 'object') return undefined
  return Object.assign(document.createElement('canvas'), { width, height })
}

function drawnPixels(what: string, context: CanvasRenderingContext2D, width: number, height: number): Pixels {
  try {
    return imageDataPixels(context.getImageData(0, 0, width, height))
  } catch (error) {
    throw unreadable(what, error)
  }
}

/** Captures a video frame without a way through the device: a copy of the frame converts itself. */
function captureFrame(frame: VideoFrame): CapturedImage {
  const own = frame.clone()
  return { open: () => framePixels(own), close: () => own.close() }
}

async function framePixels(frame: VideoFrame): Promise<Pixels> {
  const options = { format: 'RGBA', colorSpace: 'srgb' } as const
  try {
    if (!frame.visibleRect) throw new Error('it was closed')
    const { width, height } = frame.visibleRect
    const rgba = new Uint8Array(frame.allocationSize(options))
    await frame.copyTo(rgba, options)
    return expectPixels({ width, height }, rgba, 4)
  } catch (error) {
    throw unreadable('the VideoFrame', error)
  }
}

function imageDataPixels(image: ImageData): Pixels {
  const { width, height, data } = image
  const colorSpace: string | undefined = image.colorSpace // older browsers don't say
  if (colorSpace !== undefined && colorSpace !== 'srgb') {
    throw new ImageError(`The ImageData is in ${colorSpace}; get it with { colorSpace: 'srgb' }.`)
  }
  return expectPixels({ width, height }, data, 4)
}

function expectReadable(texture: GPUTexture): void {
  const { format, dimension, sampleCount, usage } = texture
  const problem = !(format in PIXEL_FORMATS)
    ? `has the format ${format}; ${Object.keys(PIXEL_FORMATS).join(', ')} can be read`
    : dimension !== '2d' || sampleCount !== 1
      ? `is ${dimension} with ${sampleCount} samples a texel; it must be 2d with one`
      : (usage & GPUTextureUsage.COPY_SRC) === 0
        ? 'was made without GPUTextureUsage.COPY_SRC'
        : undefined
  if (problem) throw new ImageError(`The GPUTexture ${problem}.`)
}

/** Pixels of whole bytes, as many as there should be. */
function expectPixels(
  { width: W, height: H }: { readonly width: number; readonly height: number },
  data: Uint8Array | Uint8ClampedArray,
  channels: 3 | 4,
): Pixels {
  const isSize = Number.isInteger(W) && Number.isInteger(H) && W > 0 && H > 0
  const isBytes = ArrayBuffer.isView(data) && data.BYTES_PER_ELEMENT === 1
  if (isSize && isBytes && data.length === W * H * channels) {
    const size = { width: W, height: H }
    return channels === 3 ? { ...size, rgb: data as Uint8Array } : { ...size, rgba: data }
  }
  if (!isSize) {
    throw new ImageError(
      `An image has a width and a height, whole numbers of at least 1; ${describe(W)} and ${describe(H)} are given.`,
    )
  }
  const [name, other] = channels === 3 ? ['RGB', 'rgba'] : ['RGBA', 'rgb']
  const needs = `An image of ${W} x ${H} pixels has ${W * H * channels} bytes of ${name}`
  if (!isBytes) {
    throw new ImageError(`${needs}, in a Uint8Array or a Uint8ClampedArray; it was given ${describe(data)}.`)
  }
  throw new ImageError(
    `${needs}; ${data.length} are given. Pixels of ${7 - channels} bytes are named ${other}.`,
  )
}

function unreadable(what: string, cause: unknown): ImageError {
  if (cause instanceof ImageError) return cause
  expectSameOrigin(what, cause)
  const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  return new ImageError(`The pixels of ${what} can't be read (${reason}).`, { cause })
}

function closed(kind: string): ImageError {
  return new ImageError(`The ${kind} was closed: it must be open when look is called.`)
}

function empty(what: string, width: number, height: number): ImageError {
  return new ImageError(`${what} is ${width} x ${height}: it has no pixels.`)
}

/** A Response has `arrayBuffer` too, and is read once. */
function isBlob(value: object): value is Blob {
  return ['slice', 'arrayBuffer'].every(
    (name) => typeof (value as Record<string, unknown>)[name] === 'function',
  )
}

/** Shared memory too: its bytes are copied. */
function isBuffer(value: object): value is ArrayBuffer {
  return /^(Shared)?ArrayBuffer$/.test(tagOf(value))
}

function unknownImage(input: unknown): ImageError {
  const kind = tagOf(input)
  const hint =
    kind === 'String'
      ? ' Read the file or fetch the address first.'
      : kind === 'Promise'
        ? ' Await it first.'
        : kind === 'Response' || kind === 'Request'
          ? ` Give \`await ${kind.toLowerCase()}.blob()\`.`
          : ''
  return new ImageError(`look was given ${describe(input)}; it takes ${ACCEPTED}.${hint}`)
}
