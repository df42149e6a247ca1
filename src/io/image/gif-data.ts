// The first frame of a GIF has all of its pixels: its LZW codes are counted to the last one, and nothing is made of
// them. Decoders fill up with black what is missing, and say nothing.

import { breathe } from '../../breathe.ts'
import { ImageError } from '../../errors.ts'
import { viewOf } from '../../view.ts'

/** Codes that are read between two moments for other work. */
const STEP = 2 ** 16
/** Codes have at most 12 bits. */
const MAX_CODES = 4096

/** The frame as its descriptor says it. */
interface Frame {
  readonly pixels: number
  /** Bits of a colour's code. */
  readonly bits: number
  readonly data: Uint8Array
}

/** @throws ImageError if there is no frame, or pixels of the first are missing */
export async function expectAllPixels(
  bytes: Uint8Array,
  name: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { pixels, bits, data } = firstFrame(bytes, name)
  const [clear, end] = [2 ** bits, 2 ** bits + 1]
  /** How many pixels each code stands for; a colour's for one. */
  const lengths = new DataView(new ArrayBuffer(MAX_CODES * 4))
  for (let code = 0; code < clear; code++) lengths.setUint32(code * 4, 1)

  const codes = new CodeReader(data)
  let [next, size, before, count] = [end + 1, bits + 1, 0, 0]
  for (let read = 0; count < pixels; read++) {
    if (read % STEP === 0) await breathe(signal)
    const code = codes.next(size)
    if (code === undefined || code === end) {
      throw damaged(name, `its GIF data end after ${count} of ${pixels} pixels`)
    }
    if (code === clear) {
      ;[next, size, before] = [end + 1, bits + 1, 0]
      continue
    }
    // A code that is being defined is the one before and its first pixel
    const isNew = code === next && before > 0 && next < MAX_CODES
    if (code > end && code >= next && !isNew) throw damaged(name, 'a code of its GIF data is unknown')
    const length = isNew ? before + 1 : lengths.getUint32(code * 4)
    if (before > 0 && next < MAX_CODES) {
      lengths.setUint32(next * 4, before + 1)
      next++
      if (next === 2 ** size && size < 12) size++
    }
    count += length
    before = length
  }
}

/** Passes over the blocks before the first frame, and gathers its data. */
function firstFrame(bytes: Uint8Array, name: string): Frame {
  const view = viewOf(bytes)
  const u8 = (at: number): number => {
    if (at >= bytes.length) throw damaged(name, 'its GIF data end within a block')
    return view.getUint8(at)
  }
  /** Bytes of a table of colours, from the flags that announce it. */
  const tableBytes = (flags: number): number => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0)
  const endOfBlocks = (from: number): number => {
    let at = from
    while (u8(at) > 0) at += u8(at) + 1
    return at + 1
  }

  let at = 13 + tableBytes(u8(10))
  while (u8(at) === 0x21) at = endOfBlocks(at + 2)
  if (u8(at) !== 0x2c) throw damaged(name, 'it is a GIF without a picture')
  const u16 = (from: number): number => u8(from) + 256 * u8(from + 1)
  const [left, top, width, height] = [u16(at + 1), u16(at + 3), u16(at + 5), u16(at + 7)]
  // Some decoders make the picture larger then, others cut the frame
  if (left + width > u16(6) || top + height > u16(8)) {
    throw damaged(name, 'the first frame of this GIF goes beyond the picture')
  }
  at += 10 + tableBytes(u8(at + 9))
  const bits = u8(at)
  if (width === 0 || height === 0 || bits < 1 || bits > 11) {
    throw damaged(name, 'the first frame of this GIF has no pixels, or codes of an impossible size')
  }
  const begin = at + 1
  const data = new Uint8Array(endOfBlocks(begin) - begin)
  let filled = 0
  for (let block = begin; u8(block) > 0; block += u8(block) + 1) {
    data.set(bytes.subarray(block + 1, block + 1 + u8(block)), filled)
    filled += u8(block)
  }
  return { pixels: width * height, bits, data: data.subarray(0, filled) }
}

/** Codes come with their lowest bits first. */
class CodeReader {
  readonly #view: DataView
  #at = 0
  #bits = 0
  #held = 0

  constructor(data: Uint8Array) {
    this.#view = viewOf(data)
  }

  /** @returns undefined at the end of the data */
  next(size: number): number | undefined {
    while (this.#held < size) {
      if (this.#at >= this.#view.byteLength) return undefined
      this.#bits |= this.#view.getUint8(this.#at++) << this.#held
      this.#held += 8
    }
    const code = this.#bits & (2 ** size - 1)
    this.#bits >>>= size
    this.#held -= size
    return code
  }
}

function damaged(name: string, what: string): ImageError {
  return new ImageError(`${name} is damaged or cut short: ${what}. Copy or download it again.`)
}
