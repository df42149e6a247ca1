// A file becomes pixels, for the model and to show.
//
// The engine's decodeImage reads small PNG and JPEG files: it refuses damaged ones, and its pixels are those of the
// command. It reads WebPs, which not every browser turns upright by their EXIF orientation (Chromium 147 doesn't).
// The browser decodes large photographs, and every other kind that it knows (AVIF, GIF ...): it takes a fraction of a
// second for 30 megapixels, and the model takes its bitmap as it is, so that the pixels never come here.

import { decodeImage, type Image, ImageError } from '../../src/index.ts'
import { copyRgb, rgbaOf } from './pixels.ts'
import { stripsOf } from './strips.ts'

/** Pixels that the engine's decoders may take, which are slower. */
const OWN_PIXELS = 4e6
/** The engine's own limit. */
const MAX_PIXELS = 64e6
/** The picture on the page needs no more: it has to fit into a texture, on phones too. */
const SHOWN_PIXELS = 16e6
const SHOWN_SIDE = 8192

/** An image that was opened. */
export interface Picture {
  readonly name: string
  readonly width: number
  readonly height: number
  /** The image for the model. */
  readonly pixels: Image | ImageBitmap
  /** A PNG whose pixels the browser has. */
  readonly png: Blob | undefined
}

/**
 * @param source a file, or what the camera took
 * @returns the picture, and a bitmap of it to show, of at most SHOWN_PIXELS; both are the caller's
 * @throws ImageError saying what is wrong with the file
 */
export async function openPicture(
  source: Blob | ImageBitmap,
  name: string,
): Promise<{ picture: Picture; shown: ImageBitmap }> {
  if (!('size' in source)) return withBitmap(source, name)
  if (source.size === 0) throw new ImageError(`${name} is empty: 0 bytes.`)
  const decoded = await createImageBitmap(source, {
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
    imageOrientation: 'from-image',
  }).catch(() => undefined)

  // If the browser can't read it, our decoders can at least name the format
  const kind = await kindOf(source, name)
  const isOwn = kind === 'webp' || (kind && decoded && decoded.width * decoded.height <= OWN_PIXELS)
  if (!decoded || isOwn) {
    decoded?.close()
    const pixels = await decodeImage(await bytesOf(source, name), { name })
    const { width, height, rgb } = pixels
    const shown = await createImageBitmap(new ImageData(rgbaOf(rgb), width, height))
    return { picture: { name, width, height, pixels, png: undefined }, shown }
  }
  return withBitmap(decoded, name, kind === 'png' ? source : undefined)
}

async function withBitmap(
  pixels: ImageBitmap,
  name: string,
  png?: Blob,
): Promise<{ picture: Picture; shown: ImageBitmap }> {
  const { width, height } = pixels
  if (width * height > MAX_PIXELS) {
    pixels.close()
    throw new ImageError(
      `${name} has ${width} x ${height} pixels, ${(width * height) / 1e6} megapixels; at most ${MAX_PIXELS / 1e6} ` +
        'are taken. Scale it down first.',
    )
  }
  return { picture: { name, width, height, pixels, png }, shown: await shownOf(pixels) }
}

/** @throws ImageError if the file can't be read: it may have changed on disk since it was chosen */
async function bytesOf(blob: Blob, name: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await blob.arrayBuffer())
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ImageError(`${name} can't be read (${reason}): choose the file again.`, { cause })
  }
}

async function kindOf(blob: Blob, name: string): Promise<'png' | 'jpeg' | 'webp' | undefined> {
  const head = await bytesOf(blob.slice(0, 12), name)
  const [a, b] = head
  if (/^RIFF.{4}WEBP$/s.test(String.fromCharCode(...head))) return 'webp'
  if (a === 0x89 && b === 0x50) return 'png'
  return a === 0xff && b === 0xd8 ? 'jpeg' : undefined
}

/** A copy to show: a smaller one where it is large. */
async function shownOf(bitmap: ImageBitmap): Promise<ImageBitmap> {
  const { width, height } = bitmap
  const factor = Math.min(1, SHOWN_SIDE / Math.max(width, height), Math.sqrt(SHOWN_PIXELS / (width * height)))
  if (factor === 1) return createImageBitmap(bitmap)
  return createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(width * factor)),
    resizeHeight: Math.max(1, Math.round(height * factor)),
    resizeQuality: 'medium',
  })
}

/**
 * [height, width, 3], to be saved. A canvas multiplies colours by alpha, which the engine drops: PNGs are its own work.
 */
export async function rgbOf({ name, pixels, png }: Picture): Promise<Uint8Array> {
  if ('rgb' in pixels) return pixels.rgb
  return png ? (await decodeImage(await bytesOf(png, name), { name })).rgb : drawn(pixels)
}

function drawn(bitmap: ImageBitmap): Uint8Array<ArrayBuffer> {
  const { width, height } = bitmap
  const rgb = new Uint8Array(width * height * 3)
  for (const { top, data } of stripsOf(bitmap)) copyRgb(data, rgb, 3 * width * top)
  return rgb
}
