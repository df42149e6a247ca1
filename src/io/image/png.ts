// PNG -> RGB, 8 bits a channel, as Pillow's convert('RGB') does it: alpha is dropped, not composited, as the
// models were trained on pixels read so. 16 bits keep their high byte.
//
// The chunks are walked first, all of them, and only those that hold pixels are read: a broken colour profile or
// comment is no reason to refuse an image, but what other decoders would read as other pixels is. The runtime's own
// inflate runs beside this thread and stops at the size that the header promises; rows are unfiltered as they come.

import { inflate } from '#decoder'
import { breathe } from '../../breathe.ts'
import { ImageError } from '../../errors.ts'
import { printable, reasonOf } from '../../printable.ts'
import { viewOf } from '../../view.ts'
import { crc32 } from './crc32.ts'
import { orientationOf } from './orientation.ts'

/** The facts that a PNG's chunks give of its pixels, checked, and the pixels as they are stored. */
export interface PngHeader {
  /** Pixels per row as stored, before the image is turned upright. */
  readonly width: number
  /** Rows as stored. */
  readonly height: number
  /** Bits a channel. */
  readonly depth: number
  /** The standard's number: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha. */
  readonly colour: number
  /** Samples per pixel, alpha among them. */
  readonly channels: number
  /** True if the pixels come in the seven passes of Adam7. */
  readonly interlaced: boolean
  /** 1 to 8, as in EXIF; 1 is upright. */
  readonly orientation: number
  /** Three bytes per entry; empty where there is none. */
  readonly palette: Uint8Array
  /** The contents of the data chunks, in order, each with the checksum that it should have. */
  readonly data: readonly { readonly bytes: Uint8Array; readonly crc: number }[]
}

/** The channels of each colour type, and the depths that the standard allows. */
const COLOURS: Readonly<Record<number, { channels: number; depths: readonly number[] }>> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] }, // grey
  2: { channels: 3, depths: [8, 16] }, // RGB
  3: { channels: 1, depths: [1, 2, 4, 8] }, // palette
  4: { channels: 2, depths: [8, 16] }, // grey, alpha
  6: { channels: 4, depths: [8, 16] }, // RGB, alpha
}
/** The colour type of PNGs whose pixels are indices. */
export const PALETTE = 3
const SIGNATURE_BYTES = 8

// Type bytes as one number
const [IHDR, PLTE, IDAT, IEND, EXIF] = [0x49484452, 0x504c5445, 0x49444154, 0x49454e44, 0x65584966]
const CRITICAL: readonly number[] = [IHDR, PLTE, IDAT, IEND]
const MAX_PALETTE_BYTES = 3 * 256

/**
 * Walks over a PNG's chunks, all of them.
 *
 * @param bytes beginning with the signature
 * @throws ImageError if the header or the chain of chunks is damaged
 */
