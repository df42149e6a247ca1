// Image files <-> pixels, the same bits in every runtime.
//
// PNG and JPEG, told apart by their first bytes, never by a name. What a file claims to be is read from its
// header, and refused there if it is too large, before anything of that size is allocated.

import { encode } from 'fast-png'
import { ImageError } from '../errors.ts'
import { expectDecodable, expectEncodable } from './image-arguments.ts'
import { decodeJpeg, readJpegHeader } from './jpeg.ts'
import { decodePng, PNG_SIGNATURE, readPngHeader } from './png.ts'

export interface Image {
  readonly width: number
  readonly height: number
  /** [height, width, 3], 8 bits each. */
  readonly rgb: Uint8Array
}

export interface DecodeOptions {
  /** Larger images are refused, by their header; 64 megapixels by default. */
  readonly maxPixels?: number
  /** For messages, a file name for instance. */
  readonly name?: string
}

const MEGA = 1e6
/** Of an image that is decoded, or padded, unless told otherwise. */
export const MAX_PIXELS: number = 64 * MEGA // a JPEG of this size takes some 2 GB to decode

/**
 * A PNG or JPEG file's pixels. Transparency is dropped, as Pillow's convert('RGB') does; a JPEG is turned
 * upright by its EXIF orientation.
 *
 * @throws ImageError if it is no such file, damaged, cut short or too large
 */
export function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Image {
  expectDecodable(bytes, options)
  const { maxPixels = MAX_PIXELS, name = 'The image' } = options
  if (bytes.length === 0) throw new ImageError(`${name} is empty: 0 bytes.`)
  if (startsWith(bytes, PNG_SIGNATURE)) {
    const header = readPngHeader(bytes, name)
    expectPixels(header, 'PNG', maxPixels, name)
    return { width: header.width, height: header.height, rgb: decodePng(bytes, header, name) }
  }
  if (startsWith(bytes, [0xff, 0xd8])) {
    const header = readJpegHeader(bytes, name)
    expectPixels(header, 'JPEG', maxPixels, name)
    return decodeJpeg(bytes, header, name)
  }
  throw new ImageError(`${name} ${looksLike(bytes)}; a PNG or JPEG is needed.`)
}

function expectPixels(
  size: { width: number; height: number },
  kind: string,
  limit: number,
  name: string,
): void {
  const { width, height } = size
  if (width * height <= limit) return
  throw new ImageError(
    `${name} is a ${kind} of ${width} x ${height} pixels, ${megapixels(width * height)}; the limit is ` +
      `${megapixels(limit)}. Scale it down, or raise { maxPixels }.`,
  )
}

export function megapixels(pixels: number): string {
  return `${Number((pixels / MEGA).toFixed(pixels < MEGA ? 6 : 1))} megapixels`
}

/** What else the bytes may be: what people try first. */
function looksLike(bytes: Uint8Array): string {
  const head = String.fromCharCode(...bytes.subarray(0, 16))
  const brand = head.slice(8, 12)
  if (head.startsWith('GIF8')) return 'is a GIF'
  if (head.startsWith('RIFF') && brand === 'WEBP') return 'is a WebP'
  if (head.slice(4, 8) === 'ftyp' && /^(heic|heix|hevc|heim|heis|mif1|msf1)/.test(brand))
    return 'is a HEIC photo'
  if (head.slice(4, 8) === 'ftyp' && /^avi[fs]/.test(brand)) return 'is an AVIF'
  if (head.slice(4, 8) === 'ftyp') return 'is a video (MP4 or QuickTime)'
  if (/^(II\*\0|MM\0\*)/.test(head)) return 'is a TIFF or a raw photo'
  if (head.startsWith('BM')) return 'is a BMP'
  if (head.startsWith('%PDF')) return 'is a PDF'
  if (head.startsWith('8BPS')) return 'is a Photoshop file'
  if (startsWith(bytes, [0xff, 0x0a]) || head.slice(4, 8) === 'JXL ') return 'is a JPEG XL'
  if (head.slice(4, 6) === 'jP') return 'is a JPEG 2000'
  if (startsWith(bytes, [0, 0, 1, 0])) return 'is an icon (ICO)'
  if (head.startsWith('PK')) return 'is a ZIP archive'
  if (/^\s*<|^\xef\xbb\xbf</.test(head)) return 'is a web page or an SVG'
  const hex = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  return `is not an image that we know (it begins with ${hex})`
}

function startsWith(bytes: Uint8Array, head: readonly number[]): boolean {
  return head.every((byte, i) => bytes[i] === byte)
}

/** Pixels of 8 bits: three channels, four or one. */
export type PngPixels = { readonly width: number; readonly height: number } & (
  | { readonly rgb: Uint8Array }
  | { readonly rgba: Uint8Array }
  | { readonly grey: Uint8Array }
)

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
