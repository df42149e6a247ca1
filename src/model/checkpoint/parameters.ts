// Every tensor of a checkpoint: its name, its shape and what the engine does with it.
//
// Names are those of X-SAM's main branch, each under the prefix of its component; the spec's section 3 is
// this file as tables. What the published checkpoints hold and no network reads (SigLIP's last layer and
// head, SAM's neck, the language model's head) is listed too: such names are no surprise, and the totals
// are the ones people quote. Nothing here loads anything.

import { describe, lastOf } from '../../check.ts'
import { UsageError } from '../../errors.ts'
import {
  type Config,
  featureChannels,
  gridSide,
  type HeadConfig,
  type LlmConfig,
  type Vision,
} from './config.ts'

/** The networks of a model, and what it knows of its images: a tensor belongs to one of them. */
export type ParameterComponent =
  | 'siglip'
  | 'sam'
  | 'connector'
  | 'visualProjector'
  | 'segProjector'
  | 'llmProjector'
  | 'llm'
  | 'pixelDecoder'
  | 'decoder'
  | 'matching'
  | 'semanticFlow'
  | 'boundary'
  | 'world'

/**
 * The form in which a tensor is held on the device.
 *
 * - `matrix`     [rows, K] of a linear layer: stored type kept, packed where the adapter prefers it, else split by
 *                rows when too large
 * - `embedding`  [rows, K] of which rows are picked: not held there (token-embeddings.ts)
 * - `conv`       [O, I, kh, kw] in the file, [O, kh, kw, I] on the device; stored type kept, packed where preferred
 * - `vector`     one axis (biases, norms, scales): f32
 * - `table`      positions, queries, levels, which are added to activations: f32
 * - `host`       small: stays on the host, as f32
 */
export type ParameterKind = 'matrix' | 'embedding' | 'conv' | 'vector' | 'table' | 'host'

/** A tensor that a checkpoint of this config has, and what becomes of it on the device. */
export interface Parameter {
  /** The tensor's name in the file. */
  readonly name: string
  /** The tensor's shape in the file. */
  readonly shape: readonly number[]
  /** The network that it belongs to. */
  readonly component: ParameterComponent
  /** The form in which it is held on the device. */
  readonly kind: ParameterKind
  /** True if a network reads it. Only such tensors are loaded. */
  readonly used: boolean
  /** One of FlowSeg's additions. A checkpoint with none of them is X-SAM, the baseline. */
  readonly flow: boolean
  /** The count that it adds to the number of parameters: 0 for buffers and for copies of another tensor. */
  readonly count: number
  /** May be missing, and is zero then. */
  readonly optional: boolean
}

/** The facts of a tensor that the tables below list per component; the rest follows. */
interface Entry {
  readonly name: string
  readonly shape: readonly number[]
  readonly kind: ParameterKind
  readonly used?: boolean
  readonly counted?: boolean
  readonly optional?: boolean
}

