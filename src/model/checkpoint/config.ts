// config.json: the sizes of a model and the few choices that its training fixed.
//
// The keys are those of weights/flowseg-nano/config.json; the names of sizes are the spec's. Everything is
// checked here, once, so that no other file has to wonder: a wrong value is a WeightsError that names the
// key, what it holds and what was expected. A key that nobody reads is an error too, as a misspelt optional
// one would silently mean its default.

import { isObject } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import { printable, quoted } from '../../printable.ts'
import { HEAD, isHead, MOST, Section } from './config-section.ts'
import {
  type KnowsConfig,
  knowsConfig,
  type PresenceConfig,
  presenceConfig,
  type RegionConfig,
  regionConfig,
  SENTENCES,
  TASKS,
  type TaskName,
} from './task-config.ts'

/** SigLIP's vision tower; FlowSeg takes hidden_states[-2], so the last of `layers` never runs. */
export interface SiglipConfig {
  /** Side of the square that it takes, in pixels. */
  readonly image: number
  /** Side of a patch, in pixels. */
  readonly patch: number
  /** Channels of a token. */
  readonly hidden: number
  /** Transformer blocks. */
  readonly layers: number
  /** Attention heads of a layer. */
  readonly heads: number
  /** Channels between the two linear layers of an MLP. */
  readonly mlp: number
  /** Added to the variance in every norm. */
  readonly eps: number
}

/** SAM's image encoder (Kirillov et al. 2023). */
export interface SamConfig {
  /** Side of the square that it takes, in pixels. */
  readonly image: number
  /** Side of a patch, in pixels. */
  readonly patch: number
  /** Channels of a token. */
  readonly hidden: number
  /** Transformer blocks. */
  readonly layers: number
  /** Attention heads of a layer. */
  readonly heads: number
  /** Channels between the two linear layers of an MLP. */
  readonly mlp: number
  /** Side of an attention window, in tokens. */
  readonly window: number
  /** Added to the variance in every norm. */
  readonly eps: number
  /** Layers that attend over the whole image, counted from 0. */
  readonly globalLayers: readonly number[]
  /** Layers whose outputs become the fine, middle and coarse feature maps, counted from 1. */
  readonly connectorLayers: readonly number[]
  /** The layer whose output the language model sees, counted from 1. */
  readonly llmLayer: number
}

/** The connector, from three of SAM's layers to a fine, a middle and a coarse map. */
export interface ConnectorConfig {
  /** Channels between the convolutions of a branch. */
  readonly hidden: number
  /**
   * Channels before the shuffle, by branch: a quarter of them arrives in the fine map, four times as many in the coarse
   * one.
   */
  readonly channels: readonly number[]
}

/** The language model. */
export interface LlmConfig {
  /** The architecture. */
  readonly type: 'qwen3' | 'phi3'
  /** Channels of a token. */
  readonly hidden: number
  /** Transformer blocks. */
  readonly layers: number
  /** Heads of queries. */
  readonly heads: number
  /** Heads of keys and values, each shared by heads / kvHeads heads of queries. */
  readonly kvHeads: number
  /** Channels of a head. */
  readonly headDim: number
  /** Channels between the linear layers of an MLP. */
  readonly mlp: number
  /** Rows of the embedding as trained; a checkpoint's own number wins (fit.ts). */
  readonly vocab: number
  /** Base of the rotary frequencies. */
  readonly ropeTheta: number
  /** Added to the mean square in every norm. */
  readonly eps: number
  /** True if lm_head is tied to the embedding: both are one matrix. */
  readonly tied: boolean
  /** Longest sequence that the model reads. */
  readonly maxPositions: number
  /** Keys that a query sees at most, the latest ones, its own included; absent if it sees all before it. */
  readonly window?: number
}

/** Pixel decoder, transformer decoder and matching. */
export interface HeadConfig {
  /** Channels of a query and of every map. */
  readonly hidden: number
  /** Attention heads of a layer. */
  readonly heads: number
  /** Number of queries N: candidates for what a sentence means. */
  readonly queries: number
  /** Groups of every GroupNorm. */
  readonly groups: number
  /** Added to the variance in every norm. */
  readonly eps: number
  /** Layers of the pixel decoder. */
  readonly pixelLayers: number
  /** Places that a token of the pixel decoder looks at, per head and level. */
  readonly points: number
  /** Channels between the linear layers of the pixel decoder's MLPs. */
  readonly pixelMlp: number
  /** Layers of the transformer decoder. */
  readonly decoderLayers: number
  /** Channels between the linear layers of the decoder's MLPs. */
  readonly decoderMlp: number
  /** Linear layers of the mask embedding. */
  readonly maskLayers: number
}