export function readPngHeader(bytes: Uint8Array, name: string): PngHeader {
  const view = viewOf(bytes)
  if (bytes.length < 33)
    throw new ImageError(`${name} is cut short: a PNG of ${bytes.length} bytes has no header.`)
  if (view.getUint32(8) !== 13 || view.getUint32(12) !== IHDR) {
    throw new ImageError(`${name} is damaged: this PNG does not begin with its header (IHDR).`)
  }
  const [width, height] = [view.getUint32(16), view.getUint32(20)]
  const [depth, colour, interlace] = [view.getUint8(24), view.getUint8(25), view.getUint8(28)]
  const kind = COLOURS[colour]
  const isKnown = bytes[26] === 0 && bytes[27] === 0 && interlace <= 1
  if (!kind?.depths.includes(depth) || !isKnown || width === 0 || height === 0) {
    throw new ImageError(
      `${name} is damaged: its PNG header says ${width} x ${height}, ${depth} bits, colour type ${colour}, which no PNG has.`,
    )
  }

  let palette: Uint8Array = new Uint8Array(0)
  const data: { bytes: Uint8Array; crc: number }[] = []
  let orientation: number | undefined
  let [type, before] = [0, 0]
  for (let at = SIGNATURE_BYTES; type !== IEND; before = type) {
    const end = at + 12 <= bytes.length ? at + 12 + view.getUint32(at) : bytes.length + 1
    if (end > bytes.length) {
      throw new ImageError(
        `${name} is cut short: ${bytes.length} bytes, and its PNG data goes on. Copy or download it again.`,
      )
    }
    type = view.getUint32(at + 4)
    const [contents, crc] = [bytes.subarray(at + 8, end - 4), view.getUint32(end - 4)]
    if (type === IHDR && at > SIGNATURE_BYTES) throw damaged(name, 'it has two headers (IHDR)')
    if (type === PLTE && palette.length > 0) throw damaged(name, 'it has two palettes')
    if (type === PLTE && colour === PALETTE) expectPalette(contents, data.length > 0, name)
    if (type === IDAT && data.length > 0 && before !== IDAT) {
      throw damaged(name, 'another chunk stands among its pixel data (IDAT)')
    }
    if (type === IDAT) data.push({ bytes: contents, crc })
    if (type === PLTE) palette = contents
    // The first letter of what a reader may pass over is a small one
    if (!((type >>> 24) & 32) && !CRITICAL.includes(type)) {
      throw damaged(name, `its chunk ${typeName(bytes, at)} is unknown, and its pixels may depend on it`)
    }
    // A chunk about the image counts before its pixels, and if it is sound
    if (type === EXIF && data.length === 0 && crc32(bytes.subarray(at + 4, end - 4)) === crc) {
      orientation ??= orientationOf(contents)
    }
    // Those of pixel data are checked while they are read
    if ((type === IHDR || type === PLTE || type === IEND) && crc32(bytes.subarray(at + 4, end - 4)) !== crc) {
      throw damaged(name, `the checksum of chunk ${typeName(bytes, at)} is wrong`)
    }
    at = end
  }
  if (colour === PALETTE && palette.length < 3) {
    throw new ImageError(`${name} is damaged: this PNG should have a palette and has none.`)
  }
  return {
    width,
    height,
    depth,
    colour,
    channels: kind.channels,
    interlaced: interlace === 1,
    orientation: orientation ?? 1,
    palette,
    data,
  }
}

function expectPalette(contents: Uint8Array, isLate: boolean, name: string): void {
  if (isLate) throw damaged(name, 'its palette comes after its pixels')
  if (contents.length % 3 !== 0 || contents.length > MAX_PALETTE_BYTES)
    throw damaged(name, `its palette has ${contents.length} bytes, expected up to 256 times 3`)
}

/** @param at where the chunk begins */
function typeName(bytes: Uint8Array, at: number): string {
  return printable(String.fromCharCode(...bytes.subarray(at + 4, at + 8)))
}

/**
 * Inflates and unfilters a PNG's pixels.
 *
 * @returns [height, width, 3]
 * @throws ImageError if there are fewer rows than the header says, or more, or they are damaged
 */
export async function decodePng(header: PngHeader, name: string, signal?: AbortSignal): Promise<Uint8Array> {
  const rows = new PngRows(header, name)
  const packedBytes = header.data.reduce((sum, { bytes }) => sum + bytes.length, 0)
  try {
    for await (const bytes of inflate(piecesOf(header, name), packedBytes)) {
      await breathe(signal)
      rows.push(bytes)
    }
  } catch (cause) {
    if (cause instanceof ImageError || signal?.aborted) throw cause
    throw new ImageError(
      `${name} is damaged: its PNG data can't be decoded (${reasonOf(cause)}). ` +
        'Copy or download it again.',
      { cause },
    )
  }
  return rows.finish()
}

/** Bytes that are handed to inflate at a time: a millisecond's work for their checksum. */
const STEP = 2 ** 15

