// Cases of attention: every kind of bias, grouped heads, few and many queries; rotary positions, masks of bits,
// deformable attention.

import { type AttentionBias, attention, maskBits } from '../../ops/attention/attention.ts'
import { deformableAttention } from '../../ops/attention/deformable.ts'
import { rope } from '../../ops/attention/rope.ts'
import { columns, param, type Tensor } from '../../tensor/tensor.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../case.ts'
import { type HostTensor, hostTensor, type Random, type WeightType } from '../random.ts'
import { at, setBit } from '../references/at.ts'
import {
  type AttentionSizes,
  attentionReference,
  deformableReference,
  isBlocked,
  maskBitsReference,
  relativeBias,
  ropeReference,
  type ScoreBias,
} from '../references/attention.ts'

/** Dot products of at most 128 values, exponentials good to some ULP, and weighted means. */
const TOLERANCE = 2e-6
/** Multiply-adds of a reference. */
const BUDGET = 3e6
/** Each size of heads is a kernel of its own, and takes the longer to compile the larger it is. */
const HEADS = [16, 16, 24, 32, 32, 64, 8, 72, 128]

function drawSizes(random: Random): Required<AttentionSizes> {
  for (;;) {
    const d = random.pick(HEADS)
    const kvHeads = random.whole(1, 3)
    const sizes = {
      B: random.pick([1, 1, 1, 3]),
      Tq: random.size(random.pick([16, 16, 140, 600])),
      Tk: random.size(random.flip() ? 300 : 1100),
      heads: kvHeads * random.whole(1, 3),
      kvHeads,
      d,
    }
    if (sizes.B * sizes.Tq * sizes.Tk * sizes.heads * d <= BUDGET) return sizes
  }
}

/** Query, key and value, and what the kinds of bias take. */
type Name = 'query' | 'key' | 'value' | 'bits' | 'height' | 'width'

interface Drawn {
  readonly sizes: Required<AttentionSizes>
  readonly what: string
  readonly bias?: ScoreBias
  readonly more?: Readonly<Partial<Record<Name, HostTensor>>>
  readonly biasOf?: (t: Readonly<Record<Name, Tensor>>) => AttentionBias
  readonly params?: Readonly<Record<string, number>>
}

/** @param type of keys and values */
function inputsOf(
  random: Random,
  { B, Tq, Tk, heads, kvHeads, d }: Required<AttentionSizes>,
  type: WeightType,
) {
  const cached = (): HostTensor =>
    type === 'f32' ? random.tensor([B, Tk, kvHeads * d]) : random.weight([B, Tk, kvHeads * d], type)
  return { query: random.tensor([B, Tq, heads * d]), key: cached(), value: cached() }
}

function caseOf(
  inputs: ReturnType<typeof inputsOf>,
  { sizes, what, bias, more, biasOf, params }: Drawn,
): KernelCase {
  const { query, key, value } = inputs
  const { B, Tq, Tk, heads, kvHeads, d } = sizes
  return kernelCase({
    shape: `${B > 1 ? `${B} of ` : ''}${Tq} x ${Tk}, ${heads}/${kvHeads} heads of ${d}${what}`,
    inputs: { ...inputs, ...more } as Readonly<Record<Name, HostTensor>>,
    ...(params ? { params } : {}),
    run: (t) =>
      attention({
        query: t.query,
        key: t.key,
        value: t.value,
        heads,
        kvHeads,
        ...(biasOf ? { bias: biasOf(t) } : {}),
      }),
    reference: () =>
      attentionReference(sizes, { query: query.data, key: key.values, value: value.values }, bias),
    tolerance: TOLERANCE,
  })
}

/** The bits of 32,768. */
const LARGE_F16 = 0x7800

/** Past what a cache holds so far there may be anything. */
function spoil(inputs: ReturnType<typeof inputsOf>, { B, Tk }: Required<AttentionSizes>, used: number): void {
  for (const { data, dtype } of [inputs.key, inputs.value]) {
    const size = data.length / B
    const large = dtype === 'f16' ? LARGE_F16 : 1e6
    for (let b = 0; b < B; b++) data.fill(large, b * size + used * (size / Tk), (b + 1) * size)
  }
}

