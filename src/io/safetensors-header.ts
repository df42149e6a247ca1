// The header of a safetensors file (safetensors.ts): read entry by entry, and checked before a byte of data is read.

import { WeightsError } from '../errors.ts'
import { printable, quoted } from '../printable.ts'
import { fail, MAX_TENSORS, type TensorEntry } from './checkpoint/checkpoint.ts'
import { DTYPE_BITS, type Dtype } from './checkpoint/dtype.ts'
import { DISGUISE_BYTES, disguiseOf } from './http/disguise.ts'
import type { Source } from './source.ts'
import { type JsonLimits, JsonReader } from './text/json.ts'

/** Upstream's limit. */
export const MAX_HEADER_BYTES: number = 100_000_000
const MAX_RANK = 32
const MAX_METADATA = 100_000
const MAX_FIELDS = 64
/** A header's size bounds it, and what we don't know in it is passed over, never built. */
const HEADER_LIMITS: JsonLimits = { values: Infinity, containers: Infinity, keyBytes: 4096 }
const U64_MAX = 2n ** 64n - 1n

/** The checked contents of a header. */
export interface SafetensorsHeader {
  /** The texts of `__metadata__`; empty if the file has none. */
  readonly metadata: ReadonlyMap<string, string>
  /** In the header's order, with the offsets of their bytes in the file. */
  readonly tensors: readonly TensorEntry[]
}

/** Reads and checks a header. @throws WeightsError naming the file, the tensor and the rule */
export async function readHeader(
  source: Source,
  signal: AbortSignal | undefined,
): Promise<SafetensorsHeader> {
  const { size } = source
  const file = printable(source.name)
  if (size < 8) throw new WeightsError(`${file} has ${size} bytes, too few for a safetensors file.`)

  // 1. The header's size, before anything of that size is allocated
  const first = await source.read(0, Math.min(size, DISGUISE_BYTES), signal)
  const claimed = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true)
  const again = disguiseOf(first) ?? 'Is it a safetensors file, completely downloaded?'
  if (claimed > MAX_HEADER_BYTES) {
    throw new WeightsError(
      `${file}: its header claims ${claimed} bytes, at most ${MAX_HEADER_BYTES} are allowed. ${again}`,
    )
  }
  const dataBegin = 8 + Number(claimed)
  if (dataBegin > size) {
    throw new WeightsError(`${file}: its header claims ${claimed} bytes, the file has ${size}. ${again}`)
  }

  // 2. The entries, one after the other: nothing else of the header is built
  const bytes = await source.read(8, Number(claimed), signal)
  const tensors: TensorEntry[] = []
  const metadata = new Map<string, string>()
  const reader = new JsonReader(bytes, HEADER_LIMITS)
  try {
    const isObject = await reader.objectInTurns((name) => {
      if (name === '__metadata__') return readMetadata(file, reader, metadata)
      if (tensors.length === MAX_TENSORS) {
        throw new WeightsError(
          `${file}: its header has more than the ${MAX_TENSORS} tensors that are allowed.`,
        )
      }
      tensors.push(readEntry(source.name, name, reader, dataBegin))
      return undefined
    }, signal)
    if (!isObject) reader.skip()
    reader.end()
    if (!isObject) throw new WeightsError(`${file}: its header is not a JSON object. ${again}`)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new WeightsError(`${file}: its header is not valid JSON: ${cause.message}. ${again}`, { cause })
  }

  // 3. No holes, no overlaps, nothing left over
  const inOrder = tensors.toSorted((a, b) => a.begin - b.begin || a.end - b.end)
  let end = dataBegin
  for (const tensor of inOrder) {
    if (tensor.begin !== end) {
      const how = tensor.begin < end ? 'it overlaps the tensor before it' : 'there is a hole before it'
      fail(file, tensor.name, `its data begins at byte ${tensor.begin}, not at ${end}: ${how}`)
    }
    end = tensor.end
  }
  if (end !== size) {
    const which =
      end > size ? `${end - size} are missing: download it again` : `${size - end} belong to no tensor`
    throw new WeightsError(`${file}: its tensors end at byte ${end}, the file has ${size} bytes; ${which}.`)
  }
  return { metadata, tensors }
}

