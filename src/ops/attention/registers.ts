// Attention by threads that work alone, with their rows in registers: runs anywhere.
// See shaders/attention/registers.wgsl.
//
// With many queries a thread takes a few of them and all keys. With few, as when a dozen mask queries look at 4,096
// pixels, or a token is decoded, the keys are split among threads too.

import f32 from '#shaders/attention/registers.wgsl'
import f16 from '#shaders/attention/registers.wgsl?F16_KEYS'
import type { Variant } from '../../kernels/variants.ts'
import {
  type AttentionProblem,
  BLOCK_KEYS,
  flopsOf,
  recordAttention,
  rowsOfHead,
  splitsFor,
  WG,
} from './problem.ts'

/** Threads keep their rows in registers, and share nothing: right everywhere. */
export const registers: Variant<AttentionProblem> = {
  name: 'registers',
  fits: () => true,
  cost: costOf,
  record: (problem) => {
    const { ROWS, SPLIT_THREADS, splits } = chooseTile(problem)
    recordAttention(
      problem,
      { f32, f16 },
      {
        constants: { ROWS, WG, SPLIT_THREADS },
        rowsPerGroup: ROWS * (WG / SPLIT_THREADS),
        splits,
        splitsPerGroup: SPLIT_THREADS,
      },
    )
  },
}

interface Tile {
  /** Rows per thread. */
  readonly ROWS: number
  /** Threads of a workgroup that share rows and split the keys. */
  readonly SPLIT_THREADS: number
  /** Threads that split the keys, in all workgroups. */
  readonly splits: number
}

/**
 * More rows per thread mean fewer loads, which is where software adapters spend their time, but more registers (2 d
 * floats per row) and a longer compile.
 */
function chooseTile(problem: AttentionProblem): Tile {
  const { B, Tk, d, kvHeads, bias } = problem
  const rows = rowsOfHead(problem)
  const flops = flopsOf(problem)
  const wanted = flops < 4e6 ? 1 : flops < 2e7 ? 2 : 4
  let ROWS = 1
  while (ROWS < wanted && ROWS < rows && 2 * ROWS * d <= 128) ROWS *= 2

  // Too few threads to fill an adapter: share the blocks of keys among more
  const threads = B * kvHeads * Math.ceil(rows / ROWS)
  const blocks = Math.ceil(Tk / BLOCK_KEYS)
  if (bias?.kind === 'relative' || threads >= 256 || blocks < 4) return { ROWS, SPLIT_THREADS: 1, splits: 1 }
  const keys = blocks * BLOCK_KEYS
  // A block for each thread of a workgroup, then two blocks at least for each of more
  const SPLIT_THREADS = splitsFor({ keys, least: BLOCK_KEYS, groups: 1, parallel: WG, first: 4 })
  const splits = splitsFor({
    keys,
    least: 2 * BLOCK_KEYS,
    groups: threads,
    parallel: 2048,
    first: SPLIT_THREADS,
  })
  return { ROWS, SPLIT_THREADS, splits }
}

/**
 * Cycles of a core of lavapipe (a Xeon, November 2026): eight threads load a vec4f in 100, with the calls that several
 * rows share and their larger code, and multiply and add four values in 4.
 */
function costOf(problem: AttentionProblem): number {
  const { B, Tk, d, kvHeads } = problem
  const { ROWS } = chooseTile(problem)
  const threads = Math.max(8, B * kvHeads * Math.ceil(rowsOfHead(problem) / ROWS))
  return (threads / 8) * Tk * ((d / 4) * 2 * (100 + 6 * ROWS) + 60 * ROWS)
}
