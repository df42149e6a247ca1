// The pixel decoder: three feature maps exchange information by multi-scale deformable attention, and the
// finest becomes the features that mask logits are a dot product with.
//
// Levels are numbered from coarse to fine here and everywhere: 0 = stride 32, 1 = 16, 2 = 8 at full size.
//
// Source: Cheng et al. 2022 (Mask2Former), section 3.2; Mask2FormerPixelDecoder.

import { entryOf, lastOf } from '../../check.ts'
import { inOneGo } from '../../gpu/recorder.ts'
import { deformableAttention } from '../../ops/attention/deformable.ts'
import { conv2d } from '../../ops/conv/conv.ts'
import type { Activation } from '../../ops/elementwise/activation.ts'
import { add } from '../../ops/elementwise/elementwise.ts'
import { concatRows, sliceRows } from '../../ops/layout/layout.ts'
import { groupNorm } from '../../ops/norm/norm.ts'
import { reshape, scope, type Tensor } from '../../tensor/tensor.ts'
import type { HeadConfig } from '../checkpoint/config.ts'
import type { Weights } from '../checkpoint/weights.ts'
import { dense, normed, rowBlock } from './layers.ts'

/** The pixel decoder's output: maps for the transformer decoder, and those that masks are read off. */
export interface PixelFeatures {
  /** P0, P1, P2, each [H_l * W_l, d]. */
  readonly levels: readonly Tensor[]
  /** [H, W, d] of the finest level. */
  readonly maskFeatures: Tensor
}

/**
 * @param features  [H_l, W_l, C_l] from coarse to fine
 * @param sines     sine position embeddings of the levels, [H_l * W_l, d]
 * @param w         segmentor.pixel_decoder.
 */
export function pixelDecoder(
  features: readonly Tensor[],
  sines: readonly Tensor[],
  w: Weights,
  config: HeadConfig,
): PixelFeatures {
  return inOneGo(pixelDecoderSteps(features, sines, w, config))
}

/** The steps of {@link pixelDecoder}, one per layer, for a plan that is recorded in turns. */
export function* pixelDecoderSteps(
  features: readonly Tensor[],
  sines: readonly Tensor[],
  w: Weights,
  config: HeadConfig,
): Generator<void, PixelFeatures, void> {
  const d = config.hidden
  const sizes = features.map(({ shape }) => [entryOf(shape, 0), entryOf(shape, 1)] as const)
  const tokens = sizes.map(([H, W]) => H * W)

  // 1. Every level to d channels, as one sequence of tokens
  const projected = features.map((x, level) =>
    scope(`input ${level}`, () => {
      const layer = w.scope(`input_projections.${level}.`)
      const y = conv2d(x, layer.tensor('0.weight'), { bias: layer.tensor('0.bias') })
      return reshape(grouped(y, layer.scope('1.'), config), [entryOf(tokens, level), d])
    }),
  )
  let x = concatRows(...projected)

  // 2. Where each token is, and on which level
  const levelEmbed = w.tensor('level_embed')
  const positions = concatRows(
    ...sines.map((sine, level) => add(sine, reshape(rowBlock(levelEmbed, level, 1), [d]))),
  )

  // 3. Deformable layers, post-norm
  for (let i = 0; i < config.pixelLayers; i++) {
    yield
    x = scope(`layers.${i}`, () =>
      deformableLayer(x, positions, sizes, w.scope(`encoder.layers.${i}.`), config),
    )
  }
  yield
  let start = 0
  const levels = tokens.map((count) => {
    const level = sliceRows(x, start, count)
    start += count
    return level
  })

  // 4. The finest level once more, with what the encoder said about it before: a one-step FPN. In
  //    Mask2Former the map is enlarged here, to stride 4; ours is fed by stride 8, so it has its size already.
  const maskFeatures = scope('mask features', () => {
    const finest = lastOf(features)
    const lateral = grouped(conv2d(finest, w.tensor('adapter_1.0.weight')), w.scope('adapter_1.1.'), config)
    const fine = reshape(lastOf(levels), lateral.shape)
    const joined = conv2d(add(lateral, fine), w.tensor('layer_1.0.weight'), { padding: 1 })
    const y = grouped(joined, w.scope('layer_1.1.'), config, 'relu')
    return conv2d(y, w.tensor('mask_projection.weight'), { bias: w.tensor('mask_projection.bias') })
  })
  return { levels, maskFeatures }
}

function deformableLayer(
  x: Tensor,
  positions: Tensor,
  levels: readonly (readonly [number, number])[],
  w: Weights,
  config: HeadConfig,
): Tensor {
  // 1. Each token looks at a few points of every level; values carry no position
  const value = dense(x, w.scope('self_attn.value_proj.'))
  const placed = add(x, positions)
  const offsets = dense(placed, w.scope('self_attn.sampling_offsets.'))
  const weights = dense(placed, w.scope('self_attn.attention_weights.'))
  const { heads, points } = config
  const seen = deformableAttention(value, offsets, weights, { heads, points, levels })
  const y = dense(seen, w.scope('self_attn.output_proj.'))
  x = normed(y, w.scope('self_attn_layer_norm.'), config.eps, x)

  // 2. MLP
  const z = dense(dense(x, w.scope('fc1.'), { activation: 'relu' }), w.scope('fc2.'))
  return normed(z, w.scope('final_layer_norm.'), config.eps, x)
}

function grouped(
  x: Tensor,
  w: Weights,
  { groups, eps }: HeadConfig,
  activation: Activation = 'none',
): Tensor {
  return groupNorm(x, groups, w.tensor('weight'), w.tensor('bias'), eps, { activation })
}
