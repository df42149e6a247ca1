// Files of tensors, opened as one checkpoint: a single one, or several with an index of which holds which tensor.
//
// A format's reader gives the entries of a file (`ReadHeader`). All else is the same for every format: an index is
// compared with what the files hold, values are read by range and compared with their checksums, and tensors that
// aren't in C order are gathered.

import { listed } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import { printable, quoted } from '../../printable.ts'
import { expectPlainName } from '../folder.ts'
import { crc32 } from '../image/crc32.ts'
import { type ByteRange, DamagedError, type Source } from '../source.ts'
import { type JsonLimits, JsonReader } from '../text/json.ts'
import { type Checkpoint, fail, MAX_TENSORS, type ReadOptions, type TensorEntry } from './checkpoint.ts'
import { DTYPE_BITS } from './dtype.ts'
import { extentOf, gather } from './strided.ts'

/** A tensor as its file's header lists it. */
export interface StoredTensor extends TensorEntry {
  /** CRC-32 of its bytes, if the file tells. */
  readonly checksum?: number | undefined
  /**
   * Called before its bytes are first read: what could not be checked earlier without reading them.
   *
   * @throws WeightsError
   */
  readonly confirm?: ((signal: AbortSignal | undefined) => Promise<void>) | undefined
}

/** The header of a file of tensors, checked. */
export interface TensorFileHeader {
  /** Texts beside the tensors; empty for files of a kind that has none. */
  readonly metadata: ReadonlyMap<string, string>
  /** In the order in which the file names them. */
  readonly tensors: readonly StoredTensor[]
}

/** Reads and checks the header of a file, and none of its values. */
export type ReadHeader = (source: Source, signal: AbortSignal | undefined) => Promise<TensorFileHeader>

/** The index of a sharded checkpoint: the file that must hold each tensor. */
export interface ShardIndex {
  /** The name of the index's own file, for messages. */
  readonly name: string
  /** The name of the file, beside the index, by tensor name. */
  readonly fileOf: ReadonlyMap<string, string>
}

/** Options for opening several files as one checkpoint. */
export interface ShardOptions extends ReadOptions {
  /** The reader of the files' kind: safetensors or torch.save. */
  readonly readHeader: ReadHeader
  /** Undefined for a single file. */
  readonly index?: ShardIndex | undefined
  /** Called before anything is read. */
  readonly onOpen?: (() => void) | undefined
  /** See Checkpoint. */
  readonly notes?: readonly string[] | undefined
}

const MAX_SHARDS = 1000 // they are open at the same time
/** A key and a value per tensor, and some more. */
export const INDEX_LIMITS: JsonLimits = {
  values: 2 * MAX_TENSORS + 10_000,
  containers: 10_000,
  keyBytes: 4096,
}
/** Host memory for a part of a tensor that is gathered: each part takes a pass over the tensor's bytes in the file. */
const GATHER_BYTES = 32 * 2 ** 20

interface Located extends StoredTensor {
  readonly source: Source
}

/**
 * Reads the headers only. Closes the files if it fails.
 *
 * @param name  for messages: the file or the folder
 * @param files by the names that the index has for them
 * @throws WeightsError naming the file, the tensor and the rule
 */
