// The directory of a zip archive whose entries are stored as they are, such as torch.save writes.
//
//   local header, name, padding, data, descriptor     for every entry
//   central directory                                 name, size, CRC-32 and place of every entry
//   zip64 end record, its locator                     where numbers need more than 32 bits
//   end record                                        the last bytes of the file
//
// Only the end and the directory are read. An entry's data begins behind its local header, whose length the directory
// doesn't tell; but the data ends where the next entry begins, and torch.save aligns it to 64 bytes. A place that both
// agree on is taken, so that opening a file on a server doesn't fetch a block per entry; it is compared with the local
// header when the data is first read (`confirm`). Other archives have their local headers read at once.
//
// Source: PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5; PyTorch's caffe2/serialize/inline_container.cc at 2.13.

import { WeightsError } from '../../errors.ts'
import { printable, quoted } from '../../printable.ts'
import type { Source } from '../source.ts'

/** An entry of an archive. */
export interface ZipEntry {
  /** The path in the archive, with slashes. */
  readonly name: string
  /** Offset of its local header in the file. */
  readonly header: number
  /** One past the last byte that can belong to it: the next entry's header, or the directory. */
  readonly limit: number
  /** Bytes of data. */
  readonly size: number
  /** Bytes of its name. */
  readonly nameBytes: number
  /** CRC-32 of the data; undefined if it was not computed. */
  readonly checksum: number | undefined
  /** A descriptor follows the data, and the local header has no size. */
  readonly hasDescriptor: boolean
  /** The reason why its data can't be read in place, such as compression or encryption; undefined if it can. */
  readonly problem: string | undefined
}

const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
const END64 = 0x06064b50
const LOCATOR64 = 0x07064b50

const LOCAL_BYTES = 30
const CENTRAL_BYTES = 46
const END_BYTES = 22
const END64_BYTES = 56
const LOCATOR64_BYTES = 20
const MAX_COMMENT = 0xffff
/** A local header may have as many bytes behind its name. */
const MOST_EXTRA = 0xffff
const U16 = 0xffff
const U32 = 0xffffffff

/** Half a million entries have about as much. */
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20
const ALIGNMENT = 64

/** Flags of an entry: encrypted, by a strong cipher, or with its directory encrypted. */
const ENCRYPTED = (1 << 0) | (1 << 6) | (1 << 13)
const DESCRIPTOR = 1 << 3

const AGAIN = 'Is it completely downloaded? Copy or download it again.'
const SAVE_AGAIN = 'Write it again with torch.save, which stores entries as they are.'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The entries of an archive, by name.
 *
 * @throws WeightsError naming the file, the entry and the rule
 */
export async function readDirectory(
  source: Source,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const { begin, end, count } = await findDirectory(source, signal)
  const bytes = await source.read(begin, end - begin, signal)
  const entries = readEntries(printable(source.name), bytes, count)

  // They follow each other in the file, and the directory follows them
  const inOrder = entries.toSorted((a, b) => a.header - b.header)
  const byName = new Map<string, ZipEntry>()
  for (const [i, entry] of inOrder.entries()) {
    const limit = inOrder[i + 1]?.header ?? begin
    const { name, header } = entry
    if (header + LOCAL_BYTES + entry.nameBytes + entry.packed > limit) {
      const next = inOrder[i + 1] ? `entry ${quoted(inOrder[i + 1]?.name ?? '', 80)}` : 'the directory'
      refuse(source, name, `it overlaps ${next}`)
    }
    if (byName.has(name)) refuse(source, name, 'there are two entries of this name')
    byName.set(name, { ...entry, limit })
  }
  return byName
}

/**
 * The offset of an entry's data in the file. For archives of torch.save it is computed from the entry's end, without
 * reading the local header; `confirm` verifies it.
 *
 * @throws WeightsError if its local header makes no sense
 */
export async function dataBegin(
  source: Source,
  entry: ZipEntry,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { name, header, nameBytes, size, limit, hasDescriptor, problem } = entry
  if (problem !== undefined) refuse(source, name, problem)
  const least = header + LOCAL_BYTES + nameBytes
  const guesses = (hasDescriptor ? [16, 24] : [0]).map((descriptor) => limit - descriptor - size)
  const guess = guesses.find((at) => at % ALIGNMENT === 0 && at >= least && at <= least + MOST_EXTRA)
  return size > 0 && guess !== undefined ? guess : readLocalHeader(source, entry, signal)
}

/** @throws WeightsError unless the data begins there by the entry's local header */
export async function confirm(
  source: Source,
  entry: ZipEntry,
  begin: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const listed = await readLocalHeader(source, entry, signal)
  if (listed !== begin) {
    refuse(
      source,
      entry.name,
      `its data begins at byte ${listed} by its header, at ${begin} by the directory`,
    )
  }
}

