// Zip archives as torch.save lays them out: entries stored and aligned, with descriptors and a zip64 end record. As
// pieces with their places, so that a file of many gigabytes can be written with holes.

import { crc32 } from '../../../src/io/image/crc32.ts'

/** An entry; where its data is a size, it is zeros but for the pieces. */
export interface Entry {
  readonly name: string
  readonly data: Uint8Array | { readonly size: number; readonly pieces: readonly Piece[] }
  /** Instead of what is right. */
  readonly method?: number
  readonly flags?: number
  readonly crc?: number
  /** The size by the directory. */
  readonly listed?: number
}

/** Bytes and where they go. */
export type Piece = readonly [at: number, bytes: Uint8Array]

export interface Layout {
  readonly size: number
  readonly pieces: readonly Piece[]
}

const U32 = 0xffffffff
const FLAGS = 0x0808 // a descriptor follows; the name is UTF-8

export function layout(entries: readonly Entry[], alignment: number = 64): Layout {
  const pieces: Piece[] = []
  const central: Uint8Array[] = []
  let at = 0
  const add = (bytes: Uint8Array): void => {
    pieces.push([at, bytes])
    at += bytes.length
  }
  for (const { name, data, method = 0, flags = FLAGS, crc, listed } of entries) {
    const spelt = new TextEncoder().encode(name)
    const header = at
    const isWhole = data instanceof Uint8Array
    const size = isWhole ? data.length : data.size
    const checksum = crc ?? (isWhole ? crc32(data) : 0)
    const isWide = size >= U32 || header >= U32
    const wide = isWide ? fields([1, 2], [16, 2], [size, 8], [size, 8]) : new Uint8Array()
    const begin = Math.ceil((at + 30 + spelt.length + wide.length + 4) / alignment) * alignment
    const padding = begin - (at + 30 + spelt.length + wide.length + 4)
    const local: Field[] = [
      [0x04034b50, 4],
      [0, 2],
      [flags, 2],
      [method, 2],
      [0, 4],
      [0, 4],
    ]
    const known: Field[] =
      (flags & 8) === 0
        ? [
            [size, 4],
            [size, 4],
          ]
        : isWide
          ? [
              [U32, 4],
              [U32, 4],
            ]
          : [
              [0, 4],
              [0, 4],
            ]
    add(fields(...local, ...known, [spelt.length, 2], [wide.length + 4 + padding, 2]))
    add(spelt)
    add(wide)
    add(fields([0x4246, 2], [padding, 2]))
    at = begin
    if (isWhole) pieces.push([at, data])
    else for (const [offset, bytes] of data.pieces) pieces.push([begin + offset, bytes])
    at += size
    if ((flags & 8) !== 0)
      add(fields([0x08074b50, 4], [checksum, 4], [size, isWide ? 8 : 4], [size, isWide ? 8 : 4]))
    const stated = listed ?? size
    const extra: Field[] = []
    if (stated >= U32) extra.push([stated, 8], [stated, 8])
    if (header >= U32) extra.push([header, 8])
    const extraBytes = extra.length > 0 ? fields([1, 2], [8 * extra.length, 2], ...extra) : new Uint8Array()
    central.push(
      fields(
        [0x02014b50, 4],
        [0, 2],
        [0, 2],
        [flags, 2],
        [method, 2],
        [0, 4],
        [checksum, 4],
        [Math.min(stated, U32), 4],
        [Math.min(stated, U32), 4],
        [spelt.length, 2],
        [extraBytes.length, 2],
        [0, 2],
        [0, 2],
        [0, 2],
        [0, 4],
        [Math.min(header, U32), 4],
      ),
      spelt,
      extraBytes,
    )
  }
  const directory = at
  for (const bytes of central) add(bytes)
  const end = at
  const count = entries.length
  add(
    fields(
      [0x06064b50, 4],
      [44, 8],
      [0, 2],
      [0x031e, 2],
      [0, 4],
      [0, 4],
      [count, 8],
      [count, 8],
      [end - directory, 8],
      [directory, 8],
    ),
  )
  add(fields([0x07064b50, 4], [0, 4], [end, 8], [1, 4]))
  add(
    fields(
      [0x06054b50, 4],
      [0, 2],
      [0, 2],
      [count, 2],
      [count, 2],
      [end - directory, 4],
      [Math.min(directory, U32), 4],
      [0, 2],
    ),
  )
  return { size: at, pieces }
}

/** The whole archive in memory. */
export function zip(entries: readonly Entry[], alignment?: number): Uint8Array<ArrayBuffer> {
  const { size, pieces } = layout(entries, alignment)
  const bytes = new Uint8Array(size)
  for (const [at, piece] of pieces) bytes.set(piece, at)
  return bytes
}

type Field = readonly [value: number, bytes: number]

/** Little-endian numbers of 2, 4 and 8 bytes. */
export function fields(...all: readonly Field[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(all.reduce((sum, [, width]) => sum + width, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const [value, width] of all) {
    if (width === 2) view.setUint16(at, value, true)
    else if (width === 4) view.setUint32(at, value, true)
    else view.setBigUint64(at, BigInt(value), true)
    at += width
  }
  return bytes
}
