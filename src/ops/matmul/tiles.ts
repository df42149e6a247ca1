// Matrix products for GPUs: tiles staged in workgroup memory, and few rows by workgroups that read along k. See
// shaders/matmul/tiles.wgsl and shaders/matmul/rows.wgsl, and their arithmetic: no GPU has measured them yet.

import activationSource from '../../../shaders/lib/activation.wgsl' with { type: 'text' }
import widenSource from '../../../shaders/lib/widen.wgsl' with { type: 'text' }
import aSource from '../../../shaders/matmul/a.wgsl' with { type: 'text' }
import endingSource from '../../../shaders/matmul/ending.wgsl' with { type: 'text' }
import foursSource from '../../../shaders/matmul/fours.wgsl' with { type: 'text' }
import rowSumsSource from '../../../shaders/matmul/row-sums.wgsl' with { type: 'text' }
import rowsSource from '../../../shaders/matmul/rows.wgsl' with { type: 'text' }
import rowsSubgroupSource from '../../../shaders/matmul/rows-subgroup.wgsl' with { type: 'text' }
import sizesSource from '../../../shaders/matmul/sizes.wgsl' with { type: 'text' }
import stagedF32Source from '../../../shaders/matmul/staged-f32.wgsl' with { type: 'text' }
import stagedHalfSource from '../../../shaders/matmul/staged-half.wgsl' with { type: 'text' }
import tilesSource from '../../../shaders/matmul/tiles.wgsl' with { type: 'text' }
import tilesASource from '../../../shaders/matmul/tiles-a.wgsl' with { type: 'text' }
import type { AdapterFacts } from '../../gpu/adapter.ts'
import type { Constants, Kernel } from '../../gpu/kernel.ts'
import { roundUp } from '../../gpu/memory.ts'
import { GROUP } from '../../kernels/quantize.ts'
import { unrolled } from '../../kernels/unroll.ts'
import type { Variant } from '../../kernels/variants.ts'
import { type DType, record, type Tensor } from '../../tensor/tensor.ts'
import { endingConstants, type Product } from './product.ts'

/** Tiles in workgroup memory: any product of weights that aren't packed. */
export const tiles: Variant<Product> = {
  name: 'tiles',
  forGpus: true,
  fits: readsFours,
  cost: (product, adapter) => chooseTile(product).cost * penalty(adapter),
  record: (product) => recordTiles(product, TILES_SOURCE, false),
}

/** The same, with 16-bit and int8 weights as 16 bits in workgroup memory. */
export const tilesHalf: Variant<Product> = {
  name: 'tiles-half',
  forGpus: true,
  fits: (product) => readsFours(product) && ['f16', 'bf16', 'int8'].includes(product.b.dtype),
  // Less to read and more to convert: see shaders/matmul/tiles.wgsl. A measurement may know better
  cost: (product, adapter) => 1.05 * tiles.cost(product, adapter),
  record: (product) => recordTiles(product, tilesSource + stagedHalfSource, true),
}

/** Up to sixteen rows. */
export const rows: Variant<Product> = {
  name: 'rows',
  forGpus: true,
  fits: fitsRows,
  cost: (product, adapter) => rowsCost(product) * penalty(adapter),
  record: (product) => recordRows(product, 'matmul/rows', rowsSource),
}

/** The same where subgroups can add up. */
export const rowsSubgroup: Variant<Product> = {
  name: 'rows-subgroup',
  forGpus: true,
  fits: (product, { features, countsSubgroups }) =>
    features.subgroups && countsSubgroups && fitsRows(product),
  cost: (product, adapter) => 0.95 * rows.cost(product, adapter),
  record: (product) => recordRows(product, 'matmul/rows-subgroup', rowsSubgroupSource),
}

// ---------------------------------------------------------------------------------------------------------
// Costs: cycles of a GPU with 16 cores of 128 lanes. What the other variants give are cycles of a CPU's lanes, thousands
// of times as many, so on a GPU these come first.

const CORES = 16

/**
 * On a CPU behind Vulkan these come last: workgroup memory is no nearer than any other, and a barrier costs what 270
 * multiply-adds of all lanes do (512^3 on lavapipe: 10 GFLOP/s, 40 by subgroups; SwiftShader: 1.7, 3.1 in registers;
 * November 2026).
 */
