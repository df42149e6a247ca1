// PNG -> RGB, 8 bits a channel, as Pillow's convert('RGB') does it: alpha is dropped, not composited, as the
// models were trained on pixels read so. 16 bits keep their high byte.
//
// fast-png inflates and unfilters. It is given the chunks that hold pixels and no others: a broken colour
// profile or comment is no reason to refuse an image.

import { type DecodedPng, decode } from 'fast-png'
import { ImageError } from '../errors.ts'

export const PNG_SIGNATURE: readonly number[] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

export interface PngHeader {
  readonly width: number
  readonly height: number
  /** Bits a channel. */
  readonly depth: number
  readonly colour: number
  readonly interlaced: boolean
}

// By colour type: channels, and the depths that the standard allows
const COLOURS: Readonly<Record<number, { channels: number; depths: readonly number[] }>> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] }, // grey
  2: { channels: 3, depths: [8, 16] }, // RGB
  3: { channels: 1, depths: [1, 2, 4, 8] }, // palette
  4: { channels: 2, depths: [8, 16] }, // grey, alpha
  6: { channels: 4, depths: [8, 16] }, // RGB, alpha
}
const PALETTE = 3

/** @param bytes beginning with the signature */
export function readPngHeader(bytes: Uint8Array, name: string): PngHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (bytes.length < 33)
    throw new ImageError(`${name} is cut short: a PNG of ${bytes.length} bytes has no header.`)
  if (view.getUint32(8) !== 13 || chunkType(view, 8) !== 'IHDR') {
    throw new ImageError(`${name} is damaged: this PNG does not begin with its header (IHDR).`)
  }
  const width = view.getUint32(16)
  const height = view.getUint32(20)
  const depth = bytes[24]!
  const colour = bytes[25]!
  const legal =
    COLOURS[colour]?.depths.includes(depth) && bytes[26] === 0 && bytes[27] === 0 && bytes[28]! <= 1
  if (!legal || width === 0 || height === 0) {
    throw new ImageError(
      `${name} is damaged: its PNG header says ${width} x ${height}, ${depth} bits, colour type ${colour}, which no PNG has.`,
    )
  }
  return { width, height, depth, colour, interlaced: bytes[28] === 1 }
}

/** @returns [height, width, 3] */
export function decodePng(bytes: Uint8Array, header: PngHeader, name: string): Uint8Array {
  const { width, height, depth, colour, interlaced } = header
  const { channels } = COLOURS[colour]!
  if (interlaced && depth < 8) {
    throw new ImageError(
      `${name} is an interlaced PNG of ${depth} bits, which can't be read: save it without interlacing.`,
    )
  }

  let png: DecodedPng
  try {
    png = decode(pixelChunks(bytes, header, name), { checkCrc: true })
  } catch (cause) {
    if (cause instanceof ImageError) throw cause
    throw new ImageError(
      `${name} is damaged: its PNG data can't be decoded (${cause instanceof Error ? cause.message : String(cause)}).`,
      { cause },
    )
  }

  // 1. Samples of 8 bits, one an element
  const samples = depth < 8 ? unpack(png.data, width, height, depth) : png.data
  const shift = depth === 16 ? 8 : 0
  const rgb = new Uint8Array(width * height * 3)

  // 2. Three a pixel
  if (colour === PALETTE) {
    const { palette } = png
    if (!palette) throw new ImageError(`${name} is damaged: this PNG should have a palette and has none.`)
    for (let i = 0; i < width * height; i++) {
      rgb.set(palette[samples[i]!] ?? [0, 0, 0], i * 3) // no such entry: black, as browsers have it
    }
    return rgb
  }
  const [g, b] = channels < 3 ? [0, 0] : [1, 2]
  const scale = depth < 8 ? 255 / (2 ** depth - 1) : 1
  for (let i = 0; i < width * height; i++) {
    const at = i * channels
    rgb[i * 3] = (samples[at]! >> shift) * scale
    rgb[i * 3 + 1] = (samples[at + g]! >> shift) * scale
    rgb[i * 3 + 2] = (samples[at + b]! >> shift) * scale
  }
  return rgb
}

/** The file with IHDR, PLTE, IDAT and IEND alone. */
function pixelChunks(bytes: Uint8Array, header: PngHeader, name: string): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const kept = new Uint8Array(bytes.length)
  kept.set(PNG_SIGNATURE)
  let to = PNG_SIGNATURE.length
  let dataBytes = 0
  let type = ''
  for (let at = to; type !== 'IEND'; ) {
    const end = at + 12 <= bytes.length ? at + 12 + view.getUint32(at) : bytes.length + 1
    if (end > bytes.length) {
      throw new ImageError(
        `${name} is cut short: ${bytes.length} bytes, and its PNG data goes on. Copy or download it again.`,
      )
    }
    type = chunkType(view, at)
    if (type === 'IDAT') dataBytes += end - at - 12
    if (['IHDR', 'PLTE', 'IDAT', 'IEND'].includes(type)) {
      kept.set(bytes.subarray(at, end), to)
      to += end - at
    }
    at = end
  }

  // Deflate grows nothing by more than a hair: more data than this serves only to unpack into gigabytes
  const { channels } = COLOURS[header.colour]!
  const rawBytes = header.height * (1 + Math.ceil((header.width * channels * header.depth) / 8))
  if (dataBytes > 2 * rawBytes + 65536) {
    throw new ImageError(
      `${name} is damaged: ${dataBytes} bytes of data for ${header.width} x ${header.height} pixels.`,
    )
  }
  return kept.subarray(0, to)
}

function chunkType(view: DataView, at: number): string {
  return String.fromCharCode(...[4, 5, 6, 7].map((i) => view.getUint8(at + i)))
}

/** Rows of `depth`-bit samples, each row padded to a byte -> one sample an element. */
function unpack(data: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const rowBytes = Math.ceil((width * depth) / 8)
  const samples = new Uint8Array(width * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth
      const byte = data[y * rowBytes + (bit >> 3)]!
      samples[y * width + x] = (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1)
    }
  }
  return samples
}
