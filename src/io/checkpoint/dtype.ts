// The types of stored tensors, in the words of safetensors, and their values as floats.

import { WeightsError } from '../../errors.ts'

/** Bits an element. The order is the library's own: its writer puts later ones first. */
export const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const

/** The type of a tensor in a file, in the words of the format. */
export type Dtype = keyof typeof DTYPE_BITS

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
  // Indexed directly, as i stays below the length: a checked index takes four times as long (view.ts)
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
  return sign | word[0]! // of one element
}
