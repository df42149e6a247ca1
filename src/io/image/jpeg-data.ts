// A JPEG has all of its blocks: the Huffman codes of every scan are read to the last one, and nothing is made of them.
//
// Decoders fill up with grey what is missing, or leave the image coarse, and only warn, if that. Reading the codes of
// 12 megapixels takes 0.1 s, 0.2 s if they are progressive (Node 20, December 2026). A progressive file brings its
// coefficients piece by piece: a scan that refines them has a bit for each that isn't zero so far, so which those are
// is kept, in one bit per coefficient.

import { breathe } from '../../breathe.ts'
import { ImageError } from '../../errors.ts'
import { viewOf } from '../../view.ts'

/** A scan as its header and the tables before it describe it. */
export interface Scan {
  /** The components that its blocks take turns with, in the scan's order. */
  readonly components: readonly ScanComponent[]
  /** The number of MCUs; of one component alone, that of its blocks. */
  readonly units: number
  /** Units between two restart markers; 0 if there are none. */
  readonly restart: number
  /** The part of each block that it brings; of a progressive file's, one component if `from` isn't 0. */
  readonly part: ScanPart
  /** The entropy-coded bytes up to the next marker that isn't a restart. */
  readonly data: Uint8Array
}

/** The coefficients of a block that a scan brings, in zigzag order. */
interface ScanPart {
  readonly progressive: boolean
  readonly from: number
  readonly to: number
  /** The scan brings one more bit of coefficients that came before. */
  readonly refines: boolean
}

interface ScanComponent {
  readonly id: number
  /** Blocks in a unit. */
  readonly blocks: number
  /**
   * A Huffman table as in its segment: 16 counts, then symbols. One is for the first coefficient of a block, one for
   * the others.
   */
  readonly dc: Uint8Array | undefined
  readonly ac: Uint8Array | undefined
}

/** Units that are read between two moments for other work. */
const STEP = 1024

/** Decoders read so many bytes ahead, and don't complain if those turn out to be of no use. */
const AHEAD = 8

/** Skips one unit's data. `begins` at the first, and after a restart marker. @returns false if a code means nothing */
type SkipUnit = (unit: number, begins: boolean) => boolean

/** @throws ImageError if blocks are missing, or codes mean nothing */
export async function expectAllBlocks(
  scans: readonly Scan[],
  name: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const nonzeros = new Map<number, Nonzeros>()
  for (const [i, scan] of scans.entries()) {
    const { units, restart, data } = scan
    const bits = new ScanBits(data)
    const skipUnit = unitSkipper(scan, bits, nonzerosOf(scan, scans, nonzeros), name)
    for (let unit = 0; unit < units; unit++) {
      if (unit % STEP === 0) await breathe(signal)
      const restarts = restart > 0 && unit > 0 && unit % restart === 0
      if (restarts && !bits.restart((unit / restart - 1) & 7)) {
        throw damaged(name, 'a restart marker is missing from its JPEG data')
      }
      if (!skipUnit(unit, unit === 0 || restarts)) throw damaged(name, 'a code of its JPEG data is unknown')
      if (bits.missing) {
        throw new ImageError(
          `${name} is damaged or cut short: its JPEG data end before the last row. Copy or download it again.`,
        )
      }
    }
    // Some programs pad the last scan
    if (i < scans.length - 1 && bits.spare > AHEAD)
      throw damaged(name, 'there are more JPEG data than blocks')
  }
}

/** The coefficients of a scan's component that aren't zero; undefined if no scan asks for them. */
function nonzerosOf(
  { components, units, part }: Scan,
  scans: readonly Scan[],
  kept: Map<number, Nonzeros>,
): Nonzeros | undefined {
  const id = components[0]?.id ?? 0
  const asks = (scan: Scan): boolean =>
    scan.part.refines && scan.part.from > 0 && scan.components[0]?.id === id
  if (!part.progressive || part.from === 0 || !scans.some(asks)) return undefined
  const nonzeros = kept.get(id) ?? new Nonzeros(units)
  kept.set(id, nonzeros)
  return nonzeros
}

