// The transformer decoder with the bidirectional semantic flow. N queries look for masks; the K rows of C say
// what is meant. In every layer
//
//   SR  semantic refinement    the queries read C, and a gate mixes that with what they saw in the image
//   CR  condition refreshing   C reads the queries, so the next layer asks a better question
//
// Without the flow's tensors it is Mask2Former's decoder, and C stays what the language model said.
//
// The part that depends on the image alone (`imageSide`) is computed once per image; `semanticFlow` once per sentence.
// Letters as in the paper: N queries, d channels, K rows of C, T tokens of a level.
//
// Source: FlowSeg, section 3.2 (BSF); Cheng et al. 2022, section 3.2 (masked attention).

import { entryOf, expectDefined } from '../../check.ts'
import { inOneGo } from '../../gpu/recorder.ts'
import { attention, maskBits } from '../../ops/attention/attention.ts'
import { add, mix } from '../../ops/elementwise/elementwise.ts'
import { cosineLogits } from '../../ops/head/cosine.ts'
import { resize } from '../../ops/image/resize.ts'
import { concatColumns, concatRows } from '../../ops/layout/layout.ts'
import { matmul } from '../../ops/matmul/matmul.ts'
import { meanRows, meanSpans } from '../../ops/reduce/reduce.ts'
import { lastDim, reshape, type SizeValue, scope, type Tensor } from '../../tensor/tensor.ts'
import type { Config } from '../checkpoint/config.ts'
import type { Weights } from '../checkpoint/weights.ts'
import { at, attend, dense, normed, project, rowBlock } from './layers.ts'
import type { PixelFeatures } from './pixel-decoder.ts'

/** The decoder's input from the image. */
export interface ImageSide {
  /** Keys and values of each decoder layer's cross-attention, [T_l, d]. */
  readonly keys: readonly Tensor[]
  /** Values of the same shapes, made without the sine position embedding. */
  readonly values: readonly Tensor[]
  /** Mask features at the size of each level, [T_l, d]: a resize is linear, so it may precede the dot product. */
  readonly maskLevels: readonly Tensor[]
  /** [H * W, d] at full size. */
  readonly maskFeatures: Tensor
}

/** The level that 0-based layer `i` looks at: coarse, middle, fine, coarse ... */
export function levelOf(i: number, levels: number): number {
  return i % levels
}

/**
 * @param sizes  [H_l, W_l] of the levels, coarse to fine
 * @param sines  their sine position embeddings, [T_l, d]
 * @param w      segmentor.decoder.
 */
export function imageSide(
  { levels, maskFeatures }: PixelFeatures,
  sizes: readonly (readonly [number, number])[],
  sines: readonly Tensor[],
  w: Weights,
  config: Config,
): ImageSide {
  const { hidden: d, decoderLayers } = config.head
  const levelEmbed = w.tensor('level_embed.weight')
  const features = levels.map((x, l) => add(x, reshape(rowBlock(levelEmbed, l, 1), [d])))
  const placed = features.map((x, l) => add(x, entryOf(sines, l)))

  const keys: Tensor[] = []
  const values: Tensor[] = []
  for (let i = 0; i < decoderLayers; i++) {
    const layer = w.scope(`decoder.layers.${i}.cross_attn.`)
    const level = levelOf(i, levels.length)
    scope(`keys and values ${i}`, () => {
      keys.push(project('key', entryOf(placed, level), layer))
      values.push(project('value', entryOf(features, level), layer))
    })
  }

  const full = reshape(maskFeatures, [maskFeatures.size / d, d])
  const coarser = sizes.slice(0, -1).map(([H, W]) => reshape(resize(maskFeatures, [H, W]), [H * W, d]))
  return { keys, values, maskLevels: [...coarser, full], maskFeatures: full }
}

/** The decoder's input from the sentence: C and S, and how many rows of C count. */
export interface LanguageSide {
  /** C(0), [K, d]; rows from `length` on are padding. */
  readonly condition: Tensor
  /** Rows of C that count: a number, or a parameter that each run sets. */
  readonly length: SizeValue
  /** [P, 2] u32: the rows of C of each phrase, [begin, end); absent for one phrase, which has all that count. */
  readonly spans?: Tensor | undefined
  /** S, [1, d]. */
  readonly seg: Tensor
}

