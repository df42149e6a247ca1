// The result of a sentence: the mask of one query, the other candidates, and the steps of the decoder. Types
// for people, and how the arrays that plans read back become them.

import { expectDefined } from '../check.ts'
import type { Mask } from '../masks/mask.ts'
import type { TaskOptions } from '../progress.ts'
import { viewOf } from '../view.ts'
import { type Match, rank } from './matching.ts'
import type { Instance } from './output/answers.ts'

/**
 * A mask as a texture r8unorm on the model's device, 1 inside and 0 outside; it was never in host memory. It is the
 * caller's, who destroys it: neither the scene nor the model does, but it goes with a device that the model opened.
 */
export interface MaskTexture {
  /** Width in pixels. */
  readonly width: number
  /** Height in pixels. */
  readonly height: number
  /** The texture, which can be sampled, copied from and to, and drawn on. */
  readonly texture: GPUTexture
}

/** A mask as bytes in a buffer on the model's device, 255 inside and 0 outside; the caller's like a MaskTexture's. */
export interface MaskBuffer {
  /** Width in pixels. */
  readonly width: number
  /** Height in pixels. */
  readonly height: number
  /** The buffer, row-major, with the usages storage, copy source and copy destination. */
  readonly buffer: GPUBuffer
  /** Bytes from a row to the next: a multiple of 256, as copies to textures require. */
  readonly bytesPerRow: number
}

/** A mask in each place where it can be had. */
export interface Masks {
  /** An array in host memory. */
  readonly host: Mask
  /** A texture on the model's device. */
  readonly texture: MaskTexture
  /** A buffer on the model's device. */
  readonly buffer: MaskBuffer
}

/** The place where a mask is wanted. */
export type MaskOutput = keyof Masks

/** Options of a mask: the place where it is wanted, and the signal and progress of its computation. */
export interface MaskOptions<O extends MaskOutput = 'host'> extends TaskOptions {
  /** The place where the mask is wanted: 'host' memory by default, or on the device as a 'texture' or a 'buffer'. */
  readonly output?: O | undefined
}

/** A query with its score, and its mask when asked for. */
export interface Candidate extends Match {
  /** Its mask at the image's size; computed when asked for, while the scene is open. */
  mask<O extends MaskOutput = 'host'>(options?: MaskOptions<O>): Promise<Masks[O]>
  /** Its mask with the intermediate results of boundary refinement, as the answer has them. */
  refined<O extends MaskOutput = 'host'>(options?: MaskOptions<O>): Promise<RefinedMask<O>>
}

/** A mask and how boundary refinement came to it. */
export interface RefinedMask<O extends MaskOutput = 'host'> {
  /** The mask at the image's size. */
  readonly mask: Masks[O]
  /** The logits on the model's canvas. */
  readonly logits: {
    /** Rows. */
    readonly height: number
    /** Columns. */
    readonly width: number
    /** Before and after boundary refinement; the same without it. */
    readonly raw: Float32Array
    /** [height, width] after boundary refinement. */
    readonly refined: Float32Array
    /** 1 where refinement was free to move the logits. */
    readonly band: Float32Array
  }
}

/** The predictions of one decoder layer; entry 0 is before the first. */
export interface FlowLayer {
  /** Index of the layer, from 1; 0 stands for the predictions before the first layer. */
  readonly layer: number
  /** Queries by their score in this layer, best first; of several phrases by the best of them. */
  readonly ranking: readonly Match[]
  /** Class logits [N, P + 1]: the phrases, one of a sentence, then the background. */
  readonly logits: Float32Array
  /** Mask logits [N, height, width] on the model's canvas. */
  readonly masks: Float32Array
  /** Mean gate: the share of vision, the rest is language. Absent before the first layer and without the flow. */
  readonly gate?: number
  /** The distance that C has moved: |C(l) - C(0)| / |C(0)|. */
  readonly moved: number
}

/** Milliseconds of each step; `look` is that of the scene, paid once. */
export interface Times {
  /** Both encoders, the pixel decoder, and the language model over the image. */
  readonly look: number
  /** The language model over the sentence. */
  readonly read: number
  /** The decoder, the boundary refinement and the way back to the image's pixels. */
  readonly segment: number
}

