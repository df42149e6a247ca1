// Attention by workgroups, with keys and values in workgroup memory: for GPUs. See shaders/attention/tiled.wgsl.
//
// Software adapters pay for its barriers: 200 queries and 4,096 keys under a mask, 8 heads of 32, run at 3.0 GFLOP/s on
// lavapipe and 0.7 on SwiftShader (by subgroups 27 and 6; a Xeon, November 2026). No GPU was at hand to measure it on.

import f32 from '#shaders/attention/tiled.wgsl'
import f16 from '#shaders/attention/tiled.wgsl?F16_KEYS'
import type { Variant } from '../../kernels/variants.ts'
import { type AttentionProblem, recordAttention, rowsOfHead, splitsFor } from './problem.ts'

/** Threads that share a row: the shader adds up four parts of a score. */
const ROW_THREADS = 4
/** Keys of a tile. */
const KEYS = 8
/** Rows per thread, and per workgroup of 64. */
const ROWS = 2
const BLOCK_ROWS = (64 / ROW_THREADS) * ROWS
/** Workgroups that fill a large GPU: 100 multiprocessors, a few per multiprocessor. */
const PARALLEL = 512
/** Keys of a split at least, so that there is less to add up than to compute. */
const SPLIT_KEYS = 64

/** Workgroups share tiles of keys and values: for GPUs. */
export const tiled: Variant<AttentionProblem> = {
  name: 'tiled',
  measuredOnGpu: false,
  fits: ({ d }, { maxInvocations, maxWorkgroupBytes }) =>
    maxInvocations >= 64 && maxWorkgroupBytes >= 64 * d + 5120,
  /**
   * In the cycles of registers and subgroup. On a GPU a guess below both; a CPU behind Vulkan pays 272 cycles per
   * barrier and 50 per read of workgroup memory (lavapipe, a Xeon, November 2026).
   */
  cost: ({ B, Tq, Tk, d, heads }, { software }) => B * heads * Tq * Tk * d * (software ? 8 : 0.01),
  record: (problem) => {
    const { B, Tk, d, kvHeads } = problem
    const groups = B * kvHeads * Math.ceil(rowsOfHead(problem) / BLOCK_ROWS)
    const splits = splitsFor({ keys: Tk, least: SPLIT_KEYS, groups, parallel: PARALLEL })
    recordAttention(
      problem,
      { f32, f16 },
      {
        constants: { KEYS, ROW_THREADS, ROWS, OWN_VEC4S: Math.ceil(d / 4 / ROW_THREADS) },
        loopEnd: KEYS,
        rowsPerGroup: BLOCK_ROWS,
        splits,
        splitsPerGroup: 1,
      },
    )
  },
}