/** Bidirectional semantic flow. */
export interface FlowConfig {
  /** The form of C(0): a row for each token of the phrase, their mean, or their mean and the background vector. */
  readonly condition: 'tokens' | 'pooled' | 'pooled+background'
  /** True if the queries' position embeddings are added in the flow's two attentions. */
  readonly positions: boolean
  /** The tasks that the flow was trained on: for others it is left out, unless asked for. */
  readonly tasks: readonly TaskName[]
}

/** Boundary-aware refinement. */
export interface BoundaryConfig {
  /** Channels that the mask features are compressed to. */
  readonly compress: number
  /** Channels between its two convolutions. */
  readonly hidden: number
}

/** One of the two image encoders. */
export type Vision = 'siglip' | 'sam'

/** The words around a sentence, and where the image stands among them. */
export interface PromptConfig {
  /** The chat frame; 'qwen3-no-think' adds the empty thought that Qwen3-1.7B was trained with. */
  readonly chat: 'qwen3' | 'qwen3-no-think' | 'phi3'
  /** The question about a phrase; {phrase} becomes `<p>phrase</p>`. */
  readonly template: string
  /** The answer given for the model to read; contains <SEG>. */
  readonly answer: string
  /** The encoders whose tokens replace the image placeholder, in order. */
  readonly vision: readonly Vision[]
  /** Most text tokens of a prompt, image rows not counted. */
  readonly maxTokens: number
  /** True if Phi-3's prompts begin with <s>, as in X-SAM's training and evaluation; its demo leaves it out. */
  readonly bos?: boolean
}

/** A model's config.json, checked: the sizes of every network and the words of the prompt. */
export interface Config {
  /** The kind of model that the file describes. */
  readonly model: 'flowseg'
  /** The model's name, for people. */
  readonly name: string
  /** Behaviour of X-SAM's AAAI branch or of its main branch where they differ (spec, section 12). */
  readonly compat: 'aaai' | 'main'
  /** The encoder whose tokens the language model reads. */
  readonly siglip: SiglipConfig
  /** The encoder whose maps the pixel decoder reads. */
  readonly sam: SamConfig
  /** The connector from SAM's maps to three scales. */
  readonly connector: ConnectorConfig
  /** The language model. */
  readonly llm: LlmConfig
  /** The pixel decoder, the transformer decoder and the matching. */
  readonly head: HeadConfig
  /** The bidirectional semantic flow. */
  readonly flow: FlowConfig
  /** The boundary-aware refinement. */
  readonly boundary: BoundaryConfig
  /** The prompt: the chat frame, the question and answer, and the image's place. */
  readonly prompt: PromptConfig
  /** The tasks that the checkpoint was trained on. */
  readonly tasks: readonly TaskName[]
  /** The rows that stand for a region in a prompt. */
  readonly regions: RegionConfig
  /** The thresholds by which an object counts as found. */
  readonly presence: PresenceConfig
  /** The words and images that the checkpoint knows, if the file says so. */
  readonly knows?: KnowsConfig
}

// ---------------------------------------------------------------------------------------------------------
// Sizes that follow

/** True if the model answers in words, for which it needs the language model's head. */
export function writesWords({ tasks }: Pick<Config, 'tasks'>): boolean {
  return tasks.includes('chat') || tasks.includes('grounded')
}

/** Patches per side; a remainder of the image is unused. */
export function gridSide(config: { readonly image: number; readonly patch: number }): number {
  return Math.floor(config.image / config.patch)
}

/** Rows of each encoder in the language model's sequence, in their order; four of SAM's tokens make one. */
export function visionRows({ siglip, sam, prompt }: Config): ReadonlyMap<Vision, number> {
  const rows = { siglip: gridSide(siglip) ** 2, sam: (gridSide(sam) / 2) ** 2 }
  return new Map(prompt.vision.map((from) => [from, rows[from]]))
}

/** Rows that stand at the image placeholder in the language model's sequence. */
export function visionTokens(config: Config): number {
  return [...visionRows(config).values()].reduce((sum, rows) => sum + rows, 0)
}

/** Rows and columns of a feature map. */
export type MapSize = readonly [H: number, W: number]

/** Sizes of the feature maps from coarse to fine: strides 32, 16 and 8 at full size. */
export function featureSizes({ sam }: Config): readonly [MapSize, MapSize, MapSize] {
  const s = gridSide(sam)
  return [
    [s / 2, s / 2],
    [s, s],
    [s * 2, s * 2],
  ]
}

/** The size of the finest feature map, which masks have as well. */
export function finestSize(config: Config): MapSize {
  return featureSizes(config)[2]
}

/** Channels of the feature maps, from coarse to fine. */
export function featureChannels({ connector }: Config): readonly number[] {
  const [fine = 0, middle = 0, coarse = 0] = connector.channels
  return [coarse * 4, middle, fine / 4]
}

