// One attention as attention.ts hands it to the variants of the family: checked, with nothing left to default. It also
// has the parts that the variants share, which is all but their kernels: the position bias is computed before, and the
// results of split keys are joined after.

import combineShader from '#shaders/attention/combine.wgsl'
import positionShader from '#shaders/attention/relative-position.wgsl'
import positionSubgroupShader from '#shaders/attention/relative-position.wgsl?SUBGROUP'
import { type Constants, kernel } from '../../gpu/kernel.ts'
import type { SizeValue } from '../../gpu/recorder.ts'
import type { Shader } from '../../gpu/shader.ts'
import { type Columns, lastDim, record, type Tensor, tensor } from '../../tensor/tensor.ts'

/**
 * The keys that a query sees, or the bias that their positions add to its scores.
 *
 * - `causal`    query i is at position start + i and sees the keys up to there, at most the last `window` of them;
 *               Tk is the capacity of a cache
 * - `length`    all queries see keys [0, length), and all keys where there are fewer
 * - `mask`      u32 [Tq, ceil(Tk / 32)], bit t of word w hides key 32 w + t from all heads; see maskBits
 * - `relative`  SAM's decomposed positions on a map of H x W tokens, which are both queries and keys:
 *               q . height[y - y' + H - 1] + q . width[x - x' + W - 1], with the query not scaled.
 *               height [2H - 1, d], width [2W - 1, d]
 */
export type AttentionBias =
  | {
      /** Queries see the keys up to their own position. */
      readonly kind: 'causal'
      /** Position of query 0 among the keys, 0 or more. */
      readonly start: SizeValue
      /** Keys that a query sees at most, its own included; all up to there by default. */
      readonly window?: number
    }
  | {
      /** Queries see the first keys. */
      readonly kind: 'length'
      /** Number of keys that all queries see. */
      readonly length: SizeValue
    }
  | {
      /** Each query sees the keys that its bits don't hide. */
      readonly kind: 'mask'
      /** u32 [Tq, ceil(Tk / 32)]: bit t of word w hides key 32 w + t. */
      readonly bits: Tensor
    }
  | {
      /** Scores grow by the positions of query and key on a map. */
      readonly kind: 'relative'
      /** [2H - 1, d], by the difference of the rows of query and key. */
      readonly height: Tensor
      /** [2W - 1, d], by the difference of the columns of query and key. */
      readonly width: Tensor
      /** Rows and columns of the map. */
      readonly size: readonly [H: number, W: number]
    }

/** The prelude's BIAS by kind: the numbers of shaders/lib/attention_bias.wgsl, where 0 is none. */
export const BIAS: Readonly<Record<BiasKind, number>> = {
  causal: 1,
  length: 2,
  mask: 3,
  relative: 4,
  window: 5,
}

/** The kinds of bias that kernels are compiled for. A causal bias with a window is a kind of its own. */
type BiasKind = AttentionBias['kind'] | 'window'

/** The kind of a bias as kernels have it; undefined if there is none. */
export function kindOf(bias: AttentionBias | undefined): BiasKind | undefined {
  return bias?.kind === 'causal' && bias.window !== undefined ? 'window' : bias?.kind
}

/** Threads of a workgroup where they work alone. */
export const WG = 32

/** `B` batch, `Tq` queries, `Tk` keys, `d` channels of a head. */
export interface Shapes {
  /** Sequences. */
  readonly B: number
  /** Queries of a sequence. */
  readonly Tq: number
  /** Keys of a sequence, hidden ones too. */
  readonly Tk: number
  /** Channels of a head, a multiple of 4. */
  readonly d: number
  /** Heads of queries. */
  readonly heads: number
  /** Heads of keys and values, each shared by heads / kvHeads heads of queries. */
  readonly kvHeads: number
}

/** One attention, checked. */
export interface AttentionProblem extends Shapes {
  /** f32 [B?, Tq, heads * d], as columns of a tensor. */
  readonly query: Columns
  /** f32 or f16 [B?, Tk, kvHeads * d], as columns of a tensor. */
  readonly key: Columns
  /** [B?, Tk, kvHeads * d] of the type of key, as columns of a tensor. */
  readonly value: Columns
  /** The factor of the scores. */
  readonly scale: number
  /** The keys that a query sees, or a position bias; undefined if every query sees every key. */
  readonly bias: AttentionBias | undefined
  /** [B?, Tq, heads * d] */
  readonly y: Tensor
}

/** Keys of a block, at most: BLOCK_KEYS of shaders/lib/attention_bias.wgsl. */
export const BLOCK_KEYS = 32

/** The sizes that the number of splits follows from. */
interface SplitSizes {
  readonly keys: number
  /** Keys of a split, at least: so many that there is less to add up than to compute. */
  readonly least: number
  /** Workgroups, or whatever works side by side, per split. */
  readonly groups: number
  /** The number of those that fills an adapter. */
  readonly parallel: number
  /** The number of splits to begin with; 1 by default. */
  readonly first?: number
}

/** The parts that keys are split into: doubled until they fill the adapter or are small. */
export function splitsFor({ keys, least, groups, parallel, first = 1 }: SplitSizes): number {
  let splits = first
  while (groups * splits < parallel && 2 * splits * least <= keys) splits *= 2
  return splits
}

/** Rows that share a head of keys: the queries of all its heads. */
export function rowsOfHead({ Tq, heads, kvHeads }: Shapes): number {
  return (Tq * heads) / kvHeads
}

/**
 * FLOPs of both products. Causal queries count the keys that the last of them sees, and under a window those that any
 * sees.
 */
