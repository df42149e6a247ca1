// The values of tensors that nobody has trained, from a seed: those that training starts from, by the rules of
// training/flowseg, which are PyTorch's own but for a few. Where a rule there draws normal numbers, uniform ones of the
// same variance are drawn here, which every runtime computes to the same bits.

import type { Dtype } from '../../io/checkpoint/dtype.ts'
import type { Config } from '../checkpoint/config.ts'
import type { Parameter } from '../checkpoint/parameters.ts'
import { counterBits, counterUnit, streamSeed } from './counter.ts'

/** Elements of a tensor from an index on. */
export type Draw = (first: number, count: number) => Float32Array<ArrayBuffer>

/** An element by its index and a number in [-1, 1). */
type Rule = (i: number, unit: number) => number

/**
 * Draws a tensor of the head.
 *
 * @param all the parameters of the model by name: a bias starts by the shape of its weight
 */
export function untrained(
  parameter: Parameter,
  all: ReadonlyMap<string, Parameter>,
  config: Config,
  seed: number,
): Draw {
  const stream = streamSeed(`${seed} ${parameter.name}`)
  const rule = ruleOf(parameter, all, config)
  return (first, count) => {
    const values = new Float32Array(count)
    for (let k = 0; k < count; k++) values[k] = rule(first + k, counterUnit(stream, first + k))
    return values
  }
}

function ruleOf(
  { name, shape, kind }: Parameter,
  all: ReadonlyMap<string, Parameter>,
  { head }: Config,
): Rule {
  const constant =
    (value: number): Rule =>
    () =>
      value
  const uniform =
    (most: number): Rule =>
    (_, unit) =>
      most * unit
  if (name.endsWith('.logit_scale')) return constant(Math.log(1 / 0.07))
  if (name.endsWith('.alpha')) return constant(0.1)
  if (kind === 'table') return uniform(Math.sqrt(3)) // variance 1

  // Deformable attention: heads look in different directions, points at growing distances, all with the same weight
  if (name.endsWith('.sampling_offsets.bias')) return directionRule(head, shape)
  if (/\.(sampling_offsets|attention_weights)\.(weight|bias)$/.test(name)) return constant(0)

  // nn.MultiheadAttention
  if (name.endsWith('.in_proj_bias')) return constant(0)
  if (name.endsWith('.in_proj_weight')) return uniform(xavier(shape))

  // nn.Linear and nn.Conv2d; of norms, whose weights have one axis, the scale is 1 and the bias 0
  const weight = all.get(name.replace(/\.bias$/, '.weight'))
  if (weight && weight.shape.length > 1) return uniform(1 / Math.sqrt(fanIn(weight.shape)))
  return constant(name.endsWith('.weight') ? 1 : 0)
}

/** [heads, levels, points, (x, y)]: point p of a head is p + 1 steps in its direction, on a square around it. */
function directionRule({ heads, points }: Config['head'], [size = 0]: readonly number[]): Rule {
  const perHead = size / heads
  return (i) => {
    const angle = (2 * Math.PI * Math.floor(i / perHead)) / heads
    const [x, y] = [Math.cos(angle), Math.sin(angle)]
    const steps = (Math.floor(i / 2) % points) + 1
    const along = (steps * (i % 2 === 0 ? x : y)) / Math.max(Math.abs(x), Math.abs(y))
    return Math.round(along * 2 ** 20) / 2 ** 20 // sines differ between runtimes in their last bits
  }
}

/** Glorot & Bengio 2010, for [out, in]. */
function xavier([rows = 1, columns = 1]: readonly number[]): number {
  return Math.sqrt(6 / (rows + columns))
}

function fanIn(shape: readonly number[]): number {
  return shape.slice(1).reduce((product, n) => product * n, 1)
}

/**
 * Rows of an embedding for tokens without one. Their variance is that of transformers' new rows (0.02), and each
 * number has 7 bits, from 2^-12 to 2^-5, so that every type has it exactly: the same seed is the same model in all.
 */
export function untrainedRows(name: string, count: number, seed: number, dtype: Dtype): Uint8Array {
  const stream = streamSeed(`${seed} ${name}`)
  const values = Float32Array.from({ length: count }, (_, i) => {
    const bits = counterBits(stream, i)
    const sign = bits & 128 ? -1 : 1
    return sign * ((bits & 126) + 1) * 2 ** -12 // odd, up to 127
  })
  if (dtype === 'F32') return new Uint8Array(values.buffer)
  const words = new Uint32Array(values.buffer)
  const half =
    dtype === 'BF16'
      ? (word: number): number => word >>> 16
      : // From an exponent of 8 bits to one of 5
        (word: number): number => ((word >>> 16) & 0x8000) | (((word & 0x7fffffff) >>> 13) - (112 << 10))
  return new Uint8Array(Uint16Array.from(words, half).buffer)
}
