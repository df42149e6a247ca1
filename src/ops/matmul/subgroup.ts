// Matrix products by subgroups: lanes own rows, operands are broadcast. For CPUs behind Vulkan, and for packed
// weights. Two kernels: shaders/matmul/subgroup.wgsl, and shaders/matmul/skinny.wgsl for few rows of a.

import skinny from '#shaders/matmul/skinny.wgsl'
import skinnyPacked from '#shaders/matmul/skinny.wgsl?PACKED'
import wide from '#shaders/matmul/subgroup.wgsl'
import wideConvPacked from '#shaders/matmul/subgroup.wgsl?CONV&PACKED'
import widePacked from '#shaders/matmul/subgroup.wgsl?PACKED'
import type { AdapterFacts } from '../../gpu/adapter.ts'
import { kernel } from '../../gpu/kernel.ts'
import { recorder } from '../../gpu/recorder.ts'
import { TEXTURE_WIDTH, takesLanes } from '../../kernels/packed.ts'
import { leastWork, type TileSize, type Tiling } from '../../kernels/tiles.ts'
import type { Variant } from '../../kernels/variants.ts'
import { texelConstants, weightType } from '../../kernels/weight-types.ts'
import { commonConstants, type Product, recordProduct } from './product.ts'

/** The variant of the family. */
export const subgroup: Variant<Product> = {
  name: 'subgroup',
  fits: ({ b, K, bIsNK, batch = 1, image }, { subgroupSize }) => {
    if (!takesLanes(subgroupSize) || !bIsNK || batch !== 1 || b.shards) return false
    if (image) return b.packed?.lanes === subgroupSize
    return b.packed !== undefined || b.dtype === 'int4' || K % weightType(b.dtype).perTexel === 0
  },
  cost: (product, adapter) => {
    // On a GPU broadcasts are shuffles, and a workgroup of one subgroup fills little of it
    const slower = adapter.software ? 1 : 100
    return subgroupTile(product, adapter).cost * product.K * slower
  },
  record: (product) => {
    const { adapter } = recorder()
    recordProduct(product, (part) => {
      const tile = subgroupTile(part, adapter)
      const { b, image } = part
      const constants = {
        LANES: adapter.subgroupSize,
        BWord: 'vec4u',
        TEXTURE_WIDTH,
        ...texelConstants(b.dtype),
        ...commonConstants(part),
      }
      const chosen = tile.skinny
        ? kernel(b.packed ? skinnyPacked : skinny, { ...skinnyConstants(part, tile, adapter), ...constants })
        : kernel(image ? wideConvPacked : b.packed ? widePacked : wide, {
            A_GROUPS: tile.aGroups,
            B_GROUPS: tile.bGroups,
            ...constants,
          })
      return { kernel: chosen, ...tile }
    })
  },
}

/** The tile that a subgroup computes. */
interface Tile extends TileSize {
  /** True for the kernel for few rows of a (skinny), each of which all lanes load together. */
  readonly skinny: boolean
  /** Rows of a: of the skinny kernel, else as groups of as many as there are lanes. */
  readonly aGroups: number
  /** Columns of y, and of the second weight of a pair, as groups of as many as there are lanes. */
  readonly bGroups: number
}

/** Subgroups at work at once on the smallest adapters we care for: two cores, a few each to even them out. */
const PARALLEL = 8
/** The skinny kernel takes no more rows. */
const MOST_SKINNY_ROWS = 16

/**
 * The tile with the least work. In cycles of lavapipe (two cores of a Xeon, November 2026) a load of a costs 60, of b
 * 30 through a texture and 100 from a buffer, a broadcast 13, and a multiply-add 1. Past 256 sums per lane, or 128
 * where b comes from a buffer, registers spill and it falls to half. SwiftShader, with four lanes, takes 3.3 times as
 * long.
 */
export function subgroupTile(
  { b, pair, M, N, image }: Pick<Product, 'b' | 'pair' | 'M' | 'N' | 'image'>,
  { subgroupSize: lanes }: Pick<AdapterFacts, 'subgroupSize'>,
): Tiling<Tile> {
  const load = b.packed ? 30 : 100
  const mostSums = b.packed ? 256 : 128
  const slower = lanes < 8 ? 3.3 : 1
  const tile = (skinnyTile: boolean, aGroups: number, bGroups: number): Tile => {
    const rows = skinnyTile ? aGroups : aGroups * lanes
    const cycles = skinnyTile
      ? (60 / lanes + 13) * rows + load * bGroups + 4 * rows * bGroups
      : 13 + 60 * aGroups + load * bGroups + 13 * rows + 4 * rows * bGroups
    const cols = (bGroups * lanes) / (pair ? 2 : 1)
    return { skinny: skinnyTile, aGroups, bGroups, rows, cols, cycles: (cycles * slower) / 4 }
  }
  // A pair takes two groups at least
  const counts = pair ? [8, 4, 2] : [8, 4, 2, 1]
  const wideTiles = [4, 2, 1].flatMap((aGroups) => counts.map((bGroups) => tile(false, aGroups, bGroups)))
  const sizes = wideTiles.filter(({ rows, bGroups }) => rows * bGroups <= mostSums)
  if (M <= MOST_SKINNY_ROWS && !image) {
    const rows = M <= 2 ? M : M <= 4 ? 4 : 8
    sizes.unshift(...counts.filter((count) => count <= 4).map((bGroups) => tile(true, rows, bGroups)))
  }
  return leastWork(sizes, { M, N }, PARALLEL)
}

/** The prelude constants of shaders/matmul/skinny.wgsl. */
function skinnyConstants(
  { b, pair }: Product,
  { rows, bGroups }: Tile,
  { subgroupSize: lanes }: AdapterFacts,
): Record<string, number> {
  const vec4s = Math.max(lanes, texelConstants(b.dtype).TURNS)
  return {
    ROWS: rows,
    B_GROUPS: bGroups,
    Y_GROUPS: bGroups / (pair ? 2 : 1),
    STEP_VEC4S: vec4s,
    LOADS: vec4s / lanes,
  }
}