/** The state that passes from layer to layer. */
interface Layer {
  /** The queries, [N, d]. */
  readonly queries: Tensor
  /** C(l), [K, d]. */
  readonly condition: Tensor
  /** The steps by which the layer came to its queries; absent before the first and without the flow. */
  readonly refinement?: Refinement
}

/** The result of semantic refinement (SR) on the queries; all [N, d]. */
interface Refinement {
  readonly visual: Tensor
  readonly semantic: Tensor
  /** g before its sigmoid. */
  readonly gate: Tensor
}

/** One prediction: before the first layer, then after each. */
export interface LayerPrediction extends Layer {
  /** [N, P + 1]: the phrases, then the background. */
  readonly logits: Tensor
  /** Mask logits, [N, H * W]; absent in the predictions that nobody asked for. */
  readonly masks?: Tensor
  /** The places that the next layer's queries may not look at (see maskBits); absent after the last. */
  readonly blocked?: Tensor
}

/**
 * @param w         the whole checkpoint's
 * @param baseline  leave out SR and CR: the checkpoint has no tensors for them
 * @param every     full-size masks of every prediction, not only of the last
 * @returns         decoderLayers + 1 predictions
 */
export function semanticFlow(
  image: ImageSide,
  language: LanguageSide,
  w: Weights,
  config: Config,
  { baseline, every }: { baseline: boolean; every: boolean },
): LayerPrediction[] {
  return inOneGo(flowSteps(image, language, w, config, { baseline, every }))
}

/** The steps of {@link semanticFlow}, one per layer, for a plan that is recorded in turns. */
export function* flowSteps(
  image: ImageSide,
  language: LanguageSide,
  w: Weights,
  config: Config,
  { baseline, every }: { baseline: boolean; every: boolean },
): Generator<void, LayerPrediction[], void> {
  const { hidden: d, decoderLayers } = config.head
  const decoder = w.scope('segmentor.decoder.')

  const predict = (after: Layer, done: number): LayerPrediction =>
    scope('predict', () => {
      const output = normed(after.queries, decoder.scope('decoder.layernorm.'), config.head.eps)
      const embedding = maskEmbedding(output, decoder, config)
      const masksOn = (features: Tensor) => matmul(embedding, features, { transposeB: true })
      const last = done === decoderLayers
      const next = entryOf(image.maskLevels, levelOf(done, image.maskLevels.length))
      return {
        ...after,
        logits: classLogits(output, { ...language, condition: after.condition }, w, config),
        ...(last || every ? { masks: masksOn(image.maskFeatures) } : {}),
        ...(last ? {} : { blocked: maskBits(masksOn(next)) }),
      }
    })

  // The queries start from what is learned and what the answer's <SEG> token means
  const queries = add(decoder.tensor('queries_features.weight'), reshape(language.seg, [d]))
  const predictions = [predict({ queries, condition: language.condition }, 0)]
  for (let i = 0; i < decoderLayers; i++) {
    const before = entryOf(predictions, i)
    const after = scope(`layers.${i}`, () =>
      decoderLayer(i, before, image, language.length, decoder, config, baseline),
    )
    predictions.push(predict(after, i + 1))
    yield
  }
  return predictions
}

/** Layer `i`, post-norm; Q_vis, Q_fused and Q_s as in the paper. */
function decoderLayer(
  i: number,
  { queries, condition, blocked }: LayerPrediction,
  image: ImageSide,
  length: SizeValue,
  decoder: Weights,
  config: Config,
  baseline: boolean,
): Layer {
  const { heads, eps } = config.head
  const w = decoder.scope(`decoder.layers.${i}.`)
  const position = decoder.tensor('queries_embedder.weight')

  // 1. Masked cross-attention: what each query sees inside of its own mask so far
  const cross = w.scope('cross_attn.')
  const query = project('query', add(queries, position), cross)
  const inputs = { query, key: entryOf(image.keys, i), value: entryOf(image.values, i) }
  const bits = expectDefined(blocked, 'the mask of the prediction before a layer')
  const seen = attend(inputs, cross, heads, { kind: 'mask', bits })
  const visual = normed(seen, w.scope('cross_attn_layer_norm.'), eps, queries) // Q_vis

  // 2. SR: what it should be looking for, mixed in channel by channel
  const refinement = baseline ? undefined : refine(visual, condition, length, position, w, config)
  const fused = refinement ? mix(refinement.gate, visual, refinement.semantic) : visual // Q_fused

  // 3. Self-attention, then MLP
  const mixed = selfAttention(fused, position, w.scope('self_attn.'), heads)
  const spatial = normed(mixed, w.scope('self_attn_layer_norm.'), eps, fused) // Q_s
  const hidden = dense(spatial, w.scope('fc1.'), { activation: 'relu' })
  const output = normed(dense(hidden, w.scope('fc2.')), w.scope('final_layer_norm.'), eps, spatial)

  // 4. CR: the condition learns what the queries found
  if (!refinement) return { queries: output, condition }
  return { queries: output, condition: refresh(condition, spatial, position, w, config), refinement }
}

