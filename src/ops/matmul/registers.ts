// Matrix products in registers: a thread computes a tile of outputs alone, or a quad of threads shares its loads. Runs
// on any adapter. See shaders/matmul/registers.wgsl.

import plain from '#shaders/matmul/registers.wgsl'
import conv from '#shaders/matmul/registers.wgsl?CONV'
import convQuads from '#shaders/matmul/registers.wgsl?CONV&QUADS'
import quads from '#shaders/matmul/registers.wgsl?QUADS'
import type { AdapterFacts } from '../../gpu/adapter.ts'
import { kernel } from '../../gpu/kernel.ts'
import { recorder } from '../../gpu/recorder.ts'
import { leastWork, type TileSize, type Tiling } from '../../kernels/tiles.ts'
import type { Variant } from '../../kernels/variants.ts'
import { rowConstants } from '../../kernels/weight-types.ts'
import { commonConstants, isAligned, type Product, recordProduct } from './product.ts'

/** The variant of the family. */
export const registers: Variant<Product> = {
  name: 'registers',
  fits: ({ b, pair }) => !b.packed && !b.scales && !pair,
  // In the cycles of subgroup.ts: threads side by side are lanes, a multiply-add and its share of loads three cycles
  cost: (product, adapter) =>
    (3 * registerTile(product, adapter).cost * product.K) / (adapter.subgroupSize || 1),
  record: (product) => {
    const { adapter } = recorder()
    recordProduct(product, (part) => {
      const { rows, cols, beside, below, tilesM, tilesN, threads } = registerTile(part, adapter)
      const isShared = beside * below > 1
      const shader = part.image ? (isShared ? convQuads : conv) : isShared ? quads : plain
      const chosen = kernel(shader, {
        THREAD_ROWS: rows / below,
        THREAD_COLS: cols / beside,
        WG: threads,
        BESIDE: beside,
        BELOW: below,
        B_IS_NK: part.bIsNK,
        ...rowConstants(part.b.dtype, isAligned(part)),
        ...commonConstants(part),
      })
      return { kernel: chosen, tilesM, tilesN, perGroup: isShared ? 1 : threads }
    })
  },
}

/** The tile that one thread computes, or a quad. */
interface Tile extends TileSize {
  /**
   * Threads that share loads of a, side by side, and of b, one below the other: 1 and 1, or a quad's 2 and 2, or 4 and
   * 1.
   */
  readonly beside: 1 | 2 | 4
  readonly below: 1 | 2
}

/**
 * For each k a thread loads rows + cols values and multiplies rows * cols pairs; a load costs what 8 multiply-adds do
 * (SwiftShader, November 2026), and each who shares it a part. Passing it on costs next to nothing.
 */
function tile(rows: number, cols: number, beside: 1 | 2 | 4 = 1, below: 1 | 2 = 1): Tile {
  const cycles = 8 * (rows / beside + cols / below) + rows * cols
  return { rows: rows * below, cols: cols * beside, workers: beside * below, cycles, beside, below }
}

/** One row is the matrix-vector product. Larger tiles than 8 x 8 outgrow the instruction cache: see the shader. */
const THREAD_TILES = [tile(8, 8), tile(4, 8), tile(4, 4), tile(1, 8), tile(1, 4)]
/** Threads of a quad in a square, and in a line for few rows. */
const QUAD_TILES = [tile(8, 8, 2, 2), tile(8, 8, 4, 1), tile(4, 8, 4, 1)]
/** Threads of a quad. */
const QUAD = 4

/** Threads that run side by side on the smallest adapters we care for: 2 cores x 8 lanes, a few times over. */
const PARALLEL = 64
/** The number of tiles from which on workgroups are large. */
const MANY_TILES = 4096

/** The tile with the least work, and threads per workgroup. Quads share where a subgroup is one. */
export function registerTile(
  { M, N, batch = 1 }: Pick<Product, 'M' | 'N' | 'batch'>,
  { subgroupSize }: Pick<AdapterFacts, 'subgroupSize'>,
): Tiling<Tile> & { readonly threads: number } {
  const sizes = subgroupSize === QUAD ? [...QUAD_TILES, ...THREAD_TILES] : THREAD_TILES
  const best = leastWork(sizes, { M, N, batch }, PARALLEL)
  const threads = best.tilesM * best.tilesN * batch >= MANY_TILES ? 64 : 16
  return { ...best, threads: best.workers === 1 ? threads : QUAD }
}
