// SAM's image encoder: a ViT that looks closely, most layers in windows, a few over the whole image. The
// feature maps and the language model each tap the stream between layers; the neck behind it isn't used.
//
// Source: Kirillov et al. 2023, appendix A; Li et al. 2022 (relative positions); SamVisionEncoder.

import { entryOf } from '../../check.ts'
import { inOneGo } from '../../gpu/recorder.ts'
import { attention } from '../../ops/attention/attention.ts'
import { conv2d } from '../../ops/conv/conv.ts'
import { add } from '../../ops/elementwise/elementwise.ts'
import { joinWindows, splitWindows } from '../../ops/layout/layout.ts'
import { columns, lastDim, reshape, scope, type Tensor } from '../../tensor/tensor.ts'
import { gridSide, type SamConfig } from '../checkpoint/config.ts'
import type { Weights } from '../checkpoint/weights.ts'
import { dense, normed } from './layers.ts'

/** The outputs of SAM's encoder that the model uses, taken between its layers. */
export interface SamTaps {
  /** Outputs of `connectorLayers`, each [H, W, C]. */
  readonly taps: readonly Tensor[]
  /** Output of `llmLayer`, [H, W, C]. */
  readonly llm: Tensor
}

/**
 * @param pixels [S, S, 3]
 * @param w      segmentor.encoder.
 */
export function samEncoder(pixels: Tensor, w: Weights, config: SamConfig): SamTaps {
  return inOneGo(samSteps(pixels, w, config))
}

/** The steps of {@link samEncoder}, one per layer, for a plan that is recorded in turns. */
export function* samSteps(pixels: Tensor, w: Weights, config: SamConfig): Generator<void, SamTaps, void> {
  const { globalLayers, connectorLayers, llmLayer } = config
  const outputs = [scope('patches', () => samPatches(pixels, w, config))] // entry i: after layer i, from 1
  for (let i = 0; i < Math.max(...connectorLayers, llmLayer); i++) {
    const window = globalLayers.includes(i) ? 0 : config.window
    outputs.push(
      scope(`layers.${i}`, () => samLayer(entryOf(outputs, i), w.scope(`layers.${i}.`), window, config)),
    )
    yield
  }
  return { taps: connectorLayers.map((i) => entryOf(outputs, i)), llm: entryOf(outputs, llmLayer) }
}

/** Patches and their positions, [H, W, C]. */
export function samPatches(pixels: Tensor, w: Weights, config: SamConfig): Tensor {
  const bias = w.tensor('patch_embed.projection.bias')
  const patches = conv2d(pixels, w.tensor('patch_embed.projection.weight'), { bias, stride: config.patch })
  const grid = gridSide(config)
  return add(patches, reshape(w.tensor('pos_embed'), [grid, grid, config.hidden]))
}

/**
 * One pre-norm block: attention in windows of `window` tokens per side, or over the whole image when it is 0,
 * then an MLP. x is [H, W, C].
 */
export function samLayer(x: Tensor, w: Weights, window: number, { heads, eps }: SamConfig): Tensor {
  const [H = 0, W = 0, C = 0] = x.shape

  // 1. Attention. Windows are padded with zeros after the norm, and the padding takes part: its keys and
  //    values are the projections' biases. The output projection is left until the padding is gone.
  let y = normed(x, w.scope('layer_norm1.'), eps)
  y = window > 0 ? splitWindows(y, window) : reshape(y, [1, H * W, C]) //     [B, side * side, C]
  y = attend(y, w.scope('attn.'), window > 0 ? [window, window] : [H, W], heads)
  y = window > 0 ? joinWindows(y, window, [H, W]) : reshape(y, [H, W, C])
  x = dense(y, w.scope('attn.proj.'), { residual: x })

  // 2. MLP
  const hidden = dense(normed(x, w.scope('layer_norm2.'), eps), w.scope('mlp.lin1.'), { activation: 'gelu' })
  return dense(hidden, w.scope('mlp.lin2.'), { residual: x })
}

/** Attention with decomposed relative positions among the H * W tokens of each window. */
function attend(x: Tensor, w: Weights, size: [H: number, W: number], heads: number): Tensor {
  const C = lastDim(x)
  const qkv = dense(x, w.scope('qkv.')) //                                    [B, H * W, 3C]
  return attention({
    query: columns(qkv, 0, C),
    key: columns(qkv, C, C),
    value: columns(qkv, 2 * C, C),
    heads,
    bias: { kind: 'relative', height: w.tensor('rel_pos_h'), width: w.tensor('rel_pos_w'), size },
  })
}