/** SR: Q_sem = MHA(Q_vis, C, C), and the gate W [Q_vis | Q_sem] between the two. */
function refine(
  visual: Tensor,
  condition: Tensor,
  length: SizeValue,
  position: Tensor,
  layer: Weights,
  config: Config,
): Refinement {
  return scope('semantic refinement', () => {
    const w = layer.scope('semantic_attn.')
    const query = project('query', at(visual, config.flow.positions ? position : undefined), w)
    const key = project('key', condition, w)
    const value = project('value', condition, w)
    const semantic = attend({ query, key, value }, w, config.head.heads, { kind: 'length', length })
    const gate = dense(concatColumns(visual, semantic), layer.scope('semantic_gate.'))
    return { visual, semantic, gate }
  })
}

/** CR: C + MHA(C, Q_s, Q_s), over all queries. */
function refresh(
  condition: Tensor,
  spatial: Tensor,
  position: Tensor,
  layer: Weights,
  config: Config,
): Tensor {
  return scope('condition refreshing', () => {
    const w = layer.scope('condition_attn.')
    const query = project('query', condition, w)
    const key = project('key', at(spatial, config.flow.positions ? position : undefined), w)
    const value = project('value', spatial, w)
    const { heads } = config.head
    return dense(attention({ query, key, value, heads }), w.scope('out_proj.'), { residual: condition })
  })
}

function selfAttention(x: Tensor, position: Tensor, w: Weights, heads: number): Tensor {
  const placed = add(x, position)
  const query = dense(placed, w.scope('q_proj.'))
  const key = dense(placed, w.scope('k_proj.'))
  const value = dense(x, w.scope('v_proj.'))
  return attend({ query, key, value }, w, heads)
}

/** The MLP whose output's dot product with a pixel's features is the mask logit there. */
function maskEmbedding(output: Tensor, decoder: Weights, config: Config): Tensor {
  const { maskLayers } = config.head
  let x = output
  for (let i = 0; i < maskLayers; i++) {
    const w = decoder.scope(`decoder.mask_predictor.mask_embedder.${i}.0.`)
    x = dense(x, w, i < maskLayers - 1 ? { activation: 'relu' } : {})
  }
  return x
}

/**
 * Cosine of each query with each phrase (the mean of its rows of C) and with the background, scaled and clamped.
 *
 * @param output  normed queries, [N, d]
 * @param w       the whole checkpoint's
 * @returns       [N, P + 1]: the phrases, then the background
 */
export function classLogits(
  output: Tensor,
  { condition, length, spans }: Omit<LanguageSide, 'seg'>,
  w: Weights,
  config: Config,
): Tensor {
  const both = config.flow.condition === 'pooled+background' // C is these vectors already
  const classes = both
    ? condition
    : concatRows(phraseMeans(condition, length, spans), w.tensor('bg_embeds.weight'))
  // X-SAM's bound: 500 in its AAAI version, 50 since its rewrite
  const bound = config.compat === 'main' ? 50 : 500
  return cosineLogits(output, classes, w.tensor('segmentor.class_predictor.logit_scale'), bound)
}

/** The mean of each phrase's rows, [P, d]; of all that count without `spans`. */
export function phraseMeans(rows: Tensor, length: SizeValue, spans: Tensor | undefined): Tensor {
  return spans ? meanSpans(rows, spans) : reshape(meanRows(rows, { length }), [1, lastDim(rows)])
}