export function flopsOf({ B, Tq, Tk, d, heads, bias }: AttentionProblem): number {
  const { start, window = Infinity } = bias?.kind === 'causal' ? bias : { start: Tk }
  const seen = Math.min(Tk, typeof start === 'number' ? start + Tq : Tk, window + Tq - 1)
  return 4 * B * heads * Tq * seen * d
}

/** The distribution of rows and keys over workgroups by a variant. */
export interface WorkgroupLayout {
  /** The prelude constants of the kernel besides those of all variants. */
  readonly constants: Constants
  /**
   * The end of a loop that Mesa must not unroll, passed as a size so that the compiler can't know it; 0 by default, for
   * a kernel without such a loop.
   */
  readonly loopEnd?: number
  /** Rows, each one query of one head, of a workgroup. */
  readonly rowsPerGroup: number
  /** Parts that the keys are split into. */
  readonly splits: number
  /** Number of these that one workgroup takes. */
  readonly splitsPerGroup: number
  /** Lanes of the subgroups that compute the position bias; by default threads compute it by themselves. */
  readonly lanes?: number
}

/**
 * Records a variant's kernel with what comes before and after it.
 *
 * @param shaders of the kernel, by the type of keys and values
 */
export function recordAttention(
  problem: AttentionProblem,
  shaders: Readonly<Record<'f32' | 'f16', Shader>>,
  { constants, loopEnd = 0, rowsPerGroup, splits, splitsPerGroup, lanes }: WorkgroupLayout,
): void {
  const { B, Tq, Tk, d, heads, kvHeads, query, key, value, scale, bias, y } = problem
  const D4 = d / 4
  const rows = rowsOfHead(problem)
  const rowBlocks = Math.ceil(rows / rowsPerGroup)
  const kind = kindOf(bias)

  // 1. The position bias, which depends on the query
  const relative = bias?.kind === 'relative' ? bias : undefined
  const positionBias = relative && {
    rel_h: relativePositions(relative.height, 0, relative.size, problem, lanes),
    rel_w: relativePositions(relative.width, 1, relative.size, problem, lanes),
  }

  // 2. Attention, over all keys or in splits
  const isSplit = splits > 1
  const parts = isSplit ? tensor([B * Tq * heads, splits, d + 4]) : y
  record({
    kernel: kernel(shaders[key.tensor.dtype === 'f16' ? 'f16' : 'f32'], {
      D4,
      ...constants,
      SHARED_BY: heads / kvHeads,
      BIAS: kind ? BIAS[kind] : 0,
      SPLIT: isSplit,
    }),
    reads: {
      query: query.tensor,
      key: key.tensor,
      value: value.tensor,
      bits: bias?.kind === 'mask' ? bias.bits : undefined,
      rel_h: positionBias?.rel_h,
      rel_w: positionBias?.rel_w,
    },
    writes: { y: parts },
    sizes: {
      rows,
      row_blocks: rowBlocks,
      keys: Tk,
      limit: bias?.kind === 'causal' ? bias.start : bias?.kind === 'length' ? bias.length : 0,
      splits,
      heads,
      extent: relative?.size[1] ?? (bias?.kind === 'causal' ? bias.window : undefined) ?? 1,
      scale,
      ...placeOf('q', query),
      ...placeOf('k', key),
      ...placeOf('v', value),
      loop_end: loopEnd,
    },
    workgroups: [splits / splitsPerGroup, kvHeads * rowBlocks, B],
    flops: flopsOf(problem),
    cut: 'first_group',
  })
  if (!isSplit) return

  // 3. The splits' parts together
  const outputs = B * Tq * heads
  record({
    kernel: kernel(combineShader, { D4, WG }),
    reads: { parts },
    writes: { y },
    sizes: { rows: outputs, splits },
    workgroups: Math.ceil((outputs * D4) / WG),
    flops: 2 * parts.size,
  })
}

/**
 * The unscaled queries' products with one table: [B, Tq, heads, H or W], times log2(e).
 *
 * @param lanes of the subgroups that compute it; undefined where threads compute it by themselves
 */
function relativePositions(
  table: Tensor,
  axis: 0 | 1,
  size: readonly [H: number, W: number],
  { query, B, Tq, d, heads }: AttentionProblem,
  lanes: number | undefined,
): Tensor {
  const [H, W] = size
  const [side, across] = axis === 0 ? [H, W] : [W, H]
  const D4 = d / 4
  const y = tensor([B, Tq, heads, side])
  const LANES = lanes ?? 1
  const QUERIES = queriesPerThread(across, D4, lanes)
  const constants = { D4, QUERIES, LANES, WG: lanes ?? WG }
  const strips = side * Math.ceil(across / (QUERIES * LANES))
  record({
    kernel: kernel(lanes ? positionSubgroupShader : positionShader, constants),
    reads: { query: query.tensor, table },
    writes: { y },
    sizes: {
      side,
      across,
      side_step: axis === 0 ? W : 1,
      across_step: axis === 0 ? 1 : W,
      heads,
      ...placeOf('q', query),
      query_vec4s: QUERIES * D4,
    },
    workgroups: [lanes ? strips : Math.ceil(strips / WG), heads, B],
    flops: 2 * y.size * d,
  })
  return y
}

/** The more, the fewer loads of the table, as long as queries and sums fit in registers. */
function queriesPerThread(across: number, D4: number, lanes: number | undefined): number {
  if (!lanes) return across >= 8 ? 4 : 1
  if (across > 2 * lanes && D4 <= 18) return 4
  return across > lanes ? 2 : 1
}

/** The stride of rows and the place of the first head, in vec4f. */
function placeOf(prefix: 'q' | 'k' | 'v', { tensor: x, start }: Columns): Record<string, number> {
  return { [`${prefix}_stride`]: lastDim(x) / 4, [`${prefix}_start`]: start / 4 }
}
