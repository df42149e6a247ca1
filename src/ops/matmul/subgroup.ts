// Matrix products by subgroups: lanes own rows, operands go round by broadcast. See shaders/matmul/subgroup.wgsl.

import activationSource from '../../../shaders/lib/activation.wgsl' with { type: 'text' }
import aSource from '../../../shaders/matmul/a.wgsl' with { type: 'text' }
import bufferSource from '../../../shaders/matmul/buffer.wgsl' with { type: 'text' }
import endingSource from '../../../shaders/matmul/ending.wgsl' with { type: 'text' }
import fewSource from '../../../shaders/matmul/few.wgsl' with { type: 'text' }
import panelsSource from '../../../shaders/matmul/panels.wgsl' with { type: 'text' }
import subgroupSource from '../../../shaders/matmul/subgroup.wgsl' with { type: 'text' }
import texelSource from '../../../shaders/matmul/texels.wgsl' with { type: 'text' }
import textureSource from '../../../shaders/matmul/texture.wgsl' with { type: 'text' }
import type { AdapterFacts } from '../../gpu/adapter.ts'
import type { Constants } from '../../gpu/kernel.ts'
import { recorder } from '../../gpu/recorder.ts'
import { perTexel, TEXTURE_WIDTH } from '../../kernels/packed.ts'
import { unrolled } from '../../kernels/unroll.ts'
import type { Variant } from '../../kernels/variants.ts'
import { type DType, record, type Tensor } from '../../tensor/tensor.ts'
import { endingConstants, type Product } from './product.ts'

export const subgroup: Variant<Product> = {
  name: 'subgroup',
  fits,
  cost: (product, adapter) => choosePanels(product, adapter).cost * product.K * onGpu(adapter),
  record: (product) => {
    const { adapter } = recorder()
    const panels = choosePanels(product, adapter)
    const constants = { ROW_PANELS: panels.rowPanels, COLUMN_PANELS: panels.columnPanels }
    recordPanels('matmul/subgroup', subgroupSource, product, panels, constants)
  },
}

/** The same for few rows of a, whose values lanes load side by side. See shaders/matmul/few.wgsl. */
export const few: Variant<Product> = {
  name: 'few',
  fits: (product, adapter) => fits(product, adapter) && product.M <= 16,
  cost: (product, adapter) => chooseFew(product, adapter).cost * product.K * onGpu(adapter),
  record: (product) => {
    const { adapter } = recorder()
    const panels = chooseFew(product, adapter)
    const { TURNS = 1 } = TEXEL_TYPES[product.b.dtype] ?? {}
    const BLOCK = Math.max(adapter.subgroupSize, TURNS)
    recordPanels('matmul/few', fewSource, product, panels, {
      ROWS: panels.rows,
      COLUMN_PANELS: panels.columnPanels,
      PAIRS: panels.columnPanels / (product.pair ? 2 : 1),
      BLOCK,
      LOADS: BLOCK / adapter.subgroupSize,
    })
  },
}

/** What costs more on a GPU: broadcasts are shuffles there, and a workgroup of one subgroup fills little of it. */
function onGpu({ software }: AdapterFacts): number {
  return software ? 1 : 100
}

const PANELS = panelsSource + aSource + texelSource
const ENDING = endingSource + activationSource

function fits({ b, K, bIsNK, batch = 1 }: Product, { subgroupSize }: AdapterFacts): boolean {
  if (subgroupSize < 4 || subgroupSize > 32 || !bIsNK || batch !== 1 || b.shards) return false
  return b.packed !== undefined || b.dtype === 'int4' || K % perTexel(b.dtype) === 0
}

function recordPanels(
  name: string,
  source: string,
  product: Product,
  tiles: Tiles,
  constants: Constants,
): void {
  const { a, b, pair, y, M, N, K, scale = 1, bias, activation, residual } = product
  const aligned = K % 4 === 0
  record({
    kernel: unrolled(name, source + PANELS + weightSource(b) + ENDING, {
      LANES: recorder().adapter.subgroupSize,
      ALIGNED: aligned,
      AWord: aligned ? 'vec4f' : 'f32',
      GATED: pair !== undefined,
      ...constants,
      ...weightConstants(b),
      ...endingConstants(bias, activation, residual),
    }),
    reads: { a, ...boundTexels(b, pair), bias, residual },
    writes: { y },
    sizes: {
      M,
      N,
      K: aligned ? K / 4 : K,
      scale,
      tiles_m: tiles.tilesM,
      tiles_n: tiles.tilesN,
      y_cols: N,
      y_first: 0,
      texels: texelsOf(b, K),
      b_first: b.packed?.firstRow ?? 0,
      up_first: pair?.packed?.firstRow ?? 0,
    },
    workgroups: panelGrid(tiles),
    cut: 'first_group',
    flops: 2 * M * N * K * (pair ? 2 : 1),
    ...(residual ? { inPlace: { read: 'residual', write: 'y' } } : {}),
  })
}

