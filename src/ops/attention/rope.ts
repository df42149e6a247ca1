// Rotary position embedding. The frequencies are computed here, in float64, and become a table in the shader's
// text: they depend on the model alone, and f32 would lose the angle of late positions.

import source from '../../../shaders/attention/rope.wgsl' with { type: 'text' }
import { expectFinite, expectNames, expectWhole, namesOf } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { type Kernel, textKernel as kernel } from '../../gpu/kernel.ts'
import type { SizeValue } from '../../gpu/recorder.ts'
import { elem, groupsFor, THREADS, type Width, widthOf } from '../../kernels/elem.ts'
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

export interface RopeOptions {
  readonly heads: number
  /** Base of the frequencies: 10,000 in Phi-3, 5,000,000 in Qwen3-4B-Instruct-2507. */
  readonly theta: number
  /** Position of row 0; the rows follow. */
  readonly position: SizeValue
}

const OPTIONS = namesOf<RopeOptions>({ heads: true, theta: true, position: true })

/**
 * Turns each head's channel pairs (i, i + d/2) by the angle position * theta^(-2i/d) (half-split style, as in Llama).
 *
 * @param x [T, heads * d]
 * @returns [T, heads * d]
 * @throws ShapeError if d isn't a whole even number
 *
 * Source: Su et al. 2021, eq. 34; spec 2.3.
 */
export function rope(x: Tensor | Columns, options: RopeOptions): Tensor {
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
  const width = widthOf(d / 2, stride, start)
  const y = tensor([T, count])
  record({
    kernel: ropeKernel(d / 2, width, theta),
    reads: { x: whole },
    writes: { y },
    sizes: { T, heads, position, x_stride: stride / width, x_start: start / width },
    workgroups: groupsFor((T * (d / 2)) / width),
    flops: 4 * y.size,
    bytes: 8 * y.size,
  })
  return y
}

const kernels = new Map<string, Kernel>()

function ropeKernel(half: number, width: Width, theta: number): Kernel {
  const key = `${half} ${width} ${theta}`
  let made = kernels.get(key)
  if (!made) {
    const turns = Array.from({ length: half }, (_, i) => turnsOf(theta ** (-i / half)))
    const words = turns.map(([high, low]) => `vec2u(${high}u, ${low}u)`)
    const table = `var<private> TURNS: array<vec2u, HALF> = array<vec2u, HALF>(${words.join(', ')});\n`
    const THETA = new Uint32Array(new Float32Array([theta]).buffer)[0]!
    made = kernel('attention/rope', elem(width) + table + source, {
      WIDTH: width,
      HALF: half,
      COLS: half / width,
      WG: THREADS,
      THETA,
    })
    kernels.set(key, made)
  }
  return made
}

/** Radians a position, at most 1, as a fraction of a turn of 64 bits (of which float64 fills the first 53). */
function turnsOf(frequency: number): [high: number, low: number] {
  const scaled = (frequency / (2 * Math.PI)) * 2 ** 32
  const high = Math.floor(scaled)
  return [high, Math.floor((scaled - high) * 2 ** 32)]
}
