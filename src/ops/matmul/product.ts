// One matrix product as matmul.ts hands it to the variants of the family: checked, with nothing left to default.

import type { Constants } from '../../gpu/kernel.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { ACTIVATIONS, type Activation } from '../elementwise/activation.ts'

export interface Product {
  /** f32; rows of K. */
  readonly a: Tensor
  readonly b: Tensor
  /** y = silu(a b^T) * (a pair^T): the second weight of a gated pair, in the form of the first. */
  readonly pair?: Tensor | undefined
  readonly y: Tensor
  readonly M: number
  readonly N: number
  readonly K: number
  /** b is [N, K]; else [K, N]. */
  readonly bIsNK: boolean
  readonly batch?: number
  /** Elements from one of the batch to the next. */
  readonly aStride?: number
  readonly bStride?: number
  readonly scale?: number
  readonly bias?: Tensor | undefined
  readonly activation?: Activation
  readonly residual?: Tensor | undefined
}

export function endingConstants(
  bias: Tensor | undefined,
  activation: Activation = 'none',
  residual: Tensor | undefined,
): Constants {
  const HAS_BIAS = bias !== undefined
  const HAS_RESIDUAL = residual !== undefined
  return { ACTIVATION: ACTIVATIONS[activation], HAS_BIAS, HAS_RESIDUAL, IN_PLACE: false }
}