const BIASES: Readonly<Record<string, (random: Random, type: WeightType) => KernelCase>> = {
  none: (random, type) => {
    const sizes = drawSizes(random)
    return caseOf(inputsOf(random, sizes, type), { sizes, what: '' })
  },
  causal: (random, type) => {
    const drawn = drawSizes(random)
    const sizes = { ...drawn, Tk: Math.max(drawn.Tk, drawn.Tq) }
    const start = random.whole(0, sizes.Tk - sizes.Tq)
    const inputs = inputsOf(random, sizes, type)
    spoil(inputs, sizes, start + sizes.Tq)
    return caseOf(inputs, {
      sizes,
      what: `, causal from ${start}`,
      bias: (_b, _h, i, j) => (j <= start + i ? 0 : -Infinity),
      // The position as a parameter, as in decoding
      biasOf: () => ({ kind: 'causal', start: param('position') }),
      params: { position: start },
    })
  },
  window: (random, type) => {
    const drawn = drawSizes(random)
    const sizes = { ...drawn, Tk: Math.max(drawn.Tk, drawn.Tq) }
    const start = random.whole(0, sizes.Tk - sizes.Tq)
    // Lengths of one key, of less than a block of keys, and of all keys
    const window = random.pick([1, random.whole(1, 40), random.whole(1, start + sizes.Tq)])
    const inputs = inputsOf(random, sizes, type)
    spoil(inputs, sizes, start + sizes.Tq)
    return caseOf(inputs, {
      sizes,
      what: `, causal from ${start}, ${window} keys`,
      bias: (_b, _h, i, j) => (j <= start + i && j > start + i - window ? 0 : -Infinity),
      biasOf: () => ({ kind: 'causal', start: param('position'), window }),
      params: { position: start },
    })
  },
  length: (random, type) => {
    const sizes = drawSizes(random)
    const length = random.whole(0, sizes.Tk)
    const inputs = inputsOf(random, sizes, type)
    spoil(inputs, sizes, length)
    return caseOf(inputs, {
      sizes,
      what: `, the first ${length} keys`,
      bias: (_b, _h, _i, j) => (j < length ? 0 : -Infinity),
      biasOf: () => ({ kind: 'length', length }),
    })
  },
  mask: (random, type) => {
    const sizes = { ...drawSizes(random), B: 1 }
    const { Tq, Tk } = sizes
    const words = Math.ceil(Tk / 32)
    const bits = new Uint32Array(Tq * words)
    for (let i = 0; i < Tq; i++) {
      for (let j = 0; j < Tk; j++) {
        // Row 0: one open key. Row 1: all blocked. The others: runs of 50 keys, so that whole words are blocked
        const open = i === 0 ? j === Tk >> 1 : i === 1 ? false : (Math.floor(j / 50) + i) % 3 === 0
        if (!open) setBit(bits, 32 * i * words + j)
      }
    }
    return caseOf(inputsOf(random, sizes, type), {
      sizes,
      what: ', mask',
      bias: (_b, _h, i, j) => (isBlocked(bits, Tk, i, j) ? -Infinity : 0),
      more: { bits: hostTensor(bits, [Tq, words]) },
      biasOf: (t) => ({ kind: 'mask', bits: t.bits }),
    })
  },
  relative: (random, type) => {
    let sizes = drawSizes(random)
    let size: [H: number, W: number] = [1, 1]
    do {
      size = [random.size(14), random.pick([random.size(14), random.size(37)])]
      const T = size[0] * size[1]
      const { d, heads } = drawSizes(random)
      sizes = { B: random.pick([1, 2, 5]), Tq: T, Tk: T, heads, kvHeads: heads, d }
    } while (sizes.B * sizes.Tq * sizes.Tk * sizes.heads * sizes.d > BUDGET / 3)
    const { d } = sizes
    const [height, width] = [random.tensor([2 * size[0] - 1, d]), random.tensor([2 * size[1] - 1, d])]
    const inputs = inputsOf(random, sizes, type)
    const tables = { height: height.data, width: width.data }
    return caseOf(inputs, {
      sizes,
      what: `, on a map of ${size[0]} x ${size[1]}`,
      bias: relativeBias(inputs.query.data, tables, size, sizes),
      more: { height, width },
      biasOf: (t) => ({ kind: 'relative', height: t.height, width: t.width, size }),
    })
  },
}

