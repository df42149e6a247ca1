// What `look` can be given, and where the pixels of it are.
//
// Browsers have a dozen kinds of image; what we can't take as it is becomes an ImageBitmap, whose pixels go to the device
// without a detour, or is drawn on a canvas where there is no such way. Kinds are told by what they have, never by
// `instanceof`: the classes don't exist in Node, and an image of another frame is of another class. Alpha is dropped,
// never multiplied by, as for files.

import { ImageError } from '../errors.ts'
import { expectSameOrigin, PIXEL_FORMATS, type Pixels } from '../gpu/pixels.ts'
import { decodeImage, type Image } from '../io/image.ts'

/** Pixels of 4 bytes: red, green, blue and alpha, which is dropped. */
export interface RgbaImage {
  readonly width: number
  readonly height: number
  /** [height, width, 4] */
  readonly rgba: Uint8Array | Uint8ClampedArray
}

/**
 * An image to look at: pixels, the bytes of a PNG or JPEG file, a Blob or File of any format that the browser knows, what
 * browsers show or decode, or a texture of the model's own device (rgba8unorm or bgra8unorm, -srgb or not, made with COPY_SRC).
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

/** An image whose pixels can be read until it is closed. */
export interface OpenImage {
  readonly pixels: Pixels
  /** Frees what we made of it. What the caller gave stays open. */
  close(): void
}

const ACCEPTED =
  'an ImageBitmap, ImageData, VideoFrame, video, image or canvas element, OffscreenCanvas, Blob, GPUTexture, ' +
  'the bytes of a PNG or JPEG file, { width, height, rgba } or { width, height, rgb }'

/** Where a video stands in readyState once it has a frame. */
const HAVE_CURRENT_DATA = 2

/**
 * Finds an image's pixels as they are now: a video may go on, and a canvas be drawn on.
 *
 * @param bitmaps whether the device takes ImageBitmaps
 * @throws ImageError naming what was given and why it has no pixels to read
 */
export async function openImage(input: ImageInput, bitmaps: boolean): Promise<OpenImage> {
  if (typeof input !== 'object' || input === null) throw unknownImage(input)
  if (ArrayBuffer.isView(input)) {
    return open(decodeImage(new Uint8Array(input.buffer, input.byteOffset, input.byteLength)))
  }
  if (nameOf(input) === 'ArrayBuffer') return open(decodeImage(new Uint8Array(input as ArrayBuffer)))
  if ('rgb' in input) return open(expectPixels(input, input.rgb, 3))
  if ('rgba' in input) return open(expectPixels(input, input.rgba, 4))
  if ('createView' in input) return open(texturePixels(input))

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
    if (!bitmaps) return open(await framePixels(input))
    return snapshot('the VideoFrame', input, { width, height }, bitmaps)
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
    if (own) return open(drawnPixels('the canvas', own, width, height))
    return snapshot('the canvas', input, { width, height }, bitmaps)
  }
  if ('data' in input) return open(imageDataPixels(input))
  if ('arrayBuffer' in input) return openBlob(input, bitmaps)
  if ('close' in input && 'width' in input) {
    const { width, height } = input
    if (width === 0) throw closed('ImageBitmap')
    if (bitmaps) return open({ width, height, bitmap: input })
    return snapshot('the ImageBitmap', input, { width, height }, bitmaps)
  }
  throw unknownImage(input)
}

function open(pixels: Pixels): OpenImage {
  return { pixels, close: () => undefined }
}

/** A copy of what is seen at this moment. */
async function snapshot(
  what: string,
  source: CanvasImageSource,
  { width, height }: { readonly width: number; readonly height: number },
  bitmaps: boolean,
): Promise<OpenImage> {
  if (bitmaps && typeof createImageBitmap === 'function') return openBitmap(what, source)
  const canvas = makeCanvas(width, height)
  const context = canvas?.getContext('2d') as CanvasRenderingContext2D | null | undefined
  if (!context) {
    throw new ImageError(
      `This runtime has no way to read the pixels of ${what}: give { width, height, rgba }, or the bytes of a file.`,
    )
  }
  context.drawImage(source, 0, 0, width, height)
  return open(drawnPixels(what, context, width, height))
}

async function openBitmap(what: string, source: ImageBitmapSource): Promise<OpenImage> {
  try {
    const options = { premultiplyAlpha: 'none', colorSpaceConversion: 'default' } as const
    const bitmap = await createImageBitmap(source, options)
    const { width, height } = bitmap
    return { pixels: { width, height, bitmap }, close: () => bitmap.close() }
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

/** Browsers decode more than PNG and JPEG, off this thread, and turn photographs upright; elsewhere we do. */
async function openBlob(blob: Blob, bitmaps: boolean): Promise<OpenImage> {
  const name = 'name' in blob ? String(blob.name) : 'The Blob'
  if (bitmaps && typeof createImageBitmap === 'function') {
    // What the browser doesn't know we may, or else say what it is
    const decoded = await openBitmap(name, blob).catch(() => undefined)
    if (decoded) return decoded
  }
  return open(decodeImage(new Uint8Array(await blob.arrayBuffer()), { name }))
}

/** Without a way through the device: converted by the frame itself. */
async function framePixels(frame: VideoFrame): Promise<Pixels> {
  const options = { format: 'RGBA', colorSpace: 'srgb' } as const
  try {
    const { width, height } = frame.visibleRect!
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

function texturePixels(texture: GPUTexture): Pixels {
  const { width, height, format, dimension, sampleCount, usage } = texture
  const problem =
    PIXEL_FORMATS[format] === undefined
      ? `has the format ${format}; ${Object.keys(PIXEL_FORMATS).join(', ')} can be read`
      : dimension !== '2d' || sampleCount !== 1
        ? `is ${dimension} with ${sampleCount} samples a texel; it must be 2d with one`
        : (usage & GPUTextureUsage.COPY_SRC) === 0
          ? 'was made without GPUTextureUsage.COPY_SRC'
          : undefined
  if (problem) throw new ImageError(`The GPUTexture ${problem}.`)
  return { width, height, texture }
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
  const [name, other] = channels === 3 ? ['RGB', 'rgba'] : ['RGBA', 'rgb']
  const given = isBytes ? String(data.length) : nameOf(data)
  throw new ImageError(
    `An image of ${W} x ${H} pixels has ${W * H * channels} bytes of ${name}; ${given} are given. ` +
      `Pixels of ${7 - channels} bytes are named ${other}.`,
  )
}

function unreadable(what: string, cause: unknown): ImageError {
  if (cause instanceof ImageError) return cause
  expectSameOrigin(what, cause)
  const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  return new ImageError(`The pixels of ${what} can't be read (${reason}).`, { cause })
}

function closed(kind: string): ImageError {
  return new ImageError(`The ${kind} was closed: it must stay open until look is done.`)
}

function empty(what: string, width: number, height: number): ImageError {
  return new ImageError(`${what} is ${width} x ${height}: it has no pixels.`)
}

/** What kind of thing it is, for people: 'HTMLDivElement', 'string'. */
function nameOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

function unknownImage(input: unknown): ImageError {
  const kind = nameOf(input)
  const hint =
    kind === 'String'
      ? ' Read the file or fetch the address first.'
      : kind === 'Promise'
        ? ' Await it first.'
        : ''
  return new ImageError(`look was given a ${kind}; it takes ${ACCEPTED}.${hint}`)
}