export function penalty({ software }: AdapterFacts): number {
  return software ? 1e6 : 1
}

interface Tile {
  /** Fours of rows and of columns of a thread, and of k of a step. */
  readonly rowFours: number
  readonly columnFours: number
  readonly stepFours: number
}

const TILES: readonly Tile[] = [
  { rowFours: 2, columnFours: 2, stepFours: 4 },
  { rowFours: 1, columnFours: 2, stepFours: 8 },
  { rowFours: 1, columnFours: 1, stepFours: 8 },
]

/** Threads of a side of a workgroup. */
const SIDE = 8

export function tileSize({ rowFours, columnFours }: Tile, pair?: Tensor): [rows: number, cols: number] {
  return [4 * SIDE * rowFours, (4 * SIDE * columnFours) / (pair ? 2 : 1)]
}

/**
 * The tile with the least work. For each k a thread reads its fours, which cost what 8 multiply-adds do, and multiplies
 * 16 of them by each other; 64 threads are half of a core, and fewer than two workgroups a core leave it waiting.
 */
export function chooseTile({ M, N, K, batch = 1, pair }: Pick<Product, 'M' | 'N' | 'K' | 'batch' | 'pair'>): {
  tile: Tile
  cost: number
} {
  let best: { tile: Tile; cost: number } | undefined
  for (const tile of TILES) {
    const { rowFours, columnFours } = tile
    if (pair && columnFours < 2) continue
    const [rows, cols] = tileSize(tile, pair)
    const groups = Math.ceil(M / rows) * Math.ceil(N / cols) * batch
    const cycles = 8 * (rowFours + columnFours) + 16 * rowFours * columnFours
    const cost = (Math.max(groups, 2 * CORES) * cycles * K) / (2 * CORES)
    if (!best || cost < best.cost) best = { tile, cost }
  }
  return best!
}

/** For each four of k a thread loads one of each row and column, which cost what 8 multiply-adds do, and multiplies. */
function rowsCost({ M, N, K, pair }: Product): number {
  const height = rowsOfTile(M)
  const threads =
    Math.max(Math.ceil(M / height) * Math.ceil(N / 4) * (pair ? 2 : 1), CORES) * Math.ceil(K / 4)
  return (threads * (8 * (height + 4) + 16 * height)) / (128 * CORES)
}

// ---------------------------------------------------------------------------------------------------------
// Recording

function recordTiles(product: Product, source: string, half: boolean): void {
  recordParts(product, (part) => {
    const { tile } = chooseTile(part)
    const kernel = foursKernel('matmul/tiles', MATRIX_SOURCE + source, part, isAligned(part), {
      ...tileConstants(tile, part.bIsNK),
      // Tells two kernels apart whose names and other constants are the same
      HALF: half,
    })
    return { kernel, size: tileSize(tile, part.pair) }
  })
}

/** The prelude of matmul-tiles.wgsl. */
export function tileConstants({ rowFours, columnFours, stepFours }: Tile, bIsNK: boolean): Constants {
  return {
    ROW_FOURS: rowFours,
    COLUMN_FOURS: columnFours,
    STEP_FOURS: stepFours,
    A_TURNS: (rowFours * stepFours) / SIDE,
    B_TURNS: (columnFours * stepFours) / SIDE,
    SUMS: 4 * rowFours * columnFours,
    B_IS_NK: bIsNK,
  }
}

function recordRows(product: Product, name: string, source: string): void {
  recordParts(product, (part) => {
    const height = rowsOfTile(part.M)
    const passes = Math.max(1, height / 4)
    const kernel = foursKernel(name, sizesSource + source + rowSumsSource, part, isAligned(part), {
      ROWS: height,
      PASSES: passes,
      PASS_ROWS: height / passes,
      // Short rows would leave half of 64 threads idle
      WG: part.K >= 1024 ? 64 : 32,
    })
    return { kernel, size: [height, part.pair ? 2 : 4] }
  })
}

