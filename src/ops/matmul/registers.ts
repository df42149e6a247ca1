// Matrix products in registers: a thread computes a tile of outputs alone. Runs on any adapter.
//
// Tiles differ in size only, and `chooseTile` takes the one with the least work for the shape.

import activationSource from '../../../shaders/lib/activation.wgsl' with { type: 'text' }
import widenSource from '../../../shaders/lib/widen.wgsl' with { type: 'text' }
import aloneSource from '../../../shaders/matmul/alone.wgsl' with { type: 'text' }
import endingSource from '../../../shaders/matmul/ending.wgsl' with { type: 'text' }
import loadSource from '../../../shaders/matmul/load.wgsl' with { type: 'text' }
import quadsSource from '../../../shaders/matmul/quads.wgsl' with { type: 'text' }
import matmulSource from '../../../shaders/matmul/registers.wgsl' with { type: 'text' }
import sizesSource from '../../../shaders/matmul/sizes.wgsl' with { type: 'text' }
import tileSource from '../../../shaders/matmul/tile.wgsl' with { type: 'text' }
import { type Constants, type Kernel, textKernel as kernel } from '../../gpu/kernel.ts'
import type { Variant } from '../../kernels/variants.ts'
import { type DType, record, type Tensor } from '../../tensor/tensor.ts'
import { endingConstants, type Product } from './product.ts'

export const registers: Variant<Product> = {
  name: 'registers',
  fits: ({ b, pair }) => !b.packed && !b.scales && !pair,
  // In the cycles of matmul-subgroup.ts: threads side by side are lanes, a multiply-add and its share of loads three cycles
  cost: ({ M, N, K, batch = 1 }, { subgroupSize }) =>
    (3 * chooseTile(M, N, batch).work * K) / (subgroupSize || 1),
  record: (product) => recordRegisters(product, chooseTile),
}

/** The same where subgroups are quads, which share their loads. */
export const quads: Variant<Product> = {
  name: 'quads',
  fits: (product, adapter) => registers.fits(product, adapter) && adapter.subgroupSize === QUAD,
  cost: ({ M, N, K, batch = 1 }) => (3 * quadTile(M, N, batch).work * K) / QUAD,
  record: (product) => recordRegisters(product, quadTile),
}

function recordRegisters(product: Product, choose: typeof chooseTile): void {
  const { a, b, y, M, N, K, bIsNK, batch = 1, aStride = 0, bStride = 0, scale = 1 } = product
  const { bias, activation, residual } = product
  const aligned = K % 4 === 0 && (bIsNK || N % 4 === 0)
  // The shader counts whole vectors where it can load them
  const unit = aligned ? 4 : 1
  const parts = b.shards ?? [{ storage: b.storage, firstRow: 0, rows: N }]
  for (const { storage, firstRow, rows } of parts) {
    const tile = choose(M, rows, batch)
    const part = { ...b, storage }
    record({
      kernel: tileKernel('matmul/registers', matmulSource + sizesSource, tile, b.dtype, aligned, {
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
  /** Threads that share loads of a, side by side, and of b, one below the other: 1 and 1, or a quad's 2 and 2, or 4 and 1. */
  readonly beside: 1 | 2 | 4
  readonly below: 1 | 2
  /** Cost of one k, in multiply-adds. */
  readonly work: number
}

/** One row is the matrix-vector product. Larger tiles than 8 x 8 outgrow the instruction cache: see the shader. */
const TILES = [
  { rows: 8, cols: 8 },
  { rows: 4, cols: 8 },
  { rows: 4, cols: 4 },
  { rows: 1, cols: 8 },
  { rows: 1, cols: 4 },
].map((size) => ({ ...size, beside: 1, below: 1 }) as const)

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
  const large = TILES.filter(({ rows }) => rows >= smallestRows)
  return leastWork(large, M, N, batch, (tiles) => (tiles >= MANY_TILES ? 64 : 16))
}

function leastWork(
  candidates: readonly Pick<Tile, 'rows' | 'cols' | 'beside' | 'below'>[],
  M: number,
  N: number,
  batch: number,
  threadsFor: (tiles: number) => number,
): Tile {
  let best: Tile | undefined
  for (const candidate of candidates) {
    const { rows, cols, beside, below } = candidate
    const tiles = beside * below * Math.ceil(M / rows / below) * Math.ceil(N / cols / beside) * batch
    const work = Math.max(tiles, PARALLEL) * (8 * (rows / beside + cols / below) + rows * cols)
    if (!best || work < best.work) best = { ...candidate, threads: threadsFor(tiles), work }
  }
  return best!
}

/** Threads of a quad. */
export const QUAD = 4

/** Of a quad's threads each takes a tile of this square. */
const SQUARE = { rows: 8, cols: 8, beside: 2, below: 2 } as const
/** For few rows. */
const LINES = [
  { rows: 8, cols: 8, beside: 4, below: 1 },
  { rows: 4, cols: 8, beside: 4, below: 1 },
] as const

/** A tile of a quad: a load costs each who shares it a part, and passing it on next to nothing. */
export function quadTile(M: number, N: number, batch = 1): Tile {
  return leastWork([SQUARE, ...LINES], M, N, batch, () => QUAD)
}

/** The same for conv2d.wgsl, which knows no lines. */
export function squareTile(M: number, N: number): Tile {
  return leastWork([SQUARE], M, N, 1, () => QUAD)
}

/** Of what a thread computes, or a quad where it shares. */
export function tileCounts(
  { rows, cols, beside, below }: Tile,
  M: number,
  N: number,
): { tiles_m: number; tiles_n: number } {
  return { tiles_m: Math.ceil(M / (below * rows)), tiles_n: Math.ceil(N / (beside * cols)) }
}

function isShared({ beside, below }: Tile): boolean {
  return beside * below > 1
}

/** Workgroups for all tiles: a few side by side, so that a plan can cut the grid along y. */
export function tileGrid(tile: Tile, M: number, N: number, batch = 1): [x: number, y: number, z: number] {
  const { tiles_m, tiles_n } = tileCounts(tile, M, N)
  const groups = Math.ceil((tiles_m * tiles_n) / (isShared(tile) ? 1 : tile.threads))
  const x = Math.min(groups, Math.max(8, Math.ceil(groups / 65_535)))
  return [x, Math.ceil(groups / x), batch]
}

const B_TYPES: Partial<Record<DType, number>> = { f32: 0, f16: 1, bf16: 2 }

/** A kernel made of `source` and the parts that matmul and convolution share. */
export function tileKernel(
  name: string,
  source: string,
  tile: Tile,
  weightType: DType,
  aligned: boolean,
  constants: Constants,
): Kernel {
  const { rows, cols, threads, beside, below } = tile
  const wide = weightType === 'f32'
  const parts = [
    loadSource,
    tileSource,
    isShared(tile) ? quadsSource : aloneSource,
    endingSource,
    widenSource,
  ]
  return kernel(name, source + parts.join('') + activationSource, {
    ROWS: rows,
    COLS: cols,
    WG: threads,
    BESIDE: beside,
    BELOW: below,
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
