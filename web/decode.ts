// A file becomes pixels, for the model and to show.
//
// Where it costs little, the engine's own decoders read PNG and JPEG: same bits as on the command line. Large
// photographs, and every other kind that the browser knows (WebP, AVIF, GIF ...), are the browser's work: it decodes 30
// megapixels in a fraction of a second.

import { ImageError } from '../src/errors.ts'
import { decodeImage, type Image } from '../src/index.ts'

/** Pixels that the engine's decoders may take, which are slower. */
const OWN_PIXELS = 4e6
/** The engine's own limit. */
const MAX_PIXELS = 64e6
/** What is shown needs no more: it has to fit into a texture, on phones too. */
const SHOWN_PIXELS = 16e6
const SHOWN_SIDE = 8192
/** Rows that are copied out of the browser's bitmap at a time. */
const STRIP = 512

export interface Picture extends Image {
  readonly name: string
  readonly rgb: Uint8Array<ArrayBuffer>
  /** To show; at most SHOWN_PIXELS. */
  readonly bitmap: ImageBitmap
}

/** @throws ImageError saying what is wrong with the file */
export async function openPicture(blob: Blob, name: string): Promise<Picture> {
  if (blob.size === 0) throw new ImageError(`${name} is empty: 0 bytes.`)
  const decoded = await createImageBitmap(blob, {
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
    imageOrientation: 'from-image',
  }).catch(() => undefined)

  // What the browser can't read our decoders at least give a name to
  if (!decoded || (decoded.width * decoded.height <= OWN_PIXELS && (await isPngOrJpeg(blob)))) {
    decoded?.close()
    const { width, height, rgb } = decodeImage(new Uint8Array(await blob.arrayBuffer()), { name })
    const pixels = new Uint8Array(rgb)
    return { name, width, height, rgb: pixels, bitmap: await bitmapOf({ width, height, rgb: pixels }) }
  }
  const { width, height } = decoded
  if (width * height > MAX_PIXELS) {
    decoded.close()
    throw new ImageError(
      `${name} has ${width} x ${height} pixels, ${(width * height) / 1e6} megapixels; at most ${MAX_PIXELS / 1e6} ` +
        'are taken. Scale it down first.',
    )
  }
  return { name, width, height, rgb: pixelsOf(decoded), bitmap: await shown(decoded) }
}

async function isPngOrJpeg(blob: Blob): Promise<boolean> {
  const [a, b] = new Uint8Array(await blob.slice(0, 2).arrayBuffer())
  return (a === 0x89 && b === 0x50) || (a === 0xff && b === 0xd8)
}

/** [height, width, 3], strip by strip so that there is never a second whole copy. */
function pixelsOf(bitmap: ImageBitmap): Uint8Array<ArrayBuffer> {
  const { width, height } = bitmap
  const rgb = new Uint8Array(width * height * 3)
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height))
  const context = canvas.getContext('2d', { willReadFrequently: true })!
  let to = 0
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top)
    context.clearRect(0, 0, width, rows)
    context.drawImage(bitmap, 0, -top)
    const { data } = context.getImageData(0, 0, width, rows)
    for (let from = 0; from < data.length; from += 4) {
      rgb[to++] = data[from]!
      rgb[to++] = data[from + 1]!
      rgb[to++] = data[from + 2]!
    }
  }
  return rgb
}

/** The bitmap itself, or a smaller one in its place. */
async function shown(bitmap: ImageBitmap): Promise<ImageBitmap> {
  const { width, height } = bitmap
  const factor = Math.min(1, SHOWN_SIDE / Math.max(width, height), Math.sqrt(SHOWN_PIXELS / (width * height)))
  if (factor === 1) return bitmap
  const small = await createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(width * factor)),
    resizeHeight: Math.max(1, Math.round(height * factor)),
    resizeQuality: 'medium',
  })
  bitmap.close()
  return small
}

async function bitmapOf({ width, height, rgb }: Image): Promise<ImageBitmap> {
  return createImageBitmap(new ImageData(rgbaOf(rgb), width, height))
}

/** Opaque pixels for a canvas. */
export function rgbaOf(rgb: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4)
  for (let from = 0, to = 0; from < rgb.length; to += 4) {
    rgba[to] = rgb[from++]!
    rgba[to + 1] = rgb[from++]!
    rgba[to + 2] = rgb[from++]!
    rgba[to + 3] = 255
  }
  return rgba
}