function unitSkipper(
  { components, part }: Scan,
  bits: ScanBits,
  nonzeros: Nonzeros | undefined,
  name: string,
): SkipUnit {
  const lookup = (table: Uint8Array | undefined): DataView => {
    if (!table) throw damaged(name, 'a scan needs a Huffman table that is not there')
    return lookupOf(table, name)
  }
  if (part.progressive && part.from > 0) {
    const ac = lookup(components[0]?.ac)
    return nonzeros && part.refines
      ? refineSkipper(bits, ac, part, nonzeros)
      : bandSkipper(bits, ac, part, nonzeros)
  }
  if (part.progressive && part.refines) {
    const blocks = components.reduce((sum, one) => sum + one.blocks, 0) // at most 4 components of 16
    return () => {
      for (let i = 0; i < blocks; i++) bits.skip(1)
      return true
    }
  }
  const tables = components.flatMap(({ blocks, dc, ac }) => {
    const pair = { dc: lookup(dc), ac: part.progressive ? undefined : lookup(ac) }
    return Array.from({ length: blocks }, () => pair)
  })
  return () => {
    for (const { dc, ac } of tables) if (!skipBlock(bits, dc, ac)) return false
    return true
  }
}

/** Coefficients `from` to `to` come for the first time. A code may end a run of blocks. */
function bandSkipper(
  bits: ScanBits,
  ac: DataView,
  { from, to }: ScanPart,
  nonzeros: Nonzeros | undefined,
): SkipUnit {
  let ended = 0 // blocks to come that have nothing more
  return (block, begins) => {
    if (begins) ended = 0
    if (ended > 0) {
      ended--
      return true
    }
    for (let k = from; k <= to; k++) {
      const code = ac.getUint16(2 * bits.peek(), true)
      if (code === 0) return bits.missing
      bits.skip(code >> 8)
      const [run, size] = [(code >> 4) & 15, code & 15]
      if (size > 0) {
        k += run
        bits.skip(size)
        nonzeros?.add(block, k)
      } else if (run === 15) k += 15
      else {
        ended = (1 << run) + bits.take(run) - 1
        break
      }
    }
    return true
  }
}

/** One more bit of coefficients `from` to `to`: of those that aren't zero, and the first of others. */
function refineSkipper(bits: ScanBits, ac: DataView, { from, to }: ScanPart, nonzeros: Nonzeros): SkipUnit {
  let ended = 0
  return (block, begins) => {
    if (begins) ended = 0
    let k = from
    for (; ended === 0 && k <= to; k++) {
      const code = ac.getUint16(2 * bits.peek(), true)
      if (code === 0) return bits.missing
      bits.skip(code >> 8)
      const [run, size] = [(code >> 4) & 15, code & 15]
      if (size > 1) return false
      if (size === 0 && run < 15) {
        ended = (1 << run) + bits.take(run)
        break
      }
      bits.skip(size) // the sign
      // Past as many zeros as the run says; what isn't zero before the next one has its bit
      for (let zeros = run; k <= to; k++) {
        if (nonzeros.has(block, k)) bits.skip(1)
        else if (--zeros < 0) break
      }
      if (size === 1) nonzeros.add(block, k)
    }
    if (ended > 0) {
      ended--
      for (let left = nonzeros.count(block, k, to); left > 0; left -= 16) bits.skip(Math.min(left, 16))
    }
    return true
  }
}

/** A bit for each of a component's coefficients: two words per block. */
class Nonzeros {
  readonly #words: DataView

  constructor(blocks: number) {
    this.#words = viewOf(new Uint8Array(8 * blocks))
  }

