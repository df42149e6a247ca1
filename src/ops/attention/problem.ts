// One attention as attention.ts hands it to the variants of the family: checked, with nothing left to default; and what
// the variants share, which is all but their kernels: positions before, the parts of split keys added up after.

import combineSource from '../../../shaders/attention/combine.wgsl' with { type: 'text' }
import relativeSource from '../../../shaders/attention/relative-position.wgsl' with { type: 'text' }
import relativeSubgroupSource from '../../../shaders/attention/relative-position-subgroup.wgsl' with {
  type: 'text',
}
import sizesSource from '../../../shaders/attention/sizes.wgsl' with { type: 'text' }
import nanSource from '../../../shaders/lib/nan.wgsl' with { type: 'text' }
import { type Constants, textKernel as kernel } from '../../gpu/kernel.ts'
import type { SizeValue } from '../../gpu/recorder.ts'
import { unrolled } from '../../kernels/unroll.ts'
import { type Columns, record, type Tensor, tensor } from '../../tensor/tensor.ts'

/**
 * Which keys a query sees, or how much it leans to them.
 *
 * - `causal`    query i is at position start + i and sees the keys up to there; Tk is the capacity of a cache
 * - `length`    all queries see keys [0, length), and all keys where there are fewer
 * - `mask`      u32 [Tq, ceil(Tk / 32)], bit t of word w blocks key 32 w + t, for all heads; see maskBits
 * - `relative`  SAM's decomposed positions on a map of H x W tokens, which are both queries and keys:
 *               q . height[y - y' + H - 1] + q . width[x - x' + W - 1], with the query not scaled.
 *               height [2H - 1, d], width [2W - 1, d]
 */
export type AttentionBias =
  | { readonly kind: 'causal'; readonly start: SizeValue }
  | { readonly kind: 'length'; readonly length: SizeValue }
  | { readonly kind: 'mask'; readonly bits: Tensor }
  | {
      readonly kind: 'relative'
      readonly height: Tensor
      readonly width: Tensor
      readonly size: readonly [H: number, W: number]
    }

/** Threads of a workgroup where they work alone. */
export const WG = 32

export interface Shapes {
  readonly B: number
  readonly Tq: number
  readonly Tk: number
  readonly d: number
  readonly heads: number
  readonly kvHeads: number
}

export interface Problem extends Shapes {
  readonly query: Columns
  readonly key: Columns
  readonly value: Columns
  readonly scale: number
  readonly bias: AttentionBias | undefined
  /** [B?, Tq, heads * d] */
  readonly y: Tensor
}

/** Rows that share a head of keys: the queries of all its heads. */
export function rowsOfHead({ Tq, heads, kvHeads }: Shapes): number {
  return (Tq * heads) / kvHeads
}

/** Of both products; causal queries count the keys that the last of them sees. */
export function flopsOf({ B, Tq, Tk, d, heads, bias }: Problem): number {
  const seen = bias?.kind === 'causal' && typeof bias.start === 'number' ? Math.min(Tk, bias.start + Tq) : Tk
  return 4 * B * heads * Tq * seen * d
}

/** How a variant lays rows and keys out over workgroups. */
export interface Layout {
  readonly rowsPerGroup: number
  /** Parts that the keys are split into, in all workgroups and in one. */
  readonly splits: number
  readonly splitsPerGroup: number
  /** Of the subgroups that compute what comes before; by default threads work alone there. */
  readonly lanes?: number
  /** The end of a loop that no driver is to write out: see the kernel. */
  readonly turns?: number
}

