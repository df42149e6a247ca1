// Arrays of the host on their way to the device: of the class that belongs to the type, and as long as the tensor.
//
// A class stands for what its bytes mean. An Int32Array has as many bytes as a Float32Array of the same length, and
// would pass for one; a plain array or a Float64Array holds the right numbers in other bytes. Both are refused, with
// what to write.

import { describe, listed, tagOf } from '../check.ts'
import { ShapeError, UsageError } from '../errors.ts'
import { roundUp } from '../gpu/memory.ts'
import { BITS } from './check.ts'
import type { DType, Shape } from './tensor.ts'

/** The class of arrays for a type. */
export type HostArray = Float32Array | Uint32Array | Uint16Array | Int8Array | Uint8Array

/** The classes that are taken for each type, the usual one first. Float16Array is not in every runtime. */
const CLASSES: Readonly<Record<DType, readonly string[]>> = {
  f32: ['Float32Array'],
  u32: ['Uint32Array'],
  f16: ['Uint16Array', 'Float16Array'],
  bf16: ['Uint16Array'],
  int8: ['Int8Array', 'Uint8Array'],
  int4: ['Uint8Array'],
}

const BITS_OF_NUMBERS = 'whose values are the bits, not the numbers'
const REMEDIES: Readonly<Record<DType, string>> = {
  f32: 'Convert it: Float32Array.from(x).',
  u32: 'Convert it: Uint32Array.from(x).',
  f16: `Pass a Uint16Array ${BITS_OF_NUMBERS}.`,
  bf16: `Pass a Uint16Array ${BITS_OF_NUMBERS}.`,
  int8: 'Convert it: Int8Array.from(x).',
  int4: 'Pass a Uint8Array of two values per byte.',
}

/**
 * The bytes of an array for a tensor, in whole words. They are the caller's own where possible, not a copy.
 *
 * @param what names the array, for messages
 */
export function deviceBytes(
  what: string,
  data: unknown,
  shape: Shape,
  dtype: DType,
): Uint8Array<ArrayBuffer> {
  // By its tag, as arrays of another realm (a frame, a test runner) are no instances of ours
  const tag = ArrayBuffer.isView(data) ? tagOf(data) : ''
  if (!ArrayBuffer.isView(data) || !CLASSES[dtype].includes(tag)) {
    throw new UsageError(
      `${what} is ${describe(data)}, expected a ${listed(CLASSES[dtype], 'or')} for ${dtype}. ${REMEDIES[dtype]}`,
    )
  }
  const elements = shape.reduce((product, n) => product * n, 1)
  const bytes = Math.ceil((elements * BITS[dtype]) / 8)
  if (data.byteLength !== bytes) {
    const count = (data.byteLength * 8) / BITS[dtype]
    throw new ShapeError(
      `${what} has ${count} elements, expected ${elements} for [${shape.join(', ')}] ${dtype}.` +
        (data.byteLength === 0 && elements > 0 ? ' Its buffer may have been transferred.' : ''),
    )
  }
  const own = new Uint8Array(data.buffer, data.byteOffset, bytes)
  const isPlain = Object.prototype.toString.call(data.buffer) === '[object ArrayBuffer]'
  if (isPlain && bytes % 4 === 0) return own as Uint8Array<ArrayBuffer>
  // Devices take whole words; a half-filled one ends in zeros. Not every runtime takes shared memory
  const padded = new Uint8Array(roundUp(bytes, 4))
  padded.set(own)
  return padded
}

/** Row numbers, each of which must be one of a table's. */
export function expectIds(what: string, ids: Uint32Array, rows: number): void {
  const at = ids.findIndex((id) => id >= rows)
  if (at < 0) return
  throw new UsageError(
    `${what} has ${ids[at]} at ${at}, but the table that is gathered from has ${rows} rows: 0 to ${rows - 1}.`,
  )
}
