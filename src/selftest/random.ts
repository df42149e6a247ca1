// Random problems that are the same for the same seed: awkward sizes, values, and weights of every type.
//
// A kernel is most often wrong at an edge, so half of the sizes are 1, primes, or one past a tile; the others are whole
// tiles or anything. Every case draws from its own seed and names: a filtered run tests the same cases as a full one.
// Outline draws the same cases without their numbers, to find one that a given variant can compute.

import { expectFinite, lastOf } from '../check.ts'
import type { WeightLayout } from '../kernels/packed.ts'
import { dequantizeRows, GROUP, quantizedRow, quantizeRows } from '../kernels/quantize.ts'
import type { HostArray } from '../tensor/host-array.ts'
import { type DType, type Shape, sizeOf } from '../tensor/tensor.ts'

/** The types that the weights of an op can have. */
export const WEIGHT_TYPES = ['f32', 'f16', 'bf16', 'int8', 'int4'] as const
/** The types that a weight can have. */
export type WeightType = (typeof WEIGHT_TYPES)[number]

/** A tensor of a case on the host. */
export interface HostTensor {
  /** Lengths of the axes, the slowest first. */
  readonly shape: Shape
  /** The type of the elements. */
  readonly dtype: DType
  /** The elements as the device holds them: bits of 16-bit types, codes of int8 and int4. */
  readonly data: HostArray
  /** The numbers that `data` stands for. A reference computes with these. */
  readonly values: ArrayLike<number>
  /** The scales of int8 and int4, which their codes are multiplied by. */
  readonly scales?: Float32Array
  /**
   * Its way to the device: as an input of the plan (by default), or in memory of its own, as weights and caches do.
   */
  readonly place?: 'input' | 'resident' | 'packed'
  /** The runs of a row of packed weights, as in PackedShape. */
  readonly runs?: number
}

/** 1, primes, and one past the sides of tiles and workgroups. */
const AWKWARD = [
  1, 2, 3, 5, 7, 9, 13, 17, 31, 33, 63, 65, 67, 97, 127, 129, 131, 191, 257, 259, 509, 1021, 1025,
]
/** Whole vec4s, tiles and workgroups. */
const EVEN = [4, 8, 12, 16, 20, 32, 36, 48, 64, 96, 128, 160, 192, 256, 260, 320, 512, 1024]

/** Draws numbers, sizes and tensors from a seed: the same seed and names give the same ones everywhere. */
export class Random {
  #state: number

  /** @param names what the numbers are drawn for: other names give other numbers */
  constructor(seed: number, ...names: readonly (string | number)[]) {
    // FNV-1a
    let hash = (0x811c9dc5 ^ seed) >>> 0
    for (const byte of new TextEncoder().encode(names.join(' '))) {
      hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
    }
    this.#state = hash
  }

  /** A whole number of 32 bits. */
  word(): number {
    // splitmix32
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let h = this.#state
    h = Math.imul(h ^ (h >>> 16), 0x21f0aaad)
    h = Math.imul(h ^ (h >>> 15), 0x735a2d97)
    return (h ^ (h >>> 15)) >>> 0
  }

  /** Passes over numbers that nobody needs. */
  protected skip(words: number): void {
    this.#state = (this.#state + Math.imul(words, 0x9e3779b9)) >>> 0
  }

  /** A number in [from, to). */
  number(from: number, to: number): number {
    return from + (this.word() / 2 ** 32) * (to - from)
  }

  /** A whole number from one to another, both included. */
  whole(from: number, to: number): number {
    return from + Math.floor((this.word() / 2 ** 32) * (to - from + 1))
  }

  /** True as often as false. */
  flip(): boolean {
    return this.word() >= 2 ** 31
  }

  /** One of these, each as often as the others. */
  pick<T>(among: readonly T[]): T {
    // An undefined among them is one to draw
    return among[this.whole(0, among.length - 1)] as T
  }

  /** An awkward size of at most this, a multiple of `step`. */
  size(most: number, step = 1): number {
    const kind = this.whole(0, 9)
    const among = (sizes: readonly number[]): number =>
      this.pick(sizes.filter((n) => n <= most && n % step === 0))
    if (step === 1 && kind < 5) return among(AWKWARD)
    if (kind < 7 && most >= 4) return among([...EVEN, step])
    return step * this.whole(1, Math.max(1, Math.floor(most / step)))
  }