function readMetadata(file: string, reader: JsonReader, metadata: Map<string, string>): void {
  const isObject = reader.object((key) => {
    const text = reader.string()
    if (text === undefined) {
      throw new WeightsError(`${file}: "__metadata__" must hold strings only, ${quoted(key, 80)} is none.`)
    }
    if (metadata.size === MAX_METADATA) {
      throw new WeightsError(
        `${file}: "__metadata__" has more than the ${MAX_METADATA} keys that are allowed.`,
      )
    }
    metadata.set(key, text)
  })
  if (!isObject) throw new WeightsError(`${file}: "__metadata__" must be an object of strings.`)
}

/** Fields that we don't know are passed over, as upstream does. */
function readEntry(file: string, name: string, reader: JsonReader, dataBegin: number): TensorEntry {
  let dtype: Dtype | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  let fields = 0
  const isObject = reader.object((field) => {
    if (++fields > MAX_FIELDS) fail(file, name, `its entry has more than ${MAX_FIELDS} fields`)
    if (field === 'dtype') {
      const text = reader.string()
      if (!isDtype(text)) {
        fail(file, name, `its dtype ${text === undefined ? '' : quoted(text, 80)} is not one of safetensors'`)
      }
      dtype = text
    } else if (field === 'shape') {
      shape = sizes(reader, MAX_RANK, () =>
        fail(file, name, `its shape must be at most ${MAX_RANK} whole numbers below 2^53, none negative`),
      )
    } else if (field === 'data_offsets') {
      offsets = sizes(reader, 2, () => fail(file, name, OFFSETS))
    } else {
      reader.skip()
    }
  })
  if (!isObject) fail(file, name, 'its entry is not an object')
  if (!dtype) fail(file, name, 'it has no dtype')
  if (!shape) fail(file, name, 'it has no shape')
  const [begin, end] = offsets ?? []
  if (begin === undefined || end === undefined || end < begin) {
    fail(file, name, OFFSETS)
  }

  // The product in order, as upstream: [2^40, 2^40, 0] overflows before it meets the 0
  let bits = 1n
  for (const size of shape) bits = inU64(file, name, bits * BigInt(size))
  bits = inU64(file, name, bits * BigInt(DTYPE_BITS[dtype]))
  const what = `${dtype} [${shape.join(', ')}]`
  if (bits % 8n !== 0n) fail(file, name, `${what} is ${bits} bits, which is not a whole number of bytes`)
  if (bits / 8n !== BigInt(end - begin)) {
    fail(file, name, `${what} takes ${bits / 8n} bytes, its data_offsets hold ${end - begin}`)
  }
  return { name, dtype, shape, file, begin: dataBegin + begin, end: dataBegin + end }
}

const OFFSETS = 'its data_offsets must be two whole numbers, begin and end'

function isDtype(value: string | undefined): value is Dtype {
  return value !== undefined && Object.hasOwn(DTYPE_BITS, value)
}

/** A list of at most `most` whole numbers below 2^53. @param refuse is called as soon as it is something else */
function sizes(reader: JsonReader, most: number, refuse: () => never): number[] {
  const values: number[] = []
  const isList = reader.list((index) => {
    const size = index < most ? reader.scalar() : refuse()
    if (typeof size !== 'bigint' || size > Number.MAX_SAFE_INTEGER) refuse()
    values.push(Number(size))
  })
  return isList ? values : refuse()
}

function inU64(file: string, name: string, product: bigint): bigint {
  return product <= U64_MAX ? product : fail(file, name, 'its shape has more elements than 64 bits can count')
}
