// A safetensors file that is written piece by piece: where each tensor goes, and the header before them.
//
// The checksums of the tensors stand in the header, which is written once more when all of them are known: they have
// eight digits each, so that its size is known from the beginning.

import { WeightsError } from '../errors.ts'
import { quoted } from '../printable.ts'
import { DTYPE_BITS, type Dtype } from './checkpoint/dtype.ts'

/** A tensor to be written. */
export interface TensorOutline {
  /** Unique in its file. */
  readonly name: string
  /** The type of its elements. */
  readonly dtype: Dtype
  /** Lengths of the axes, the slowest first. */
  readonly shape: readonly number[]
}

/** A tensor and its range of bytes in the file. */
export interface TensorPlace extends TensorOutline {
  /** The first byte, counted from the beginning of the file. */
  readonly begin: number
  /** One past the last byte. */
  readonly end: number
}

/** A file before its data. */
export interface FileOutline {
  /** The tensors in the order of the file: wide types first, so that each is aligned. */
  readonly tensors: readonly TensorPlace[]
  /** Bytes of the whole file. */
  readonly size: number
  /**
   * The bytes before the data.
   *
   * @param checksums CRC-32 by name, 0 for those that aren't known yet; undefined where the file lists none
   */
  header(checksums?: ReadonlyMap<string, number>): Uint8Array<ArrayBuffer>
}

/** The key of the metadata that lists each tensor's CRC-32, in eight hex digits. */
export const CHECKSUMS = 'flowseg.crc32'

/** Bytes that a tensor takes. */
export function bytesOf({ dtype, shape }: Pick<TensorOutline, 'dtype' | 'shape'>): number {
  return (shape.reduce((product, n) => product * n, 1) * DTYPE_BITS[dtype]) / 8
}

/**
 * Lays a file out: byte for byte what the upstream library writes, by dtype and name, its header padded to 8 bytes.
 *
 * @param hasChecksums whether its header lists them
 * @throws WeightsError if two tensors have one name, or one that no file can hold
 */
export function outlineFile(
  tensors: Iterable<TensorOutline>,
  metadata: Readonly<Record<string, string>>,
  hasChecksums = true,
): FileOutline {
  const order = Object.keys(DTYPE_BITS)
  const sorted = [...tensors].sort(
    (a, b) => order.indexOf(b.dtype) - order.indexOf(a.dtype) || (a.name < b.name ? -1 : 1),
  )
  const names = new Set<string>(['__metadata__'])
  let length = 0
  const fields: string[] = []
  const relative = sorted.map((tensor) => {
    const { name, dtype, shape } = tensor
    if (names.has(name) || /\p{Surrogate}/u.test(name)) {
      throw new WeightsError(`${quoted(name, 80)} can't be a name, or is one twice.`)
    }
    names.add(name)
    const begin = length
    length += bytesOf(tensor)
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, length] })}`)
    return { name, dtype, shape, begin, end: length }
  })
  const header = (checksums?: ReadonlyMap<string, number>): Uint8Array<ArrayBuffer> => {
    const listed = sorted.map(({ name }) => `${JSON.stringify(name)}:"${hex(checksums?.get(name) ?? 0)}"`)
    const all = { ...metadata, ...(checksums && { [CHECKSUMS]: `{${listed.join(',')}}` }) }
    const first = Object.keys(all).length > 0 ? [`"__metadata__":${JSON.stringify(all)}`] : []
    const bytes = new TextEncoder().encode(`{${[...first, ...fields].join(',')}}`)
    const whole = new Uint8Array(8 + Math.ceil(bytes.length / 8) * 8).fill(0x20, 8)
    new DataView(whole.buffer).setBigUint64(0, BigInt(whole.length - 8), true)
    whole.set(bytes, 8)
    return whole
  }
  const first = header(hasChecksums ? new Map() : undefined).length
  return {
    tensors: relative.map(({ begin, end, ...rest }) => ({ ...rest, begin: first + begin, end: first + end })),
    size: first + length,
    header,
  }
}

function hex(word: number): string {
  return word.toString(16).padStart(8, '0')
}
