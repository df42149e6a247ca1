// safetensors: named tensors in a file, read by ranges and checked before a byte of data is read.
//
//   8 bytes           N, little endian
//   N bytes           {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, ...}, padded with spaces
//   the rest          the data, C order, little endian; offsets count from its first byte
//
// The tensors fill the data without holes or overlaps, to the last byte. Everything else is refused: files
// come from strangers, and what a header says decides how much we allocate. Values aren't looked at, but a
// file may list its tensors' checksums (metadata "flowseg.crc32", a JSON object of name -> 8 hex digits):
// then a tensor that was damaged on its way is refused when it is read.
//
// Several files with an index (model.safetensors.index.json) are one checkpoint.
//
// Source: huggingface/safetensors, README and src/tensor.rs at 24b0b28 (2026-05-12). We are stricter in one
// thing, as its README asks: a key that occurs twice is an error.

import { describe, expectDefined } from '../check.ts'
import { UsageError, WeightsError } from '../errors.ts'
import { expectOptions, FUNCTION, SIGNAL, TEXT } from '../options.ts'
import { printable, quoted } from '../printable.ts'
import { expectPlainName, type Folder, openAll, readText } from './folder.ts'
import { crc32 } from './image/crc32.ts'
import {
  DTYPE_BITS,
  type Dtype,
  fail,
  MAX_TENSORS,
  readHeader,
  type TensorEntry,
} from './safetensors-header.ts'
import { outlineFile } from './safetensors-writer.ts'
import { type ByteRange, DamagedError, type Source } from './source.ts'
import { type Json, type JsonLimits, JsonReader, parseJson } from './text/json.ts'

export { DTYPE_BITS, type Dtype, type TensorEntry } from './safetensors-header.ts'