  /** Awkward sizes whose product is at most `budget`, so that the reference takes some milliseconds only. */
  sizes(budget: number, ...most: readonly number[]): number[] {
    expectFinite('sizes', 'the budget', budget, 1)
    for (;;) {
      const sizes = most.map((limit) => this.size(limit))
      if (sizeOf(sizes) <= budget) return sizes
    }
  }

  /** Numbers in [-scale, scale). */
  floats(count: number, scale = 1): Float32Array<ArrayBuffer> {
    return new Float32Array(count).map(() => scale * ((this.word() >>> 8) / 2 ** 23 - 1))
  }

  /** A tensor of numbers in [-scale, scale). */
  tensor(
    shape: Shape,
    scale = 1,
  ): HostTensor & {
    /** The numbers, row-major. */
    readonly data: Float32Array
  } {
    const data = this.floats(sizeOf(shape), scale)
    return { shape, dtype: 'f32', data, values: data }
  }

  /** A weight [N, ..., K] in [-1, 1) of any type. int8 and int4 are matrices. */
  weight(shape: Shape, type: WeightType, layout: WeightLayout = 'rows', runs = 1): HostTensor {
    const floats = this.floats(sizeOf(shape))
    const where = { shape, dtype: type, place: layout === 'packed' ? 'packed' : 'resident', runs } as const
    if (type === 'f32') return { ...where, data: floats, values: floats }
    if (type === 'bf16') {
      const { bits, values } = toBf16(floats)
      return { ...where, data: bits, values }
    }
    if (type === 'f16') {
      // From -1 to 1, subnormal numbers among them
      const bits = Uint16Array.from(floats, (v) => Math.floor((v + 1) * 0x1e00) | (v < 0 ? 0x8000 : 0))
      return { ...where, data: bits, values: Float64Array.from(bits, halfToNumber) }
    }
    const K = lastOf(shape)
    const quantized = quantizeRows(floats, K, type)
    const { data, scales } = quantized
    return { ...where, data, scales, values: dequantizeRows(quantized, K, type) }
  }
}

/**
 * Draws the same shapes and options as a Random of the same seed and names, with zeros for the numbers of tensors and
 * no data for weights: in less than a thousandth of the time.
 */
export class Outline extends Random {
  override floats(count: number): Float32Array<ArrayBuffer> {
    this.skip(count)
    return new Float32Array(count)
  }

  override weight(shape: Shape, type: WeightType, layout: WeightLayout = 'rows', runs = 1): HostTensor {
    this.skip(sizeOf(shape))
    const place = layout === 'packed' ? 'packed' : 'resident'
    const data = new Float32Array(0)
    const where = { shape, dtype: type, place, runs, data, values: data } as const
    if (type !== 'int8' && type !== 'int4') return where
    const K = lastOf(shape)
    return { ...where, scales: new Float32Array((sizeOf(shape) / K) * quantizedRow(K, type).scales) }
  }
}

/** The shape of what is in memory: rows of int4 are whole groups. */
export function heldShape({ shape, dtype }: HostTensor): Shape {
  if (dtype !== 'int4') return shape
  return [...shape.slice(0, -1), Math.ceil(lastOf(shape) / GROUP) * GROUP]
}

/** A host tensor of given numbers: f32, or u32 for a Uint32Array. */
export function hostTensor(data: Float32Array | Uint32Array, shape: Shape): HostTensor {
  return { shape, dtype: data instanceof Uint32Array ? 'u32' : 'f32', data, values: data }
}

/** f32 values rounded to bfloat16 (to nearest even), as bits and as the numbers they stand for. */
export function toBf16(values: Float32Array): { bits: Uint16Array; values: Float32Array } {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = Uint16Array.from(words, (w) => (w + 0x7fff + ((w >>> 16) & 1)) >>> 16)
  return { bits, values: new Float32Array(Uint32Array.from(bits, (b) => b << 16).buffer) }
}

/** The number that 16 bits of a half stand for: (-1)^s 2^(e - 15) (1 + f / 1024), or (-1)^s 2^-14 (f / 1024). */
export function halfToNumber(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  const size = exponent === 0 ? fraction * 2 ** -24 : 2 ** (exponent - 15) * (1 + fraction / 1024)
  return bits >> 15 ? -size : size
}
