// Rotary position embedding. The frequencies are computed here, in float64, and become a constant of the kernel: they
// depend on the model alone, and f32 would lose the angle of late positions.

import ropeF32 from '#shaders/attention/rope.wgsl'
import ropeVec4 from '#shaders/attention/rope.wgsl?VEC4'
import { expectFinite, expectNames, expectNoMore, expectWhole, namesOf } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import type { SizeValue } from '../../gpu/recorder.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { groupsFor, THREADS } from '../../kernels/grids.ts'
import { expectSize, MOST_POSITION } from '../../tensor/check.ts'
import {
  asColumns,
  type Columns,
  expectShape,
  expectType,
  record,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'

const ropeShader: ByWidth = { 1: ropeF32, 4: ropeVec4 }

/** Options of `rope`. */
export interface RopeOptions {
  /** Heads that the columns are divided into. */
  readonly heads: number
  /** Base of the frequencies: 10,000 in Phi-3, 5,000,000 in Qwen3-4B-Instruct-2507. */
  readonly theta: number
  /** Position of row 0; the rows follow. */
  readonly position: SizeValue
}

const OPTIONS = namesOf<RopeOptions>({ heads: true, theta: true, position: true })

/**
 * Rotary position embedding: rotates each head's channel pairs (i, i + d/2) by the angle position * theta^(-2i/d)
 * (half-split style, as in Llama).
 *
 * @param x [T, heads * d]
 * @returns [T, heads * d]
 * @throws ShapeError if d isn't a whole even number
 *
 * Source: Su et al. 2021, eq. 34; spec 2.3.
 */
export function rope(x: Tensor | Columns, options: RopeOptions): Tensor {
  expectNoMore('rope', arguments, 2)
  const { tensor: whole, start, count } = asColumns('rope', 'x', x)
  expectNames('rope', options, OPTIONS)
  const { heads, theta } = options
  expectWhole('rope', 'heads', heads)
  expectFinite('rope', 'theta', theta, 1)
  const position = expectSize('rope', 'position', options.position, MOST_POSITION)
  expectShape('rope', 'x', whole, [undefined, undefined])
  expectType('rope', 'x', whole, 'f32')
  const d = count / heads
  if (!Number.isInteger(d) || d % 2 !== 0) {
    throw new ShapeError(
      `rope: ${count} columns in ${heads} heads make heads of ${d}, expected a whole even number.`,
    )
  }
  const [T = 1, stride = 1] = whole.shape
  const half = d / 2
  const width = widthOf(half, stride, start)
  const y = tensor([T, count])
  record({
    kernel: kernel(ropeShader[width], {
      HALF: half,
      COLS: half / width,
      WG: THREADS,
      TURNS: turnsOf(half, theta),
    }),
    reads: { x: whole },
    writes: { y },
    sizes: { T, heads, position, x_stride: stride / width, x_start: start / width },
    workgroups: groupsFor((T * half) / width),
    flops: 4 * y.size,
    bytes: 8 * y.size,
  })
  return y
}

/**
 * The angle by which each of `half` pairs turns per position, theta^(-i / half) radians, as a fraction of a turn of 64
 * bits (of which float64 fills the first 53): the high word before the low one.
 */
function turnsOf(half: number, theta: number): number[] {
  return Array.from({ length: half }, (_, i) => {
    const scaled = (theta ** (-i / half) / (2 * Math.PI)) * 2 ** 32
    const high = Math.floor(scaled)
    return [high, Math.floor((scaled - high) * 2 ** 32)]
  }).flat()
}
