// Cosine similarity against a few class vectors, with a learned scale: the classifier of open vocabularies.

import cosineLogitsShader from '#shaders/head/cosine-logits.wgsl'
import { expectFinite, expectNoMore } from '../../check.ts'
import { kernel } from '../../gpu/kernel.ts'
import {
  expectShape,
  expectType,
  firstDim,
  lastDim,
  record,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'

/**
 * Scaled cosine similarities: y[r, k] = clamp(exp(logScale) cos(x[r], classes[k]), -bound, bound)
 *
 * for vectors of any length; not finite where the product isn't, bound or not.
 *
 * @param x         [N, C]
 * @param classes   [K, C]
 * @param logScale  [1], the logarithm of the scale
 * @param bound     a positive number
 * @returns         [N, K]
 * @throws ShapeError if the shapes are others
 */
export function cosineLogits(x: Tensor, classes: Tensor, logScale: Tensor, bound: number): Tensor {
  expectNoMore('cosineLogits', arguments, 4)
  expectShape('cosineLogits', 'x', x, [undefined, undefined])
  const cols = lastDim(x)
  expectShape('cosineLogits', 'classes', classes, [undefined, cols])
  expectShape('cosineLogits', 'logScale', logScale, [1])
  for (const [name, t] of Object.entries({ x, classes, logScale })) expectType('cosineLogits', name, t, 'f32')
  expectFinite('cosineLogits', 'bound', bound, 0)

  const rows = firstDim(x)
  const count = firstDim(classes)
  const y = tensor([rows, count])
  record({
    kernel: kernel(cosineLogitsShader),
    reads: { x, classes, log_scale: logScale },
    writes: { y },
    sizes: { rows, cols, count, bound },
    workgroups: Math.ceil((rows * count) / 64),
    flops: 6 * rows * count * cols,
  })
  return y
}
