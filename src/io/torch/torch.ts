// Checkpoints of PyTorch, as torch.save writes them since version 1.6 (.bin, .pth, .pt): tensors read in place.
//
//   NAME/data.pkl      a pickle: dictionaries, and tensors as (storage, offset, shape, strides)
//   NAME/byteorder     little or big
//   NAME/data/KEY      the bytes of a storage
//   NAME/version       of the format
//
// A zip archive whose entries are stored as they are (zip.ts), so that a tensor is a range of the file. Only the
// archive's directory and the pickle (pickle.ts) are read; nothing of the file is executed. Several tensors may be in
// one storage, and in any order: those that aren't in C order are gathered when they are read.
//
// Source: PyTorch's torch/serialization.py, torch/_utils.py and docs/source/notes/serialization.rst at 2.13.

import { WeightsError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { fail } from '../checkpoint/checkpoint.ts'
import { DTYPE_BITS, type Dtype } from '../checkpoint/dtype.ts'
import type { StoredTensor, TensorFileHeader } from '../checkpoint/shards.ts'
import { extentOf, isContiguous } from '../checkpoint/strided.ts'
import { crc32 } from '../image/crc32.ts'
import { DamagedError, type Source } from '../source.ts'
import { DTYPES, STORAGES, UNTYPED } from './globals.ts'
import { MAX_PICKLE_BYTES, readPickle } from './pickle.ts'
import { namedTensors } from './state-dict.ts'
import { Dict, Global, kindOf, type Rebuilt, TorchStorage, Tuple, type Value } from './values.ts'
import { confirm, dataBegin, readDirectory, type ZipEntry } from './zip.ts'

const PICKLE = /^[^/]+\/data\.pkl$/
const MAX_RANK = 32
const NEWEST_VERSION = 10
/** The most bytes of a tensor that repeats the elements of a smaller storage. */
const MAX_REPEATED_BYTES = 64 * 2 ** 20

/**
 * Reads the directory and the pickle of a file.
 *
 * @throws WeightsError naming the file, the tensor and the rule
 */
export async function readTorch(source: Source, signal: AbortSignal | undefined): Promise<TensorFileHeader> {
  const { name: file } = source
  const entries = await readDirectory(source, signal)
  const archive = new Archive(source, entries)
  await archive.expectReadable(signal)
  const bytes = await archive.read('data.pkl', MAX_PICKLE_BYTES, signal)
  const tensors: StoredTensor[] = []
  for (const { name, tensor } of namedTensors(await readPickle(bytes, file, signal), file)) {
    tensors.push(await archive.place(name, tensor, signal))
  }
  return { metadata: new Map(), tensors }
}

/** The entries of a file of torch.save, and where their data is. */
class Archive {
  readonly #source: Source
  readonly #entries: ReadonlyMap<string, ZipEntry>
  /** The folder that all of them are in. */
  readonly #root: string
  readonly #placed = new Map<string, Place>()

  constructor(source: Source, entries: ReadonlyMap<string, ZipEntry>) {
    this.#source = source
    this.#entries = entries
    const file = printable(source.name)
    const [pickle, second] = [...entries.keys()].filter((name) => PICKLE.test(name))
    if (pickle === undefined || second !== undefined) {
      throw new WeightsError(
        `${file} is a zip archive with ${second === undefined ? 'no' : 'more than one'} data.pkl, so torch.save did not write it. ` +
          `If the checkpoint is packed in it, unpack it first.`,
      )
    }
    this.#root = pickle.slice(0, pickle.lastIndexOf('/') + 1)
    if (this.#find('constants.pkl')) {
      throw new WeightsError(
        `${file} is a program, as torch.jit.save writes, not a checkpoint. ` +
          `Save the tensors alone: torch.save(model.state_dict(), path).`,
      )
    }
  }

  #find(name: string): ZipEntry | undefined {
    return this.#entries.get(`${this.#root}${name}`)
  }

  /** Refuses another byte order, and formats to come. */
  async expectReadable(signal: AbortSignal | undefined): Promise<void> {
    const file = printable(this.#source.name)
    const order = await this.#text('byteorder', signal)
    if (order !== undefined && order !== 'little') {
      throw new WeightsError(
        `${file}: its byte order is ${printable(order, 20)}, expected little. ` +
          `Load it with torch.load, and write it on a machine with little-endian bytes, which most are.`,
      )
    }
    const version = await this.#text('version', signal)
    if (version !== undefined && !(Number(version) <= NEWEST_VERSION)) {
      throw new WeightsError(
        `${file}: its format has version ${printable(version.trim(), 20)}, this program reads up to ${NEWEST_VERSION}. ` +
          `Write it as safetensors.`,
      )
    }
  }

  async #text(name: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    if (!this.#find(name)) return undefined
    return new TextDecoder().decode(await this.read(name, 64, signal))
  }

  /** A small entry, all of it. */
  async read(name: string, most: number, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.#find(name)
    const file = printable(this.#source.name)
    if (!entry) throw new WeightsError(`${file}: there is no ${name} in it.`)
    if (entry.size > most) {
      throw new WeightsError(`${file}: its ${name} has ${entry.size} bytes, at most ${most} are allowed.`)
    }
    const begin = await dataBegin(this.#source, entry, signal)
    await confirm(this.#source, entry, begin, signal)
    const bytes = await this.#source.read(begin, entry.size, signal)
    if (entry.checksum !== undefined && entry.checksum !== crc32(bytes)) {
      const wasKept = await this.#source.forget?.([begin, begin + entry.size])
      throw new DamagedError(`${file}: its ${name} is damaged, by its checksum. Get the file again.`, wasKept)
    }
    return bytes
  }

  /** The entry of a checkpoint for a tensor. */
  async place(name: string, tensor: Rebuilt, signal: AbortSignal | undefined): Promise<StoredTensor> {
    const file = this.#source.name
    const { key, bytes, dtype, offset, shape, strides } = factsOf(file, name, tensor)
    const entry = this.#find(`data/${key}`)
    const storage = `its storage data/${printable(key, 40)}`
    if (!entry) fail(file, name, `${storage} is not in the file`)
    if (entry.problem !== undefined) fail(file, name, `${storage}: ${entry.problem}`)
    if (entry.size !== bytes) {
      const how = entry.size < bytes ? 'cut short' : 'too long'
      fail(file, name, `${storage} has ${entry.size} bytes, expected ${bytes}: it is ${how}`)
    }
    const width = DTYPE_BITS[dtype] / 8
    const extent = extentOf(shape, strides) * width
    if (!(offset * width + extent <= bytes)) {
      fail(file, name, `it ends at byte ${offset * width + extent} of its storage, which has ${bytes}`)
    }
    const size = shape.reduce((product, length) => product * length, width)
    if (size > Math.max(bytes, MAX_REPEATED_BYTES)) {
      fail(file, name, `it repeats the ${bytes} bytes of its storage to ${size}: save it with .contiguous()`)
    }

    const { begin: first, confirm: check } = await this.#place(entry, signal)
    const begin = first + offset * width
    return {
      name,
      dtype,
      shape,
      file,
      begin,
      end: begin + size,
      ...(!isContiguous(shape, strides) && { strides }),
      // The archive has checksums of storages
      checksum: offset === 0 && size === bytes && isContiguous(shape, strides) ? entry.checksum : undefined,
      confirm: size === 0 ? undefined : check,
    }
  }

  async #place(entry: ZipEntry, signal: AbortSignal | undefined): Promise<Place> {
    const known = this.#placed.get(entry.name)
    if (known) return known
    const begin = entry.size === 0 ? entry.header : await dataBegin(this.#source, entry, signal)
    let confirmed = false
    const place: Place = {
      begin,
      confirm: async (stop) => {
        if (!confirmed) await confirm(this.#source, entry, begin, stop)
        confirmed = true
      },
    }
    this.#placed.set(entry.name, place)
    return place
  }
}

interface Place {
  readonly begin: number
  readonly confirm: (signal: AbortSignal | undefined) => Promise<void>
}

// ---------------------------------------------------------------------------------------------------------
// Arguments of the functions that rebuild tensors

interface Facts {
  /** The key of the storage, and the bytes that it must have. */
  readonly key: string
  readonly bytes: number
  readonly dtype: Dtype
  /** The offset in the storage, in elements. */
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

function factsOf(file: string, name: string, { by, args }: Rebuilt): Facts {
  // (storage, offset, shape, strides[, requires_grad, hooks[, dtype in v3], metadata])
  const [storage, offset, shape, strides, , , sixth, seventh] = args.items
  const isV3 = by.endsWith('_v3')
  expectPlain(file, name, isV3 ? seventh : sixth)
  const { key, count, type } = storageOf(file, name, storage)
  const unit = UNTYPED.includes(type) ? 8 : DTYPE_BITS[dtypeOf(file, name, type)]
  const dtype = dtypeOf(file, name, isV3 ? nameOf(sixth) : type)
  const sizes = sizesOf(shape, MAX_RANK)
  const steps = sizesOf(strides, MAX_RANK)
  if (!isSize(offset)) fail(file, name, `its offset is ${kindOf(offset)}, expected a whole number`)
  if (!sizes || !steps || sizes.length !== steps.length) {
    fail(file, name, `its shape and strides must be at most ${MAX_RANK} whole numbers each, none negative`)
  }
  return { key, bytes: (count * unit) / 8, dtype, offset, shape: sizes, strides: steps }
}

function storageOf(
  file: string,
  name: string,
  storage: Value | undefined,
): { key: string; count: number; type: string } {
  if (!(storage instanceof TorchStorage)) fail(file, name, `its storage is ${kindOf(storage)}`)
  // ('storage', type, key, device, elements)
  const [, type, key, , count] = storage.id.items
  if (!(type instanceof Global) || typeof key !== 'string' || !isSize(count)) {
    fail(file, name, 'its storage must have a type, a key and a number of elements')
  }
  return { key, count, type: type.name }
}

function dtypeOf(file: string, name: string, type: string): Dtype {
  const dtype = STORAGES.get(type) ?? DTYPES.get(type)
  return dtype ?? fail(file, name, `its type ${printable(type, 80)} is none that safetensors has: convert it`)
}

function nameOf(value: Value | undefined): string {
  return value instanceof Global ? value.name : kindOf(value)
}

/** Tensors that PyTorch conjugates or negates when somebody reads them: their bytes are not their values. */
function expectPlain(file: string, name: string, metadata: Value | undefined): void {
  if (!(metadata instanceof Dict)) return
  for (const [key, value] of metadata.entries) {
    if (value !== true) continue
    fail(
      file,
      name,
      `it is to be changed when it is read (${typeof key === 'string' ? printable(key, 20) : kindOf(key)}): save it with .resolve_conj().resolve_neg()`,
    )
  }
}

function sizesOf(value: Value | undefined, most: number): number[] | undefined {
  if (!(value instanceof Tuple) || value.items.length > most) return undefined
  const sizes = value.items.filter(isSize)
  return sizes.length === value.items.length ? sizes : undefined
}

function isSize(value: Value | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