async function readLocalHeader(
  source: Source,
  entry: ZipEntry,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { name, header, size, limit, hasDescriptor } = entry
  const spelt = new TextEncoder().encode(name)
  const bytes = await source.read(header, LOCAL_BYTES + spelt.length, signal)
  const view = new DataView(bytes.buffer)
  if (view.getUint32(0, true) !== LOCAL)
    refuse(source, name, `there is no header at byte ${header}. ${AGAIN}`)
  const isSame =
    view.getUint16(26, true) === spelt.length && spelt.every((byte, i) => bytes[LOCAL_BYTES + i] === byte)
  if (!isSame) refuse(source, name, `the header at byte ${header} is of another entry. ${AGAIN}`)
  const problem = problemOf(view.getUint16(8, true), view.getUint16(6, true))
  if (problem !== undefined) refuse(source, name, problem)
  const isWide = view.getUint32(22, true) === U32
  if (!hasDescriptor && !isWide && view.getUint32(22, true) !== size) {
    refuse(source, name, `it has ${view.getUint32(22, true)} bytes by its header, ${size} by the directory`)
  }
  const begin = header + LOCAL_BYTES + spelt.length + view.getUint16(28, true)
  if (begin + size > limit) refuse(source, name, `its data ends at byte ${begin + size}, past ${limit}`)
  return begin
}

interface Directory {
  readonly begin: number
  readonly end: number
  readonly count: number
}

/** Finds the directory by the end record, which only a comment follows in the file. */
async function findDirectory(source: Source, signal: AbortSignal | undefined): Promise<Directory> {
  const file = printable(source.name)
  const { size } = source
  const most = Math.min(size, END_BYTES + MAX_COMMENT + LOCATOR64_BYTES + END64_BYTES)
  const tailBegin = size - most
  const tail = await source.read(tailBegin, most, signal)
  const view = new DataView(tail.buffer)
  let at = most - END_BYTES
  const isEnd = (i: number): boolean =>
    view.getUint32(i, true) === END && i + END_BYTES + view.getUint16(i + 20, true) === most
  while (at >= 0 && !isEnd(at)) at--
  if (at < 0) throw new WeightsError(`${file}: the end of the zip archive is missing. ${AGAIN}`)

  const half = (i: number): number => view.getUint16(at + i, true)
  const [disk, firstDisk, onDisk, count] = [half(4), half(6), half(8), half(10)]
  const [bytes, begin] = [view.getUint32(at + 12, true), view.getUint32(at + 16, true)]
  const locator = at - LOCATOR64_BYTES
  if (locator >= 0 && view.getUint32(locator, true) === LOCATOR64) {
    const disks = view.getUint32(locator + 16, true)
    if (view.getUint32(locator + 4, true) !== 0 || disks > 1 || (disk !== 0 && disk !== U16)) {
      throw severalDisks(file)
    }
    return findDirectory64(source, tail, tailBegin, locator)
  }
  if ([onDisk, count].includes(U16) || [bytes, begin].includes(U32)) {
    throw new WeightsError(`${file}: the zip archive lacks the record for large files (zip64). ${AGAIN}`)
  }
  if (disk !== 0 || firstDisk !== 0 || onDisk !== count) throw severalDisks(file)
  return expectDirectory(file, { begin, end: begin + bytes, count }, tailBegin + at)
}

function findDirectory64(
  source: Source,
  tail: Uint8Array<ArrayBuffer>,
  tailBegin: number,
  locator: number,
): Directory {
  const file = printable(source.name)
  const view = new DataView(tail.buffer)
  const place = wide(view, locator + 8)
  const at = place - tailBegin
  if (at < 0 || at + END64_BYTES > locator || view.getUint32(at, true) !== END64) {
    throw new WeightsError(
      `${file}: the end record for large files (zip64) is not at byte ${place}. ${AGAIN}`,
    )
  }
  if (at + 12 + wide(view, at + 4) !== locator) {
    throw new WeightsError(`${file}: the end record for large files (zip64) has a wrong size. ${AGAIN}`)
  }
  const field = (i: number): number => wide(view, at + i)
  const [onDisk, count, bytes, begin] = [field(24), field(32), field(40), field(48)]
  if (view.getUint32(at + 16, true) !== 0 || view.getUint32(at + 20, true) !== 0 || onDisk !== count) {
    throw severalDisks(file)
  }
  return expectDirectory(file, { begin, end: begin + bytes, count }, place)
}