/** A dispatch for each shard of b, as `choose` says for the part of the product that it is. */
function recordParts(
  product: Product,
  choose: (part: Product) => { kernel: Kernel; size: readonly [height: number, width: number] },
): void {
  const { a, b, pair, y, M, K, bIsNK, batch = 1, aStride = 0, bStride = 0, scale = 1 } = product
  const { bias, residual } = product
  const unit = isAligned(product) ? 4 : 1
  const parts = b.shards ?? [{ storage: b.storage, firstRow: 0, rows: product.N }]
  for (const { storage, firstRow, rows: N } of parts) {
    const {
      kernel,
      size: [height, width],
    } = choose({ ...product, N })
    const tiles_m = Math.ceil(M / height)
    const tiles_n = Math.ceil(N / width)
    record({
      kernel,
      reads: { a, ...boundFours({ ...b, storage }, pair), bias, residual },
      writes: { y },
      sizes: {
        M,
        N,
        K: K / unit,
        scale,
        tiles_m,
        tiles_n,
        y_cols: product.N,
        y_first: firstRow,
        b_row: bIsNK ? rowFoursOf(b, K, unit) : N / unit,
        a_stride: aStride / unit,
        b_stride: bStride / unit,
      },
      workgroups: [...gridOf(tiles_m * tiles_n), batch],
      cut: 'first_group',
      flops: 2 * batch * M * N * K * (pair ? 2 : 1),
      ...(residual && parts.length === 1 ? { inPlace: { read: 'residual', write: 'y' } } : {}),
    })
  }
}

function rowsOfTile(M: number): number {
  return [1, 2, 4, 8].find((rows) => rows >= M) ?? 16
}

/** A few workgroups side by side, so that a plan can cut the grid along y. */
export function gridOf(groups: number): [x: number, y: number] {
  const x = Math.min(groups, Math.max(8, Math.ceil(groups / 65_535)))
  return [x, Math.ceil(groups / x)]
}

// ---------------------------------------------------------------------------------------------------------
// Operands by fours: shaders/matmul/fours.wgsl

const FOURS: Partial<Record<DType, { type: number; word: string; words: number }>> = {
  f32: { type: 0, word: 'vec4u', words: 4 },
  f16: { type: 1, word: 'vec2u', words: 2 },
  bf16: { type: 2, word: 'vec2u', words: 2 },
  int8: { type: 3, word: 'array<u32, 1>', words: 1 },
  int4: { type: 4, word: 'array<u32, 1>', words: 1 },
}

function isAligned({ K, N, bIsNK }: Product): boolean {
  return K % 4 === 0 && (bIsNK || N % 4 === 0)
}

/** What a row of b takes, in fours or in elements. */
function rowFoursOf(b: Tensor, K: number, unit: number): number {
  return (b.dtype === 'int4' ? roundUp(K, GROUP) : K) / unit
}

function readsFours({ b, pair, K, bIsNK, batch = 1 }: Product): boolean {
  if (b.packed || (pair && (b.shards || pair.shards))) return false
  if (b.dtype !== 'int8' && b.dtype !== 'int4') return true
  return bIsNK && batch === 1 && !b.shards && K % 4 === 0
}

function fitsRows(product: Product): boolean {
  const { M, bIsNK, batch = 1 } = product
  return M <= 16 && bIsNK && batch === 1 && readsFours(product)
}

const SHARED = aSource + foursSource + endingSource + widenSource + activationSource

/** The tiles' own part; the sizes and what is staged of a come with the matrix or the image. */
export const TILES_SOURCE: string = tilesSource + stagedF32Source
const MATRIX_SOURCE = sizesSource + tilesASource

/** @param aligned all lengths are multiples of four, and the sizes count fours */
export function foursKernel(
  name: string,
  source: string,
  { b, pair, bias, activation, residual }: Pick<Product, 'b' | 'pair' | 'bias' | 'activation' | 'residual'>,
  aligned: boolean,
  constants: Constants,
): Kernel {
  const { type, word, words } = FOURS[b.dtype]!
  return unrolled(name, source + SHARED, {
    ...constants,
    ALIGNED: aligned,
    AWord: aligned ? 'vec4f' : 'f32',
    B_TYPE: type,
    BWord: aligned ? word : 'array<u32, 1>',
    B_WORDS: aligned ? words : 1,
    GATED: pair !== undefined,
    SCALE_GROUPS: b.dtype === 'int8' ? 1 : b.dtype === 'int4' ? 2 : 0,
    ...endingConstants(bias, activation, residual),
  })
}

export function boundFours(b: Tensor, pair?: Tensor): Record<string, Tensor | undefined> {
  return { b, b_up: pair ?? b, b_scales: b.scales, up_scales: pair?.scales }
}
