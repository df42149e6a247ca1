// Image files <-> pixels.
//
// A file's kind is recognised by its first bytes, never by a name. What it claims to be is read from its headers and
// refused there if it is too large, before anything of that size is allocated. PNGs are decoded here, in every runtime;
// the other kinds by `#decoder`: libvips in Node, Deno and Bun, the browser's own decoders in pages. Nothing is decoded
// on the thread that asks for it, but for the rows of a PNG, which take turns with other work.

import { encode } from 'fast-png'
import { canDecode, decodeFile } from '#decoder'
import { orAborted } from '../../breathe.ts'
import { ImageError } from '../../errors.ts'
import { printable, reasonOf } from '../../printable.ts'
import { expectAllPixels } from './gif-data.ts'
import { expectDecodable, expectEncodable } from './image-arguments.ts'
import {
  type ImageKind,
  kindOf,
  looksLike,
  type Size,
  sizesOf,
  unreadable,
  withArticle,
} from './image-kind.ts'
import { type JpegHeader, readJpegHeader } from './jpeg.ts'
import { upright } from './orientation.ts'
import { MAX_PIXELS, megapixels } from './pixel-limit.ts'
import { decodePng, type PngHeader, readPngHeader } from './png.ts'
import { webpOrientation } from './webp-exif.ts'

/** An image in host memory. */
export interface Image {
  /** Width in pixels. */
  readonly width: number
  /** Height in pixels. */
  readonly height: number
  /** [height, width, 3], 8 bits each. */
  readonly rgb: Uint8Array
}

/** Sizes that {@link decodeImage} refuses, and the name of a file in its messages. */
export interface DecodeOptions {
  /** Larger images are refused, by their header; 64 megapixels by default. */
  readonly maxPixels?: number | undefined
  /** The image's name in messages: a file name, for instance. */
  readonly name?: string | undefined
  /** Aborts decoding; the rejection is the signal's own reason. */
  readonly signal?: AbortSignal | undefined
}

/** A file whose headers are in order. */
export interface ImageFile {
  /** The whole file, not to be changed until it is decoded. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The format by the file's first bytes, whatever its name says. */
  readonly kind: ImageKind
  /** The file's name in messages. */
  readonly name: string
  /** The most pixels that its size may promise, which decoders are told too. */
  readonly maxPixels: number
  /** As EXIF names it, of a JPEG or a WebP; 1 is upright. */
  readonly orientation: number
  /** The header of a JPEG; undefined for other kinds. */
  readonly jpeg?: JpegHeader
  /** The header of a PNG; undefined for other kinds. */
  readonly png?: PngHeader
}

/**
 * A file's pixels: of a PNG, JPEG, WebP or AVIF, of a GIF the first frame; in pages of whatever the browser reads.
 * Transparency is dropped, as Pillow's convert('RGB') does; a JPEG, PNG or WebP is turned upright by its EXIF
 * orientation.
 *
 * @param bytes are read before this returns
 * @throws ImageError if it is no such file, damaged, cut short or too large
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Image> {
  expectDecodable(bytes, options)
  options.signal?.throwIfAborted()
  return decodeOwn(new Uint8Array(bytes), options) // a copy
}

/** The same for bytes that nobody writes to meanwhile. */
export async function decodeOwn(bytes: Uint8Array<ArrayBuffer>, options: DecodeOptions): Promise<Image> {
  options.signal?.throwIfAborted()
  return decodeRead(readImageFile(bytes, options), options.signal)
}

/**
 * The same, but a JPEG or a WebP stays as it is stored, as Pillow's open leaves it: EXIF's orientation is passed over.
 */
export async function decodeStored(bytes: Uint8Array<ArrayBuffer>, options: DecodeOptions): Promise<Image> {
  options.signal?.throwIfAborted()
  return decodeRead({ ...readImageFile(bytes, options), orientation: 1 }, options.signal)
}

/**
 * Reads a Blob, or a File.
 *
 * @throws ImageError if it can't be read, as a file that has changed on disk since it was chosen
 */
export async function bytesOfBlob(blob: Blob, name: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await blob.arrayBuffer())
  } catch (cause) {
    throw new ImageError(
      `${printable(name)} can't be read (${reasonOf(cause)}): choose the file again. It may have changed since it was ` +
        'chosen.',
      { cause },
    )
  }
}

/**
 * The size that an image file will have when it is decoded, from its headers.
 *
 * @param isStored whether it is for {@link decodeStored}
 * @throws ImageError if they are damaged, or say no size
 */
