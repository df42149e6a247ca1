// Every segment of a JPEG file is read before anything is decoded.
//
// Decoders of JPEG believe a file: a second frame header enlarges their buffers, thousands of scans are decoded one
// after another, and missing data become grey. So the whole chain of segments is walked first. What is refused here
// costs no memory, and the decoder gets a plain file made anew of the segments that matter to pixels (`plain`): without
// metadata, fill bytes and whatever follows the image, and with its end marker.

import { expectDefined } from '../../check.ts'
import { ImageError } from '../../errors.ts'
import { viewOf } from '../../view.ts'
import type { Size } from './image-kind.ts'
import { expectAllBlocks, type Scan } from './jpeg-data.ts'
import { orientationOf } from './orientation.ts'

/** The facts that a JPEG's segments give of its pixels, checked. */
export interface JpegHeader {
  /** Width in pixels as stored, before the image is turned upright. */
  readonly width: number
  /** Height in pixels as stored. */
  readonly height: number
  /** 1 grey, 3 colour, 4 CMYK. */
  readonly components: number
  /** 1 to 8, as in EXIF; 1 is upright. */
  readonly orientation: number
  /**
   * The end marker that browsers want, where it is missing although all pixels are there, as `expectWhole` tells.
   */
  readonly missingEnd: Uint8Array<ArrayBuffer>
  /** The file, with nothing in it but what pixels depend on. */
  plain(): Uint8Array<ArrayBuffer>
  /** @throws ImageError if the data of a scan are incomplete */
  expectWhole(signal: AbortSignal | undefined): Promise<void>
}

/** Plain photographs have 1, progressive ones about 10. Each costs the time of decoding the whole image. */
const MAX_SCANS = 128

interface Component {
  readonly id: number
  readonly h: number
  readonly v: number
}

interface Frame {
  readonly width: number
  readonly height: number
  readonly components: readonly Component[]
  readonly progressive: boolean
}

const SOI = 0xd8
const EOI = 0xd9
const SOS = 0xda
const DHT = 0xc4
const DRI = 0xdd
/** Quantisation tables are the third kind. */
const TABLES: readonly number[] = [DHT, DRI, 0xdb]

/**
 * Walks over a JPEG's segments and scans, all of them.
 *
 * @param bytes beginning with FF D8
 * @param expectSize is asked about the frame's size as soon as it is known
 * @throws ImageError if it is damaged, cut short or of a kind that isn't read
 */
export function readJpegHeader(
  bytes: Uint8Array,
  name: string,
  expectSize: (size: Size) => void,
): JpegHeader {
  const view = viewOf(bytes)
  const kept: Uint8Array[] = []
  let orientation = 1
  let hasJfif = false
  let adobe: number | undefined // the colour transform that Adobe's marker names
  let frame: Frame | undefined
  let coverage: Coverage | undefined
  let [restart, dataBytes] = [0, 0]
  const tables = new Map<number, Uint8Array>()
  const scans: Scan[] = []

  let at = 2
  for (;;) {
    // Every segment is FF, its marker, its length and its contents. More FFs may stand before it, and zeros as padding
    while (at < bytes.length && bytes[at] === 0) at++
    const begins = bytes[at] === 0xff
    while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at++
    if (at + 1 >= bytes.length || bytes[at + 1] === EOI) break
    if (!begins) throw damaged(name, `a marker is missing at byte ${at}`)
    const marker = view.getUint8(at + 1)
    if (marker === 1 || (marker >= 0xd0 && marker <= SOI)) {
      at += 2 // these stand alone, and mean nothing here
      continue
    }
    if (at + 4 > bytes.length) break
    const begin = at + 4
    const end = at + 2 + view.getUint16(at + 2)
    if (end < begin) throw damaged(name, `a segment at byte ${at} has no length`)
    if (end > bytes.length) break
    const contents = bytes.subarray(begin, end)

    if (marker === 0xe0 && text(contents, 5) === 'JFIF\0' && contents.length >= 14) hasJfif = true
    if (marker === 0xe1 && text(contents, 6) === 'Exif\0\0')
      orientation = orientationOf(contents.subarray(6)) ?? orientation
    if (marker === 0xee && text(contents, 5) === 'Adobe' && contents.length >= 12)
      adobe = view.getUint8(begin + 11)
    if (TABLES.includes(marker)) kept.push(bytes.subarray(at, end))
    if (marker === DHT) readTables(contents, tables, name)
    if (marker === DRI && contents.length >= 2) restart = view.getUint16(begin)
    if (isFrame(marker)) {
      if (frame) throw damaged(name, 'it has two frame headers')
      frame = readFrame(marker, contents, name)
      expectSize(frame)
      coverage = new Coverage(frame)
      kept.push(bytes.subarray(at, end))
    }
    at = end

    if (marker === SOS) {
      if (!frame || !coverage) throw damaged(name, 'its pixels begin before its frame header')
      if (scans.length === MAX_SCANS) {
        throw new ImageError(
          `${name} is a JPEG of more than ${MAX_SCANS} scans: decoding it would take too long. Save it anew.`,
        )
      }
      coverage.add(contents, name)
      at = endOfData(bytes, end)
      dataBytes += at - end
      kept.push(bytes.subarray(begin - 4, at))
      scans.push(scanOf(frame, contents, tables, restart, bytes.subarray(end, at)))
    }
  }

  const hasEnd = bytes[at + 1] === EOI
  if (!frame || !coverage || scans.length === 0) {
    if (hasEnd) throw damaged(name, 'it has no pixels')
    throw new ImageError(
      `${name} is cut short: a JPEG of ${bytes.length} bytes ends within its header. Copy or download it again.`,
    )
  }
  expectData(frame, dataBytes, name)
  // The last scans of a progressive file refine the image: without them it is there, but coarse
  if (!coverage.begun || (!hasEnd && !coverage.whole)) throw cutShort(name)

  const { width, height, components } = frame
  const marks = [
    ...(hasJfif ? [JFIF] : []),
    ...(adobe === undefined ? [] : [adobeMarker(adobe, components.length)]),
  ]
  const parts = [Uint8Array.of(0xff, SOI), ...marks, ...kept, Uint8Array.of(0xff, EOI)]
  return {
    width,
    height,
    components: components.length,
    orientation,
    missingEnd: hasEnd ? new Uint8Array(0) : Uint8Array.of(0xff, EOI),
    plain: () => joined(parts),
    expectWhole: (signal) => expectAllBlocks(scans, name, signal),
  }
}

