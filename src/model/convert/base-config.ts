// The sizes of published base models, as the transformers library writes them into config.json.
//
// A file says only what differs from the library's own defaults, so those are listed here (transformers 4.57; files of
// version 5 are read as well). Whatever changes the result and shows in no tensor's shape is looked at: activations,
// the kind of rotary angles, a sliding window. A variant that the engine can't compute is refused by its key.

import { isObject } from '../../check.ts'
import type { LlmConfig, SamConfig, SiglipConfig } from '../checkpoint/config.ts'
import { MOST, Section } from '../checkpoint/config-section.ts'

/** The models that FlowSeg is built on, as the command's options name them. */
export const BASES = ['siglip', 'sam', 'llm'] as const
/** One of the models that FlowSeg is built on. */
export type Base = (typeof BASES)[number]

/**
 * The vision tower of a SigLIP, whole or alone.
 *
 * @param file for messages
 * @throws WeightsError naming the key, its value and what was expected
 */
export function siglipSizes(json: unknown, file: string): SiglipConfig {
  const s = visionSection(json, file, ['siglip', 'siglip_vision_model'])
  s.oneOf('hidden_act', ['gelu_pytorch_tanh'], 'gelu_pytorch_tanh')
  return {
    image: s.size('image_size', MOST.image, 224),
    patch: s.size('patch_size', MOST.image, 16),
    hidden: s.size('hidden_size', MOST.channels, 768),
    layers: s.size('num_hidden_layers', MOST.layers, 12),
    heads: s.size('num_attention_heads', MOST.heads, 12),
    mlp: s.size('intermediate_size', MOST.mlp, 3072),
    eps: s.between('layer_norm_eps', 1e-12, 1, 1e-6),
  }
}

/**
 * The image encoder of a SAM, whole or alone. The connector takes the outputs of the layers at a half, three quarters
 * and all of its depth, and the language model that of the last but one, as X-SAM does with SAM ViT-L.
 *
 * @param file for messages
 * @throws WeightsError naming the key, its value and what was expected
 */
export function samSizes(json: unknown, file: string): SamConfig {
  const s = visionSection(json, file, ['sam', 'sam_vision_model'])
  s.oneOf('hidden_act', ['gelu'], 'gelu')
  const hidden = s.size('hidden_size', MOST.channels, 768)
  const layers = s.size('num_hidden_layers', MOST.layers, 12)
  return {
    image: s.size('image_size', MOST.image, 1024),
    patch: s.size('patch_size', MOST.image, 16),
    hidden,
    layers,
    heads: s.size('num_attention_heads', MOST.heads, 12),
    mlp: s.size('mlp_dim', MOST.mlp, Math.trunc(hidden * s.between('mlp_ratio', 0, MOST.mlp, 4))),
    window: s.size('window_size', MOST.grid, 14),
    eps: s.between('layer_norm_eps', 1e-12, 1, 1e-6),
    globalLayers: s.has('global_attn_indexes')
      ? s.list('global_attn_indexes', MOST.layers, MOST.layers)
      : [2, 5, 8, 11],
    connectorLayers: [Math.ceil(layers / 2), Math.ceil((3 * layers) / 4), layers],
    llmLayer: Math.max(1, layers - 1),
  }
}

/** The sizes that the transformers library assumes when a language model's file leaves them out. */
const LANGUAGE = {
  qwen3: {
    hidden: 4096,
    layers: 32,
    heads: 32,
    kvHeads: 32,
    headDim: 128,
    mlp: 22_016,
    eps: 1e-6,
    positions: 32_768,
  },
  // Its heads share the width
  phi3: {
    hidden: 3072,
    layers: 32,
    heads: 32,
    kvHeads: undefined,
    headDim: undefined,
    mlp: 8192,
    eps: 1e-5,
    positions: 4096,
  },
} as const

/**
 * A language model.
 *
 * @param file  for messages
 * @param vocab its tokens, those that FlowSeg adds included
 * @throws WeightsError naming the key, its value and what was expected
 */
export function llmSizes(json: unknown, file: string, vocab: number): LlmConfig {
  const s = new Section(withoutNulls(json), '', file)
  const type = s.oneOf('model_type', ['qwen3', 'phi3'])
  const usual = LANGUAGE[type]
  s.oneOf('hidden_act', ['silu'], 'silu')
  const hidden = s.size('hidden_size', MOST.channels, usual.hidden)
  const heads = s.size('num_attention_heads', MOST.heads, usual.heads)
  const positions = s.size('max_position_embeddings', MOST.positions, usual.positions)
  // All layers of Phi-3 have a window wherever a size is given. Qwen3's layers have one where it is switched on, but
  // not all of them: a sequence that it doesn't cut is right for both kinds.
  const isPhi3 = type === 'phi3'
  const hasWindow = isPhi3 || s.flag('use_sliding_window', false)
  const window = hasWindow ? s.size('sliding_window', MOST.positions, positions) : positions
  return {
    type,
    hidden,
    layers: s.size('num_hidden_layers', MOST.layers, usual.layers),
    heads,
    kvHeads: s.size('num_key_value_heads', MOST.heads, usual.kvHeads ?? heads),
    headDim: s.size('head_dim', MOST.channels, usual.headDim ?? hidden / heads),
    mlp: s.size('intermediate_size', MOST.mlp, usual.mlp),
    vocab,
    ropeTheta: ropeTheta(s),
    eps: s.between('rms_norm_eps', 1e-12, 1, usual.eps),
    tied: s.flag('tie_word_embeddings', false),
    maxPositions: isPhi3 ? positions : Math.min(positions, window),
    ...(isPhi3 && { window: Math.min(window, MOST.window) }),
  }
}

/** The base of rotary angles, which must be plain ones over all channels of a head. */
function ropeTheta(s: Section): number {
  const scaling = s.section('rope_scaling', {})
  const parameters = s.section('rope_parameters', {}) // version 5 has all of it there
  for (const kind of [scaling, parameters]) {
    kind.oneOf('type', ['default'], 'default') // as older files name it
    kind.oneOf('rope_type', ['default'], 'default')
  }
  for (const part of [s, parameters]) {
    const share = part.between('partial_rotary_factor', 0, 1, 1)
    part.expect(share === 1, 'partial_rotary_factor', '1: angles for all channels of a head')
  }
  return parameters.between('rope_theta', 1, 1e12, s.between('rope_theta', 1, 1e12, 10_000))
}

/** The section of an image encoder: in the file of a whole model, or the file itself. */
function visionSection(json: unknown, file: string, types: readonly [whole: string, alone: string]): Section {
  const s = new Section(withoutNulls(json), '', file)
  return s.oneOf('model_type', types) === types[0] ? s.section('vision_config', {}) : s
}

/** The JSON without keys that are null, which mean the same as missing ones. */
function withoutNulls(json: unknown): unknown {
  if (!isObject(json)) return json
  const known = Object.entries(json).filter(([, value]) => value !== null)
  return Object.fromEntries(known.map(([key, value]) => [key, withoutNulls(value)]))
}