export function sizeOfImage(
  bytes: Uint8Array<ArrayBuffer>,
  options: DecodeOptions,
  isStored: boolean = false,
): Size {
  const { kind, jpeg, png, name, orientation } = readImageFile(bytes, options)
  const header = png ?? jpeg
  const size = header ?? (canDecode(kind) ? sizesOf(kind, bytes, name)[0] : undefined)
  if (!size) throw unreadable(kind, name)
  const { width, height } = size
  const isTurned = (png?.orientation ?? (isStored ? 1 : orientation)) >= 5
  return isTurned ? { width: height, height: width } : { width, height }
}

async function decodeRead(file: ImageFile, signal: AbortSignal | undefined): Promise<Image> {
  if (file.png) {
    const { width, height, orientation } = file.png
    // Between two of its rows it waits for a thread that inflates: all of them may be busy
    const rgb = await orAborted(decodePng(file.png, file.name, signal), signal)
    return upright({ width, height, rgb }, orientation, signal)
  }
  if (!canDecode(file.kind)) throw unreadable(file.kind, file.name)
  await expectWhole(file, signal)
  return orAborted(decodeFile(file, signal), signal)
}

/** Decoders are silent about what is missing of a JPEG or a GIF. */
async function expectWhole(
  { bytes, kind, name, jpeg }: ImageFile,
  signal: AbortSignal | undefined,
): Promise<void> {
  await jpeg?.expectWhole(signal)
  if (kind === 'GIF') await expectAllPixels(bytes, name, signal)
}

/**
 * Looks through a file that the browser decodes.
 *
 * @returns what to give to the browser; undefined for a WebP that isn't stored upright: not every browser turns it
 * @throws ImageError if its headers are damaged or promise too much, or a JPEG's or GIF's data end early
 */
export async function expectSound(
  bytes: Uint8Array<ArrayBuffer>,
  options: DecodeOptions,
): Promise<Blob | undefined> {
  const file = readImageFile(bytes, options)
  await expectWhole(file, options.signal)
  if (file.kind === 'WebP' && file.orientation !== 1) return undefined
  return new Blob([file.bytes, ...(file.jpeg ? [file.jpeg.missingEnd] : [])])
}

/**
 * Reads a file's headers, all of them.
 *
 * @throws ImageError if they are damaged, or promise more than `maxPixels`
 */
function readImageFile(bytes: Uint8Array<ArrayBuffer>, options: DecodeOptions): ImageFile {
  const { maxPixels = MAX_PIXELS } = options
  const name = printable(options.name ?? 'The image')
  if (bytes.length === 0) throw new ImageError(`${name} is empty: 0 bytes.`)
  const kind = kindOf(bytes)
  if (!kind) throw new ImageError(`${name} ${looksLike(bytes)}; a PNG, JPEG, WebP or AVIF is needed.`)

  if (kind === 'JPEG') {
    const jpeg = readJpegHeader(bytes, name, (size) => expectPixels(size, kind, maxPixels, name))
    return { bytes, kind, name, maxPixels, orientation: jpeg.orientation, jpeg }
  }
  const png = kind === 'PNG' ? readPngHeader(bytes, name) : undefined
  for (const size of png ? [png] : sizesOf(kind, bytes, name)) expectPixels(size, kind, maxPixels, name)
  if (png) return { bytes, kind, name, maxPixels, orientation: 1, png }
  return { bytes, kind, name, maxPixels, orientation: kind === 'WebP' ? webpOrientation(bytes) : 1 }
}

function expectPixels({ width, height }: Size, kind: ImageKind, limit: number, name: string): void {
  if (width * height <= limit) return
  throw new ImageError(
    `${name} is ${withArticle(kind)} of ${width} x ${height} pixels, ${megapixels(width * height)}; the limit is ` +
      `${megapixels(limit)}. Scale it down, or raise { maxPixels }.`,
  )
}

/** Pixels of 8 bits: three channels, four or one. */
export type PngPixels = {
  /** Width in pixels. */
  readonly width: number
  /** Height in pixels. */
  readonly height: number
} & (
  | {
      /** [height, width, 3] */
      readonly rgb: Uint8Array
    }
  | {
      /** [height, width, 4] */
      readonly rgba: Uint8Array
    }
  | {
      /** [height, width] */
      readonly grey: Uint8Array
    }
)

/**
 * Writes pixels as a PNG file.
 *
 * @returns the bytes of the file
 * @throws UsageError if the arrays don't have the size that width and height say
 */
export function encodePng(image: PngPixels): Uint8Array {
  expectEncodable(image)
  const { width, height } = image
  const [data, channels] =
    'rgb' in image ? [image.rgb, 3] : 'rgba' in image ? [image.rgba, 4] : [image.grey, 1]
  const isSize = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0
  if (!isSize || data.length !== width * height * channels) {
    throw new ImageError(
      `encodePng: ${width} x ${height} pixels of ${channels} bytes take ${width * height * channels} bytes, ${data.length} are given.`,
    )
  }
  return encode({ width, height, data, channels, depth: 8 })
}
