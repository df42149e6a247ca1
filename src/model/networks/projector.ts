// Projectors between widths: encoder tokens to the language model's, and its states to the decoder's C and S.

import type { Tensor } from '../../tensor/tensor.ts'
import type { Weights } from '../checkpoint/weights.ts'
import { dense } from './layers.ts'

/**
 * Linear, GELU, Linear.
 *
 * @param x [..., C]
 * @param w visual_projector., seg_projector. or llm_projector.
 */
export function projector(x: Tensor, w: Weights): Tensor {
  return dense(dense(x, w.scope('model.0.'), { activation: 'gelu' }), w.scope('model.2.'))
}
