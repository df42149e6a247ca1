// Boundary-aware refinement: along the edge of a mask, and only there, look at the pixel features again.
//
//   B  = 1[dilate(p) - erode(p) > 0.1],  p = sigmoid(M)
//   M' = M + alpha tanh(refine([M | compress(F)])) B
//
// A logit moves by at most |alpha|, so what is sure stays untouched.
//
// Source: FlowSeg, section 3.3 (BAR). The shapes of compress and refine are read from the checkpoint.

import { conv2d } from '../../ops/conv/conv.ts'
import { activate, add, greater, mul, sub } from '../../ops/elementwise/elementwise.ts'
import { dilate, erode } from '../../ops/image/morphology.ts'
import { concatColumns } from '../../ops/layout/layout.ts'
import { reshape, scope, type Tensor } from '../../tensor/tensor.ts'
import type { Weights } from '../checkpoint/weights.ts'

/** A mask's probability may change this much within three pixels before we call it a boundary. */
const BAND_THRESHOLD = 0.1

/** The pixel features in fewer channels; once per image. @param maskFeatures [H, W, d] @returns [H, W, c] */
export function compressFeatures(maskFeatures: Tensor, w: Weights): Tensor {
  return scope('compress', () =>
    conv2d(maskFeatures, w.tensor('compress.weight'), {
      bias: w.tensor('compress.bias'),
      activation: 'relu',
    }),
  )
}

/** The outcome of boundary refinement, on the grid of the mask logits. */
export interface Refined {
  /** M', [H, W]. */
  readonly logits: Tensor
  /** B, [H, W]: 1 where the logits were free to move, else 0. */
  readonly band: Tensor
  /** The refinement before its tanh, which would hide an infinity, [H, W]. */
  readonly steps: Tensor
}

/**
 * @param logits      M of one query, [H, W]
 * @param compressed  compress(F), [H, W, c]
 * @param w           segmentor.boundary_refiner.
 */
export function refineBoundary(logits: Tensor, compressed: Tensor, w: Weights): Refined {
  const [H = 0, W = 0, c = 0] = compressed.shape

  // 1. Where the edge is
  const p = activate(logits, 'sigmoid')
  const band = greater(sub(dilate(p), erode(p)), BAND_THRESHOLD)

  // 2. What the features say about it, the mask being channel 0
  const joined = concatColumns(reshape(logits, [H * W, 1]), reshape(compressed, [H * W, c]))
  const first = conv2d(reshape(joined, [H, W, c + 1]), w.tensor('refine.0.weight'), {
    bias: w.tensor('refine.0.bias'),
    padding: 1,
    activation: 'relu',
  })
  const last = conv2d(first, w.tensor('refine.2.weight'), { bias: w.tensor('refine.2.bias'), padding: 1 })
  const steps = reshape(last, [H, W])

  // 3. Move the logits there, by at most alpha
  const moved = mul(mul(activate(steps, 'tanh'), w.tensor('alpha')), band)
  return { logits: add(logits, moved), band, steps }
}
