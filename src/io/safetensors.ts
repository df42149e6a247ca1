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

import { describe, entryOf, expectDefined } from '../check.ts'
import { UsageError, WeightsError } from '../errors.ts'
import { expectOptions, FUNCTION, SIGNAL, TEXT } from '../options.ts'
import { printable, quoted } from '../printable.ts'
import type { Checkpoint, ReadOptions } from './checkpoint/checkpoint.ts'
import type { Dtype } from './checkpoint/dtype.ts'
import {
  INDEX_LIMITS,
  openShards,
  type ReadHeader,
  readIndex,
  type StoredTensor,
  type TensorFileHeader,
} from './checkpoint/shards.ts'
import { type Folder, openAll, readText } from './folder.ts'
import { readHeader } from './safetensors-header.ts'
import { outlineFile } from './safetensors-writer.ts'
import type { Source } from './source.ts'
import { type Json, parseJson } from './text/json.ts'

export type { Checkpoint, ReadOptions, Slice, TensorEntry } from './checkpoint/checkpoint.ts'
export { DTYPE_BITS, type Dtype, toFloat32 } from './checkpoint/dtype.ts'

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/** Options of {@link openSafetensors}. */
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
  const { signal, onOpen } = options
  const how = { readHeader: readSafetensors, signal, onOpen }
  if (!('readText' in from)) return openShards(from.name, new Map([[from.name, from]]), how)

  const single = options.index === undefined ? await from.find(SINGLE, signal) : undefined
  if (single) return openShards(from.describe, new Map([[SINGLE, single]]), how)

  const name = options.index ?? INDEX
  const listing = options.index === undefined ? await from.find(name, signal) : await from.open(name, signal)
  if (!listing) {
    const refusal = from.refusal?.(SINGLE) ?? from.refusal?.(INDEX)
    if (refusal) throw refusal
    throw new WeightsError(
      `There is neither ${SINGLE} nor ${INDEX} in ${printable(from.describe)}. ` +
        `Weights of PyTorch (.bin, .pth) are read by openCheckpoint; others (.gguf) must be converted to safetensors first.`,
    )
  }
  const text = await readText(listing, signal)
  const fileOf = readIndex(text, printable(`${name} in ${from.describe}`), ['.safetensors'])
  const files = [...new Set(fileOf.values())]
  const sources = await openAll(from, files, signal)
  const shards = new Map(files.map((file, i) => [file, entryOf(sources, i)]))
  return openShards(from.describe, shards, { ...how, index: { name, fileOf } })
}

/** The header of a file, with the checksums that its metadata lists. */
export const readSafetensors: ReadHeader = async (source, signal): Promise<TensorFileHeader> => {
  const { metadata, tensors } = await readHeader(source, signal)
  const checksums = readChecksums(source.name, metadata.get('flowseg.crc32'))
  const stored = tensors.map((entry): StoredTensor => ({ ...entry, checksum: checksums.get(entry.name) }))
  return { metadata, tensors: stored }
}

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

/** A tensor to be written, with its values. */
export interface TensorData {
  /** Its key in the header. */
  readonly name: string
  /** The element type of `bytes`. */
  readonly dtype: Dtype
  /** Sizes of the axes, the slowest first; empty for a scalar. */
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