/** The answer to a sentence. */
export interface Segmentation<O extends MaskOutput = 'host'> extends RefinedMask<O> {
  /** The sentence as it was given. */
  readonly sentence: string
  /** The prompt's text, from the question to the answer. */
  readonly text: string
  /** Index of the query that was chosen, from 0 to N - 1. */
  readonly query: number
  /** Softmax of phrase against background, in [0, 1]. */
  readonly score: number
  /** True if the score reaches the threshold. If it is false, the mask is still that of the best candidate. */
  readonly found: boolean
  /** Words of the sentence that the checkpoint doesn't know; none where its config has no `knows.words`. */
  readonly unknownWords: readonly string[]
  /** Every object that the sentence means, the surest first, if all were asked for; empty when nothing was found. */
  readonly instances?: readonly Instance[]
  /** The pixels of all instances together; empty when nothing was found. */
  readonly union?: Mask
  /** All queries, best first; the first is the answer. */
  readonly candidates: readonly Candidate[]
  /** The part of SAM's square that holds the image, [height, width] in its pixels. */
  readonly canvas: readonly [number, number]
  /** The flow through the decoder's layers, if it was asked for. */
  readonly flow?: readonly FlowLayer[]
  /** The times of the steps. */
  readonly times: Times
}

/** The answer to a sentence that may mean several objects. */
export interface AllSegmentation<O extends MaskOutput = 'host'> extends Segmentation<O> {
  /** Every object that the sentence means, the surest first; empty when nothing was found. */
  readonly instances: readonly Instance[]
  /** The pixels of all instances together; empty when nothing was found. */
  readonly union: Mask
}

/** The arrays that a plan reads back, by name. */
export type HostArrays = Readonly<Record<string, Float32Array | Uint32Array>>

/** One of them that is f32. */
export function floats(read: HostArrays, name: string): Float32Array {
  return read[name] as Float32Array
}

/** A word of 32 pixels that are all inside. */
const ALL = 0xffff_ffff

/**
 * A mask of a byte per pixel.
 *
 * @param bits one per pixel, row-major, the first in the lowest bit
 */
export function unpackMask(bits: ArrayLike<number>, width: number, height: number): Mask {
  const data = new Uint8Array(width * height)
  let area = 0
  for (let first = 0, w = 0; first < data.length; first += 32, w++) {
    const word = expectDefined(bits[w], 'a word of the mask')
    if (word === 0) continue // most words lie outside of the mask, or inside
    const end = Math.min(first + 32, data.length)
    if (word === ALL) {
      data.fill(1, first, end)
      area += end - first
      continue
    }
    for (let i = first, left = word; i < end; i++, left >>>= 1) {
      data[i] = left & 1
      area += left & 1
    }
  }
  return { width, height, data, area }
}

/** The bits of a mask of a byte per pixel, 0 or 1, as unpackMask takes them. */
export function packMask(data: Uint8Array): Uint32Array {
  const pixels = viewOf(data)
  const bits = new Uint32Array(Math.ceil(data.length / 32))
  for (let w = 0; w < bits.length; w++) {
    const end = Math.min(32 * w + 32, data.length)
    let word = 0
    for (let i = 32 * w; i < end; i++) word |= pixels.getUint8(i) << (i & 31)
    bits[w] = word
  }
  return bits
}

/**
 * Layer by layer, of a run that read `logits`, `masks`, `condition` and `gate` of each.
 *
 * @param layers predictions: one more than decoder layers
 * @param size   numbers of C that count; what follows is padding
 * @param asXSam as of `rank`
 * @param phrases P
 */
export function flowLayers(
  read: HostArrays,
  layers: number,
  size: number,
  asXSam: boolean,
  phrases = 1,
): FlowLayer[] {
  const first = floats(read, 'condition 0').subarray(0, size)
  return Array.from({ length: layers }, (_, layer): FlowLayer => {
    const logits = floats(read, `logits ${layer}`)
    const moved = distance(floats(read, `condition ${layer}`), first)
    const masks = floats(read, `masks ${layer}`)
    const account = { layer, ranking: rank(logits, asXSam, { phrases }), logits, masks, moved }
    const gate = read[`gate ${layer}`]
    return gate ? { ...account, gate: mean(gate) } : account
  })
}

function mean(x: ArrayLike<number>): number {
  return Array.from(x).reduce((sum, value) => sum + value, 0) / x.length
}

/** |a - b| / |b|, over as many values as b has. */
function distance(a: Float32Array, b: Float32Array): number {
  let difference = 0
  let norm = 0
  const [x, y] = [viewOf(a), viewOf(b)]
  for (let at = 0; at < y.byteLength; at += Float32Array.BYTES_PER_ELEMENT) {
    const value = y.getFloat32(at, true)
    difference += (x.getFloat32(at, true) - value) ** 2
    norm += value ** 2
  }
  return Math.sqrt(difference / Math.max(norm, Number.MIN_VALUE))
}