function readFrame(marker: number, contents: Uint8Array, name: string): Frame {
  const kind = RARE[marker]
  if (kind) {
    throw new ImageError(
      `${name} is a JPEG of a rare kind (${kind}), which can't be read: save it as a plain JPEG or PNG.`,
    )
  }
  const view = viewOf(contents)
  if (contents.length < 6 || contents.length < 6 + 3 * view.getUint8(5))
    throw damaged(name, 'its frame header is malformed')
  const bits = view.getUint8(0)
  if (bits !== 8) {
    throw new ImageError(`${name} is a JPEG of ${bits} bits a sample; only 8 can be read: save it with 8.`)
  }
  const [height, width, count] = [view.getUint16(1), view.getUint16(3), view.getUint8(5)]
  if (width === 0 || height === 0) throw damaged(name, 'it does not say how large it is')
  if (![1, 3, 4].includes(count)) throw damaged(name, `it has ${count} components`)
  const components = Array.from({ length: count }, (_, i): Component => {
    const [id, sampling] = [view.getUint8(6 + 3 * i), view.getUint8(7 + 3 * i)]
    const [h, v] = [sampling >> 4, sampling & 15]
    if (h < 1 || h > 4 || v < 1 || v > 4) throw damaged(name, `its component ${i} is sampled ${h} x ${v}`)
    return { id, h, v }
  })
  return { width, height, components, progressive: marker === 0xc2 }
}

/** Huffman tables by class and number, as one byte: 16 counts, then symbols. */
function readTables(contents: Uint8Array, tables: Map<number, Uint8Array>, name: string): void {
  const view = viewOf(contents)
  for (let at = 0; at + 17 <= contents.length; ) {
    const counts = contents.subarray(at + 1, at + 17)
    const end = at + 17 + counts.reduce((sum, count) => sum + count, 0)
    if (end > contents.length) throw damaged(name, 'a Huffman table is cut short')
    tables.set(view.getUint8(at), contents.subarray(at + 1, end))
    at = end
  }
}

/** @param header has been checked */
function scanOf(
  { width, height, components, progressive }: Frame,
  header: Uint8Array,
  tables: ReadonlyMap<number, Uint8Array>,
  restart: number,
  data: Uint8Array,
): Scan {
  const [hMax, vMax] = [Math.max(...components.map(({ h }) => h)), Math.max(...components.map(({ v }) => v))]
  const view = viewOf(header)
  const chosen = Array.from({ length: view.getUint8(0) }, (_, i) => {
    const [id, select] = [view.getUint8(1 + 2 * i), view.getUint8(2 + 2 * i)]
    const { h, v } = expectDefined(
      components.find((component) => component.id === id),
      `component ${id} of a frame`,
    )
    return { id, h, v, dc: tables.get(select >> 4), ac: tables.get(16 + (select & 15)) }
  })
  const [from, to, approximation] = progressive ? bandOf(header) : [0, 63, 0]
  const part = { progressive, from, to, refines: approximation >> 4 > 0 }
  const [only] = chosen
  if (chosen.length === 1 && only) {
    const units = Math.ceil((width * only.h) / hMax / 8) * Math.ceil((height * only.v) / vMax / 8)
    return { components: [{ ...only, blocks: 1 }], units, restart, part, data }
  }
  const units = Math.ceil(width / hMax / 8) * Math.ceil(height / vMax / 8)
  return { components: chosen.map((one) => ({ ...one, blocks: one.h * one.v })), units, restart, part, data }
}

