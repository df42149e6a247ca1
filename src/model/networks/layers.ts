// PyTorch's layers by the names of their parameters, as far as several networks are made of them.

import { entryOf } from '../../check.ts'
import { type AttentionBias, type AttentionOptions, attention } from '../../ops/attention/attention.ts'
import { add } from '../../ops/elementwise/elementwise.ts'
import { sliceRows } from '../../ops/layout/layout.ts'
import { type LinearOptions, linear } from '../../ops/matmul/matmul.ts'
import { layerNorm } from '../../ops/norm/norm.ts'
import { type Tensor, viewRows } from '../../tensor/tensor.ts'
import type { Weights } from '../checkpoint/weights.ts'

/** `nn.Linear`: weight [N, K] and, where the checkpoint has one, bias [N]. */
export function dense(x: Tensor, w: Weights, options: Omit<LinearOptions, 'bias'> = {}): Tensor {
  return linear(x, w.tensor('weight'), w.has('bias') ? { ...options, bias: w.tensor('bias') } : options)
}

/** `nn.LayerNorm`, of x + residual if one is given. */
export function normed(x: Tensor, w: Weights, eps: number, residual?: Tensor): Tensor {
  return layerNorm(x, w.tensor('weight'), w.tensor('bias'), eps, residual ? { residual } : {})
}

/** The three parts of a packed in_proj (rows q, k, v), applied on their own. */
export function project(part: 'query' | 'key' | 'value', x: Tensor, w: Weights): Tensor {
  const index = { query: 0, key: 1, value: 2 }[part]
  const weight = w.tensor('in_proj_weight')
  const bias = w.tensor('in_proj_bias')
  const d = entryOf(weight.shape, 1)
  return linear(x, rowBlock(weight, index * d, d), { bias: rowBlock(bias, index * d, d) })
}

/** `nn.MultiheadAttention`, for queries, keys and values projected already. */
export function attend(
  inputs: Pick<AttentionOptions, 'query' | 'key' | 'value'>,
  w: Weights,
  heads: number,
  bias?: AttentionBias,
): Tensor {
  const mixed = attention({ ...inputs, heads, ...(bias ? { bias } : {}) })
  return dense(mixed, w.scope('out_proj.'))
}

/** x + position, where there is one. */
export function at(x: Tensor, position: Tensor | undefined): Tensor {
  return position ? add(x, position) : x
}

/** Rows of a weight: in place where the adapter can bind them so, else copied. */
export function rowBlock(x: Tensor, start: number, count: number): Tensor {
  return viewRows(x, start, count) ?? sliceRows(x, start, count)
}