  has(block: number, k: number): boolean {
    return ((this.#words.getUint8(8 * block + (k >> 3)) >> (k & 7)) & 1) === 1
  }

  /** How many of `from` to `to`. */
  count(block: number, from: number, to: number): number {
    const low = this.#words.getUint32(8 * block, true)
    const high = this.#words.getUint32(8 * block + 4, true)
    if (from > to || (low | high) === 0) return 0
    return (
      onesOf(low & bitsFrom(from) & ~bitsFrom(to + 1)) +
      onesOf(high & bitsFrom(from - 32) & ~bitsFrom(to - 31))
    )
  }

  /** Decoders take a coefficient past the last for the last. */
  add(block: number, k: number): void {
    const last = Math.min(k, 63)
    const at = 8 * block + (last >> 3)
    this.#words.setUint8(at, this.#words.getUint8(at) | (1 << (last & 7)))
  }
}

/** A word's bits from one on. */
function bitsFrom(bit: number): number {
  return bit >= 32 ? 0 : bit <= 0 ? -1 : -1 << bit
}

/** The number of ones in a word. */
function onesOf(word: number): number {
  let ones = word - ((word >>> 1) & 0x55555555)
  ones = (ones & 0x33333333) + ((ones >>> 2) & 0x33333333)
  return Math.imul((ones + (ones >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** Skips a block, or its first coefficient alone. @returns false if a code means nothing */
function skipBlock(bits: ScanBits, dc: DataView, ac: DataView | undefined): boolean {
  let code = dc.getUint16(2 * bits.peek(), true)
  if (code === 0) return bits.missing
  bits.skip(code >> 8)
  bits.skip(code & 15)
  if (!ac) return true
  for (let k = 1; k < 64; k++) {
    code = ac.getUint16(2 * bits.peek(), true)
    if (code === 0) return bits.missing
    bits.skip(code >> 8)
    const [run, size] = [(code >> 4) & 15, code & 15]
    if (size === 0) {
      if (run < 15) break // the end of the block
      k += 15
    } else {
      k += run
      bits.skip(size)
    }
  }
  return true
}

/**
 * A table by the next 16 bits, with 16 bits per entry: the length of the code that they begin with, and its symbol; 0
 * if there is none.
 */
function lookupOf(table: Uint8Array, name: string): DataView {
  const lookup = new Uint16Array(65536)
  const view = viewOf(table)
  let [code, symbol] = [0, 16]
  for (let length = 1; length <= 16; length++) {
    for (let i = 0; i < view.getUint8(length - 1); i++) {
      const span = 1 << (16 - length)
      if (code + span > 65536) throw damaged(name, 'a Huffman table has more codes than there are')
      lookup.fill((length << 8) | view.getUint8(symbol++), code, code + span)
      code += span
    }
  }
  return viewOf(lookup)
}

/**
 * The bits of a scan's data, without the zeros that follow FF. Past the end, or a marker, come zeros that are missing.
 */
class ScanBits {
  readonly #data: Uint8Array
  #at = 0
  /** The bits that were read and not yet used, in its low bits. */
  #buffer = 0
  #count = 0
  /** Zeros that stand for bits past the end, last in the buffer. */
  #padding = 0

  constructor(data: Uint8Array) {
    this.#data = data
  }

  /** More bits were used than there are. */
  get missing(): boolean {
    return this.#padding > this.#count
  }

  /** Bytes of which no bit was used. */
  get spare(): number {
    return this.#data.length - this.#at + Math.floor((this.#count - this.#padding) / 8)
  }

  /** The next 16. */
  peek(): number {
    while (this.#count < 16) this.#fill()
    return (this.#buffer >>> (this.#count - 16)) & 0xffff
  }

  /** Skips bits, at most 16. */
  skip(count: number): void {
    while (this.#count < count) this.#fill()
    this.#count -= count
  }

  /** The number that the next bits write, at most 16 of them. */
  take(count: number): number {
    const number = this.peek() >>> (16 - count)
    this.skip(count)
    return number
  }

  #fill(): void {
    const byte = this.#data[this.#at]
    const isMarker = byte === 0xff && this.#data[this.#at + 1] !== 0
    if (byte === undefined || isMarker) this.#padding += 8
    else this.#at += byte === 0xff ? 2 : 1
    this.#buffer = ((this.#buffer << 8) | (byte === undefined || isMarker ? 0 : byte)) & 0xffffff
    this.#count += 8
  }

  /** Goes on behind restart marker `index`. @returns false if there is another, or none */
  restart(index: number): boolean {
    this.#buffer = this.#count = this.#padding = 0
    // Padding, and what a decoder has not needed: up to the marker, before which more FFs may stand
    for (let at = this.#data.indexOf(0xff, this.#at); at >= 0; at = this.#data.indexOf(0xff, at + 1)) {
      let next = at + 1
      while (this.#data[next] === 0xff) next++
      if (this.#data[next] === 0) continue
      this.#at = next + 1
      return this.#data[next] === 0xd0 + index
    }
    return false
  }
}

function damaged(name: string, what: string): ImageError {
  return new ImageError(
    `${name} is damaged or cut short: ${what}. Copy or download it again, or save it anew.`,
  )
}
