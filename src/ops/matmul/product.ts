// One matrix product as matmul.ts and conv.ts hand it to the variants: checked, with nothing left to default. In this
// folder a is [M, K], b is [N, K] (or [K, N]) and y is [M, N].

import type { Constants, Kernel } from '../../gpu/kernel.ts'
import { roundUp } from '../../gpu/memory.ts'
import { GROUP } from '../../kernels/quantize.ts'
import { gridOf } from '../../kernels/tiles.ts'
import { weightType } from '../../kernels/weight-types.ts'
import { record, type Tensor } from '../../tensor/tensor.ts'
import { ACTIVATIONS, type Activation } from '../elementwise/activation.ts'

/** A matrix product, y = activation(scale * a b^T + bias) + residual. */
export interface Product {
  /** f32; rows of K, or an image. */
  readonly a: Tensor
  /** The weight: [N, K] or [K, N] in one of the types of weights, by rows, in shards or packed. */
  readonly b: Tensor
  /** y = silu(a b^T) * (a pair^T): the second weight of a gated pair, laid out as the first. */
  readonly pair?: Tensor | undefined
  /** f32 [M, N], or [batch, M, N]: the result. */
  readonly y: Tensor
  /** Rows of a and of y. */
  readonly M: number
  /** Columns of y: rows of b where it is [N, K]. */
  readonly N: number
  /** Values of the summed axis. */
  readonly K: number
  /** b is [N, K]; else [K, N]. */
  readonly bIsNK: boolean
  /** Number of products, one after the other in a, b and y; 1 by default. */
  readonly batch?: number
  /** Elements of a from one of the batch to the next; 0 by default: all use one a. */
  readonly aStride?: number
  /** Elements of b from one of the batch to the next; 0 by default. */
  readonly bStride?: number
  /** Multiplies the sums; 1 by default. */
  readonly scale?: number
  /** f32 [N], added after the scale. */
  readonly bias?: Tensor | undefined
  /** Applied after the bias; none by default. */
  readonly activation?: Activation
  /** f32 in the shape of y, added last. */
  readonly residual?: Tensor | undefined
  /** The places of the rows of a if a is an image: a convolution. */
  readonly image?: ImageSizes
}

/** The sizes of shaders/conv/patch.wgsl, in elements. */
export interface ImageSizes {
  /** Rows of the image, in pixels. */
  readonly H: number
  /** W * I: an image row. */
  readonly row: number
  /** kw * I: neighbours in an image row, and in the weight. K is kh of them. */
  readonly run: number
  /** Pixels of an output row. */
  readonly outW: number
  /** Pixels from one output to the next, in both directions. */
  readonly stride: number
  /** stride * I. */
  readonly step: number
  /** Zeros around the image, in pixels. */
  readonly padding: number
  /** padding * I. */
  readonly leftPad: number
}

/** True if the kernels can load and count whole vec4s: every row that they read is a multiple of 4 values long. */
export function isAligned({ K, N, bIsNK, image }: Product): boolean {
  if (image) return [image.row, image.run, image.step, image.leftPad].every((n) => n % 4 === 0)
  return K % 4 === 0 && (bIsNK || N % 4 === 0)
}

/** Constants of all kernels of products: those of shaders/lib/left_operand.wgsl and of the epilogue. */
export function commonConstants(product: Product): Constants {
  const { pair, bias, activation = 'none', residual, image } = product
  const aligned = isAligned(product)
  return {
    ALIGNED: aligned,
    STEP: aligned ? 1 : 4,
    AWord: aligned ? 'vec4f' : 'f32',
    GATED: pair !== undefined,
    PADDED: (image?.padding ?? 0) > 0,
    ACTIVATION: ACTIVATIONS[activation],
    HAS_BIAS: bias !== undefined,
    HAS_RESIDUAL: residual !== undefined,
    IN_PLACE: false,
  }
}

/** The kernel and the grid that compute a part of a product. */
export interface Dispatched {
  /** The kernel, with its constants. */
  readonly kernel: Kernel
  /** Tiles of the outputs, down the rows of y. */
  readonly tilesM: number
  /** Tiles of the outputs, across the columns of y. */
  readonly tilesN: number
  /** Tiles per workgroup; 1 by default. */
  readonly perGroup?: number
}

/**
 * Records a dispatch for each shard of b, which writes its columns of y.
 *
 * @param choose the kernel for the product with N and b of the shard
 */
export function recordProduct(product: Product, choose: (part: Product) => Dispatched): void {
  const { a, b, pair, y, M, K, batch = 1, bias, residual } = product
  const shards = b.shards ?? [{ storage: b.storage, firstRow: 0, rows: product.N }]
  for (const { storage, firstRow, rows: N } of shards) {
    const part = { ...product, N, b: { ...b, storage } }
    const { kernel, tilesM, tilesN, perGroup = 1 } = choose(part)
    const reads = {
      a,
      b: part.b,
      b_up: pair ?? part.b,
      b_scales: b.scales,
      up_scales: pair?.scales,
      bias,
      residual,
    }
    const sizes = { ...sizesOf(product), N, y_first: firstRow, tiles_m: tilesM, tiles_n: tilesN }
    record({
      kernel,
      reads: taken(reads, kernel.bindings),
      writes: { y },
      sizes: taken(sizes, kernel.sizes),
      workgroups: [...gridOf(Math.ceil((tilesM * tilesN) / perGroup)), batch],
      cut: 'first_group',
      flops: 2 * batch * M * N * K * (pair ? 2 : 1),
      ...(residual && shards.length === 1 ? { inPlace: { read: 'residual', write: 'y' } } : {}),
    })
  }
}

/** All that a kernel may ask for; lengths count vec4s where the product is aligned. */
function sizesOf(product: Product): Record<string, number> {
  const { b, pair, M, N, K, bIsNK, aStride = 0, bStride = 0, scale = 1, image } = product
  const unit = isAligned(product) ? 4 : 1
  const { perTexel } = weightType(b.dtype)
  const texels = b.packed?.texels ?? Math.ceil(K / perTexel)
  const row = b.dtype === 'int4' ? roundUp(K, GROUP) : K
  return {
    M,
    K: K / unit,
    scale,
    y_cols: N,
    b_row: (bIsNK ? row : N) / unit,
    a_stride: aStride / unit,
    b_stride: bStride / unit,
    texels,
    b_first: b.packed?.firstRow ?? 0,
    up_first: pair?.packed?.firstRow ?? 0,
    ...(image
      ? {
          H: image.H,
          row: image.row / unit,
          run: image.run / unit,
          run_texels: Math.ceil(image.run / perTexel),
          out_w: image.outW,
          stride: image.stride,
          step: image.step / unit,
          padding: image.padding,
          left_pad: image.leftPad / unit,
        }
      : {}),
  }
}

/** The operands that a kernel declares, of those that there are. */
function taken<T>(
  values: Readonly<Record<string, T>>,
  declared: readonly { readonly name: string }[],
): Record<string, T> {
  const entries = Object.entries(values).filter(([name]) => declared.some((one) => one.name === name))
  return Object.fromEntries(entries)
}