/** Records a variant's kernel with what comes before and after it. */
export function recordAttention(
  problem: Problem,
  name: string,
  source: string,
  constants: Constants,
  { rowsPerGroup, splits, splitsPerGroup, lanes = 0, turns = 0 }: Layout,
): void {
  const { B, Tq, Tk, d, heads, kvHeads, query, key, value, scale, bias, y } = problem
  const D4 = d / 4
  const rows = rowsOfHead(problem)
  const rowBlocks = Math.ceil(rows / rowsPerGroup)

  // 1. What each query leans to, where it depends on the query
  const relative = bias?.kind === 'relative' ? bias : undefined
  const lean = relative && {
    rel_h: relativePositions(relative.height, 0, relative.size, problem, lanes),
    rel_w: relativePositions(relative.width, 1, relative.size, problem, lanes),
  }

  // 2. Attention, over all keys or in splits
  const isSplit = splits > 1
  const parts = isSplit ? tensor([B * Tq * heads, splits, d + 4]) : y
  record({
    kernel: unrolled(name, nanSource + sizesSource + source, {
      D4,
      ...constants,
      GROUP: heads / kvHeads,
      CAUSAL: bias?.kind === 'causal',
      LENGTH: bias?.kind === 'length',
      MASK: bias?.kind === 'mask',
      RELATIVE: relative !== undefined,
      SPLIT: isSplit,
    }),
    reads: {
      query: query.tensor,
      key: key.tensor,
      value: value.tensor,
      bits: bias?.kind === 'mask' ? bias.bits : undefined,
      rel_h: lean?.rel_h,
      rel_w: lean?.rel_w,
    },
    writes: { y: parts },
    sizes: {
      rows,
      row_blocks: rowBlocks,
      keys: Tk,
      limit: bias?.kind === 'causal' ? bias.start : bias?.kind === 'length' ? bias.length : 0,
      splits,
      heads,
      columns: relative?.size[1] ?? 1,
      scale,
      ...placeOf('q', query),
      ...placeOf('k', key),
      ...placeOf('v', value),
      turns,
    },
    workgroups: [splits / splitsPerGroup, kvHeads * rowBlocks, B],
    flops: flopsOf(problem),
    cut: 'first_group',
  })
  if (!isSplit) return

  // 3. The splits' parts together
  const outputs = B * Tq * heads
  record({
    kernel: kernel('attention/combine', nanSource + combineSource, { D4, WG }),
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
 * @param lanes of the subgroups that compute it, 0 for threads that work alone
 */
function relativePositions(
  table: Tensor,
  axis: 0 | 1,
  size: readonly [H: number, W: number],
  { query, B, Tq, d, heads }: Problem,
  lanes: number,
): Tensor {
  const [, W] = size
  const side = size[axis]
  const across = size[1 - axis]!
  const D4 = d / 4
  const y = tensor([B, Tq, heads, side])
  const common = {
    reads: { query: query.tensor, table },
    writes: { y },
    flops: 2 * y.size * d,
  }
  const sizes = {
    side,
    across,
    side_step: axis === 0 ? W : 1,
    across_step: axis === 0 ? 1 : W,
    heads,
    ...placeOf('q', query),
  }
  if (lanes > 0) {
    const QUERIES = across > 2 * lanes && D4 <= 18 ? 4 : across > lanes ? 2 : 1
    record({
      ...common,
      kernel: unrolled('attention/relative-position-subgroup', relativeSubgroupSource, {
        D4,
        LANES: lanes,
        QUERIES,
        LOADS: Math.ceil(D4 / lanes),
      }),
      sizes: { ...sizes, chunks: QUERIES * D4 },
      workgroups: [side * Math.ceil(across / (QUERIES * lanes)), heads, B],
    })
    return y
  }
  const QUERIES = across >= 8 ? 4 : 1
  record({
    ...common,
    kernel: unrolled('attention/relative-position', relativeSource, { D4, QUERIES, WG }),
    sizes,
    workgroups: [Math.ceil((side * Math.ceil(across / QUERIES)) / WG), heads, B],
  })
  return y
}

/** Where rows and the first head begin, in vec4f. */
function placeOf(prefix: 'q' | 'k' | 'v', { tensor: x, start }: Columns): Record<string, number> {
  return { [`${prefix}_stride`]: x.shape.at(-1)! / 4, [`${prefix}_start`]: start / 4 }
}