/** Query, key and value as columns of one tensor. */
function drawFused(random: Random): KernelCase {
  const [B, T, heads, d] = [
    random.whole(1, 3),
    random.size(70),
    random.whole(1, 3),
    random.pick([16, 24, 32]),
  ]
  const C = heads * d
  const qkv = random.tensor([B, T, 3 * C + 4])
  const part = (first: number): Float32Array =>
    Float32Array.from({ length: B * T * C }, (_, i) =>
      at(qkv.data, Math.floor(i / C) * (3 * C + 4) + first + (i % C)),
    )
  return kernelCase({
    shape: `${B} of ${T} x ${T}, ${heads} heads of ${d}, columns of one tensor`,
    inputs: { qkv },
    run: (t) =>
      attention({
        query: columns(t.qkv, 4, C),
        key: columns(t.qkv, 4 + C, C),
        value: columns(t.qkv, 4 + 2 * C, C),
        heads,
      }),
    reference: () =>
      attentionReference(
        { B, Tq: T, Tk: T, heads, d },
        { query: part(4), key: part(4 + C), value: part(4 + 2 * C) },
      ),
    tolerance: TOLERANCE,
  })
}

function drawMaskBits(random: Random): KernelCase {
  const [Q, T] = [random.size(20), random.size(1100)]
  const logits = random.tensor([Q, T])
  // A row that is blocked everywhere, and one with a single key that is open: 0 is not below 0
  logits.data.fill(-1, 0, T)
  if (Q > 1) logits.data.fill(-1, T, 2 * T - 1).fill(0, 2 * T - 1, 2 * T)
  return kernelCase({
    shape: `${Q} x ${T}`,
    inputs: { logits },
    run: (t) => maskBits(t.logits),
    reference: () => maskBitsReference(logits.data, [Q, T]),
    tolerance: 0,
  })
}

function drawRope(random: Random): KernelCase {
  const [T, heads, d] = [random.size(130), random.whole(1, 4), 2 * random.size(64)]
  const theta = random.pick([10_000, 500_000.5, 1_000_000, 5_000_000])
  const position = random.pick([0, random.whole(0, 4000), random.whole(0, 262_000)])
  const extra = random.pick([0, 3])
  const C = heads * d
  const whole = random.tensor([T, C + extra])
  const x = Float32Array.from({ length: T * C }, (_, i) =>
    at(whole.data, Math.floor(i / C) * (C + extra) + extra + (i % C)),
  )
  return kernelCase({
    shape: `${T} x ${heads} heads of ${d}, theta ${theta}, from ${position}${extra > 0 ? ', columns' : ''}`,
    inputs: { whole },
    params: { position },
    run: (t) =>
      rope(extra > 0 ? columns(t.whole, extra, C) : t.whole, { heads, theta, position: param('position') }),
    reference: () => ropeReference(x, heads, d, theta, position),
    // Angles are good to some ULP however late the position
    tolerance: 5e-7,
  })
}

function drawDeformable(random: Random): KernelCase {
  const heads = random.whole(1, 4)
  const points = random.whole(1, 4)
  const d = random.pick([4, 8, 16, 24, 36])
  const levels = Array.from({ length: random.whole(1, 4) }, () => [random.size(16), random.size(16)] as const)
  const T = levels.reduce((sum, [H, W]) => sum + H * W, 0)
  const LP = levels.length * points
  const value = random.tensor([T, heads * d])
  // Points inside, on and far outside of the maps
  const offsets = random.tensor([T, heads * LP * 2], random.pick([1, 4, 8]))
  const weights = random.tensor([T, heads * LP], 3)
  return kernelCase({
    shape: `${levels.map((size) => size.join(' x ')).join(', ')}; ${heads} heads of ${d}, ${points} points`,
    inputs: { value, offsets, weights },
    run: (t) => deformableAttention(t.value, t.offsets, t.weights, { heads, points, levels }),
    reference: () =>
      deformableReference({ value: value.data, offsets: offsets.data, weights: weights.data }, d, {
        heads,
        points,
        levels,
      }),
    tolerance: 2e-6,
  })
}

/** The tests of the ops in src/ops/attention. */
export const ATTENTION: readonly KernelTest[] = [
  ...Object.entries(BIASES).map(
    ([kind, draw]): KernelTest => ({
      name: kind === 'none' ? 'attention' : `attention ${kind}`,
      draw,
      types: ['f32', 'f16'],
    }),
  ),
  { name: 'attention fused', draw: drawFused },
  { name: 'maskBits', draw: drawMaskBits },
  { name: 'rope', draw: drawRope },
  { name: 'deformableAttention', draw: drawDeformable },
]
