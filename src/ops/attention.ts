// Attention: one kernel for all of the model's kinds, which never stores the scores.
//
//   y = softmax(scale * q k^T + bias) v
//
// How threads share the work is chosen here, by shape. With many queries a thread takes a few of them and all keys.
// With few, as when a dozen mask queries look at 4,096 pixels, or a token is decoded, the keys are split among
// threads too and a second kernel adds up their parts. See shaders/attention.wgsl for the rest.

import attentionSource from '../../shaders/attention.wgsl' with { type: 'text' }
import combineSource from '../../shaders/attention-combine.wgsl' with { type: 'text' }
import bitsSource from '../../shaders/mask-bits.wgsl' with { type: 'text' }
import relativeSource from '../../shaders/relative-position.wgsl' with { type: 'text' }
import { ShapeError } from '../errors.ts'
import { kernel } from '../gpu/kernel.ts'
import type { SizeValue } from '../gpu/recorder.ts'
import { asColumns, type Columns, expectShape, expectType, record, type Tensor, tensor } from './tensor.ts'
import { unrolled } from './unroll.ts'

export interface AttentionOptions {
  /** [B?, Tq, heads * d] */
  readonly query: Tensor | Columns
  /** [B?, Tk, kvHeads * d] */
  readonly key: Tensor | Columns
  /** [B?, Tk, kvHeads * d] */
  readonly value: Tensor | Columns
  readonly heads: number
  /** Heads of keys and values, each shared by heads / kvHeads heads of queries; `heads` by default. */
  readonly kvHeads?: number
  /** d^-0.5 by default. */
  readonly scale?: number
  readonly bias?: AttentionBias
}

/**
 * Which keys a query sees, or how much it leans to them.
 *
 * - `causal`    query i is at position start + i and sees the keys up to there; Tk is the capacity of a cache
 * - `length`    all queries see keys [0, length)
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

/** Threads of a workgroup; they work alone. */
const WG = 32
/** Keys of a block, as in the shader. */
const BLOCK = 32
/** Channels of a head, at most. */
export const MAX_HEAD = 128

/**
 * Scaled dot-product attention.
 *
 * A query that sees no key at all gives 0.
 *
 * @returns [B?, Tq, heads * d]
 * @throws ShapeError if shapes don't fit; d must be a multiple of 4, at most 128
 *
 * Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023 (grouped heads); Dao et al. 2022 (no stored scores).
 */
