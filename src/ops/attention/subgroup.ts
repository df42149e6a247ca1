// Attention by subgroups: lanes own rows, keys and values are broadcast. See shaders/attention/subgroup.wgsl.
//
// GFLOP/s of all scores, hidden ones too, by processor time of two cores of a Xeon (November 2026),
// registers -> subgroup:
//
//                                              lavapipe      SwiftShader
//   729 tokens, 16 heads of 72                 2.8 -> 30     0.9 -> 4.3
//   4,096 tokens, 4 heads of 64, relative      4.2 -> 37
//   windows of 196, 16 heads of 64, relative   3.9 -> 21     1.4 -> 3.3
//   512 tokens causal, 32/8 heads of 128       5.2 -> 50     1.9 -> 5.1
//   1 query, 1,800 keys, 32/8 heads of 128     2.4 -> 9.4    0.9 -> 1.6
//   45 queries, 1,800 keys, 32/8 heads of 128  2.8 -> 24     0.9 -> 2.6
//   200 queries, 4,096 keys, mask, 8 of 32      13 -> 27     2.9 -> 6.0

import f32 from '#shaders/attention/subgroup.wgsl'
import f16 from '#shaders/attention/subgroup.wgsl?F16_KEYS'
import type { AdapterFacts } from '../../gpu/adapter.ts'
import { recorder } from '../../gpu/recorder.ts'
import type { Variant } from '../../kernels/variants.ts'
import { type AttentionProblem, BLOCK_KEYS, recordAttention, rowsOfHead, splitsFor } from './problem.ts'

/** The lanes of a subgroup share their loads: for CPUs behind Vulkan. */
export const subgroup: Variant<AttentionProblem> = {
  name: 'subgroup',
  fits: (_, { subgroupSize }) => subgroupSize === 4 || subgroupSize === 8,
  cost: (problem, adapter) => chooseTile(problem, adapter).cost,
  record: (problem) => {
    const { adapter } = recorder()
    const { ROWS, splits } = chooseTile(problem, adapter)
    const LANES = adapter.subgroupSize
    recordAttention(
      problem,
      { f32, f16 },
      {
        constants: { LANES, ROWS },
        loopEnd: (ROWS * problem.d) / 4,
        rowsPerGroup: ROWS * LANES,
        splits,
        splitsPerGroup: 1,
        lanes: LANES,
      },
    )
  },
}

/** Subgroups at work at once on the smallest adapters we care for: two cores, a few per core to even them out. */
const PARALLEL = 8
/**
 * Vec4s of all of a lane's rows. 6 rows of 18 were 2 % faster than 4 on lavapipe, and compiled for 2.2 s instead
 * of 1.3; 8 rows of 16 were 6 % slower, as they outgrow the instruction cache (a Xeon, November 2026).
 */
const MOST_CHUNKS = 72

interface Tile {
  /** Rows of a lane. */
  readonly ROWS: number
  readonly splits: number
  /** The cost in cycles of a core of lavapipe (a Xeon, November 2026): see the shader. */
  readonly cost: number
}

/** The rows of a lane with the least work, and splits of the keys where there are few rows. */
function chooseTile(problem: AttentionProblem, { subgroupSize: lanes }: AdapterFacts): Tile {
  const { B, Tk, d, kvHeads, bias } = problem
  const D4 = d / 4
  const rows = rowsOfHead(problem)
  const tileOf = (ROWS: number): Tile => {
    const groups = B * kvHeads * Math.ceil(rows / (ROWS * lanes))
    const splits =
      bias?.kind === 'relative'
        ? 1
        : splitsFor({ keys: Tk, least: 2 * BLOCK_KEYS, groups, parallel: PARALLEL })
    const key =
      2 * (60 * Math.ceil(D4 / lanes) + 6 * D4) + ROWS * (10 * D4 + (bias?.kind === 'relative' ? 70 : 50))
    return { ROWS, splits, cost: (Math.max(groups * splits, PARALLEL) * Tk * key) / splits }
  }
  let best = tileOf(1)
  for (let ROWS = 2; ROWS <= 4 && ROWS * D4 <= MOST_CHUNKS; ROWS++) {
    const tile = tileOf(ROWS)
    if (tile.cost < best.cost) best = tile
  }
  return best
}