function expectDirectory(file: string, directory: Directory, place: number): Directory {
  const { begin, end, count } = directory
  if (end !== place) {
    const how = end > place ? 'overlaps it' : 'there is something between them'
    throw new WeightsError(
      `${file}: the zip archive's directory ends at byte ${end}, its end record begins at ${place}: ${how}. ${AGAIN}`,
    )
  }
  const bytes = end - begin
  if (bytes > MAX_DIRECTORY_BYTES) {
    throw new WeightsError(
      `${file}: the zip archive's directory has ${bytes} bytes, at most ${MAX_DIRECTORY_BYTES} are allowed.`,
    )
  }
  if (count * CENTRAL_BYTES > bytes) {
    throw new WeightsError(
      `${file}: the zip archive's directory has ${bytes} bytes, too few for ${count} entries.`,
    )
  }
  return directory
}

function severalDisks(file: string): WeightsError {
  return new WeightsError(`${file} is a part of a zip archive of several files. Join them: zip -s 0.`)
}

type Listed = Omit<ZipEntry, 'limit'> & { readonly packed: number }

function readEntries(file: string, bytes: Uint8Array<ArrayBuffer>, count: number): Listed[] {
  const view = new DataView(bytes.buffer)
  const entries: Listed[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    const isThere = at + CENTRAL_BYTES <= bytes.length && view.getUint32(at, true) === CENTRAL
    const length = (k: number): number => (isThere ? view.getUint16(at + k, true) : 0)
    const [nameBytes, extraBytes, commentBytes] = [length(28), length(30), length(32)]
    const end = at + CENTRAL_BYTES + nameBytes + extraBytes + commentBytes
    if (!isThere || end > bytes.length) {
      throw new WeightsError(`${file}: entry ${i} of the zip archive's directory makes no sense. ${AGAIN}`)
    }
    entries.push(readEntry(file, view, at, nameBytes, extraBytes))
    at = end
  }
  if (at !== bytes.length) {
    throw new WeightsError(
      `${file}: the zip archive's directory has ${bytes.length - at} bytes more than its ${count} entries. ${AGAIN}`,
    )
  }
  return entries
}

function readEntry(
  file: string,
  view: DataView<ArrayBuffer>,
  at: number,
  nameBytes: number,
  extraBytes: number,
): Listed {
  const source = { name: file }
  const name = nameIn(source, new Uint8Array(view.buffer, at + CENTRAL_BYTES, nameBytes))
  const flags = view.getUint16(at + 8, true)
  const problem = problemOf(view.getUint16(at + 10, true), flags)

  // Numbers that need more than 32 bits are in an extra field, in this order
  let packed = view.getUint32(at + 20, true)
  let size = view.getUint32(at + 24, true)
  let header = view.getUint32(at + 42, true)
  const disk = view.getUint16(at + 34, true)
  const extra = wideFields(view, at + CENTRAL_BYTES + nameBytes, extraBytes)
  const next = (): number => {
    const value = extra.shift()
    return value ?? refuse(source, name, 'its size or place needs 64 bits, and they are missing')
  }
  if (size === U32) size = next()
  if (packed === U32) packed = next()
  if (header === U32) header = next()
  if (disk !== 0 && disk !== U16) throw severalDisks(file)
  if (problem === undefined && packed !== size)
    refuse(source, name, `it is stored in ${packed} bytes, but has ${size}`)
  const checksum = view.getUint32(at + 16, true)
  return {
    name,
    nameBytes,
    header,
    packed,
    size,
    // Zero where torch.serialization.set_crc32_options(False) or skip_data left it out
    checksum: checksum === 0 ? undefined : checksum,
    hasDescriptor: (flags & DESCRIPTOR) !== 0,
    problem,
  }
}

/** The 64-bit numbers of the extra field 1. */
function wideFields(view: DataView, begin: number, length: number): number[] {
  const end = begin + length
  for (let at = begin; at + 4 <= end; at += 4 + view.getUint16(at + 2, true)) {
    const fieldEnd = at + 4 + view.getUint16(at + 2, true)
    if (view.getUint16(at, true) !== 1 || fieldEnd > end) continue
    return Array.from({ length: Math.floor((fieldEnd - at - 4) / 8) }, (_, i) => wide(view, at + 4 + 8 * i))
  }
  return []
}

/** Past 2^53 it is no place in any file, and infinite here. */
function wide(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true)
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : Number.POSITIVE_INFINITY
}

function nameIn(source: Pick<Source, 'name'>, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new WeightsError(
      `${printable(source.name)}: the zip archive has an entry whose name is not UTF-8.`,
      {
        cause,
      },
    )
  }
}

function problemOf(method: number, flags: number): string | undefined {
  if ((flags & ENCRYPTED) !== 0) return `it is encrypted. ${SAVE_AGAIN}`
  return method === 0 ? undefined : `it is compressed (method ${method}). ${SAVE_AGAIN}`
}

function refuse({ name: file }: Pick<Source, 'name'>, name: string, what: string): never {
  const end = what.endsWith('.') ? '' : '.'
  throw new WeightsError(`${printable(file)}, entry ${quoted(name, 80)} of the zip archive: ${what}${end}`)
}