interface Tiles {
  readonly tilesM: number
  readonly tilesN: number
}

/** What a subgroup computes, and how many of them there are. */
export interface Panels extends Tiles {
  readonly rowPanels: number
  readonly columnPanels: number
  /** Of one k, in multiply-adds of all lanes. */
  readonly cost: number
}

/** Subgroups at work at once on the smallest adapters we care for: two cores, a few each to even them out. */
const PARALLEL = 8

/**
 * The tile with the least work. In cycles of lavapipe (two cores of a Xeon, November 2026) a load of a costs 60, of b 30
 * through a texture and 100 from a buffer, a broadcast 13, and a multiply-add 1. Past 256 sums a lane, or 128 where b comes
 * from a buffer, registers spill and it falls to half. SwiftShader, with four lanes, takes 3.3 times as long.
 */
export function choosePanels(
  { b, pair, M, N }: Pick<Product, 'b' | 'pair' | 'M' | 'N'>,
  { subgroupSize: lanes }: AdapterFacts,
): Panels {
  const load = b.packed ? 30 : 100
  const mostSums = b.packed ? 256 : 128
  let best: Panels | undefined
  for (const rowPanels of [4, 2, 1]) {
    for (const columnPanels of [8, 4, 2, ...(pair ? [] : [1])]) {
      const sums = rowPanels * lanes * columnPanels
      if (sums > mostSums) continue
      const cols = (columnPanels * lanes) / (pair ? 2 : 1)
      const [tilesM, tilesN] = [Math.ceil(M / (rowPanels * lanes)), Math.ceil(N / cols)]
      const cycles = 13 + 60 * rowPanels + load * columnPanels + 13 * lanes * rowPanels + 4 * sums
      const cost = (Math.max(tilesM * tilesN, PARALLEL) * cycles * (lanes < 8 ? 3.3 : 1)) / 4
      if (!best || cost < best.cost) best = { rowPanels, columnPanels, tilesM, tilesN, cost }
    }
  }
  return best!
}

/** The same for few rows: broadcasts of real rows only, and loads of a shared by LANES fours of k. */
function chooseFew(
  { b, pair, M, N }: Product,
  { subgroupSize: lanes }: AdapterFacts,
): Tiles & { readonly rows: number; readonly columnPanels: number; readonly cost: number } {
  const rows = M === 1 ? 1 : M === 2 ? 2 : M <= 4 ? 4 : 8
  const tilesM = Math.ceil(M / rows)
  const load = b.packed ? 30 : 100
  const counts = pair ? [4, 2] : [4, 2, 1]
  const choices = counts.map((columnPanels) => {
    const tilesN = Math.ceil(N / ((columnPanels * lanes) / (pair ? 2 : 1)))
    const cycles = (60 / lanes + 13) * rows + load * columnPanels + 4 * rows * columnPanels
    const cost = (Math.max(tilesM * tilesN, PARALLEL) * cycles * (lanes < 8 ? 3.3 : 1)) / 4
    return { rows, columnPanels, tilesM, tilesN, cost }
  })
  return choices.reduce((best, choice) => (choice.cost < best.cost ? choice : best))
}

/** Workgroups for all tiles: a few side by side, so that a plan can cut the grid along y. */
export function panelGrid({ tilesM, tilesN }: Tiles): [x: number, y: number, z: number] {
  const groups = tilesM * tilesN
  const x = Math.min(groups, Math.max(8, Math.ceil(groups / 65_535)))
  return [x, Math.ceil(groups / x), 1]
}

// ---------------------------------------------------------------------------------------------------------
// Weights by texels, for conv.ts too

/** Texels of a row of b; rows of int4 end in zeros. */
export function texelsOf(b: Tensor, K: number): number {
  return b.packed?.texels ?? Math.ceil(K / perTexel(b.dtype))
}

/** The part of a kernel that reads weights where they are. */
export function weightSource(b: Tensor): string {
  return b.packed ? textureSource : bufferSource
}

const TEXEL_TYPES: Partial<Record<DType, { B_TYPE: number; TURNS: number }>> = {
  f32: { B_TYPE: 0, TURNS: 1 },
  f16: { B_TYPE: 1, TURNS: 2 },
  bf16: { B_TYPE: 2, TURNS: 2 },
  int8: { B_TYPE: 3, TURNS: 4 },
  int4: { B_TYPE: 4, TURNS: 8 },
}

export function weightConstants(b: Tensor): Constants {
  return {
    ...TEXEL_TYPES[b.dtype],
    ...(b.packed ? { TEXTURE_WIDTH } : {}),
    SCALE_GROUPS: b.dtype === 'int8' ? 1 : b.dtype === 'int4' ? 2 : 0,
  }
}

export function boundTexels(b: Tensor, pair: Tensor | undefined): Record<string, Tensor | undefined> {
  return { b, b_up: pair ?? b, b_scales: b.scales, up_scales: pair?.scales }
}
