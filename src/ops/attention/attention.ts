// Attention of all kinds that the model has, without ever storing the scores.
//
//   y = softmax(scale * q k^T + bias) v
//
// Shapes are checked here; the variants of the family (subgroup, tiled, registers) do the work, each in its own file.

import maskBitsShader from '#shaders/attention/mask-bits.wgsl'
import { describe, expectFinite, expectNames, expectNoMore, expectWhole, MOST, namesOf } from '../../check.ts'
import { ShapeError, UsageError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { about, type KernelFamily, recordBest } from '../../kernels/variants.ts'
import { expectKind, oneOf } from '../../options.ts'
import { expectPair, expectSize, MOST_POSITION } from '../../tensor/check.ts'
import {
  asColumns,
  type Columns,
  expectShape,
  expectType,
  lastDim,
  record,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'
import { type AttentionBias, type AttentionProblem, kindOf, type Shapes, WG } from './problem.ts'
import { registers } from './registers.ts'
import { subgroup } from './subgroup.ts'
import { tiled } from './tiled.ts'

export type { AttentionBias } from './problem.ts'

/** The arguments of `attention`. */
export interface AttentionOptions {
  /** [B?, Tq, heads * d] */
  readonly query: Tensor | Columns
  /** [B?, Tk, kvHeads * d]; f32, or f16 as the value is too: a cache of half the size */
  readonly key: Tensor | Columns
  /** [B?, Tk, kvHeads * d], of the key's type */
  readonly value: Tensor | Columns
  /** Heads of queries. */
  readonly heads: number
  /** Heads of keys and values, each shared by heads / kvHeads heads of queries; `heads` by default. */
  readonly kvHeads?: number
  /** The factor of the scores; d^-0.5 by default. */
  readonly scale?: number
  /** The keys that a query sees, or a position bias. By default every query sees every key. */
  readonly bias?: AttentionBias
}

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
  expectNoMore('attention', arguments, 1)
  const { query, key, value, bias, shapes } = check(options)
  const { d, heads } = shapes
  const { scale = d ** -0.5 } = options
  const y = tensor([...query.tensor.shape.slice(0, -1), heads * d])
  recordBest(attentionFamily, { ...shapes, query, key, value, scale, bias, y })
  return y
}

/** The variants of attention. */
export const attentionFamily: KernelFamily<AttentionProblem> = {
  name: 'attention',
  variants: [subgroup, tiled, registers],
  classOf: ({ B, Tq, Tk, d, heads, kvHeads, bias, key }) => {
    const type = key.tensor.dtype === 'f16' ? ' f16' : ''
    return `${about(B * kvHeads)} of ${about((Tq * heads) / kvHeads)}x${about(Tk)}x${d}${type} ${kindOf(bias) ?? 'none'}`
  },
  concrete: (problem) => {
    const { bias, Tq, Tk } = problem
    if (bias?.kind === 'length') return { ...problem, bias: { ...bias, length: Tk } }
    if (bias?.kind !== 'causal' || typeof bias.start === 'number') return problem
    return { ...problem, bias: { ...bias, start: Math.max(0, Tk - Tq) } }
  },
}

/**
 * The keys that a query doesn't see, as bits that attention's `mask` takes: a key is hidden where its logit is below 0.
 * NaN hides none. A query that would see no key sees all of them.
 *
 * @param logits [Q, T]
 * @returns      u32 [Q, ceil(T / 32)]
 *
 * Source: Cheng et al. 2022, section 3.2.1; spec 6.4.
 */
export function maskBits(logits: Tensor): Tensor {
  expectNoMore('maskBits', arguments, 1)
  expectShape('maskBits', 'logits', logits, [undefined, undefined])
  expectType('maskBits', 'logits', logits, 'f32')
  const [Q = 1, T = 1] = logits.shape
  const bits = tensor([Q, Math.ceil(T / 32)], 'u32')
  record({
    kernel: kernel(maskBitsShader, { WG }),
    reads: { logits },
    writes: { bits },
    sizes: { rows: Q, cols: T },
    workgroups: Q,
    flops: logits.size,
  })
  return bits
}

// ---------------------------------------------------------------------------------------------------------

const OPTIONS = namesOf<AttentionOptions>({
  query: true,
  key: true,
  value: true,
  heads: true,
  kvHeads: true,
  scale: true,
  bias: true,
})

interface Checked extends Pick<AttentionProblem, 'query' | 'key' | 'value' | 'bias'> {
  readonly shapes: Shapes
}

function check(options: AttentionOptions): Checked {
  expectNames('attention', options, OPTIONS)
  const { query, key, value, heads, kvHeads = heads, scale, bias } = options
  const parts = {
    query: asColumns('attention', 'query', query),
    key: asColumns('attention', 'key', key),
    value: asColumns('attention', 'value', value),
  }
  expectWhole('attention', 'heads', heads)
  expectWhole('attention', 'kvHeads', kvHeads)
  if (scale !== undefined) expectFinite('attention', 'scale', scale)
  const { shape } = parts.query.tensor
  const rank = shape.length
  if (rank !== 2 && rank !== 3) {
    throw new ShapeError(`attention: query is [${shape.join(', ')}], expected [Tq, C] or [B, Tq, C].`)
  }
  const [B = 1] = rank === 3 ? shape : []
  const [Tq = 0] = shape.slice(-2)
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
    if (name === 'query') expectType('attention', name, whole, 'f32')
    else expectType('attention', name, whole, 'f32', 'f16')
    const width = (name === 'query' ? heads : kvHeads) * d
    if (count !== width) {
      throw new ShapeError(`attention: ${name} has ${count} columns, expected ${width} (heads of ${d}).`)
    }
    if (start % 4 !== 0 || lastDim(whole) % 4 !== 0) {
      throw new ShapeError(
        `attention: ${name} is columns ${start} to ${start + count} of [${whole.shape.join(', ')}]; ` +
          'they must start, and rows must be as long as, a multiple of 4.',
      )
    }
  }
  expectType('attention', 'value', parts.value.tensor, parts.key.tensor.dtype)
  const shapes = { B, Tq, Tk, d, heads, kvHeads }
  return { ...parts, bias: bias === undefined ? undefined : checkBias(bias, shapes), shapes }
}

