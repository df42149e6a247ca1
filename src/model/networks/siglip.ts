// SigLIP 2's vision tower: what is in the image, for the language model.
//
// FlowSeg takes hidden_states[-2], the stream before the last layer, so that layer, the norm after it and
// the pooling head don't run.
//
// Source: Zhai et al. 2023 and Tschannen et al. 2025; SiglipVisionModel.

import { inOneGo } from '../../gpu/recorder.ts'
import { attention } from '../../ops/attention/attention.ts'
import { conv2d } from '../../ops/conv/conv.ts'
import { add } from '../../ops/elementwise/elementwise.ts'
import { reshape, scope, type Tensor } from '../../tensor/tensor.ts'
import type { SiglipConfig } from '../checkpoint/config.ts'
import type { Weights } from '../checkpoint/weights.ts'
import { dense, normed } from './layers.ts'

/**
 * @param pixels [S, S, 3]
 * @param w      vision_encoder.vision_model.
 * @returns      [N, C], a row for each patch
 */
export function siglip(pixels: Tensor, w: Weights, config: SiglipConfig): Tensor {
  return inOneGo(siglipSteps(pixels, w, config))
}

/** The steps of {@link siglip}, one per layer, for a plan that is recorded in turns. */
export function* siglipSteps(
  pixels: Tensor,
  w: Weights,
  config: SiglipConfig,
): Generator<void, Tensor, void> {
  let x = scope('patches', () => siglipPatches(pixels, w.scope('embeddings.'), config))
  for (let i = 0; i < config.layers - 1; i++) {
    x = scope(`layers.${i}`, () => siglipLayer(x, w.scope(`encoder.layers.${i}.`), config))
    yield
  }
  return x
}

/** Patches and their positions, [N, C]. A remainder at the right and bottom of the image is unused. */
export function siglipPatches(pixels: Tensor, w: Weights, config: SiglipConfig): Tensor {
  const bias = w.tensor('patch_embedding.bias')
  const patches = conv2d(pixels, w.tensor('patch_embedding.weight'), { bias, stride: config.patch })
  const position = w.tensor('position_embedding.weight')
  return add(reshape(patches, position.shape), position)
}

/** One pre-norm block: attention of all with all, then an MLP. x is [N, C]. */
export function siglipLayer(x: Tensor, w: Weights, { heads, eps }: SiglipConfig): Tensor {
  // 1. Attention
  const attn = w.scope('self_attn.')
  const y = normed(x, w.scope('layer_norm1.'), eps)
  const query = dense(y, attn.scope('q_proj.'))
  const key = dense(y, attn.scope('k_proj.'))
  const value = dense(y, attn.scope('v_proj.'))
  x = dense(attention({ query, key, value, heads }), attn.scope('out_proj.'), { residual: x })

  // 2. MLP
  const hidden = dense(normed(x, w.scope('layer_norm2.'), eps), w.scope('mlp.fc1.'), {
    activation: 'geluTanh',
  })
  return dense(hidden, w.scope('mlp.fc2.'), { residual: x })
}
