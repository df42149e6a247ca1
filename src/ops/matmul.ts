// Matrix products: linear layers, batched matmul, and what conv.ts needs to be one more.
//
// A thread computes a tile of outputs in registers; tiles differ in size only, and `chooseTile` takes the one
// with the least work for the shape. Weights may be 16-bit (widened as they are loaded) and may lie in several
// buffers along N, each of which takes a dispatch that writes its columns of the output.

import activationSource from '../../shaders/lib/activation.wgsl' with { type: 'text' }
import widenSource from '../../shaders/lib/widen.wgsl' with { type: 'text' }
import matmulSource from '../../shaders/matmul.wgsl' with { type: 'text' }
import loadSource from '../../shaders/matmul-load.wgsl' with { type: 'text' }
import tileSource from '../../shaders/matmul-tile.wgsl' with { type: 'text' }
import { ShapeError } from '../errors.ts'
import { type Constants, type Kernel, kernel } from '../gpu/kernel.ts'
import { ACTIVATIONS, type Activation } from './activation.ts'
import {
  type DType,
  expectShape,
  expectType,
  lastDim,
  record,
  rowsOf,
  type Tensor,
  tensor,
} from './tensor.ts'

export interface LinearOptions {
  /** [N] */
  readonly bias?: Tensor
  /** Applied after the bias, before the residual. */
  readonly activation?: Activation
  /** [..., N]: added to the result, in its memory where the plan allows. */
  readonly residual?: Tensor
}

export interface MatmulOptions {
  /** b is [B, N, K], as weights and keys are stored. */
  readonly transposeB?: boolean
  /** Multiplies the result; 1 by default. */
  readonly scale?: number
}

/**
 * Linear layer: y = activation(x W^T + bias) + residual
 *
 * @param x      [..., K]
 * @param weight [N, K], f32, f16 or bf16; may be sharded
 * @returns      [..., N]
 * @throws ShapeError if a shape or type doesn't fit
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias, activation = 'none', residual } = options
  const K = lastDim(x)
  const [N = 0, weightK = 0] = weight.shape
  if (weight.shape.length !== 2 || weightK !== K) {
    throw new ShapeError(
      `linear: weight is [${weight.shape.join(', ')}], expected [N, ${K}] for x [${x.shape.join(', ')}]. ` +
        'Weights are stored [N, K], as in PyTorch.',
    )
  }
  const shape = [...x.shape.slice(0, -1), N]
  expectOperands('linear', x, 'weight', weight)
  if (bias) expectVector('linear', 'bias', bias, N)
  if (residual) {
    expectShape('linear', 'residual', residual, shape)
    expectType('linear', 'residual', residual, 'f32')
  }

  const y = tensor(shape)
  multiply({ a: x, b: weight, y, M: rowsOf(x), N, K, bIsNK: true, bias, activation, residual })
  return y
}

/**
 * Matrix product: y = scale * a b, or scale * a b^T with `transposeB`
 *
 * @param a [B, M, K], or [M, K] for all of b
 * @param b [B, K, N] or [B, N, K], or without B for all of a; f32, f16 or bf16. A B of 1 is repeated too.
 * @returns [B, M, N], or [M, N] if neither has a B
 * @throws ShapeError if a shape or type doesn't fit
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeB = false, scale = 1 } = options
  for (const [name, x] of Object.entries({ a, b })) {
    if (x.shape.length !== 2 && x.shape.length !== 3) {
      throw new ShapeError(
        `matmul: ${name} is [${x.shape.join(', ')}], expected two axes, or three with a batch.`,
      )
    }
  }
  expectOperands('matmul', a, 'b', b)
  const [M = 0, K = 0] = a.shape.slice(-2)
  const [bRows = 0, bCols = 0] = b.shape.slice(-2)
  const [bK, N] = transposeB ? [bCols, bRows] : [bRows, bCols]
  if (bK !== K) {
    throw new ShapeError(
      `matmul: the summed axes differ: a is [${a.shape.join(', ')}] (K = ${K}), b is [${b.shape.join(', ')}] ` +
        `(K = ${bK}). ${transposeB ? 'With transposeB, b is [N, K].' : 'If b is stored [N, K], pass { transposeB: true }.'}`,
    )
  }
  const batchOf = (x: Tensor): number => (x.shape.length === 3 ? x.shape[0]! : 1)
  const [aBatch, bBatch] = [batchOf(a), batchOf(b)]
  if (aBatch !== bBatch && aBatch !== 1 && bBatch !== 1) {
    throw new ShapeError(
      `matmul: the batches differ: a is [${a.shape.join(', ')}], b is [${b.shape.join(', ')}]. ` +
        'They must be equal, or one of them 1 or absent.',
    )
  }

  const batch = Math.max(aBatch, bBatch)
  const y = tensor(a.shape.length === 3 || b.shape.length === 3 ? [batch, M, N] : [M, N])
  const common = { a, b, y, N, K, bIsNK: transposeB, scale }
  // One b for all: the batches of a are only more rows
  if (bBatch === 1) multiply({ ...common, M: batch * M })
  else multiply({ ...common, M, batch, aStride: aBatch === 1 ? 0 : M * K, bStride: N * K })
  return y
}

interface Product {
  readonly a: Tensor
  readonly b: Tensor
  readonly y: Tensor
  readonly M: number
  readonly N: number
  readonly K: number
  /** b is [N, K]; else [K, N]. */
  readonly bIsNK: boolean
  readonly batch?: number
  /** Elements from one of the batch to the next. */
  readonly aStride?: number
  readonly bStride?: number
  readonly scale?: number
  readonly bias?: Tensor | undefined
  readonly activation?: Activation
  readonly residual?: Tensor | undefined
}