/** All parameters of a model, used or not, in the order of the spec's section 3. */
export function parameters(config: Config): Parameter[] {
  expectConfig(config)
  const { siglip, sam, connector, llm, head, prompt } = config
  const d = head.hidden
  const looks = (from: Vision, entries: Entry[]) =>
    prompt.vision.includes(from) ? entries : entries.map(unused)
  return [
    ...component('siglip', 'vision_encoder.vision_model.', looks('siglip', siglipEntries(config))),
    ...component('sam', 'segmentor.encoder.', samEntries(config)),
    ...component('sam', 'segmentor.shared_image_embedding.', [
      unused(notCounted(table('positional_embedding', [2, 128]))),
    ]),
    ...connector.channels.flatMap((channels, j) =>
      component('connector', `seg_connector.model.${j}.model.`, [
        conv('0', sam.hidden, connector.hidden, 1),
        ...norm('1', connector.hidden),
        conv('2', connector.hidden, connector.hidden, 3),
        ...norm('3', connector.hidden),
        conv('4', connector.hidden, channels, 1),
        ...norm('5', channels),
      ]),
    ),
    ...component(
      'visualProjector',
      'visual_projector.',
      looks('siglip', projectorEntries(siglip.hidden, llm.hidden)),
    ),
    ...component(
      'segProjector',
      'seg_projector.',
      looks('sam', projectorEntries(4 * sam.hidden, llm.hidden)),
    ),
    ...component('llmProjector', 'llm_projector.', projectorEntries(llm.hidden, d)),
    ...component('llm', 'llm.', llmEntries(llm)),
    ...component('pixelDecoder', 'segmentor.pixel_decoder.', pixelDecoderEntries(config)),
    ...component('decoder', 'segmentor.decoder.', decoderEntries(head)),
    ...component('matching', 'segmentor.class_predictor.', [vector('logit_scale', 1)]),
    ...component('matching', 'bg_embeds.', [table('weight', [1, d])]),
    ...component('semanticFlow', 'segmentor.decoder.decoder.', flowEntries(head)),
    ...component('boundary', 'segmentor.boundary_refiner.', [
      ...biasedConv('compress', d, config.boundary.compress, 1),
      ...biasedConv('refine.0', 1 + config.boundary.compress, config.boundary.hidden, 3),
      ...biasedConv('refine.2', config.boundary.hidden, 1, 3),
      vector('alpha', 1),
    ]),
    ...component('world', 'world.', worldEntries(config)),
  ]
}

function expectConfig(config: unknown): void {
  const parts = ['siglip', 'sam', 'connector', 'llm', 'head', 'flow', 'boundary', 'prompt']
  const isConfig = typeof config === 'object' && config !== null && parts.every((part) => part in config)
  if (!isConfig) {
    throw new UsageError(
      `parameters was given ${describe(config)}; it takes a Config, as parseConfig returns it.`,
    )
  }
}

/** Number of parameters of a component, or of several. */
export function countParameters(
  all: readonly Parameter[],
  ...components: readonly ParameterComponent[]
): number {
  return all.reduce((sum, p) => sum + (components.includes(p.component) ? p.count : 0), 0)
}

/** Their place in a checkpoint, whatever generation of X-SAM wrote it. */
export function canonicalName(name: string): string {
  if (name.startsWith('visual_encoder.')) return name.replace('visual_encoder.', 'vision_encoder.')
  return name === 'segmentor.logit_scale' ? 'segmentor.class_predictor.logit_scale' : name
}

// ---------------------------------------------------------------------------------------------------------
// Components

function siglipEntries({ siglip }: Config): Entry[] {
  const { hidden, layers, mlp, patch } = siglip
  const layer = (i: number): Entry[] =>
    under(`encoder.layers.${i}`, [
      ...norm('layer_norm1', hidden),
      ...norm('layer_norm2', hidden),
      ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((name) =>
        dense(`self_attn.${name}`, hidden, hidden),
      ),
      ...dense('mlp.fc1', hidden, mlp),
      ...dense('mlp.fc2', mlp, hidden),
    ])
  return [
    ...biasedConv('embeddings.patch_embedding', 3, hidden, patch),
    table('embeddings.position_embedding.weight', [gridSide(siglip) ** 2, hidden]),
    ...times(layers - 1, layer),
    // hidden_states[-2] is what FlowSeg takes: the last layer and all behind it never run
    ...[
      ...layer(layers - 1),
      ...norm('post_layernorm', hidden),
      table('head.probe', [1, 1, hidden]),
      ...packed('head.attention', hidden),
      ...norm('head.layernorm', hidden),
      ...dense('head.mlp.fc1', hidden, mlp),
      ...dense('head.mlp.fc2', mlp, hidden),
    ].map(unused),
  ]
}

/** Output channels of SAM's neck, the same in every size of it. */
const NECK = 256

