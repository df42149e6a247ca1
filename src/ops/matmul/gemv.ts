// Matrix products of few rows (gemv: of one), for GPUs. See shaders/matmul/gemv.wgsl and its arithmetic: no GPU has
// measured it yet.

import plain from '#shaders/matmul/gemv.wgsl'
import bySubgroups from '#shaders/matmul/gemv.wgsl?SUBGROUPS'
import { kernel } from '../../gpu/kernel.ts'
import { recorder } from '../../gpu/recorder.ts'
import { leastWork, type TileSize, type Tiling } from '../../kernels/tiles.ts'
import type { Variant } from '../../kernels/variants.ts'
import { rowConstants } from '../../kernels/weight-types.ts'
import { commonConstants, isAligned, type Product, recordProduct } from './product.ts'
import { CORES, penalty, readsRows } from './tiled.ts'

/** The most rows that a workgroup takes. */
const MOST_ROWS = 16

/** The variant of the family: up to sixteen rows. Sums are added up by subgroups where the adapter has them. */
export const gemv: Variant<Product> = {
  name: 'gemv',
  forGpus: true,
  measuredOnGpu: false,
  fits: (product) => {
    const { M, bIsNK, batch = 1, image } = product
    return M <= MOST_ROWS && bIsNK && batch === 1 && !image && readsRows(product)
  },
  cost: (product, adapter) =>
    (tileOf(product).cost * Math.ceil(product.K / 4) * penalty(adapter)) / (128 * CORES),
  record: (product) => {
    const { features, countsSubgroups } = recorder().adapter
    recordProduct(product, (part) => {
      const tile = tileOf(part)
      const passes = Math.max(1, tile.rows / 4)
      const chosen = kernel(features.subgroups && countsSubgroups ? bySubgroups : plain, {
        ROWS: tile.rows,
        PASSES: passes,
        PASS_ROWS: tile.rows / passes,
        // Short rows would leave half of 64 threads idle
        WG: part.K >= 1024 ? 64 : 32,
        ...rowConstants(part.b.dtype, isAligned(part)),
        ...commonConstants(part),
      })
      return { kernel: chosen, ...tile }
    })
  },
}

/**
 * The tile of least cost: for each vec4 of k a thread loads one of each row and column, which costs as much as 8
 * multiply-adds, and multiplies.
 */
function tileOf({ M, N, pair }: Product): Tiling<TileSize> {
  const rows = [1, 2, 4, 8].find((count) => count >= M) ?? MOST_ROWS
  return leastWork([{ rows, cols: pair ? 2 : 4, cycles: 8 * (rows + 4) + 16 * rows }], { M, N }, CORES)
}