/** A part of a tensor. */
export interface Slice {
  /** Of its first byte, counted from the tensor's. */
  readonly offset: number
  /** In a buffer of their own. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** How reading is aborted. */
export interface ReadOptions {
  /** The rejection is the signal's own reason. */
  readonly signal?: AbortSignal | undefined
}

/** A file of tensors, or several with an index: names, types and shapes at once, values by range. */
export interface Checkpoint {
  /** For messages: the file or the folder. */
  readonly name: string
  /** Types, shapes and places, by name. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** The files' `__metadata__`; where several files differ, the first one's. */
  readonly metadata: ReadonlyMap<string, string>
  /**
   * Bytes of a tensor, all of them by default, in a buffer of their own: wherever the tensor lies in the
   * file, a typed array can view them.
   *
   * @param options offset and length in bytes, from the tensor's first
   * @throws WeightsError if there is no such tensor or range, the file can't be read, or the tensor's
   *   checksum is another
   */
  read(
    name: string,
    options?: ReadOptions & { readonly offset?: number; readonly length?: number },
  ): Promise<Uint8Array<ArrayBuffer>>
  /** The tensor in order, at most `maxBytes` at a time; all but the last a multiple of 16 bytes. */
  slices(name: string, maxBytes: number, options?: ReadOptions): AsyncGenerator<Slice, void, void>
  /** The reads to come, in order, so that they can be fetched ahead; other parts needn't be fetched. */
  willRead?(names: readonly string[]): void
  /**
   * Once all has been read: waits until it is kept, and compares the files with what hashes are known of them
   * (manifest.ts).
   *
   * @throws DamagedError naming the file
   */
  verify?(options?: ReadOptions): Promise<void>
  /** Closes every file, the source given to `openSafetensors` too. */
  close(): Promise<void>
}

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

const MAX_SHARDS = 1000 // they are open at the same time
/** A key and a value per tensor, and some more. */
const INDEX_LIMITS: JsonLimits = { values: 2 * MAX_TENSORS + 10_000, containers: 10_000, keyBytes: 4096 }

/** How {@link openSafetensors} opens a folder. */
export interface OpenSafetensorsOptions extends ReadOptions {
  /** Name of the file that lists the shards; model.safetensors.index.json by default. */
  readonly index?: string
  /** Called once all files are open, before anything is read but the index. */
  readonly onOpen?: () => void
}

function expectSource(from: unknown): void {
  if (typeof from === 'object' && from !== null && ('readText' in from || 'read' in from)) return
  throw new UsageError(
    `openSafetensors was given ${describe(from)}; it takes a folder, as openFolder('path') opens it, or a source of bytes.`,
  )
}

/**
 * Reads and checks headers only.
 *
 * @param from one .safetensors file, or a folder with model.safetensors or model.safetensors.index.json
 * @param options index: the name of the folder's index, whatever else is there; onOpen: told when all files are open,
 *   and nothing has been read but the index
 * @throws WeightsError naming the file, the tensor and the rule
 */
export async function openSafetensors(
  from: Folder | Source,
  options: OpenSafetensorsOptions = {},
): Promise<Checkpoint> {
  expectSource(from)
  expectOptions('openSafetensors', options, { signal: SIGNAL, index: TEXT, onOpen: FUNCTION })
  if (!('readText' in from)) return openFiles(from.name, new Map([[from.name, from]]), undefined, options)

  const { signal } = options
  const single = options.index === undefined ? await from.find(SINGLE, signal) : undefined
  if (single) return openFiles(from.describe, new Map([[single.name, single]]), undefined, options)

  const name = options.index ?? INDEX
  const listing = options.index === undefined ? await from.find(name, signal) : await from.open(name, signal)
  if (!listing) {
    const refusal = from.refusal?.(SINGLE) ?? from.refusal?.(INDEX)
    if (refusal) throw refusal
    throw new WeightsError(
      `There is neither ${SINGLE} nor ${INDEX} in ${printable(from.describe)}. ` +
        `Weights of other formats (.bin, .pth, .gguf) must be converted to safetensors first.`,
    )
  }
  const index: Index = {
    name,
    fileOf: readIndex(await readText(listing, signal), printable(`${name} in ${from.describe}`)),
  }
  const files = [...new Set(index.fileOf.values())]
  const sources = await openAll(from, files, signal)
  return openFiles(from.describe, new Map(files.map((file, i) => [file, sources[i]!])), index, options)
}

/** Which file must hold which tensor. */
interface Index {
  readonly name: string
  readonly fileOf: ReadonlyMap<string, string>
}

interface Located extends TensorEntry {
  readonly source: Source
  readonly checksum: number | undefined
}

/** @param index undefined for a single file */
async function openFiles(
  name: string,
  files: ReadonlyMap<string, Source>,
  index: Index | undefined,
  { signal, onOpen }: OpenSafetensorsOptions,
): Promise<Checkpoint> {
  const tensors = new Map<string, Located>()
  const metadata = new Map<string, string>()
  try {
    onOpen?.()
    for (const [file, source] of files) {
      const header = await readHeader(source, signal)
      for (const [key, value] of header.metadata) if (!metadata.has(key)) metadata.set(key, value)
      const checksums = readChecksums(file, header.metadata.get('flowseg.crc32'))
      for (const entry of header.tensors) {
        const listed = index?.fileOf.get(entry.name)
        if (index && listed === undefined) continue // the index says what the checkpoint is
        if (index && listed !== file) {
          fail(file, entry.name, `it is in this file, but ${printable(index.name)} says it is in ${listed}`)
        }
        tensors.set(entry.name, { ...entry, source, checksum: checksums.get(entry.name) })
      }
    }
    for (const [tensor, file] of index?.fileOf ?? []) {
      if (!tensors.has(tensor))
        fail(file, tensor, `it is not in this file, but ${printable(index?.name ?? '')} says it is`)
    }
  } catch (error) {
    await closeAll(files)
    throw error
  }

  const find = (tensor: string): Located => {
    const entry = tensors.get(tensor)
    if (entry) return entry
    throw new WeightsError(
      `${printable(name)}: there is no tensor ${quoted(tensor, 80)} among the ${tensors.size}.`,
    )
  }
  const checkpoint: Checkpoint = {
    name,
    tensors,
    metadata,
    async read(tensor, { offset = 0, length, signal: stop } = {}) {
      const entry = find(tensor)
      const size = entry.end - entry.begin
      const count = length ?? size - offset
      const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(count)
      if (!whole || offset < 0 || count < 0 || offset + count > size) {
        fail(entry.file, tensor, `bytes ${offset} to ${offset + count} are asked for, it has ${size}`)
      }
      const bytes = await entry.source.read(entry.begin + offset, count, stop)
      if (entry.checksum !== undefined && count === size) await verify(entry, crc32(bytes))
      return bytes
    },
    async *slices(tensor, maxBytes, { signal: stop } = {}) {
      const entry = find(tensor)
      const size = entry.end - entry.begin
      const step = Math.max(16, maxBytes - (maxBytes % 16))
      let checksum = 0
      for (let offset = 0; offset < size; offset += step) {
        const length = Math.min(step, size - offset)
        const bytes = await entry.source.read(entry.begin + offset, length, stop)
        if (entry.checksum !== undefined) checksum = crc32(bytes, checksum)
        yield { offset, bytes }
      }
      await verify(entry, checksum)
    },
    willRead(names) {
      const ranges = new Map<Source, ByteRange[]>([...files.values()].map((source) => [source, []]))
      for (const { source, begin, end } of names.map(find)) ranges.get(source)?.push([begin, end])
      for (const [source, wanted] of ranges) source.willRead?.(wanted)
    },
    async verify({ signal: stop } = {}) {
      for (const source of files.values()) await source.verify?.(stop)
    },
    close: () => closeAll(files),
  }
  return checkpoint
}

async function verify({ source, file, name, begin, end, checksum }: Located, found: number): Promise<void> {
  if (checksum === undefined || checksum === found) return
  const wasKept = await source.forget?.([begin, end])
  throw new DamagedError(
    `${printable(file)}, tensor ${quoted(name, 80)}: its bytes are damaged (CRC-32 ${hex(found)}, ${hex(checksum)} was written); ` +
      `get the file again.`,
    wasKept,
  )
}

const hex = (word: number): string => word.toString(16).padStart(8, '0')

/** The hashes that `verify` compares with, by tensor; empty for files without. */
function readChecksums(file: string, text: string | undefined): Map<string, number> {
  if (text === undefined) return new Map()
  const bad = (): WeightsError =>
    new WeightsError(
      `${printable(file)}: metadata "flowseg.crc32" must be a JSON object of tensor names to 8 hex digits.`,
    )
  let listed: Json
  try {
    listed = parseJson(text, INDEX_LIMITS)
  } catch {
    throw bad()
  }
  if (!(listed instanceof Map)) throw bad()
  return new Map(
    [...listed].map(([name, digits]) => {
      if (typeof digits !== 'string' || !/^[0-9a-f]{8}$/.test(digits)) throw bad()
      return [name, Number.parseInt(digits, 16)]
    }),
  )
}

async function closeAll(files: ReadonlyMap<string, Source>): Promise<void> {
  await Promise.all([...files.values()].map((source) => source.close()))
}

/** Which file holds which tensor. */
function readIndex(text: string, name: string): Map<string, string> {
  const fileOf = new Map<string, string>()
  const files = new Set<string>()
  const reader = new JsonReader(text, INDEX_LIMITS)
  const readMap = (tensor: string): void => {
    const file = reader.string()
    if (!file?.endsWith('.safetensors'))
      fail(name, tensor, 'its file must be a name that ends in .safetensors')
    if (!files.has(file)) expectPlainName(file)
    fileOf.set(tensor, file)
    files.add(file)
    if (fileOf.size > MAX_TENSORS || files.size > MAX_SHARDS) {
      throw new WeightsError(
        `${name} lists more than the ${MAX_TENSORS} tensors or ${MAX_SHARDS} files that are allowed.`,
      )
    }
  }
  try {
    const isObject = reader.object((key) => {
      if (key !== 'weight_map' || !reader.object(readMap)) reader.skip()
    })
    if (!isObject) reader.skip()
    reader.end()
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new WeightsError(`${name} is not valid JSON: ${cause.message}. Download it again.`, { cause })
  }
  if (fileOf.size === 0)
    throw new WeightsError(`${name} has no "weight_map" from tensor names to file names.`)
  return fileOf
}

const float = new Float32Array(1)
const word = new Uint32Array(float.buffer)

/**
 * Floats of any width as f32: exact, but for F64, which rounds.
 *
 * @param bytes little endian, at any alignment; F32 at an aligned place is viewed, not copied
 */
export function toFloat32(bytes: Uint8Array<ArrayBuffer>, dtype: Dtype): Float32Array<ArrayBuffer> {
  const bits = DTYPE_BITS[dtype]
  if (!['F16', 'BF16', 'F32', 'F64'].includes(dtype)) {
    throw new WeightsError(`toFloat32: ${dtype} is not F16, BF16, F32 or F64.`)
  }
  if (bytes.length % (bits / 8) !== 0) {
    throw new WeightsError(`toFloat32: ${bytes.length} bytes are not a whole number of ${dtype} elements.`)
  }
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice()
  const { buffer, byteOffset } = aligned
  const length = bytes.length / (bits / 8)
  if (dtype === 'F32') return new Float32Array(buffer, byteOffset, length)
  if (dtype === 'F64') return new Float32Array(new Float64Array(buffer, byteOffset, length))

  const half = new Uint16Array(buffer, byteOffset, length)
  const values = new Float32Array(length)
  const words = new Uint32Array(values.buffer)
  if (dtype === 'BF16') {
    for (let i = 0; i < length; i++) words[i] = half[i]! << 16
  } else {
    for (let i = 0; i < length; i++) words[i] = bitsOfHalf(half[i]!)
  }
  return values
}

/** The f32 word of an f16: 5 bits of exponent with bias 15, 10 bits of fraction. */
function bitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >> 10) & 31
  const fraction = half & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13)
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  float[0] = fraction * 2 ** -24 // zero and subnormals
  return sign | word[0]!
}

export interface TensorData {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** C order, little endian. */
  readonly bytes: Uint8Array
}

/** A whole file, byte for byte what the upstream library writes: by dtype and name, padded to 8 bytes. */
export function writeSafetensors(
  tensors: Iterable<TensorData>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const all = [...tensors]
  const outline = outlineFile(all, metadata, false)
  const dataOf = new Map(all.map(({ name, bytes }) => [name, bytes]))
  const file = new Uint8Array(outline.size)
  file.set(outline.header())
  for (const { name, dtype, shape, begin, end } of outline.tensors) {
    const bytes = expectDefined(dataOf.get(name), name)
    if (end - begin !== bytes.length) {
      throw new WeightsError(
        `writeSafetensors: ${quoted(name)} is ${dtype} [${shape.join(', ')}], ${end - begin} bytes, but ${bytes.length} are given.`,
      )
    }
    file.set(bytes, begin)
  }
  return file
}