function samEntries({ sam }: Config): Entry[] {
  const { hidden, layers, heads, mlp, patch, window } = sam
  const grid = gridSide(sam)
  const last = Math.max(...sam.connectorLayers, sam.llmLayer)
  const layer = (i: number): Entry[] => {
    const side = sam.globalLayers.includes(i) ? grid : window
    const entries = under(`layers.${i}`, [
      ...norm('layer_norm1', hidden),
      ...norm('layer_norm2', hidden),
      ...dense('attn.qkv', hidden, 3 * hidden),
      ...dense('attn.proj', hidden, hidden),
      table('attn.rel_pos_h', [2 * side - 1, hidden / heads]),
      table('attn.rel_pos_w', [2 * side - 1, hidden / heads]),
      ...dense('mlp.lin1', hidden, mlp),
      ...dense('mlp.lin2', mlp, hidden),
    ])
    return i < last ? entries : entries.map(unused)
  }
  return [
    table('pos_embed', [1, grid, grid, hidden]),
    ...biasedConv('patch_embed.projection', 3, hidden, patch),
    ...times(layers, layer),
    ...[
      conv('neck.conv1', hidden, NECK, 1),
      ...norm('neck.layer_norm1', NECK),
      conv('neck.conv2', NECK, NECK, 3),
      ...norm('neck.layer_norm2', NECK),
    ].map(unused),
  ]
}

function projectorEntries(from: number, to: number): Entry[] {
  return [...dense('model.0', from, to), ...dense('model.2', to, to)]
}

function llmEntries(llm: LlmConfig): Entry[] {
  const { hidden, layers, heads, kvHeads, headDim, mlp, vocab } = llm
  const q = heads * headDim
  const kv = kvHeads * headDim
  const byType = {
    qwen3: [
      matrix('self_attn.q_proj.weight', [q, hidden]),
      matrix('self_attn.k_proj.weight', [kv, hidden]),
      matrix('self_attn.v_proj.weight', [kv, hidden]),
      vector('self_attn.q_norm.weight', headDim),
      vector('self_attn.k_norm.weight', headDim),
      matrix('mlp.gate_proj.weight', [mlp, hidden]),
      matrix('mlp.up_proj.weight', [mlp, hidden]),
    ],
    phi3: [
      matrix('self_attn.qkv_proj.weight', [q + 2 * kv, hidden]),
      matrix('mlp.gate_up_proj.weight', [2 * mlp, hidden]),
    ],
  }[llm.type]
  const head = unused(matrix('lm_head.weight', [vocab, hidden]))
  return [
    { ...matrix('model.embed_tokens.weight', [vocab, hidden]), kind: 'embedding' },
    ...times(layers, (i) =>
      under(`model.layers.${i}`, [
        ...byType,
        matrix('self_attn.o_proj.weight', [hidden, q]),
        matrix('mlp.down_proj.weight', [hidden, mlp]),
        vector('input_layernorm.weight', hidden),
        vector('post_attention_layernorm.weight', hidden),
      ]),
    ),
    vector('model.norm.weight', hidden),
    llm.tied ? notCounted(head) : head,
  ]
}

function pixelDecoderEntries(config: Config): Entry[] {
  const { hidden: d, heads, points, pixelLayers, pixelMlp } = config.head
  const levels = featureChannels(config)
  const samples = heads * levels.length * points
  return [
    table('level_embed', [levels.length, d]),
    ...levels.flatMap((channels, l) => [
      ...biasedConv(`input_projections.${l}.0`, channels, d, 1),
      ...norm(`input_projections.${l}.1`, d),
    ]),
    ...times(pixelLayers, (i) =>
      under(`encoder.layers.${i}`, [
        ...dense('self_attn.sampling_offsets', d, samples * 2),
        ...dense('self_attn.attention_weights', d, samples),
        ...dense('self_attn.value_proj', d, d),
        ...dense('self_attn.output_proj', d, d),
        ...norm('self_attn_layer_norm', d),
        ...dense('fc1', d, pixelMlp),
        ...dense('fc2', pixelMlp, d),
        ...norm('final_layer_norm', d),
      ]),
    ),
    conv('adapter_1.0', lastOf(levels), d, 1),
    ...norm('adapter_1.1', d),
    conv('layer_1.0', d, d, 3),
    ...norm('layer_1.1', d),
    ...biasedConv('mask_projection', d, d, 1),
  ]
}

