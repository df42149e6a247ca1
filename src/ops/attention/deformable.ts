// Multi-scale deformable attention: every token looks at a few points of every level, near its own place.

import deformableShader from '#shaders/attention/deformable.wgsl'
import { describe, expectNames, expectNoMore, expectWhole, namesOf } from '../../check.ts'
import { ShapeError, UsageError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { expectPair, expectTensor } from '../../tensor/check.ts'
import { expectShape, expectType, record, type Tensor, tensor } from '../../tensor/tensor.ts'

/** Options of `deformableAttention`. */
export interface DeformableOptions {
  /** Heads that the channels are divided into. */
  readonly heads: number
  /** Points of each level that a token looks at. */
  readonly points: number
  /** Sizes of the maps whose tokens follow each other in `value`; at most 4. */
  readonly levels: readonly (readonly [H: number, W: number])[]
}

const OPTIONS = namesOf<DeformableOptions>({ heads: true, points: true, levels: true })

const WG = 32
const MAX_LEVELS = 4
/**
 * Vec4s of a head per thread: each spreads the address computations further, but sums must fit in registers.
 * 21,504 tokens of 8 heads take 171, 142 and 153 ms with 8, 4 and 2 on lavapipe, 690, 653 and 810 on SwiftShader
 * (November 2026).
 */
const MAX_CHUNKS = 4

/**
 * Multi-scale deformable attention: softmax of the weights over a head's L * P points, which lie at the token's own
 * place (the middle of its pixel, on every level) plus an offset in pixels of that level, read bilinearly.
 *
 * A head with a place that isn't finite, or a weight that is NaN, is NaN.
 *
 * @param value   [T, heads * d], T = the sum of H * W over the levels
 * @param offsets [T, heads * L * P * 2], x before y
 * @param weights [T, heads * L * P], before the softmax
 * @returns       [T, heads * d]
 * @throws ShapeError if shapes don't fit, d is no multiple of 4, or there are more than 4 levels
 *
 * Source: Zhu et al. 2021, eq. 3; spec 6.2.
 */
export function deformableAttention(
  value: Tensor,
  offsets: Tensor,
  weights: Tensor,
  options: DeformableOptions,
): Tensor {
  expectNoMore('deformableAttention', arguments, 4)
  expectTensor('deformableAttention', 'value', value)
  expectNames('deformableAttention', options, OPTIONS)
  const { heads, points, levels } = options
  expectWhole('deformableAttention', 'heads', heads)
  expectWhole('deformableAttention', 'points', points)
  if (!Array.isArray(levels)) {
    throw new UsageError(
      `deformableAttention: levels is ${describe(levels)}, expected an array of [height, width].`,
    )
  }
  levels.forEach((level, i) => expectPair('deformableAttention', `level ${i}`, level))
  const L = levels.length
  if (L < 1 || L > MAX_LEVELS) {
    throw new ShapeError(`deformableAttention: ${L} levels, expected 1 to ${MAX_LEVELS}.`)
  }
  const T = levels.reduce((sum, [H, W]) => sum + H * W, 0)
  const C = value.shape.at(-1) ?? 0
  const d = C / heads
  if (!Number.isInteger(d / 4)) {
    throw new ShapeError(
      `deformableAttention: ${C} channels in ${heads} heads make heads of ${d}, expected a multiple of 4.`,
    )
  }
  for (const [name, x, width] of [
    ['value', value, C],
    ['offsets', offsets, heads * L * points * 2],
    ['weights', weights, heads * L * points],
  ] as const) {
    expectShape('deformableAttention', name, x, [T, width])
    expectType('deformableAttention', name, x, 'f32')
  }

  const D4 = d / 4
  let CHUNKS = Math.min(D4, MAX_CHUNKS)
  while (D4 % CHUNKS !== 0) CHUNKS--
  const none = [0, 0] as const
  const [[h0, w0] = none, [h1, w1] = none, [h2, w2] = none, [h3, w3] = none] = levels
  const y = tensor([T, C])
  record({
    kernel: kernel(deformableShader, { D4, CHUNKS, WG }),
    reads: { value, offsets, weights },
    writes: { y },
    sizes: { T, heads, levels: L, points, h0, w0, h1, w1, h2, w2, h3, w3 },
    workgroups: [heads * (D4 / CHUNKS), Math.ceil(T / WG), 1],
    // Four taps per point, a multiply-add per channel, and about 40 for each point's place and weight
    flops: T * heads * L * points * (8 * d + 40),
    cut: 'first_group',
  })
  return y
}
