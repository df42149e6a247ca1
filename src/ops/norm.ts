// Normalisations. A row is normalised by one workgroup; GroupNorm goes over pixels and so takes two passes.

import source from '../../shaders/rms-norm.wgsl' with { type: 'text' }
import { kernel } from '../gpu/kernel.ts'
import { expectShape, expectType, lastDim, record, rowsOf, type Tensor, tensor } from './tensor.ts'

/** Threads for a row: enough to cover it, a power of two, at most 256 (WebGPU's default limit). */
function rowThreads(C: number): number {
  let threads = 32
  while (threads < 256 && threads * 4 < C) threads *= 2
  return threads
}

/**
 * RMS norm over the last axis: y = x / sqrt(mean(x^2) + eps) * weight
 *
 * @param x      [..., C]
 * @param weight [C]
 * @param eps    added to the mean square; 1e-6 in Qwen3
 * @returns      [..., C]
 * @throws ShapeError if weight is not [C]
 *
 * Source: Zhang & Sennrich 2019, eq. 4.
 */
export function rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
  const C = lastDim(x)
  expectShape('rmsNorm', 'weight', weight, [C])
  expectType('rmsNorm', 'x', x, 'f32')

  const rows = rowsOf(x)
  const y = tensor(x.shape)
  record({
    kernel: kernel('rms-norm', source, { WG: rowThreads(C) }),
    reads: { x, weight },
    writes: { y },
    sizes: { rows, cols: C, eps },
    workgroups: rows,
    flops: 4 * x.size,
  })
  return y
}