/** Records the product, a dispatch for each shard of b. Shapes are checked already. */
function multiply(product: Product): void {
  const { a, b, y, M, N, K, bIsNK, batch = 1, aStride = 0, bStride = 0, scale = 1 } = product
  const { bias, activation = 'none', residual } = product
  const aligned = K % 4 === 0 && (bIsNK || N % 4 === 0)
  // The shader counts whole vectors where it can load them
  const unit = aligned ? 4 : 1
  const parts = b.shards ?? [{ storage: b.storage, firstRow: 0, rows: N }]
  for (const { storage, firstRow, rows } of parts) {
    const tile = chooseTile(M, rows, batch)
    const part = { ...b, storage }
    record({
      kernel: tileKernel('matmul', matmulSource, tile, b.dtype, aligned, {
        ...endingConstants(bias, activation, residual),
        B_IS_NK: bIsNK,
      }),
      reads: { a, ...boundWeight(part, aligned), bias, residual },
      writes: { y },
      sizes: {
        M,
        N: rows,
        K: K / unit,
        scale,
        ...tileCounts(tile, M, rows),
        y_cols: N,
        y_first: firstRow,
        b_row: (bIsNK ? K : N) / unit,
        a_stride: aStride / unit,
        b_stride: bStride / unit,
      },
      workgroups: tileGrid(tile, M, rows, batch),
      cut: 'first_group',
      flops: 2 * batch * M * rows * K,
      ...(residual && parts.length === 1 ? { inPlace: { read: 'residual', write: 'y' } } : {}),
    })
  }
}

// ---------------------------------------------------------------------------------------------------------
// Tiles, for conv.ts too

/** What one thread computes, and how many of them are a workgroup. */
export interface Tile {
  readonly rows: number
  readonly cols: number
  readonly threads: number
}

/** One row is the matrix-vector product. Larger tiles than 8 x 8 outgrow the instruction cache: see the shader. */
const TILES = [
  { rows: 8, cols: 8 },
  { rows: 4, cols: 8 },
  { rows: 4, cols: 4 },
  { rows: 1, cols: 8 },
  { rows: 1, cols: 4 },
] as const

