// Weights of any format that is read: which one it is, a file's first bytes tell.
//
//   safetensors         safetensors.ts
//   PyTorch's archives  torch/torch.ts
//
// In a folder, safetensors go before PyTorch's files, and an index before a single file of PyTorch: a folder that was
// downloaded half may have both.

import { describe, entryOf } from '../check.ts'
import { UsageError, WeightsError } from '../errors.ts'
import { expectOptions, FUNCTION, SIGNAL, TEXT } from '../options.ts'
import { firstOf, printable } from '../printable.ts'
import type { Checkpoint, ReadOptions } from './checkpoint/checkpoint.ts'
import { openShards, type ReadHeader, readIndex } from './checkpoint/shards.ts'
import { type Folder, openAll, readText } from './folder.ts'
import { readSafetensors } from './safetensors.ts'
import { MAX_HEADER_BYTES } from './safetensors-header.ts'
import type { Source } from './source.ts'

/** Options of {@link openCheckpoint}. */
export interface OpenCheckpointOptions extends ReadOptions {
  /**
   * Name of the file in the folder: of the weights, or of the index that lists their shards (.index.json). By default
   * the first that there is of model.safetensors, model.safetensors.index.json, pytorch_model.bin.index.json and
   * pytorch_model.bin; else the only one whose name ends in .safetensors, .bin, .pth or .pt.
   */
  readonly file?: string | undefined
  /** Called once all files are open, before anything is read but the index. */
  readonly onOpen?: (() => void) | undefined
}

/** The usual names of weights, in the order in which they are looked for. */
const USUAL = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin.index.json',
  'pytorch_model.bin',
]
const EXTENSIONS = ['.safetensors', '.bin', '.pth', '.pt']
/** Files that programs for training leave beside the weights, and hidden files. */
const NO_WEIGHTS = /^\.|^(optimizer|scheduler|scaler|training_args|rng_state.*)\.(bin|pth?)$/

/**
 * Opens weights as safetensors or as torch.save wrote them. Reads no values, and executes nothing.
 *
 * @param from a file of weights, or a folder with one, or with several and their index
 * @throws WeightsError naming the file, the tensor and the rule
 */
export async function openCheckpoint(
  from: Folder | Source,
  options: OpenCheckpointOptions = {},
): Promise<Checkpoint> {
  expectPlace(from)
  expectOptions('openCheckpoint', options, { signal: SIGNAL, file: TEXT, onOpen: FUNCTION })
  const { signal, onOpen } = options
  const how = { readHeader, signal, onOpen }
  if (!('readText' in from)) return openShards(from.name, new Map([[from.name, from]]), how)

  const named = options.file ?? from.weights
  const { name, source } =
    named === undefined
      ? ((await findWeights(from, signal)) ?? (await noWeights(from)))
      : { name: named, source: await from.open(named, signal) }
  const notes = named === undefined ? await notesOn(from, name, signal) : []
  if (!isIndex(name)) return openShards(from.describe, new Map([[name, source]]), { ...how, notes })

  const text = await readText(source, signal)
  const fileOf = readIndex(text, printable(`${name} in ${from.describe}`), EXTENSIONS)
  const files = [...new Set(fileOf.values())]
  const sources = await openAll(from, files, signal)
  const shards = new Map(files.map((file, i) => [file, entryOf(sources, i)]))
  return openShards(from.describe, shards, { ...how, notes, index: { name, fileOf } })
}

/**
 * True if a folder has weights that openCheckpoint would open, readable or not.
 *
 * @throws WeightsError if there are several, or a server refuses to tell
 */
export async function hasWeights(from: Folder, signal?: AbortSignal): Promise<boolean> {
  const weights = await findWeights(from, signal)
  await weights?.source.close()
  return weights !== undefined
}

interface Named {
  readonly name: string
  readonly source: Source
}

async function findWeights(from: Folder, signal: AbortSignal | undefined): Promise<Named | undefined> {
  for (const name of USUAL) {
    const source = await from.find(name, signal)
    if (source) return { name, source }
  }
  for (const name of USUAL) {
    const refusal = from.refusal?.(name)
    if (refusal) throw refusal
  }
  const others = ((await from.list?.()) ?? []).filter(isWeights)
  const [only, second] = others
  if (only !== undefined && second !== undefined) {
    throw new WeightsError(
      `There are several files of weights in ${printable(from.describe)}: ${firstOf(others.toSorted(), 8)}. ` +
        `Give the path of the one to read.`,
    )
  }
  return only === undefined ? undefined : { name: only, source: await from.open(only, signal) }
}

