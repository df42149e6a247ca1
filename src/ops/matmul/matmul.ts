// Matrix products: linear layers, gated pairs and batched matmul. Convolutions are products too: see conv.ts.
//
// Shapes are checked here; the variants of the family (gemv, tiled, subgroup, registers) do the work, each in a file of
// its own. Weights may be 16-bit or quantised (widened as they are loaded), packed, and in several buffers along N,
// each of which takes a dispatch that writes its columns of the output.

import { expectFinite, expectNames, expectNoMore, namesOf } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { recorder } from '../../gpu/recorder.ts'
import { about, type KernelFamily, ranked, recordBest } from '../../kernels/variants.ts'
import { expectKind, FLAG } from '../../options.ts'
import { expectTensor, expectWeight } from '../../tensor/check.ts'
import {
  expectShape,
  expectType,
  firstDim,
  lastDim,
  rowsOf,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'
import { type Activation, expectActivation } from '../elementwise/activation.ts'
import { swiglu } from '../elementwise/elementwise.ts'
import { gemv } from './gemv.ts'
import type { Product } from './product.ts'
import { registers } from './registers.ts'
import { subgroup } from './subgroup.ts'
import { tiled } from './tiled.ts'

/** Options of {@link linear}: bias, activation and residual. */
export interface LinearOptions {
  /** [N], added to the product. */
  readonly bias?: Tensor
  /** Applied after the bias, before the residual. */
  readonly activation?: Activation
  /** [..., N]: added to the result, in its memory where the plan allows. */
  readonly residual?: Tensor
}

/** Options of {@link matmul}: the order of the second operand, and the scale of the result. */
export interface MatmulOptions {
  /** b is [B, N, K], as weights and keys are stored. */
  readonly transposeB?: boolean
  /** Multiplies the result; 1 by default. */
  readonly scale?: number
}

const LINEAR_OPTIONS = namesOf<LinearOptions>({ bias: true, activation: true, residual: true })
const MATMUL_OPTIONS = namesOf<MatmulOptions>({ transposeB: true, scale: true })

/**
 * Linear layer: y = activation(x W^T + bias) + residual
 *
 * @param x      [..., K]
 * @param weight [N, K], f32, f16, bf16, or in few bits with its scales (int8, int4); may be sharded or packed
 * @returns      [..., N]
 * @throws ShapeError if a shape or type doesn't fit
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  expectNoMore('linear', arguments, 3)
  expectTensor('linear', 'x', x)
  expectTensor('linear', 'weight', weight)
  expectNames('linear', options, LINEAR_OPTIONS)
  const { bias, activation = 'none', residual } = options
  expectActivation('linear', activation)
  const K = lastDim(x)
  const [N = 0, weightK = 0] = weight.shape
  if (weight.shape.length !== 2 || weightK !== K) {
    throw new ShapeError(
      `linear: weight is [${weight.shape.join(', ')}], expected [N, ${K}] for x [${x.shape.join(', ')}]. ` +
        'Weights are stored [N, K], as in PyTorch.',
    )
  }
  const shape = [...x.shape.slice(0, -1), N]
  expectOperands('linear', x, 'weight', weight)
  if (bias !== undefined) expectVector('linear', 'bias', bias, N)
  if (residual !== undefined) {
    expectShape('linear', 'residual', residual, shape)
    expectType('linear', 'residual', residual, 'f32')
  }

  const y = tensor(shape)
  recordBest(matmulFamily, {
    a: x,
    b: weight,
    y,
    M: rowsOf(x),
    N,
    K,
    bIsNK: true,
    bias,
    activation,
    residual,
  })
  return y
}

/**
 * The gated half of an MLP: y = silu(x gate^T) * (x up^T), in one kernel where there is one for it.
 *
 * @param x    [..., K]
 * @param gate [N, K], of any type and layout that linear takes
 * @param up   [N, K], of the same type and layout
 * @returns    [..., N]
 * @throws ShapeError if a shape or type doesn't fit
 *
 * Source: Shazeer 2020, SwiGLU.
 */
export function gatedLinear(x: Tensor, gate: Tensor, up: Tensor): Tensor {
  expectNoMore('gatedLinear', arguments, 3)
  for (const [name, tensor] of Object.entries({ x, gate, up })) expectTensor('gatedLinear', name, tensor)
  const K = lastDim(x)
  const [N = 0] = gate.shape
  for (const [name, weight] of Object.entries({ gate, up })) {
    expectShape('gatedLinear', name, weight, [N, K])
    expectOperands('gatedLinear', x, name, weight)
  }
  const { adapter } = recorder()
  const y = tensor([...x.shape.slice(0, -1), N])
  const single = { a: x, b: gate, y, M: rowsOf(x), N, K, bIsNK: true }
  const pair = { ...single, pair: up }
  // Together if the variant that is best for one of them can take both
  const alike = gate.dtype === up.dtype && gate.packed?.lanes === up.packed?.lanes
  const [best] = ranked(matmulFamily, single, adapter)
  if (!alike || !best?.fits(pair, adapter)) return swiglu(linear(x, gate), linear(x, up))
  recordBest(matmulFamily, pair)
  return y
}

/**
 * Matrix product: y = scale * a b, or scale * a b^T with `transposeB`
 *
 * @param a [B, M, K], or [M, K] for all of b
 * @param b [B, K, N] or [B, N, K], or without B for all of a; f32, f16 or bf16. A B of 1 is repeated too. Weights of
 *   linear layers, [N, K] in int8 or int4 or packed, are taken with `transposeB`.
 * @returns [B, M, N], or [M, N] if neither has a B
 * @throws ShapeError if a shape or type doesn't fit
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  expectNoMore('matmul', arguments, 3)
  expectNames('matmul', options, MATMUL_OPTIONS)
  const { transposeB = false, scale = 1 } = options
  expectKind('matmul: transposeB', transposeB, FLAG)
  expectFinite('matmul', 'scale', scale)
  for (const [name, x] of Object.entries({ a, b })) {
    expectTensor('matmul', name, x)
    if (x.shape.length !== 2 && x.shape.length !== 3) {
      throw new ShapeError(
        `matmul: ${name} is [${x.shape.join(', ')}], expected two axes, or three with a batch.`,
      )
    }
  }
  expectOperands('matmul', a, 'b', b)
  const [M = 0, K = 0] = a.shape.slice(-2)
  const [bRows = 0, bCols = 0] = b.shape.slice(-2)
  const [bK, N] = transposeB ? [bCols, bRows] : [bRows, bCols]
  if (bK !== K) {
    throw new ShapeError(
      `matmul: the summed axes differ: a is [${a.shape.join(', ')}] (K = ${K}), b is [${b.shape.join(', ')}] ` +
        `(K = ${bK}). ${transposeB ? 'With transposeB, b is [N, K].' : 'If b is stored [N, K], pass { transposeB: true }.'}`,
    )
  }
  const batchOf = (x: Tensor): number => (x.shape.length === 3 ? firstDim(x) : 1)
  const [aBatch, bBatch] = [batchOf(a), batchOf(b)]
  if (aBatch !== bBatch && aBatch !== 1 && bBatch !== 1) {
    throw new ShapeError(
      `matmul: the batches differ: a is [${a.shape.join(', ')}], b is [${b.shape.join(', ')}]. ` +
        'They must be equal, or one of them 1 or absent.',
    )
  }

  const batch = Math.max(aBatch, bBatch)
  const y = tensor(a.shape.length === 3 || b.shape.length === 3 ? [batch, M, N] : [M, N])
  const common = { a, b, y, N, K, bIsNK: transposeB, scale }
  // One b for all: the batches of a are only more rows
  if (bBatch === 1) recordBest(matmulFamily, { ...common, M: batch * M })
  else recordBest(matmulFamily, { ...common, M, batch, aStride: aBatch === 1 ? 0 : M * K, bStride: N * K })
  return y
}

/** The kernels of matrix products. */
export const matmulFamily: KernelFamily<Product> = {
  name: 'matmul',
  // The last that can is what the tuner checks the others against: registers, or on GPUs gemv or tiled for weights in
  // few bits
  variants: [subgroup, tiled, gemv, registers],
  classOf: ({ b, pair, M, N, K, bIsNK, batch = 1 }) => {
    const kind = `${b.dtype}${b.packed ? ' packed' : ''}${pair ? ' pair' : ''}${bIsNK ? '' : ' KN'}`
    return `${about(batch * M)}x${about(N)}x${about(K)} ${kind}`
  },
  weights: ({ b, pair, bIsNK }) => (bIsNK ? [b, ...(pair ? [pair] : [])].map((x) => ({ tensor: x })) : []),
}

// ---------------------------------------------------------------------------------------------------------
// Checks

/** @throws ShapeError if the left operand is not f32, or the weight is of no type or layout that the kernels read */
export function expectOperands(op: string, a: Tensor, weightName: string, weight: Tensor): void {
  expectType(op, op === 'matmul' ? 'a' : 'x', a, 'f32')
  const sharded = op === 'linear' || op === 'gatedLinear'
  expectWeight(op, weightName, weight, {
    dtypes: ['f32', 'f16', 'bf16', 'int8', 'int4'],
    sharded,
    packed: true,
  })
}

/** @throws ShapeError if x is not [length] f32 */
export function expectVector(op: string, name: string, x: Tensor, length: number): void {
  expectShape(op, name, x, [length])
  expectType(op, name, x, 'f32')
}
