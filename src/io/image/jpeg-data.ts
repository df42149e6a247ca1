// A sequential JPEG has all of its blocks: its Huffman codes are read to the last one, and nothing is made of them.
//
// Decoders fill up with grey what is missing, and only warn, if that (libvips not for the last rows). Reading the codes
// costs a fifth of decoding. A progressive file is decoded as a whole before its first row, and complaints of that are
// heard.

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
  /** The entropy-coded bytes up to the next marker that isn't a restart. */
  readonly data: Uint8Array
}

interface ScanComponent {
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

/** @throws ImageError if blocks are missing, or codes mean nothing */
export async function expectAllBlocks(
  scans: readonly Scan[],
  name: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const lookups = new Map<Uint8Array, DataView>()
  const lookup = (table: Uint8Array | undefined): DataView => {
    if (!table) throw damaged(name, 'a scan needs a Huffman table that is not there')
    const codes = lookups.get(table) ?? lookupOf(table, name)
    lookups.set(table, codes)
    return codes
  }
  for (const { components, units, restart, data } of scans) {
    const tables = components.flatMap(({ blocks, dc, ac }) =>
      Array.from({ length: blocks }, () => ({ dc: lookup(dc), ac: lookup(ac) })),
    )
    const bits = new ScanBits(data)
    for (let unit = 0; unit < units; unit++) {
      if (unit % STEP === 0) await breathe(signal)
      if (restart > 0 && unit > 0 && unit % restart === 0 && !bits.restart((unit / restart - 1) & 7)) {
        throw damaged(name, 'a restart marker is missing from its JPEG data')
      }
      for (const { dc, ac } of tables)
        if (!readBlock(bits, dc, ac)) throw damaged(name, 'a code of its JPEG data is unknown')
      if (bits.missing) {
        throw new ImageError(
          `${name} is damaged or cut short: its JPEG data end before the last row. Copy or download it again.`,
        )
      }
    }
  }
}

/** Skips a block. @returns false if a code means nothing */
function readBlock(bits: ScanBits, dc: DataView, ac: DataView): boolean {
  let code = dc.getUint16(2 * bits.peek(), true)
  if (code === 0) return bits.missing
  bits.skip(code >> 8)
  bits.skip(code & 15)
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