function decoderEntries({ hidden: d, queries, decoderLayers, decoderMlp, maskLayers }: HeadConfig): Entry[] {
  return [
    table('queries_features.weight', [queries, d]),
    table('queries_embedder.weight', [queries, d]),
    table('level_embed.weight', [3, d]),
    ...times(decoderLayers, (i) =>
      under(`decoder.layers.${i}`, [
        ...packed('cross_attn', d),
        ...norm('cross_attn_layer_norm', d),
        ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((name) => dense(`self_attn.${name}`, d, d)),
        ...norm('self_attn_layer_norm', d),
        ...dense('fc1', d, decoderMlp),
        ...dense('fc2', decoderMlp, d),
        ...norm('final_layer_norm', d),
      ]),
    ),
    ...norm('decoder.layernorm', d),
    ...times(maskLayers, (i) => dense(`decoder.mask_predictor.mask_embedder.${i}.0`, d, d)),
  ]
}

function flowEntries({ hidden: d, decoderLayers }: HeadConfig): Entry[] {
  return times(decoderLayers, (i) =>
    under(`layers.${i}`, [
      ...packed('semantic_attn', d),
      matrix('semantic_gate.weight', [d, 2 * d]),
      // The paper's equation shows no bias: a file without one means zero
      { ...vector('semantic_gate.bias', d), optional: true },
      ...packed('condition_attn', d),
    ]),
  )
}

/** Tensors for the features of an image (src/model/knows/world.ts), which are no parameters of a network. */
function worldEntries({ knows, prompt, llm }: Config): Entry[] {
  if (!knows?.world) return []
  const { axes } = knows.world
  const features = 2 * prompt.vision.length * llm.hidden
  const host = (name: string, shape: readonly number[]): Entry => notCounted({ name, shape, kind: 'host' })
  return [host('mean', [features]), host('axes', [axes, features]), host('scale', [axes])]
}

// ---------------------------------------------------------------------------------------------------------
// PyTorch's modules

function matrix(name: string, shape: readonly number[]): Entry {
  return { name, shape, kind: 'matrix' }
}

function vector(name: string, length: number): Entry {
  return { name, shape: [length], kind: 'vector' }
}

function table(name: string, shape: readonly number[]): Entry {
  return { name, shape, kind: 'table' }
}

/** nn.Linear with a bias. */
function dense(name: string, from: number, to: number): Entry[] {
  return [matrix(`${name}.weight`, [to, from]), vector(`${name}.bias`, to)]
}

/** LayerNorm or GroupNorm. */
function norm(name: string, channels: number): Entry[] {
  return [vector(`${name}.weight`, channels), vector(`${name}.bias`, channels)]
}

/** nn.Conv2d without a bias. */
function conv(name: string, from: number, to: number, side: number): Entry {
  return { name: `${name}.weight`, shape: [to, from, side, side], kind: 'conv' }
}

function biasedConv(name: string, from: number, to: number, side: number): Entry[] {
  return [conv(name, from, to, side), vector(`${name}.bias`, to)]
}

/** nn.MultiheadAttention: the rows of in_proj are those of q, k and v. */
function packed(name: string, d: number): Entry[] {
  return [
    matrix(`${name}.in_proj_weight`, [3 * d, d]),
    vector(`${name}.in_proj_bias`, 3 * d),
    ...dense(`${name}.out_proj`, d, d),
  ]
}

function under(prefix: string, entries: readonly Entry[]): Entry[] {
  return entries.map((entry) => ({ ...entry, name: `${prefix}.${entry.name}` }))
}

function times(count: number, make: (i: number) => readonly Entry[]): Entry[] {
  return Array.from({ length: count }, (_, i) => make(i)).flat()
}

function unused(entry: Entry): Entry {
  return { ...entry, used: false }
}

function notCounted(entry: Entry): Entry {
  return { ...entry, counted: false }
}

function component(name: ParameterComponent, prefix: string, entries: readonly Entry[]): Parameter[] {
  const flow = name === 'semanticFlow' || name === 'boundary'
  return entries.map(({ name: own, shape, kind, used = true, counted = true, optional = false }) => {
    const count = counted ? shape.reduce((product, n) => product * n, 1) : 0
    return { name: `${prefix}${own}`, shape, component: name, kind, used, flow, count, optional }
  })
}