/** The fields that each kind of bias needs; a causal one may have a `window` too. */
const BIAS_FIELDS: Readonly<Record<AttentionBias['kind'], readonly string[]>> = {
  causal: ['kind', 'start'],
  length: ['kind', 'length'],
  mask: ['kind', 'bits'],
  relative: ['kind', 'height', 'width', 'size'],
}

const BIAS_KIND = oneOf(...Object.keys(BIAS_FIELDS))

function checkBias(bias: AttentionBias, { Tq, Tk, d, heads, kvHeads }: Shapes): AttentionBias {
  if (typeof bias !== 'object' || bias === null) {
    throw new UsageError(
      `attention: bias is ${describe(bias)}, expected an object such as { kind: 'causal', start: 0 }.`,
    )
  }
  expectKind("attention: the bias's kind", bias.kind, BIAS_KIND)
  const known = BIAS_FIELDS[bias.kind]
  const optional = bias.kind === 'causal' ? ['window'] : []
  expectNames(`attention: a bias of kind '${bias.kind}'`, bias, [...known, ...optional])
  const missing = known.find((field) => bias[field as keyof AttentionBias] === undefined)
  if (missing) throw new UsageError(`attention: a bias of kind '${bias.kind}' needs \`${missing}\`.`)
  switch (bias.kind) {
    case 'causal':
      return checkCausal(bias, Tq)
    case 'length':
      return { ...bias, length: expectSize('attention', 'length', bias.length, MOST) }
    case 'mask':
      expectShape('attention', 'bits', bias.bits, [Tq, Math.ceil(Tk / 32)])
      expectType('attention', 'bits', bias.bits, 'u32')
      break
    case 'relative':
      expectMap(bias, { Tq, Tk, d, heads, kvHeads })
  }
  return bias
}

/** A window that is longer than the sequence hides nothing, and is left out. */
function checkCausal(bias: AttentionBias & { readonly kind: 'causal' }, Tq: number): AttentionBias {
  const { kind, window } = bias
  const start = expectSize('attention', 'start', bias.start, MOST_POSITION)
  if (window === undefined) return { kind, start }
  expectWhole('attention', 'window', window, 1, MOST_POSITION)
  const isIdle = typeof start === 'number' && start + Tq <= window
  return isIdle ? { kind, start } : { kind, start, window }
}

function expectMap(
  bias: AttentionBias & { readonly kind: 'relative' },
  { Tq, Tk, d, heads, kvHeads }: Omit<Shapes, 'B'>,
): void {
  expectPair('attention', 'size', bias.size)
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