/**
 * A progressive scan's first and last coefficient, and their bits in one byte: the lowest that came before (0 if none
 * did), and the lowest that comes now.
 */
function bandOf(header: Uint8Array): [from: number, to: number, approximation: number] {
  const view = viewOf(header)
  const after = 1 + 2 * view.getUint8(0)
  return [view.getUint8(after), view.getUint8(after + 1), view.getUint8(after + 2)]
}

/** Nothing of a coefficient has come. */
const NONE = 255

/** The low bits that are still missing of each coefficient, by component, as the scans bring them. */
class Coverage {
  readonly #frame: Frame
  readonly #missing: Uint8Array[]

  constructor(frame: Frame) {
    this.#frame = frame
    this.#missing = frame.components.map(() => new Uint8Array(64).fill(NONE))
  }

  /** @param header the contents of a scan's header */
  add(header: Uint8Array, name: string): void {
    const count = header[0] ?? 0
    if (count < 1 || count > 4 || header.length < 4 + 2 * count)
      throw damaged(name, 'a scan header is malformed')
    const { components, progressive } = this.#frame
    const [from, to, approximation] = progressive ? bandOf(header) : [0, 63, 0]
    // The first coefficient comes alone, the others by component
    const isBand = from === 0 ? to === 0 : count === 1
    if (from > to || to > 63 || (progressive && !isBand)) throw damaged(name, 'a scan header is malformed')
    for (let i = 0; i < count; i++) {
      const which = components.findIndex(({ id }) => id === header[1 + 2 * i])
      const missing = this.#missing[which]
      if (!missing) throw damaged(name, 'a scan is of a component that the frame does not have')
      if (!progressive && missing[0] === 0) throw damaged(name, 'a component comes twice')
      missing.fill(approximation & 15, from, to + 1)
    }
  }

  /** All components have at least their mean values. */
  get begun(): boolean {
    return this.#missing.every((bits) => bits[0] !== NONE)
  }

  get whole(): boolean {
    return this.#missing.every((bits) => bits.every((count) => count === 0))
  }
}

/** The place of the first marker after a scan's data, or of the file's end. Data have FF as FF 00, and restarts. */
function endOfData(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at)) {
    // Fill bytes belong to the marker behind them
    let next = at + 1
    while (bytes[next] === 0xff) next++
    const marker = bytes[next]
    if (marker === undefined) return bytes.length
    if (marker !== 0 && (marker < 0xd0 || marker > 0xd7)) return at
    at = next + 1
  }
  return bytes.length
}

/** A block takes a bit at the very least: an image of more blocks can't be there, and needn't be made room for. */
function expectData({ width, height, components }: Frame, dataBytes: number, name: string): void {
  const [hMax, vMax] = [Math.max(...components.map(({ h }) => h)), Math.max(...components.map(({ v }) => v))]
  const blocks = components.reduce(
    (sum, { h, v }) => sum + Math.ceil((width * h) / hMax / 8) * Math.ceil((height * v) / vMax / 8),
    0,
  )
  if (8 * dataBytes >= blocks) return
  throw new ImageError(
    `${name} is damaged or cut short: a JPEG of ${width} x ${height} pixels has at least ${Math.ceil(blocks / 8)} bytes of ` +
      `data, this file has ${dataBytes}. Copy or download it again.`,
  )
}

const JFIF = Uint8Array.of(0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0)

/** Decoders take an unknown transform for the usual one. */
function adobeMarker(transform: number, components: number): Uint8Array {
  const usual = components === 4 ? 2 : 1
  const head = [0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0]
  return Uint8Array.of(...head, transform === 0 ? 0 : usual)
}

/** SOF markers: C0 to CF without DHT, JPG and DAC. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
}

const RARE: Readonly<Record<number, string>> = {
  0xc3: 'lossless',
  0xc5: 'hierarchical',
  0xc6: 'hierarchical',
  0xc7: 'lossless, hierarchical',
  0xc9: 'arithmetic coding',
  0xca: 'arithmetic coding',
  0xcb: 'lossless, arithmetic coding',
  0xcd: 'hierarchical, arithmetic coding',
  0xce: 'hierarchical, arithmetic coding',
  0xcf: 'lossless, hierarchical, arithmetic coding',
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function text(bytes: Uint8Array, length: number): string {
  return String.fromCharCode(...bytes.subarray(0, length))
}

function damaged(name: string, what: string): ImageError {
  return new ImageError(`${name} is damaged: ${what}. Copy or download it again, or save it anew.`)
}

function cutShort(name: string): ImageError {
  return new ImageError(
    `${name} is damaged or cut short: a part of its JPEG data is missing. Copy or download it again.`,
  )
}
