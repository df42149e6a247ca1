// Attention, rotary positions, masks of bits and deformable attention, in float64.

import type { DeformableOptions } from '../../ops/attention/deformable.ts'
import { addAt, at, setBit } from './at.ts'

/**
 * B batch (1 by default), Tq queries, Tk keys, kvHeads heads of keys (`heads` by default), d channels of a head.
 */
export interface AttentionSizes {
  /** Batch; 1 if undefined. */
  readonly B?: number
  /** Queries. */
  readonly Tq: number
  /** Keys, and so values. */
  readonly Tk: number
  /** Heads of the queries. */
  readonly heads: number
  /** Heads of keys and values, which divide `heads`; `heads` if undefined. */
  readonly kvHeads?: number
  /** Channels of a head. */
  readonly d: number
}

/** The bias that is added to a score; -Infinity blocks the key, and a query without keys gives 0. */
export type ScoreBias = (b: number, h: number, i: number, j: number) => number

interface Projections {
  readonly query: ArrayLike<number>
  readonly key: ArrayLike<number>
  readonly value: ArrayLike<number>
}

/** softmax(q k^T / sqrt(d) + bias) v; query [B, Tq, heads, d], key and value [B, Tk, kvHeads, d] */
export function attentionReference(
  { B = 1, Tq, Tk, heads, kvHeads = heads, d }: AttentionSizes,
  { query, key, value }: Projections,
  bias: ScoreBias = () => 0,
): Float64Array {
  const y = new Float64Array(B * Tq * heads * d)
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < Tq; i++) {
        const first = ((b * Tq + i) * heads + h) * d
        const keyAt = (j: number): number => ((b * Tk + j) * kvHeads + Math.floor((h * kvHeads) / heads)) * d
        const scores = Float64Array.from({ length: Tk }, (_, j) => {
          let sum = 0
          // Indexed directly, as the next loop: see at.ts
          for (let c = 0; c < d; c++) sum += query[first + c]! * key[keyAt(j) + c]!
          return sum / Math.sqrt(d) + bias(b, h, i, j)
        })
        const largest = scores.reduce((a, s) => Math.max(a, s), -Infinity)
        if (largest === -Infinity) continue
        const powers = scores.map((s) => Math.exp(s - largest))
        const total = powers.reduce((a, p) => a + p, 0)
        for (let j = 0; j < Tk; j++) {
          if (powers[j] === 0) continue
          const share = at(powers, j) / total
          for (let c = 0; c < d; c++) y[first + c]! += share * value[keyAt(j) + c]!
        }
      }
    }
  }
  return y
}

/**
 * SAM's relative positions on a map [H, W]: query . height[row distance] + query . width[column distance]
 *
 * @param query  [B, H * W, heads, d]
 * @param height [2 H - 1, d]
 * @param width  [2 W - 1, d]
 */
export function relativeBias(
  query: ArrayLike<number>,
  { height, width }: { readonly height: ArrayLike<number>; readonly width: ArrayLike<number> },
  [H, W]: readonly [number, number],
  { heads, d }: Pick<AttentionSizes, 'heads' | 'd'>,
): ScoreBias {
  const product = (b: number, h: number, i: number, table: ArrayLike<number>, row: number): number => {
    let sum = 0
    for (let c = 0; c < d; c++)
      sum += at(query, ((b * H * W + i) * heads + h) * d + c) * at(table, row * d + c)
    return sum
  }
  return (b, h, i, j) => {
    const [y, x] = [Math.floor(i / W) - Math.floor(j / W), (i % W) - (j % W)]
    return product(b, h, i, height, y + H - 1) + product(b, h, i, width, x + W - 1)
  }
}

/** True if a mask of bits [Q, words] blocks key j for query i. */
export function isBlocked(bits: ArrayLike<number>, Tk: number, i: number, j: number): boolean {
  return ((at(bits, i * Math.ceil(Tk / 32) + (j >> 5)) >>> (j & 31)) & 1) === 1
}

/**
 * A bit for each logit below 0; a row that would be blocked everywhere is open. Bits past the last column are 1.
 *
 * @param logits [Q, T]
 */
export function maskBitsReference(logits: ArrayLike<number>, [Q, T]: readonly [number, number]): Uint32Array {
  const words = Math.ceil(T / 32)
  const bits = new Uint32Array(Q * words)
  for (let q = 0; q < Q; q++) {
    const row = Array.from({ length: T }, (_, t) => at(logits, q * T + t))
    const isOpened = row.every((v) => v < 0)
    for (let t = 0; t < 32 * words; t++) {
      if (t >= T || (!isOpened && at(row, t) < 0)) setBit(bits, 32 * q * words + t)
    }
  }
  return bits
}

/** Rotary positions of x [T, heads * d], row t at `position` + t. */
export function ropeReference(
  x: ArrayLike<number>,
  heads: number,
  d: number,
  theta: number,
  position: number,
): Float64Array {
  const y = new Float64Array(x.length)
  for (let first = 0; first < x.length; first += d) {
    const t = Math.floor(first / (heads * d))
    for (let i = 0; i < d / 2; i++) {
      const angle = (position + t) * theta ** ((-2 * i) / d)
      const [a, b] = [at(x, first + i), at(x, first + i + d / 2)]
      y[first + i] = a * Math.cos(angle) - b * Math.sin(angle)
      y[first + i + d / 2] = b * Math.cos(angle) + a * Math.sin(angle)
    }
  }
  return y
}

/** Deformable attention: a location in [0, 1] on each level, four taps, each 0 outside of the map. */
export function deformableReference(
  { value, offsets, weights }: Readonly<Record<'value' | 'offsets' | 'weights', ArrayLike<number>>>,
  d: number,
  { heads, points, levels }: DeformableOptions,
): Float64Array {
  const LP = levels.length * points
  const C = heads * d
  const y = new Float64Array(value.length)
  let token = 0
  for (const [Hq, Wq] of levels) {
    for (let r = 0; r < Hq; r++) {
      for (let c = 0; c < Wq; c++, token++) {
        for (let h = 0; h < heads; h++) {
          const first = (token * heads + h) * LP
          const logits = Array.from({ length: LP }, (_, i) => at(weights, first + i))
          const largest = Math.max(...logits)
          const total = logits.reduce((sum, w) => sum + Math.exp(w - largest), 0)
          let levelFirst = 0
          levels.forEach(([H, W], l) => {
            for (let p = 0; p < points; p++) {
              const point = first + l * points + p
              const x = ((c + 0.5) / Wq + at(offsets, 2 * point) / W) * W - 0.5
              const yy = ((r + 0.5) / Hq + at(offsets, 2 * point + 1) / H) * H - 0.5
              const share = Math.exp(at(weights, point) - largest) / total
              for (const [ty, tx] of [
                [0, 0],
                [0, 1],
                [1, 0],
                [1, 1],
              ] as const) {
                const [row, column] = [Math.floor(yy) + ty, Math.floor(x) + tx]
                if (row < 0 || row >= H || column < 0 || column >= W) continue
                const w = share * (1 - Math.abs(yy - row)) * (1 - Math.abs(x - column))
                const from = (levelFirst + row * W + column) * C + h * d
                for (let k = 0; k < d; k++) addAt(y, token * C + h * d + k, w * at(value, from + k))
              }
            }
            levelFirst += H * W
          })
        }
      }
    }
  }
  return y
}
