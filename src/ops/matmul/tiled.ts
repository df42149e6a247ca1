// Matrix products in tiles of workgroup memory, for GPUs. See shaders/matmul/tiled.wgsl and its arithmetic: no GPU has
// measured it yet.

import plain from '#shaders/matmul/tiled.wgsl'
import conv from '#shaders/matmul/tiled.wgsl?CONV'
import convHalf from '#shaders/matmul/tiled.wgsl?CONV&TILE_16'
import half from '#shaders/matmul/tiled.wgsl?TILE_16'
import type { AdapterFacts } from '../../gpu/adapter.ts'
import { kernel } from '../../gpu/kernel.ts'
import { recorder } from '../../gpu/recorder.ts'
import { leastWork, type TileSize, type Tiling } from '../../kernels/tiles.ts'
import type { Variant } from '../../kernels/variants.ts'
import { rowConstants } from '../../kernels/weight-types.ts'
import { commonConstants, isAligned, type Product, recordProduct } from './product.ts'

/**
 * The types by which workgroup memory holds weights of 16 and 8 bits: f32, or their own 16 bits. The first by default.
 */
export const TILE_TYPES = ['f32', 'f16'] as const

/** The variant of the family: any product of weights that aren't packed. */
export const tiled: Variant<Product> = {
  name: 'tiled',
  forGpus: true,
  measuredOnGpu: false,
  fits: readsRows,
  cost: (product, adapter) => (chooseTile(product).cost * product.K * penalty(adapter)) / PARALLEL,
  record: (product) => {
    const { choices } = recorder().adapter
    recordProduct(product, (part) => {
      const tile = chooseTile(part)
      const { rowVec4s, columnVec4s, stepVec4s } = tile
      // Less to read and more to convert: a measurement has to ask for it
      const isHalf =
        choices.forced.get('tiles') === TILE_TYPES[1] && ['f16', 'bf16', 'int8'].includes(part.b.dtype)
      const shader = part.image ? (isHalf ? convHalf : conv) : isHalf ? half : plain
      const chosen = kernel(shader, {
        ROW_VEC4S: rowVec4s,
        COLUMN_VEC4S: columnVec4s,
        STEP_VEC4S: stepVec4s,
        A_BLOCKS: (rowVec4s * stepVec4s) / SIDE,
        B_BLOCKS: (columnVec4s * stepVec4s) / SIDE,
        SUMS: 4 * rowVec4s * columnVec4s,
        B_IS_NK: part.bIsNK,
        ...rowConstants(part.b.dtype, isAligned(part)),
        ...commonConstants(part),
      })
      return { kernel: chosen, ...tile }
    })
  },
}

/** True if b is in the row layout, in a type and shape that the kernels for GPUs read. */
export function readsRows(product: Product): boolean {
  const { b, pair, bIsNK, batch = 1 } = product
  if (b.packed || (pair && (b.shards || pair.shards))) return false
  if (b.dtype !== 'int8' && b.dtype !== 'int4') return true
  return bIsNK && batch === 1 && !b.shards && isAligned(product)
}

// ---------------------------------------------------------------------------------------------------------
// Costs: cycles of a GPU with 16 cores of 128 lanes. What the other variants give are cycles of a CPU's lanes,
// thousands of times as many, so on a GPU these come first.

/** Cores of the GPU whose cycles are the unit of costs. */
export const CORES = 16

/**
 * On a CPU behind Vulkan these come last: workgroup memory is no nearer than any other, and a barrier costs what 272
 * multiply-adds of all lanes do (512^3 on lavapipe: 10 GFLOP/s, 40 by subgroups; SwiftShader: 1.7, 3.1 in registers;
 * November 2026).
 */
export function penalty({ software }: AdapterFacts): number {
  return software ? 1e6 : 1
}

interface Tile extends TileSize {
  /** Vec4s of rows and of columns per thread, and of k per step. */
  readonly rowVec4s: number
  readonly columnVec4s: number
  readonly stepVec4s: number
}

/** Threads of a side of a workgroup. */
const SIDE = 8
/** 64 threads are half of a core, and fewer than two workgroups per core leave it waiting. */
const PARALLEL = 2 * CORES

/**
 * The tile with the least work. For each k a thread reads its vec4s, which cost what 8 multiply-adds do, and multiplies
 * them.
 */
function chooseTile({ M, N, batch = 1, pair }: Product): Tiling<Tile> {
  const tile = (rowVec4s: number, columnVec4s: number, stepVec4s: number): Tile => ({
    rows: 4 * SIDE * rowVec4s,
    cols: (4 * SIDE * columnVec4s) / (pair ? 2 : 1),
    cycles: 8 * (rowVec4s + columnVec4s) + 16 * rowVec4s * columnVec4s,
    rowVec4s,
    columnVec4s,
    stepVec4s,
  })
  // A pair takes two vec4s of columns
  const sizes = [tile(2, 2, 4), tile(1, 2, 8), ...(pair ? [] : [tile(1, 1, 8)])]
  return leastWork(sizes, { M, N, batch }, PARALLEL)
}
