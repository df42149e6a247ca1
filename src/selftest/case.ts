// A case: one problem of an op, the function that records it, and what it should give.

import type { WeightLayout } from '../kernels/packed.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { HostTensor, Random, WeightType } from './random.ts'
import { at } from './references/at.ts'

/** One problem of an op with its inputs, drawn at random. */
export interface KernelCase {
  /** The sizes and options, short: '33 x 65 x 36, bias, relu'. */
  readonly shape: string
  /** The op's inputs, by name. */
  readonly inputs: Readonly<Record<string, HostTensor>>
  /** Values of the `param`s that the op takes. */
  readonly params?: Readonly<Record<string, number>>
  /** Records the op on the inputs, as the build function of a plan does. */
  readonly run: (tensors: Readonly<Record<string, Tensor>>) => Tensor
  /** The result by the op's formula, in float64. */
  readonly reference: () => ArrayLike<number>
  /** The largest error that is right. 0: every value is exact. */
  readonly tolerance: number
  /** The distance of a result from the reference; by default the relative norm (relativeError). */
  readonly measure?: (actual: ArrayLike<number>, expected: ArrayLike<number>) => number
}

/** An op, and how its problems are drawn. */
export interface KernelTest {
  /** The name of the case, for reports and filters. */
  readonly name: string
  /** Draws a case at random. All that differs between cases comes from `random`. */
  readonly draw: (random: Random, type: WeightType, layout: WeightLayout) => KernelCase
  /** The types that its weights can have; f32 alone by default. */
  readonly types?: readonly WeightType[]
  /** Its weights may be packed. */
  readonly packs?: boolean
}

/** The same case, with the tensors of `run` typed by the names of the inputs. */
export function kernelCase<Name extends string>(
  one: Omit<KernelCase, 'inputs' | 'run'> & {
    readonly inputs: Readonly<Record<Name, HostTensor>>
    readonly run: (tensors: Readonly<Record<Name, Tensor>>) => Tensor
  },
): KernelCase {
  return one
}

/** ‖actual - expected‖ / ‖expected‖; infinite if anything isn't finite, or there are other numbers of values. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return differenceBy(normOf(expected) || 1)(actual, expected)
}

/** ‖actual - expected‖ / `norm`, for results that are what is left of larger numbers which cancel. */
export function differenceBy(
  norm: number,
): (actual: ArrayLike<number>, expected: ArrayLike<number>) => number {
  return (actual, expected) => {
    if (actual.length !== expected.length) return Infinity
    // Squares of the largest f32 numbers are far from the largest float64
    let sum = 0
    for (let i = 0; i < expected.length; i++) sum += (at(actual, i) - at(expected, i)) ** 2
    const error = Math.sqrt(sum) / norm
    return Number.isNaN(error) ? Infinity : error
  }
}

/** The square root of the sum of squares. */
export function normOf(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += at(values, i) ** 2
  return Math.sqrt(sum)
}