// ---------------------------------------------------------------------------------------------------------
// Parsing

/**
 * Checks a parsed config.json and fills in what it may leave out: everything that the published models agree on.
 *
 * @param fileName for messages
 * @throws WeightsError naming the key, its value and what was expected
 */
export function parseConfig(json: unknown, fileName: string): Config {
  const foreign = foreignType(json)
  if (foreign !== undefined) {
    throw new WeightsError(
      `${printable(fileName)} is the config of another model, of type ${quoted(foreign, 80)}, not one of FlowSeg: it has ` +
        `no "model": "flowseg". Take the config.json of a FlowSeg checkpoint, or one of weights/configs.`,
    )
  }
  const top = new Section(json, '', fileName)
  const model = top.oneOf('model', ['flowseg']) // first, as a file without it is of something else
  const llm = llmConfig(top.section('llm'))
  const compat = top.oneOf('compat', ['aaai', 'main'], 'aaai')
  const config: Config = {
    model,
    name: top.text('name', fileName),
    compat,
    siglip: siglipConfig(top.section('siglip')),
    sam: samConfig(top.section('sam')),
    connector: connectorConfig(top.section('connector')),
    llm,
    head: headConfig(top.section('head')),
    flow: flowConfig(top.section('flow', {})),
    boundary: boundaryConfig(top.section('boundary', {})),
    prompt: promptConfig(top.section('prompt', {}), llm.type),
    tasks: top.listOf('tasks', TASKS, SENTENCES),
    regions: regionConfig(top.section('regions', {}), compat),
    presence: presenceConfig(top.section('presence', {})),
    ...(top.has('knows') && { knows: knowsConfig(top.section('knows')) }),
  }
  const lacksSam = config.tasks.includes('regions') && !config.prompt.vision.includes('sam')
  top.expect(!lacksSam, 'tasks', "no 'regions': they are sampled from SAM's rows, which prompt.vision lacks")
  const room = llm.maxPositions - visionTokens(config)
  if (config.prompt.maxTokens > room) {
    top.fail(
      'prompt.maxTokens',
      config.prompt.maxTokens,
      `at most ${room}: llm.maxPositions less the image's rows`,
    )
  }
  top.done()
  return config
}

/** The kind of model that a config.json of the transformers library describes; undefined if it may be one of ours. */
function foreignType(json: unknown): string | undefined {
  if (!isObject(json) || 'model' in json) return undefined
  const { model_type: type, architectures } = json
  if (typeof type === 'string') return type
  const first: unknown = Array.isArray(architectures) ? architectures[0] : undefined
  return typeof first === 'string' ? first : undefined
}

function siglipConfig(s: Section): SiglipConfig {
  const config = {
    image: s.size('image', MOST.image),
    patch: s.size('patch', MOST.image),
    hidden: s.size('hidden', MOST.channels),
    layers: s.size('layers', MOST.layers),
    heads: s.size('heads', MOST.heads),
    mlp: s.size('mlp', MOST.mlp),
    eps: s.between('eps', 1e-12, 1, 1e-6),
  }
  s.expect(config.patch <= config.image, 'patch', `at most siglip.image (${config.image})`)
  expectGrid(s, config)
  s.expect(config.layers > 1, 'layers', '2 or more: the output is that of the last but one')
  s.expectHeads(config.heads, config.hidden)
  s.done()
  return config
}

function samConfig(s: Section): SamConfig {
  const config = {
    image: s.size('image', MOST.image),
    patch: s.size('patch', MOST.image),
    hidden: s.size('hidden', MOST.channels),
    layers: s.size('layers', MOST.layers),
    heads: s.size('heads', MOST.heads),
    mlp: s.size('mlp', MOST.mlp),
    window: s.size('window', MOST.grid),
    eps: s.between('eps', 1e-12, 1, 1e-6),
    globalLayers: s.list('globalLayers', MOST.layers, MOST.layers),
    connectorLayers: s.list('connectorLayers', 3, MOST.layers),
    llmLayer: s.size('llmLayer', MOST.layers),
  }
  const { layers } = config
  const isLayer = (n: number) => n >= 1 && n <= layers
  s.expectDivisor('patch', config.patch, 'image', config.image)
  expectGrid(s, config)
  s.expect(
    gridSide(config) % 2 === 0,
    'image',
    'an even number of patches, as four neighbours become one token',
  )
  s.expectHeads(config.heads, config.hidden)
  s.expect(config.window <= gridSide(config), 'window', `at most the grid's side (${gridSide(config)})`)
  s.expect(
    config.globalLayers.every((n) => n < layers),
    'globalLayers',
    `layers from 0 to ${layers - 1}`,
  )
  s.expect(
    config.connectorLayers.length === 3,
    'connectorLayers',
    'three layers: for the fine, middle and coarse map',
  )
  s.expect(config.connectorLayers.every(isLayer), 'connectorLayers', `layers from 1 to ${layers}`)
  s.expect(isLayer(config.llmLayer), 'llmLayer', `a layer from 1 to ${layers}`)
  s.done()
  return config
}

