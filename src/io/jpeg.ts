// JPEG -> RGB, upright.
//
// jpeg-js decodes; it gives the same bits in Node, Deno and browsers, where the platforms' own decoders
// differ. What it would get wrong is seen to here, from the header: sizes and kinds it can't do, RGB stored
// as such, and the orientation that cameras note in EXIF.

import { decode } from 'jpeg-js'
import { ImageError } from '../errors.ts'

export interface JpegHeader {
  /** As stored, before it is turned upright. */
  readonly width: number
  readonly height: number
  /** 1 grey, 3 colour, 4 CMYK. */
  readonly components: number
  /** The three components are red, green and blue, not luma and chroma. */
  readonly isRgb: boolean
  /** 1 to 8, as in EXIF; 1 is upright. */
  readonly orientation: number
}

interface Turned {
  readonly width: number
  readonly height: number
  readonly rgb: Uint8Array
}

/** @param bytes beginning with FF D8 */
export function readJpegHeader(bytes: Uint8Array, name: string): JpegHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const cut = () =>
    new ImageError(`${name} is cut short: a JPEG of ${bytes.length} bytes ends within its header.`)
  let orientation = 1
  let adobe = -1 // the colour transform that Adobe's marker names
  let frame: Omit<JpegHeader, 'isRgb' | 'orientation'> | undefined
  let ids = ''

  for (let at = 2; ; ) {
    // Every segment is FF, its marker, its length and its contents; extra FFs may stand before it
    if (at + 4 > bytes.length) throw cut()
    if (bytes[at] !== 0xff) throw damaged(name, `a marker is missing at byte ${at}`)
    const marker = bytes[at + 1]!
    if (marker === 0xff) {
      at++
      continue
    }
    const begin = at + 4
    const end = at + 2 + view.getUint16(at + 2)
    if (end < begin) throw damaged(name, `a segment at byte ${at} has no length`)
    if (end > bytes.length) throw cut()

    if (marker === 0xda) break // the pixels follow
    if (marker === 0xe1)
      orientation =
        exifOrientation(new DataView(view.buffer, view.byteOffset + begin, end - begin)) ?? orientation
    if (marker === 0xee && text(bytes, begin, 5) === 'Adobe' && end - begin >= 12) adobe = bytes[begin + 11]!
    if (isFrame(marker)) {
      if (marker > 0xc2) {
        throw new ImageError(
          `${name} is a JPEG of a rare kind (${marker === 0xc3 ? 'lossless' : 'arithmetic or hierarchical coding'}), which can't be read: save it as a plain JPEG or PNG.`,
        )
      }
      const components = end - begin >= 6 ? bytes[begin + 5]! : 0
      if (frame || end - begin < 6 + 3 * components) throw damaged(name, 'its frame header is malformed')
      if (bytes[begin] !== 8) {
        throw new ImageError(
          `${name} is a JPEG of ${bytes[begin]} bits a sample; only 8 can be read: save it with 8.`,
        )
      }
      for (let i = 0; i < components; i++) {
        const [id, sampling] = [bytes[begin + 6 + 3 * i]!, bytes[begin + 7 + 3 * i]!]
        const [h, v] = [sampling >> 4, sampling & 15]
        if (h < 1 || h > 4 || v < 1 || v > 4) throw damaged(name, `its component ${i} is sampled ${h} x ${v}`)
        ids += String.fromCharCode(id)
      }
      frame = { width: view.getUint16(begin + 3), height: view.getUint16(begin + 1), components }
    }
    at = end
  }

  if (!frame || frame.width === 0 || frame.height === 0)
    throw damaged(name, 'it does not say how large it is')
  if (![1, 3, 4].includes(frame.components)) throw damaged(name, `it has ${frame.components} components`)
  if (frame.components === 4 && adobe < 0) {
    throw new ImageError(
      `${name} is a JPEG of four components that doesn't say what they are: save it as RGB.`,
    )
  }
  return {
    ...frame,
    orientation,
    isRgb: frame.components === 3 && (adobe === 0 || (adobe < 0 && ids === 'RGB')),
  }
}

/** @returns the image turned upright */
export function decodeJpeg(bytes: Uint8Array, header: JpegHeader, name: string): Turned {
  let decoded: Turned
  try {
    const { width, height, data } = decode(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      // Without the option jpeg-js goes by Adobe's marker, but never to "RGB"
      ...(header.isRgb ? { colorTransform: false } : {}),
      // The caller has looked at the size; these would refuse a plain photograph of 30 megapixels
      maxResolutionInMP: Number.MAX_SAFE_INTEGER,
      maxMemoryUsageInMB: Number.MAX_SAFE_INTEGER,
    })
    decoded = { width, height, rgb: data }
  } catch (cause) {
    throw new ImageError(
      `${name} is damaged or cut short: its JPEG data can't be decoded (${cause instanceof Error ? cause.message : String(cause)}). Copy or download it again.`,
      { cause },
    )
  }
  return turn(decoded, header.orientation)
}

/** Where the pixel at column x, row y of the upright image is stored, EXIF orientations 2 to 8. */
function turn({ width: W, height: H, rgb }: Turned, orientation: number): Turned {
  if (orientation === 1) return { width: W, height: H, rgb }
  const swapped = orientation >= 5
  const [width, height] = swapped ? [H, W] : [W, H]
  // Steps through the stored pixels for one to the right and one down, and where to begin
  const fromRight = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8
  const fromBottom = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7
  const begin = (fromRight ? W - 1 : 0) + (fromBottom ? (H - 1) * W : 0)
  const [alongRow, alongColumn] = [fromRight ? -1 : 1, fromBottom ? -W : W]
  const [right, down] = swapped ? [alongColumn, alongRow] : [alongRow, alongColumn]

  const out = new Uint8Array(rgb.length)
  let to = 0
  for (let y = 0; y < height; y++) {
    let from = (begin + y * down) * 3
    for (let x = 0; x < width; x++) {
      out[to++] = rgb[from]!
      out[to++] = rgb[from + 1]!
      out[to++] = rgb[from + 2]!
      from += right * 3
    }
  }
  return { width, height, rgb: out }
}

/** Tag 0x0112 of the first directory of a TIFF header; undefined if it isn't there or makes no sense. */
function exifOrientation(segment: DataView): number | undefined {
  const size = segment.byteLength
  if (size < 14 || segment.getUint32(0) !== 0x45786966) return undefined // "Exif", two zeros, then TIFF
  const order = segment.getUint16(6)
  if (order !== 0x4949 && order !== 0x4d4d) return undefined
  const little = order === 0x4949
  const directory = 6 + segment.getUint32(10, little)
  if (directory + 2 > size) return undefined
  const entries = segment.getUint16(directory, little)
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i
    if (entry + 12 > size) return undefined
    if (segment.getUint16(entry, little) !== 0x0112) continue
    const value = segment.getUint16(entry + 8, little)
    return value >= 1 && value <= 8 ? value : undefined
  }
  return undefined
}

/** SOF markers: C0 to CF without DHT, JPG and DAC. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
}

function text(bytes: Uint8Array, begin: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(begin, begin + length))
}

function damaged(name: string, what: string): ImageError {
  return new ImageError(`${name} is damaged: ${what}. Copy or download it again, or save it anew.`)
}