/** The contents of the data chunks, in larger pieces than the chunks may be. */
async function* piecesOf({ data }: PngHeader, name: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let [chunk, offset] = [0, 0]
  let crc = IDAT_CRC
  while (chunk < data.length) {
    await breathe() // inflate may ask for a hundred pieces in a row
    const piece = new Uint8Array(STEP)
    let filled = 0
    for (let current = data[chunk]; current && filled < STEP; current = data[chunk]) {
      const { bytes, crc: expected } = current
      const part = bytes.subarray(offset, offset + STEP - filled)
      piece.set(part, filled)
      crc = crc32(part, crc)
      filled += part.length
      offset += part.length
      if (offset < bytes.length) continue
      if (crc !== expected) throw damaged(name, 'the checksum of its pixel data (IDAT) is wrong')
      chunk++
      offset = 0
      crc = IDAT_CRC
    }
    if (filled > 0) yield piece.subarray(0, filled)
  }
}

const IDAT_CRC = crc32(Uint8Array.of(0x49, 0x44, 0x41, 0x54))

/** Every `dx`-th pixel from `x0` on of every `dy`-th row from `y0` on. */
interface Pass {
  readonly x0: number
  readonly y0: number
  readonly dx: number
  readonly dy: number
}

const WHOLE: readonly Pass[] = [{ x0: 0, y0: 0, dx: 1, dy: 1 }]
const ADAM7: readonly Pass[] = [
  { x0: 0, y0: 0, dx: 8, dy: 8 },
  { x0: 4, y0: 0, dx: 8, dy: 8 },
  { x0: 0, y0: 4, dx: 4, dy: 8 },
  { x0: 2, y0: 0, dx: 4, dy: 4 },
  { x0: 0, y0: 2, dx: 2, dy: 4 },
  { x0: 1, y0: 0, dx: 2, dy: 2 },
  { x0: 0, y0: 1, dx: 1, dy: 2 },
]

/** Filter type and bytes of a row; the view is made once, as a narrow image may have millions. */
interface Line {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Fewer bytes are copied one by one. */
const SHORT = 64

/** Filtered rows in, pixels out. */
class PngRows {
  readonly #header: PngHeader
  readonly #name: string
  readonly #rgb: Uint8Array
  /** Bytes from a sample to the one that filters compare it with. */
  readonly #back: number
  /** The passes that are left; those of a small image that have no pixels are left out. */
  readonly #passes: Iterator<Pass, undefined>
  /** The pass that is being read; undefined after the last. */
  #pass: Pass | undefined
  #y = 0
  /** The row that is being read, and the one above. */
  #row: Line = lineOf(0)
  #above: Line = lineOf(0)
  #filled = 0

  constructor(header: PngHeader, name: string) {
    const { width, height, depth, channels, interlaced } = header
    this.#header = header
    this.#name = name
    this.#rgb = new Uint8Array(width * height * 3)
    this.#back = Math.max(1, (channels * depth) >> 3)
    const passes = interlaced ? ADAM7 : WHOLE
    this.#passes = passes.filter(({ x0, y0 }) => x0 < width && y0 < height).values()
    this.#nextPass()
  }