/** @throws WeightsError naming the folders below that have some: repositories keep a folder per stage of training */
async function noWeights(from: Folder): Promise<never> {
  const folders = new Set(
    ((await from.listBelow?.()) ?? []).flatMap((path) => {
      const end = path.lastIndexOf('/')
      return end >= 0 && isWeights(path.slice(end + 1)) ? [path.slice(0, end)] : []
    }),
  )
  const below =
    folders.size === 0
      ? ''
      : ` ${folders.size === 1 ? 'A folder in it has' : 'Folders in it have'} weights: ${firstOf([...folders].sort(), 8)}. ` +
        `Give the path of ${folders.size === 1 ? 'that' : 'one of them'}.`
  throw new WeightsError(
    `There are no weights in ${printable(from.describe)}: neither model.safetensors nor pytorch_model.bin, nor the ` +
      `index of either (.index.json).${below || ' Weights of other formats (.gguf, .h5) must be converted to safetensors first.'}`,
  )
}

function isWeights(name: string): boolean {
  return EXTENSIONS.some((extension) => name.endsWith(extension)) && !NO_WEIGHTS.test(name)
}

/** A note on another checkpoint in the folder, which is not read. Servers are not asked for one. */
async function notesOn(from: Folder, name: string, signal: AbortSignal | undefined): Promise<string[]> {
  if (from.refusal) return []
  const others: string[] = []
  for (const other of USUAL.slice(USUAL.indexOf(name) + 1)) {
    if (USUAL.includes(name) && (await isThere(from, other, signal))) others.push(other)
  }
  if (others.length === 0) return []
  return [`The weights are those of ${printable(name)}; ${firstOf(others, 3)} beside it is not read.`]
}

/** A file that can't be opened, such as one that its manifest knows otherwise, is there. */
async function isThere(from: Folder, name: string, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const source = await from.find(name, signal)
    await source?.close()
    return source !== undefined
  } catch (error) {
    if (error instanceof WeightsError) return true
    throw error
  }
}

function isIndex(name: string): boolean {
  return name.endsWith('.index.json')
}

/** Enough to tell the formats apart: a tar archive has its mark at byte 257. */
const BEGINNING = 512
const TAR_MARK = 257

const SAVE_AGAIN =
  'Load it in Python and write it again: torch.save(torch.load(path, weights_only=True, map_location="cpu"), new_path).'

/**
 * By the first bytes. A number that a header of safetensors may have is one: its bytes may also be those that a pickle
 * begins with. What is none of them is left to the reader of safetensors, which says what is wrong.
 */
const readHeader: ReadHeader = async (source, signal) => {
  const bytes = await source.read(0, Math.min(source.size, BEGINNING), signal)
  const headerBytes = bytes.length < 8 ? undefined : new DataView(bytes.buffer).getBigUint64(0, true)
  if (headerBytes !== undefined && headerBytes <= MAX_HEADER_BYTES) return readSafetensors(source, signal)

  const text = String.fromCharCode(...bytes)
  const file = printable(source.name)
  if (text.startsWith('PK')) {
    // A chunk of its own: most pages never read such a file
    const { readTorch } = await import('./torch/torch.ts')
    return readTorch(source, signal)
  }
  const [first, protocol = 0] = bytes
  if (first === 0x80 && protocol >= 2 && protocol <= 5) {
    throw new WeightsError(
      `${file} is in the format that torch.save wrote before PyTorch 1.6, a pickle and no zip archive. ${SAVE_AGAIN}`,
    )
  }
  if (text.startsWith('ustar', TAR_MARK)) {
    throw new WeightsError(`${file} is a tar archive, as the first versions of PyTorch wrote. ${SAVE_AGAIN}`)
  }
  return readSafetensors(source, signal)
}

function expectPlace(from: unknown): void {
  if (typeof from === 'object' && from !== null && ('readText' in from || 'read' in from)) return
  throw new UsageError(
    `openCheckpoint was given ${describe(from)}; it takes a folder, as openFolder('path') opens it, or a source of bytes.`,
  )
}