export async function openShards(
  name: string,
  files: ReadonlyMap<string, Source>,
  { readHeader, index, signal, onOpen, notes = [] }: ShardOptions,
): Promise<Checkpoint> {
  const tensors = new Map<string, Located>()
  const metadata = new Map<string, string>()
  try {
    onOpen?.()
    for (const [file, source] of files) {
      const header = await readHeader(source, signal)
      for (const [key, value] of header.metadata) if (!metadata.has(key)) metadata.set(key, value)
      for (const entry of header.tensors) {
        const listed = index?.fileOf.get(entry.name)
        if (index && listed === undefined) continue // the index says what the checkpoint is
        if (index && listed !== file) {
          fail(file, entry.name, `it is in this file, but ${printable(index.name)} says it is in ${listed}`)
        }
        tensors.set(entry.name, { ...entry, source })
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
  return {
    name,
    tensors,
    metadata,
    files: [...(index ? [index.name] : []), ...files.keys()],
    notes,
    async read(tensor, { offset = 0, length, signal: stop } = {}) {
      const entry = find(tensor)
      const size = entry.end - entry.begin
      const count = length ?? size - offset
      const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(count)
      if (!whole || offset < 0 || count < 0 || offset + count > size) {
        fail(entry.file, tensor, `bytes ${offset} to ${offset + count} are asked for, it has ${size}`)
      }
      await entry.confirm?.(stop)
      const bytes = await readRange(entry, offset, count, stop)
      if (entry.checksum !== undefined && count === size) await compare(entry, crc32(bytes))
      return bytes
    },
    async *slices(tensor, maxBytes, { signal: stop } = {}) {
      const entry = find(tensor)
      const size = entry.end - entry.begin
      const step = Math.max(16, maxBytes - (maxBytes % 16))
      // A pass over the file per slice would be one too many
      const part = entry.strides ? Math.max(step, GATHER_BYTES - (GATHER_BYTES % step)) : step
      await entry.confirm?.(stop)
      let checksum = 0
      for (let begin = 0; begin < size; begin += part) {
        const bytes = await readRange(entry, begin, Math.min(part, size - begin), stop)
        if (entry.checksum !== undefined) checksum = crc32(bytes, checksum)
        for (let at = 0; at < bytes.length; at += step) {
          const isAll = bytes.length <= step
          yield { offset: begin + at, bytes: isAll ? bytes : bytes.slice(at, at + step) }
        }
      }
      await compare(entry, checksum)
    },
    willRead(names) {
      const ranges = new Map<Source, ByteRange[]>([...files.values()].map((source) => [source, []]))
      for (const entry of names.map(find)) ranges.get(entry.source)?.push(rangeOf(entry))
      for (const [source, wanted] of ranges) source.willRead?.(wanted)
    },
    async verify({ signal: stop } = {}) {
      for (const source of files.values()) await source.verify?.(stop)
    },
    close: () => closeAll(files),
  }
}

/** Bytes of a tensor, wherever they are in the file. */
async function readRange(
  { source, dtype, shape, strides, begin }: Located,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!strides) return source.read(begin + offset, length, signal)
  const width = DTYPE_BITS[dtype] / 8
  const [first, end] = [Math.floor(offset / width), Math.ceil((offset + length) / width)]
  const bytes = await gather(source, { dtype, shape, strides, begin }, first, end - first, signal)
  return bytes.length === length
    ? bytes
    : bytes.slice(offset - first * width, offset - first * width + length)
}

/** The bytes of the file that a tensor is read from. */
function rangeOf({ dtype, shape, strides, begin, end }: Located): ByteRange {
  return strides ? [begin, begin + (extentOf(shape, strides) * DTYPE_BITS[dtype]) / 8] : [begin, end]
}

async function compare(entry: Located, checksum: number): Promise<void> {
  const { source, file, name, checksum: expected } = entry
  if (expected === undefined || expected === checksum) return
  const wasKept = await source.forget?.(rangeOf(entry))
  throw new DamagedError(
    `${printable(file)}, tensor ${quoted(name, 80)}: its bytes are damaged (CRC-32 ${hex(checksum)}, ${hex(expected)} was written); ` +
      `get the file again.`,
    wasKept,
  )
}

const hex = (word: number): string => word.toString(16).padStart(8, '0')

async function closeAll(files: ReadonlyMap<string, Source>): Promise<void> {
  await Promise.all([...files.values()].map((source) => source.close()))
}

/**
 * Reads an index of shards.
 *
 * @param name       for messages: the index's file, and where it is
 * @param extensions that the shards' names may have
 * @throws WeightsError if it makes no sense
 */
export function readIndex(text: string, name: string, extensions: readonly string[]): Map<string, string> {
  const fileOf = new Map<string, string>()
  const files = new Set<string>()
  const reader = new JsonReader(text, INDEX_LIMITS)
  const readMap = (tensor: string): void => {
    const file = reader.string()
    if (file === undefined || !extensions.some((extension) => file.endsWith(extension)))
      fail(name, tensor, `its file must be a name that ends in ${listed(extensions, 'or')}`)
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