/** Threads that run side by side on the smallest adapters we care for: 2 cores x 8 lanes, a few times over. */
const PARALLEL = 64
/** From this many tiles on, workgroups are large. */
const MANY_TILES = 4096

/**
 * The tile with the least work. For each k a thread loads rows + cols values and multiplies rows * cols pairs;
 * a load costs what 8 multiply-adds do (SwiftShader, November 2026). Tiles past the edge are work too, and
 * fewer than PARALLEL of them take as long as PARALLEL.
 */
export function chooseTile(M: number, N: number, batch = 1, smallestRows = 1): Tile {
  let best: Tile | undefined
  let leastWork = Infinity
  for (const { rows, cols } of TILES) {
    if (rows < smallestRows) continue
    const tiles = Math.ceil(M / rows) * Math.ceil(N / cols) * batch
    const work = Math.max(tiles, PARALLEL) * (8 * (rows + cols) + rows * cols)
    if (work >= leastWork) continue
    leastWork = work
    best = { rows, cols, threads: tiles >= MANY_TILES ? 64 : 16 }
  }
  return best!
}

export function tileCounts({ rows, cols }: Tile, M: number, N: number): { tiles_m: number; tiles_n: number } {
  return { tiles_m: Math.ceil(M / rows), tiles_n: Math.ceil(N / cols) }
}

/** Workgroups for all tiles: a few side by side, so that a plan can cut the grid along y. */
export function tileGrid(tile: Tile, M: number, N: number, batch = 1): [x: number, y: number, z: number] {
  const { tiles_m, tiles_n } = tileCounts(tile, M, N)
  const groups = Math.ceil((tiles_m * tiles_n) / tile.threads)
  const x = Math.min(groups, Math.max(8, Math.ceil(groups / 65_535)))
  return [x, Math.ceil(groups / x), batch]
}

const B_TYPES: Partial<Record<DType, number>> = { f32: 0, f16: 1, bf16: 2 }

/** A kernel made of `source` and the parts that matmul and convolution share. */
export function tileKernel(
  name: string,
  source: string,
  { rows, cols, threads }: Tile,
  weightType: DType,
  aligned: boolean,
  constants: Constants,
): Kernel {
  const wide = weightType === 'f32'
  return kernel(name, source + loadSource + tileSource + widenSource + activationSource, {
    ROWS: rows,
    COLS: cols,
    WG: threads,
    ALIGNED: aligned,
    STEP: aligned ? 1 : 4,
    AWord: aligned ? 'vec4f' : 'f32',
    B_TYPE: B_TYPES[weightType]!,
    BWord: wide ? 'vec4u' : 'vec2u',
    B_WORDS: wide ? 4 : 2,
    ...constants,
  })
}

/** The weight under the binding that fits how it is read. */
export function boundWeight(
  weight: Tensor,
  aligned: boolean,
): { b: Tensor | undefined; b_words: Tensor | undefined } {
  return aligned ? { b: weight, b_words: undefined } : { b: undefined, b_words: weight }
}

export function endingConstants(
  bias: Tensor | undefined,
  activation: Activation,
  residual: Tensor | undefined,
): Constants {
  const HAS_BIAS = bias !== undefined
  const HAS_RESIDUAL = residual !== undefined
  return { ACTIVATION: ACTIVATIONS[activation], HAS_BIAS, HAS_RESIDUAL, IN_PLACE: false }
}

// ---------------------------------------------------------------------------------------------------------
// Checks

export function expectOperands(op: string, a: Tensor, weightName: string, weight: Tensor): void {
  expectType(op, op === 'matmul' ? 'a' : 'x', a, 'f32')
  expectType(op, weightName, weight, 'f32', 'f16', 'bf16')
  if (weight.shards && op !== 'linear') {
    throw new ShapeError(
      `${op}: ${weightName} lies in ${weight.shards.length} buffers, which only linear and gather can read.`,
    )
  }
}

export function expectVector(op: string, name: string, x: Tensor, length: number): void {
  expectShape(op, name, x, [length])
  expectType(op, name, x, 'f32')
}
