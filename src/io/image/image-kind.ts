// The kind and the size of an image, from its first bytes and headers; never from a name.
//
// Only sizes are read, of every frame or layer that a file announces, since a decoder makes room for the largest. What
// a header promises is checked before a decoder sees it.

import { ImageError } from '../../errors.ts'
import { viewOf } from '../../view.ts'

/** Formats that are told apart by their first bytes. */
export type ImageKind = 'PNG' | 'JPEG' | 'WebP' | 'AVIF' | 'GIF' | 'BMP' | 'HEIC'

/** A width and a height in whole pixels. */
export interface Size {
  /** Width in pixels. */
  readonly width: number
  /** Height in pixels. */
  readonly height: number
}

/** The kind, if it is one that some runtime reads. */
export function kindOf(bytes: Uint8Array): ImageKind | undefined {
  const head = latin1(bytes, 0, 32)
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'PNG'
  if (head.startsWith('\xff\xd8')) return 'JPEG'
  if (head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP') return 'WebP'
  if (/^GIF8[79]a/.test(head)) return 'GIF'
  if (head.startsWith('BM')) return 'BMP'
  if (head.slice(4, 8) !== 'ftyp') return undefined
  // The main brand may be that of all still images, and the compatible ones tell
  const length = Math.min(viewOf(bytes).getUint32(0), 256)
  const brands = latin1(bytes, 8, Math.max(12, length))
  const has = (brand: RegExp) =>
    [0, ...steps(8, brands.length)].some((at) => brand.test(brands.slice(at, at + 4)))
  if (has(/^avi[fs]$/)) return 'AVIF'
  return has(/^(heic|heix|hevc|heim|heis|mif1|msf1)$/) ? 'HEIC' : undefined
}

/** Sizes of a file's frames, the first one that of the whole image; none for kinds whose headers aren't read here. */
export function sizesOf(kind: ImageKind, bytes: Uint8Array, name: string): Size[] {
  const sizes =
    kind === 'WebP' ? webpSizes(bytes) : kind === 'AVIF' ? avifSizes(bytes) : plainSize(kind, bytes)
  if (sizes === undefined) return []
  const [whole] = sizes
  if (!whole || whole.width < 1 || whole.height < 1) {
    throw new ImageError(
      `${name} is damaged or cut short: this ${kind} of ${bytes.length} bytes does not say how large it is. ` +
        'Copy or download it again.',
    )
  }
  return sizes
}

function plainSize(kind: ImageKind, bytes: Uint8Array): Size[] | undefined {
  const view = viewOf(bytes)
  if (kind === 'GIF') {
    if (bytes.length < 10) return []
    return [{ width: view.getUint16(6, true), height: view.getUint16(8, true) }]
  }
  if (kind !== 'BMP') return undefined
  if (bytes.length < 26) return []
  // OS/2's first header has 16 bits per side; in the others a negative height means rows from the top
  if (view.getUint32(14, true) === 12)
    return [{ width: view.getUint16(18, true), height: view.getUint16(20, true) }]
  return [{ width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) }]
}

/**
 * The sizes of the canvas (VP8X) and of every frame: a lossy one (VP8), a lossless one (VP8L), those of an animation
 * (ANMF).
 */
function webpSizes(bytes: Uint8Array): Size[] {
  const view = viewOf(bytes)
  const u24 = (at: number) => view.getUint16(at, true) + view.getUint8(at + 2) * 65536
  const sizes: Size[] = []
  const chunks = (from: number, to: number, isFrame: boolean): void => {
    for (let at = from; at + 8 <= to; ) {
      const [id, length] = [latin1(bytes, at, 4), view.getUint32(at + 4, true)]
      const data = at + 8
      if (id === 'VP8X' && data + 10 <= to)
        sizes.push({ width: u24(data + 4) + 1, height: u24(data + 7) + 1 })
      if (id === 'VP8 ' && data + 10 <= to) {
        const [width, height] = [
          view.getUint16(data + 6, true) & 0x3fff,
          view.getUint16(data + 8, true) & 0x3fff,
        ]
        sizes.push({ width, height })
      }
      if (id === 'VP8L' && data + 5 <= to) {
        const bits = view.getUint32(data + 1, true)
        sizes.push({ width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 })
      }
      if (id === 'ANMF' && data + 16 <= to && !isFrame) {
        sizes.push({ width: u24(data + 6) + 1, height: u24(data + 9) + 1 })
        chunks(data + 16, Math.min(to, data + length), true)
      }
      at = data + length + (length & 1)
    }
  }
  chunks(12, bytes.length, false)
  return sizes
}