  push(bytes: Uint8Array): void {
    const view = viewOf(bytes)
    for (let at = 0; at < bytes.length; ) {
      if (!this.#pass) throw damaged(this.#name, 'its pixel data go on after the last row')
      const row = this.#row
      const count = Math.min(bytes.length - at, row.bytes.length - this.#filled)
      if (count > SHORT) row.bytes.set(bytes.subarray(at, at + count), this.#filled)
      else for (let i = 0; i < count; i++) row.view.setUint8(this.#filled + i, view.getUint8(at + i))
      this.#filled += count
      at += count
      if (this.#filled === row.bytes.length) this.#finishRow(this.#pass)
    }
  }

  finish(): Uint8Array {
    if (this.#pass) {
      throw new ImageError(
        `${this.#name} is damaged or cut short: its PNG data end before the last row. Copy or download it again.`,
      )
    }
    return this.#rgb
  }

  #nextPass(): void {
    const pass = this.#passes.next().value
    this.#pass = pass
    if (!pass) return
    const { width, channels, depth } = this.#header
    this.#y = pass.y0
    const bits = Math.ceil((width - pass.x0) / pass.dx) * channels * depth
    this.#row = lineOf(1 + Math.ceil(bits / 8))
    this.#above = lineOf(this.#row.bytes.length)
  }

  #finishRow(pass: Pass): void {
    const { view } = this.#row
    const filter = view.getUint8(0)
    if (filter > 4) throw damaged(this.#name, `a row has the filter ${filter}`)
    unfilter(view, this.#above.view, this.#back)
    this.#write(view, pass)
    ;[this.#row, this.#above] = [this.#above, this.#row]
    this.#filled = 0
    this.#y += pass.dy
    if (this.#y >= this.#header.height) this.#nextPass()
  }

  /** Puts the row's pixels where they belong. */
  #write(row: DataView, { x0, dx }: Pass): void {
    const { width, depth, colour, channels } = this.#header
    const rgb = this.#rgb
    const step = 3 * dx
    let to = (this.#y * width + x0) * 3
    const end = (this.#y + 1) * width * 3
    if (depth < 8) {
      const most = 2 ** depth - 1
      for (let bit = 8; to < end; to += step, bit += depth) {
        const value = (row.getUint8(bit >> 3) >> (8 - depth - (bit & 7))) & most
        this.#put(to, colour === PALETTE ? value : (value * 255) / most)
      }
      return
    }
    if (colour === PALETTE || channels < 3) {
      const bytes = (channels * depth) >> 3
      for (let from = 1; to < end; to += step, from += bytes) this.#put(to, row.getUint8(from))
      return
    }
    const sample = depth >> 3
    for (let from = 1; to < end; to += step, from += sample * channels) {
      rgb[to] = row.getUint8(from)
      rgb[to + 1] = row.getUint8(from + sample)
      rgb[to + 2] = row.getUint8(from + 2 * sample)
    }
  }

  /** A grey, or an entry of the palette: black where there is none, as browsers have it. */
  #put(to: number, value: number): void {
    const { colour, palette } = this.#header
    for (let c = 0; c < 3; c++) {
      this.#rgb[to + c] = colour === PALETTE ? (palette[value * 3 + c] ?? 0) : value
    }
  }
}

function lineOf(length: number): Line {
  const bytes = new Uint8Array(length)
  return { bytes, view: viewOf(bytes) }
}

/**
 * Undoes the filter of a row, whose first byte names it. `back` is the distance of the same byte in the pixel before.
 */
function unfilter(row: DataView, above: DataView, back: number): void {
  const filter = row.getUint8(0)
  const length = row.byteLength
  const begin = Math.min(1 + back, length)
  if (filter === 1) {
    for (let i = begin; i < length; i++) row.setUint8(i, row.getUint8(i) + row.getUint8(i - back))
  }
  if (filter === 2) for (let i = 1; i < length; i++) row.setUint8(i, row.getUint8(i) + above.getUint8(i))
  if (filter === 3) {
    for (let i = 1; i < begin; i++) row.setUint8(i, row.getUint8(i) + (above.getUint8(i) >> 1))
    for (let i = begin; i < length; i++) {
      row.setUint8(i, row.getUint8(i) + ((row.getUint8(i - back) + above.getUint8(i)) >> 1))
    }
  }
  if (filter === 4) {
    for (let i = 1; i < begin; i++) row.setUint8(i, row.getUint8(i) + above.getUint8(i))
    for (let i = begin; i < length; i++) {
      const left = row.getUint8(i - back)
      const up = above.getUint8(i)
      const corner = above.getUint8(i - back)
      const toLeft = Math.abs(up - corner)
      const toUp = Math.abs(left - corner)
      const toCorner = Math.abs(left + up - 2 * corner)
      const nearest = toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner
      row.setUint8(i, row.getUint8(i) + nearest)
    }
  }
}

function damaged(name: string, what: string): ImageError {
  return new ImageError(`${name} is damaged: ${what}. Copy or download it again, or save it anew.`)
}
