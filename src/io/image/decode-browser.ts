// `#decoder` in pages and their workers is the browser's own decoders, off this thread and without WebAssembly. Pixels
// come back by a canvas, which keeps colours multiplied by alpha: transparent WebPs, AVIFs and GIFs lose some of
// theirs. A bitmap that goes to the device (model/image-input.ts) does not.

import { breathe } from '../../breathe.ts'
import { ImageError } from '../../errors.ts'
import { reasonOf } from '../../printable.ts'
import { viewOf } from '../../view.ts'
import type { Image, ImageFile } from './image.ts'
import { type ImageKind, unreadable } from './image-kind.ts'
import { upright } from './orientation.ts'
import { withoutExif } from './webp-exif.ts'

/** Every browser with WebGPU reads these. */
const SURE: readonly ImageKind[] = ['JPEG', 'WebP', 'AVIF', 'GIF', 'BMP']
/** Rows that are copied out of a bitmap at a time. */
const STRIP = 256

/** Browsers differ in what they decode: all are tried, a HEIC by Safari for instance. */
export function canDecode(_kind: ImageKind): boolean {
  return typeof createImageBitmap === 'function' && typeof OffscreenCanvas === 'function'
}

/** @throws ImageError if the browser can't decode it */
export async function decodeFile(file: ImageFile, signal: AbortSignal | undefined): Promise<Image> {
  const bitmap = await bitmapOf(file)
  try {
    const pixels = await pixelsOf(bitmap, signal)
    // Of other kinds, browsers do it
    return file.kind === 'WebP' ? await upright(pixels, file.orientation, signal) : pixels
  } finally {
    bitmap.close()
  }
}

/**
 * Inflates a zlib stream, beside this thread.
 *
 * @throws Error if the stream is damaged, cut short, or not all that the pieces hold
 */
export async function* inflate(
  pieces: AsyncIterable<Uint8Array<ArrayBuffer>>,
  _packedBytes: number,
): AsyncGenerator<Uint8Array> {
  const source = pieces[Symbol.asyncIterator]()
  const pull = async (
    controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>,
  ): Promise<void> => {
    const { done, value } = await source.next()
    if (done) controller.close()
    else controller.enqueue(value)
  }
  const packed = new ReadableStream({ pull }, { highWaterMark: 0 })
  const reader = packed.pipeThrough(new DecompressionStream('deflate')).getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

async function bitmapOf({ bytes, kind, name, jpeg }: ImageFile): Promise<ImageBitmap> {
  try {
    const options = { premultiplyAlpha: 'none', colorSpaceConversion: 'none' } as const
    const plain = kind === 'WebP' ? withoutExif(bytes) : bytes
    return await createImageBitmap(new Blob([plain, ...(jpeg ? [jpeg.missingEnd] : [])]), options)
  } catch (cause) {
    if (!SURE.includes(kind)) throw unreadable(kind, name)
    throw new ImageError(
      `${name} is damaged or cut short: the browser can't decode this ${kind} (${reasonOf(cause)}). Copy or download it again, or save ` +
        'it as PNG.',
      { cause },
    )
  }
}

/** Strip by strip, so that there is never a second whole copy. */
async function pixelsOf(bitmap: ImageBitmap, signal: AbortSignal | undefined): Promise<Image> {
  const { width, height } = bitmap
  const rgb = new Uint8Array(width * height * 3)
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height))
  const context = canvas.getContext('2d', { willReadFrequently: true })
  if (!context)
    throw new ImageError('This browser has no 2D canvas to read pixels from: update it, or use another.')
  let to = 0
  for (let top = 0; top < height; top += STRIP) {
    await breathe(signal)
    const rows = Math.min(STRIP, height - top)
    context.clearRect(0, 0, width, rows)
    context.drawImage(bitmap, 0, -top)
    const rgba = viewOf(context.getImageData(0, 0, width, rows).data)
    for (let from = 0; from < rgba.byteLength; from += 4) {
      rgb[to++] = rgba.getUint8(from)
      rgb[to++] = rgba.getUint8(from + 1)
      rgb[to++] = rgba.getUint8(from + 2)
    }
  }
  return { width, height, rgb }
}