/** meta, iprp, ipco: sizes are in the third. */
const MAX_DEPTH = 3

/** The size of every item (`ispe`), the largest first: an image may be a grid of others. */
function avifSizes(bytes: Uint8Array): Size[] {
  const view = viewOf(bytes)
  const sizes: Size[] = []
  /** The bytes of a box's contents that come before the boxes inside it. */
  const inside: Readonly<Record<string, number>> = { meta: 4, iprp: 0, ipco: 0 }
  const boxes = (from: number, to: number, depth: number): void => {
    for (let at = from; at + 8 <= to; ) {
      const [short, id] = [view.getUint32(at), latin1(bytes, at + 4, 4)]
      const isLong = short === 1 && at + 16 <= to
      const length = isLong ? Number(view.getBigUint64(at + 8)) : short === 0 ? to - at : short
      const begin = at + (isLong ? 16 : 8)
      const end = at + length
      if (length < 8 || end > to) return
      if (id === 'ispe' && begin + 12 <= end) {
        sizes.push({ width: view.getUint32(begin + 4), height: view.getUint32(begin + 8) })
      }
      const skipped = inside[id]
      if (skipped !== undefined && depth < MAX_DEPTH) boxes(begin + skipped, end, depth + 1)
      at = end
    }
  }
  boxes(0, bytes.length, 0)
  return sizes.sort((a, b) => b.width * b.height - a.width * a.height)
}

/** The error for a kind that a runtime doesn't decode. */
export function unreadable(kind: ImageKind, name: string): ImageError {
  const [what, remedy] =
    kind === 'HEIC'
      ? [
          'a HEIC photo',
          'save or export it as JPEG (an iPhone takes JPEGs with Settings, Camera, Formats, Most Compatible)',
        ]
      : [withArticle(kind), 'save it as PNG or JPEG']
  return new ImageError(`${name} is ${what}, which can't be read here: ${remedy}.`)
}

/** 'a PNG', 'an AVIF'. */
export function withArticle(kind: ImageKind): string {
  return `${kind === 'AVIF' ? 'an' : 'a'} ${kind}`
}

/** Names other kinds of file that people try. */
export function looksLike(bytes: Uint8Array): string {
  const head = latin1(bytes, 0, 16)
  if (head.slice(4, 8) === 'ftyp') return 'is a video (MP4 or QuickTime)'
  if (/^(II\*\0|MM\0\*)/.test(head)) return 'is a TIFF or a raw photo'
  if (head.startsWith('%PDF')) return 'is a PDF'
  if (head.startsWith('8BPS')) return 'is a Photoshop file'
  if (head.startsWith('\xff\x0a') || head.slice(4, 8) === 'JXL ') return 'is a JPEG XL'
  if (head.slice(4, 6) === 'jP') return 'is a JPEG 2000'
  if (head.startsWith('\0\0\x01\0')) return 'is an icon (ICO)'
  if (head.startsWith('PK')) return 'is a ZIP archive'
  if (/^\s*<|^\xef\xbb\xbf</.test(head)) return 'is a web page or an SVG'
  const hex = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  return `is not an image that we know (it begins with ${hex})`
}

function* steps(from: number, to: number): Generator<number> {
  for (let at = from; at < to; at += 4) yield at
}

function latin1(bytes: Uint8Array, begin: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(begin, begin + length))
}