function connectorConfig(s: Section): ConnectorConfig {
  const config = { hidden: s.size('hidden', MOST.channels), channels: s.list('channels', 3, MOST.channels) }
  const [fine = 0] = config.channels
  const positive = config.channels.every((n) => n > 0)
  s.expect(
    config.channels.length === 3 && positive,
    'channels',
    'three sizes: for the fine, middle and coarse map',
  )
  s.expect(
    fine % 4 === 0,
    'channels',
    'a first size that is a multiple of 4, as the fine map keeps a quarter',
  )
  s.done()
  return config
}

function llmConfig(s: Section): LlmConfig {
  const hidden = s.size('hidden', MOST.channels)
  const heads = s.size('heads', MOST.heads)
  const type = s.oneOf('type', ['qwen3', 'phi3'])
  const config = {
    type,
    hidden,
    layers: s.size('layers', MOST.layers),
    heads,
    kvHeads: s.size('kvHeads', MOST.heads, heads),
    headDim: s.size('headDim', MOST.channels, hidden / heads),
    mlp: s.size('mlp', MOST.mlp),
    vocab: s.size('vocab', MOST.vocab),
    ropeTheta: s.between('ropeTheta', 1, 1e12),
    eps: s.between('eps', 1e-12, 1, 1e-6),
    tied: s.flag('tied', false),
    maxPositions: s.size('maxPositions', MOST.positions, MOST.positions),
    // Phi-3-mini's window by default; Qwen3 has none
    ...(type === 'phi3' || s.has('window') ? { window: s.size('window', MOST.window, 2047) } : {}),
  }
  s.expectDivisor('kvHeads', config.kvHeads, 'heads', heads)
  if (!isHead(config.headDim)) s.fail('headDim', config.headDim, HEAD)
  s.expect(config.vocab > 3, 'vocab', 'more than the three tokens <SEG>, <p> and </p>')
  s.done()
  return config
}

function headConfig(s: Section): HeadConfig {
  const config = {
    hidden: s.size('hidden', MOST.channels),
    heads: s.size('heads', MOST.heads, 8),
    queries: s.size('queries', MOST.queries),
    groups: s.size('groups', MOST.channels, 32),
    eps: s.between('eps', 1e-12, 1, 1e-5),
    pixelLayers: s.size('pixelLayers', MOST.layers),
    points: s.size('points', MOST.points, 4),
    pixelMlp: s.size('pixelMlp', MOST.mlp),
    decoderLayers: s.size('decoderLayers', MOST.layers),
    decoderMlp: s.size('decoderMlp', MOST.mlp),
    maskLayers: s.size('maskLayers', MOST.layers, 3),
  }
  s.expectHeads(config.heads, config.hidden)
  s.expectDivisor('groups', config.groups, 'hidden', config.hidden)
  s.done()
  return config
}

function flowConfig(s: Section): FlowConfig {
  const config = {
    condition: s.oneOf('condition', ['tokens', 'pooled', 'pooled+background'], 'tokens'),
    positions: s.flag('positions', true),
    tasks: s.listOf('tasks', TASKS, SENTENCES),
  }
  s.done()
  return config
}

function boundaryConfig(s: Section): BoundaryConfig {
  const config = {
    compress: s.size('compress', MOST.channels, 32),
    hidden: s.size('hidden', MOST.channels, 8),
  }
  s.done()
  return config
}

function promptConfig(s: Section, llm: LlmConfig['type']): PromptConfig {
  const config = {
    chat: s.oneOf('chat', ['qwen3', 'qwen3-no-think', 'phi3'], llm),
    template: s.text(
      'template',
      'Can you segment {phrase} in this image? Please generate the segmentation mask.',
    ),
    answer: s.text('answer', 'It is <SEG>.'),
    vision: s.listOf('vision', ['siglip', 'sam'], ['siglip', 'sam']),
    maxTokens: s.size('maxTokens', MOST.tokens, 256),
    bos: s.flag('bos', true),
  }
  s.expect(config.template.includes('{phrase}'), 'template', 'a sentence with {phrase} in it')
  s.expect(config.answer.includes('<SEG>'), 'answer', 'a sentence with <SEG> in it')
  s.expect(config.vision.length > 0, 'vision', 'at least one encoder')
  s.done()
  return config
}

function expectGrid(s: Section, config: { readonly image: number; readonly patch: number }): void {
  s.expect(gridSide(config) <= MOST.grid, 'patch', `at most ${MOST.grid} patches per side of the image`)
}