export function attention(options: AttentionOptions): Tensor {
  const shapes = check(options)
  const { B, Tq, Tk, d, heads, kvHeads } = shapes
  const { bias, scale = d ** -0.5 } = options
  const [query, key, value] = [asColumns(options.query), asColumns(options.key), asColumns(options.value)]
  const D4 = d / 4
  const group = heads / kvHeads
  const seen = bias?.kind === 'causal' && typeof bias.start === 'number' ? Math.min(Tk, bias.start + Tq) : Tk
  const flops = 4 * B * heads * Tq * seen * d

  // 1. What each query leans to, where it depends on the query
  const relative = bias?.kind === 'relative' ? bias : undefined
  const lean = relative && {
    rel_h: relativePositions(query, relative.height, 0, relative.size, shapes),
    rel_w: relativePositions(query, relative.width, 1, relative.size, shapes),
  }

  // 2. Attention, over all keys or in splits
  const rows = Tq * group
  const tile = chooseTile({ units: B * kvHeads, rows, keys: Tk, d, flops, splittable: !relative })
  const rowBlocks = Math.ceil(rows / (tile.ROWS * (WG / tile.LANES)))
  const y = tensor([...query.tensor.shape.slice(0, -1), heads * d])
  const isSplit = tile.splits > 1
  const parts = isSplit ? tensor([B * Tq * heads, tile.splits, d + 4]) : y
  record({
    kernel: unrolled('attention', attentionSource, {
      D4,
      ROWS: tile.ROWS,
      WG,
      LANES: tile.LANES,
      GROUP: group,
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
      splits: tile.splits,
      heads,
      columns: relative?.size[1] ?? 1,
      scale,
      ...placeOf('q', query),
      ...placeOf('k', key),
      ...placeOf('v', value),
    },
    workgroups: [tile.splits / tile.LANES, kvHeads * rowBlocks, B],
    flops,
    cut: 'first_group',
  })
  if (!isSplit) return y

  // 3. The splits' parts together
  const outputs = B * Tq * heads
  record({
    kernel: kernel('attention-combine', combineSource, { D4, WG }),
    reads: { parts },
    writes: { y },
    sizes: { rows: outputs, splits: tile.splits },
    workgroups: Math.ceil((outputs * D4) / WG),
    flops: 2 * parts.size,
  })
  return y
}

/** The unscaled queries' products with one table: [B, Tq, heads, H or W], times log2(e). */
function relativePositions(
  query: Columns,
  table: Tensor,
  axis: 0 | 1,
  size: readonly [H: number, W: number],
  { B, Tq, d, heads }: Shapes,
): Tensor {
  const [, W] = size
  const side = size[axis]
  const across = size[1 - axis]!
  const QUERIES = across >= 8 ? 4 : 1
  const y = tensor([B, Tq, heads, side])
  record({
    kernel: unrolled('relative-position', relativeSource, { D4: d / 4, QUERIES, WG }),
    reads: { query: query.tensor, table },
    writes: { y },
    sizes: {
      side,
      across,
      side_step: axis === 0 ? W : 1,
      across_step: axis === 0 ? 1 : W,
      heads,
      ...placeOf('q', query),
    },
    workgroups: [Math.ceil((side * Math.ceil(across / QUERIES)) / WG), heads, B],
    flops: 2 * y.size * d,
  })
  return y
}

/**
 * Where mask logits block a query: the bits that attention's `mask` takes. Blocked is where logit < 0; a query
 * blocked everywhere is opened everywhere.
 *
 * @param logits [Q, T]
 * @returns      u32 [Q, ceil(T / 32)]
 *
 * Source: Cheng et al. 2022, section 3.2.1; spec 6.4.
 */
export function maskBits(logits: Tensor): Tensor {
  expectShape('maskBits', 'logits', logits, [undefined, undefined])
  expectType('maskBits', 'logits', logits, 'f32')
  const [Q = 1, T = 1] = logits.shape
  const bits = tensor([Q, Math.ceil(T / 32)], 'u32')
  record({
    kernel: kernel('mask-bits', bitsSource, { WG }),
    reads: { logits },
    writes: { bits },
    sizes: { rows: Q, cols: T },
    workgroups: Q,
    flops: logits.size,
  })
  return bits
}

// ---------------------------------------------------------------------------------------------------------

interface Tile {
  /** Rows of a thread. */
  readonly ROWS: number
  /** Threads of a workgroup that share rows and split the keys. */
  readonly LANES: number
  /** Threads that split the keys, in all workgroups. */
  readonly splits: number
}

/**
 * More rows a thread mean fewer loads, which is where software adapters spend their time, but more registers (2 d
 * floats a row) and a longer compile.
 */
function chooseTile(work: {
  units: number
  rows: number
  keys: number
  d: number
  flops: number
  splittable: boolean
}): Tile {
  const { units, rows, keys, d, flops } = work
  const wanted = flops < 4e6 ? 1 : flops < 2e7 ? 2 : 4
  let ROWS = 1
  while (ROWS < wanted && ROWS < rows && 2 * ROWS * d <= 128) ROWS *= 2

  // Too few threads to fill an adapter: share the blocks of keys among more
  const threads = units * Math.ceil(rows / ROWS)
  const blocks = Math.ceil(keys / BLOCK)
  if (!work.splittable || threads >= 256 || blocks < 4) return { ROWS, LANES: 1, splits: 1 }
  let LANES = 4
  while (LANES < WG && 2 * LANES <= blocks) LANES *= 2
  // At least two blocks a split, so that there is less to add up than to compute
  let groups = 1
  while (LANES * groups * 4 <= blocks && threads * LANES * groups < 2048) groups *= 2
  return { ROWS, LANES, splits: LANES * groups }
}

/** Where rows and the first head begin, in vec4f. */
function placeOf(prefix: 'q' | 'k' | 'v', { tensor: x, start }: Columns): Record<string, number> {
  return { [`${prefix}_stride`]: x.shape.at(-1)! / 4, [`${prefix}_start`]: start / 4 }
}

interface Shapes {
  readonly B: number
  readonly Tq: number
  readonly Tk: number
  readonly d: number
  readonly heads: number
  readonly kvHeads: number
}

function check({ query, key, value, heads, kvHeads = heads, bias }: AttentionOptions): Shapes {
  const parts = { query: asColumns(query), key: asColumns(key), value: asColumns(value) }
  const rank = parts.query.tensor.shape.length
  if (rank !== 2 && rank !== 3) {
    throw new ShapeError(
      `attention: query is [${parts.query.tensor.shape.join(', ')}], expected [Tq, C] or [B, Tq, C].`,
    )
  }
  const B = rank === 3 ? parts.query.tensor.shape[0]! : 1
  const Tq = parts.query.tensor.shape.at(-2)!
  const Tk = parts.key.tensor.shape.at(-2) ?? 0
  const d = parts.query.count / heads
  if (!Number.isInteger(d) || d % 4 !== 0 || d > MAX_HEAD) {
    throw new ShapeError(
      `attention: ${parts.query.count} columns of query in ${heads} heads make heads of ${d}; ` +
        `expected a multiple of 4, at most ${MAX_HEAD}.`,
    )
  }
  if (!Number.isInteger(heads / kvHeads)) {
    throw new ShapeError(`attention: ${heads} heads can't share ${kvHeads} heads of keys evenly.`)
  }
  for (const [name, x] of Object.entries(parts)) {
    const { tensor: whole, start, count } = x
    const rows = name === 'query' ? Tq : Tk
    expectShape('attention', name, whole, rank === 3 ? [B, rows, undefined] : [rows, undefined])
    expectType('attention', name, whole, 'f32')
    const width = (name === 'query' ? heads : kvHeads) * d
    if (count !== width) {
      throw new ShapeError(`attention: ${name} has ${count} columns, expected ${width} (heads of ${d}).`)
    }
    if (start % 4 !== 0 || whole.shape.at(-1)! % 4 !== 0) {
      throw new ShapeError(
        `attention: ${name} is columns ${start} to ${start + count} of [${whole.shape.join(', ')}]; ` +
          'they must start, and rows must be as long as, a multiple of 4.',
      )
    }
  }
  if (bias?.kind === 'mask') {
    expectShape('attention', 'bits', bias.bits, [Tq, Math.ceil(Tk / 32)])
    expectType('attention', 'bits', bias.bits, 'u32')
  }
  if (bias?.kind === 'relative') {
    const [H, W] = bias.size
    if (H * W !== Tq || Tq !== Tk || heads !== kvHeads) {
      throw new ShapeError(
        `attention: relative positions on ${H} x ${W} tokens take ${H * W} queries and keys with the same heads, ` +
          `found ${Tq} queries of ${heads} heads and ${Tk} keys of ${kvHeads}.`,
      )
    }
    expectShape('attention', 'height', bias.height, [2 * H - 1, d])
    expectShape('attention', 'width', bias.width, [2 * W - 1, d])
    expectType('attention', 'height', bias.height, 'f32')
    expectType('attention', 'width', bias.width, 'f32')
  }
  return { B, Tq, Tk, d, heads, kvHeads }
}
