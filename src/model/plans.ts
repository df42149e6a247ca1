// The four plans of FlowSeg, and the names by which tensors pass from one to the next.

import { expectDefined, lastOf } from '../check.ts'
import { inOneGo, scopeSteps } from '../gpu/recorder.ts'
import { activate } from '../ops/elementwise/elementwise.ts'
import { maskBytes, maskPixels } from '../ops/head/mask-pixels.ts'
import { sampleRegions } from '../ops/head/sample-regions.ts'
import { resize } from '../ops/image/resize.ts'
import { gather } from '../ops/layout/gather.ts'
import { concatRows, sliceRows, spaceToDepth } from '../ops/layout/layout.ts'
import type { Inputs, Outputs, Tensors } from '../tensor/plan.ts'
import {
  firstDim,
  lastDim,
  param,
  reshape,
  rowsOf,
  type Shape,
  scope,
  type Tensor,
} from '../tensor/tensor.ts'
import type { Build } from '../tuning/tune.ts'
import {
  type Config,
  featureSizes,
  finestSize,
  gridSide,
  type Vision,
  visionTokens,
  writesWords,
} from './checkpoint/config.ts'
import type { Weights } from './checkpoint/weights.ts'
import type { Prompt, Span } from './input/prompt.ts'
import { rowFeatures } from './knows/world.ts'
import { compressFeatures, type Refined, refineBoundary } from './networks/boundary.ts'
import { connector } from './networks/connector.ts'
import { type KvCache, kvCacheShapes, llmPrefixSteps, llmSteps } from './networks/llm.ts'
import { pixelDecoderSteps } from './networks/pixel-decoder.ts'
import { projector } from './networks/projector.ts'
import { samSteps } from './networks/sam.ts'
import {
  flowSteps,
  type ImageSide,
  imageSide,
  type LayerPrediction,
  levelOf,
  phraseMeans,
} from './networks/semantic-flow.ts'
import { siglipSteps } from './networks/siglip.ts'
import { watched } from './stages.ts'

/** The configuration, weights and sizes that every plan is built from. */
export interface Parts {
  /** The checked config.json. */
  readonly config: Config
  /** By name; they outlive every plan. */
  readonly weights: Weights
  /** The checkpoint has no tensors of the flow. */
  readonly baseline: boolean
  /** Sine position embeddings of the levels, [T_l, d]. */
  readonly sines: readonly Tensor[]
  /** Rows of the prompt up to and including the image. */
  readonly prefix: number
  /** Rows of the KV cache: the prefix and the longest sentence. */
  readonly capacity: number
  /** The type of the KV cache: f16 where the language model's matrices have 16 bits or fewer too. */
  readonly cacheType: 'f32' | 'f16'
}

/** Shapes of the cache tensors by name. */
export function cacheShapes({ config, capacity }: Parts): Record<string, Shape> {
  const { layers, shape } = kvCacheShapes(config.llm, capacity)
  const names = Array.from({ length: layers }, (_, i) => [`cache key ${i}`, `cache value ${i}`]).flat()
  return Object.fromEntries(names.map((name) => [name, shape]))
}

/** The cache, bound to a plan. */
export function boundCache(bound: Inputs['bound'], { config, capacity, cacheType }: Parts): KvCache {
  const { layers, shape } = kvCacheShapes(config.llm, capacity)
  return Array.from({ length: layers }, (_, i) => ({
    key: bound(`cache key ${i}`, shape, cacheType),
    value: bound(`cache value ${i}`, shape, cacheType),
  }))
}

/**
 * Runs once per image. In: embedded tokens `before` the image; bound: the cache, `sam` pixels, and `siglip` pixels if
 * the language model sees those, as preprocess.ts makes them. Kept: the image side, the `compressed` features for
 * boundary refinement, and the `sam tokens` that regions are sampled from, if the checkpoint knows regions. Read, here
 * and in the other plans: what expectFiniteStages (stages.ts) looks at; and the features by which an image is judged
 * (knows/world.ts), if the checkpoint knows those of its world.
 */
export function lookPlan(inputs: Inputs, parts: Parts): Outputs {
  return inOneGo(lookSteps(inputs, parts))
}

/** The steps of {@link lookPlan}, for `planInTurns`: at true size it is 1,200 dispatches. */
export function* lookSteps({ input, bound }: Inputs, parts: Parts): Generator<void, Outputs, void> {
  const { config, weights: w, baseline, sines } = parts

  // 1. Segmentation branch
  const { image: side } = config.sam
  const samPixels = bound('sam', [side, side, 3])
  const sam = samSteps(samPixels, w.scope('segmentor.encoder.'), config.sam)
  const { taps, llm: forLanguage } = yield* scopeSteps('sam', sam)
  const samRead = watched('sam', deepest(taps, forLanguage, config))
  const features = scope('connector', () => connector(taps, w.scope('seg_connector.')))
  yield

  // 2. What the language model sees: the semantic branch, and SAM again
  let siglipRead: Readonly<Record<string, Tensor>> = {}
  const visionRows: Record<Vision, () => Generator<void, Tensor, void>> = {
    *siglip() {
      const pixels = bound('siglip', [config.siglip.image, config.siglip.image, 3])
      const encoder = siglipSteps(pixels, w.scope('vision_encoder.vision_model.'), config.siglip)
      const x = yield* scopeSteps('siglip', encoder)
      siglipRead = watched('siglip', x)
      return scope('visual projector', () => projector(x, w.scope('visual_projector.')))
    },
    // oxlint-disable-next-line require-yield -- its neighbour does
    *sam() {
      return scope('seg projector', () => {
        const merged = spaceToDepth(forLanguage)
        const x = reshape(merged, [rowsOf(merged), lastDim(merged)])
        return projector(x, w.scope('seg_projector.'))
      })
    },
  }

  // 3. The beginning of the prompt, with the image's rows, into the cache
  const vision: Tensor[] = []
  let worldRead: Readonly<Record<string, Tensor>> = {}
  for (const from of config.prompt.vision) {
    const rows = yield* visionRows[from]()
    if (config.knows?.world) worldRead = { ...worldRead, ...rowFeatures(from, rows) }
    vision.push(rows)
    yield
  }
  const tokens = vision[config.prompt.vision.indexOf('sam')]
  const before = input('before', [parts.prefix - visionTokens(config), config.llm.hidden])
  const x = scope('llm', () => concatRows(before, ...vision))
  yield* scopeSteps('llm', llmPrefixSteps(x, w.scope('llm.'), config.llm, boundCache(bound, parts), 0))

  // 4. Pixels
  const decoder = pixelDecoderSteps(features, sines, w.scope('segmentor.pixel_decoder.'), config.head)
  const pixels = yield* scopeSteps('pixel decoder', decoder)
  yield
  const image = scope('decoder', () =>
    imageSide(pixels, featureSizes(config), sines, w.scope('segmentor.decoder.'), config),
  )
  const refiner = w.scope('segmentor.boundary_refiner.')
  return {
    read: { ...samRead, ...siglipRead, ...watched('features', pixels.maskFeatures), ...worldRead },
    keep: {
      ...named(image),
      ...(baseline ? {} : { compressed: compressFeatures(pixels.maskFeatures, refiner) }),
      ...(tokens && config.tasks.includes('regions') ? { 'sam tokens': tokens } : {}),
    },
  }
}

/**
 * The last of SAM's layers that anything is tapped from: what isn't finite before stays so in the stream up to there.
 */
function deepest(taps: readonly Tensor[], forLanguage: Tensor, { sam }: Config): Tensor {
  const last = Math.max(...sam.connectorLayers)
  return last >= sam.llmLayer
    ? expectDefined(taps[sam.connectorLayers.indexOf(last)], 'the last tap')
    : forLanguage
}

/** The image side under the names it is kept by; the finest mask features are the full ones. */
function named({ keys, values, maskLevels, maskFeatures }: ImageSide): Record<string, Tensor> {
  const numbered = (name: string, xs: readonly Tensor[]) => xs.map((x, i) => [`${name} ${i}`, x] as const)
  return Object.fromEntries([
    ...numbered('key', keys),
    ...numbered('value', values),
    ...numbered('mask level', maskLevels.slice(0, -1)),
    ['mask features', maskFeatures],
  ])
}

/** The image side of a look, bound in another plan. */
function boundImage(bound: Inputs['bound'], config: Config): ImageSide {
  const { hidden: d, decoderLayers } = config.head
  const tokens = featureSizes(config).map(([H, W]) => H * W)
  const numbered = (name: string, rows: readonly number[]) =>
    rows.map((T, i) => bound(`${name} ${i}`, [T, d]))
  const perLayer = Array.from({ length: decoderLayers }, (_, i) =>
    expectDefined(tokens[levelOf(i, tokens.length)], 'the level of a layer'),
  )
  const maskFeatures = bound('mask features', [lastOf(tokens, 'the levels'), d])
  return {
    keys: numbered('key', perLayer),
    values: numbered('value', perLayer),
    maskLevels: [...numbered('mask level', tokens.slice(0, -1)), maskFeatures],
    maskFeatures,
  }
}

/**
 * New tokens and rows of C are padded to multiples of these, so that few plans serve all sentences. At true size a
 * token takes a CPU 0.15 s, so the padding of tokens is the finer one.
 */
const TOKEN_BUCKET = 8
const ROW_BUCKET = 16

/** The rows of the language model that become C and S. */
export interface Picked {
  /** Rows of C, padding included. */
  readonly K: number
  /** Rows of C that count. */
  readonly count: number
  /** The rows of C, padded with the last of them, then the row of S. */
  readonly rows: Uint32Array
  /** The rows of C that belong to each phrase. */
  readonly spans: readonly Span[]
}

/** All rows of all phrases, one after the other, and that of S. */
export function pickRows(spans: readonly Span[], seg: number): Picked {
  const all = spans.flatMap(([begin, end]) => Array.from({ length: end - begin }, (_, i) => begin + i))
  const K = roundUp(all.length, ROW_BUCKET)
  const last = lastOf(all, 'the rows of C')
  const rows = Uint32Array.from({ length: K + 1 }, (_, i) => (i === K ? seg : (all[i] ?? last)))
  let done = 0
  const moved = spans.map(([begin, end]): Span => [done, (done += end - begin)])
  return { K, count: all.length, rows, spans: moved }
}

/**
 * The read plan's inputs for a prompt: the rows to pick, the number of tokens T, padding included, and the tokens' ids.
 */
export function readInputs(
  { after, spans, seg }: Prompt,
  { capacity, prefix }: Pick<Parts, 'capacity' | 'prefix'>,
): Picked & { readonly T: number; readonly ids: readonly number[] } {
  const T = Math.min(roundUp(after.length, TOKEN_BUCKET), capacity - prefix)
  return { ...pickRows(spans, seg), T, ids: after }
}

/**
 * Runs once per sentence. In: embedded tokens `after` the image, the `rows` of C and S among them, and `spans` of more
 * phrases than one; bound: the cache; params, of one phrase: `span`, how many rows of C count. Kept: `condition` [K, d]
 * and `seg` [1, d].
 *
 * @param T        tokens, padding included: what follows <SEG> can't change what came before
 * @param K        rows of C, padding included
 * @param phrases  how many, and whether C has a row for each of them instead of a row for each of their tokens
 */
export function readPlan(
  inputs: Inputs,
  T: number,
  K: number,
  parts: Parts,
  phrases: Phrases = ONE_PHRASE,
): ReadOutputs {
  return inOneGo(readSteps(inputs, T, K, parts, phrases))
}

/** C and S. */
type ReadOutputs = Required<Outputs<Tensors, { readonly condition: Tensor; readonly seg: Tensor }>>

/** The steps of {@link readPlan}, for `planInTurns`. */
export function* readSteps(
  { input, bound }: Inputs,
  T: number,
  K: number,
  parts: Parts,
  phrases: Phrases = ONE_PHRASE,
): Generator<void, ReadOutputs, void> {
  const { config, weights: w, prefix } = parts
  const after = input('after', [T, config.llm.hidden])
  const picked = input('rows', [K + 1], 'u32')
  const cache = boundCache(bound, parts)
  const hidden = yield* scopeSteps('llm', llmSteps(after, w.scope('llm.'), config.llm, cache, prefix))
  // K + 1 rows suffice, so pick before projecting
  return language(gather(hidden, picked), input, parts, phrases)
}

/**
 * Projects C and S from rows of the language model that exist already, of a text that it wrote. In: `rows` [K + 1, H]
 * of C and S; otherwise as {@link readPlan}.
 */
export function languagePlan(
  { input }: Pick<Inputs, 'input'>,
  K: number,
  parts: Parts,
  phrases: Phrases = ONE_PHRASE,
): ReadOutputs {
  return language(input('rows', [K + 1, parts.config.llm.hidden]), input, parts, phrases)
}

/** The phrases of a prompt, and the form in which they become C. */
export interface Phrases {
  /** At least 1. */
  readonly count: number
  /** A row of C for each phrase, whatever the config says: for lists so long that training saw nothing like them. */
  readonly pooled: boolean
}

const ONE_PHRASE: Phrases = { count: 1, pooled: false }

/** The form of C: of a phrase a row for each token, or one; with the background's row or without. */
export function conditionForm({ config }: Parts, { pooled }: Phrases): Config['flow']['condition'] {
  return pooled && config.flow.condition === 'tokens' ? 'pooled' : config.flow.condition
}

/** Rows of C(0) of a phrase of K rows. */
export function conditionRows({ flow }: Config, K: number): number {
  return { tokens: K, pooled: 1, 'pooled+background': 2 }[flow.condition]
}

/** C(0) and S of the rows that were picked. */
function language(rows: Tensor, input: Inputs['input'], parts: Parts, phrases: Phrases): ReadOutputs {
  const { weights: w } = parts
  const K = firstDim(rows) - 1
  // Project before pooling
  const projected = scope('llm projector', () => projector(rows, w.scope('llm_projector.')))
  const tokens = sliceRows(projected, 0, K)
  const form = conditionForm(parts, phrases)
  const length = phrases.count === 1 ? param('span') : K
  const means = () => phraseMeans(tokens, length, inputSpans(input, phrases.count))
  const forms: Record<typeof form, () => Tensor> = {
    tokens: () => tokens,
    pooled: means,
    'pooled+background': () => concatRows(means(), w.tensor('bg_embeds.weight')),
  }
  const condition = forms[form]()
  const seg = sliceRows(projected, K, 1)
  return { read: { ...watched('condition', condition), ...watched('seg', seg) }, keep: { condition, seg } }
}

function inputSpans(input: Inputs['input'], count: number): Tensor | undefined {
  return count === 1 ? undefined : input('spans', [count, 2], 'u32')
}

/**
 * Runs once per sentence. In: `spans` of more phrases than one; bound: the image side, `condition` and `seg`; params:
 * `length`, rows of C that count. Read: `logits` [N, P + 1] and `masks` [N, H * W] of the last layer; of every layer
 * when asked for.
 *
 * @param K       rows of C
 * @param phrases P
 */
export function segmentPlan(
  inputs: Inputs,
  K: number,
  every: boolean,
  parts: Parts,
  phrases = 1,
): SegmentOutputs {
  return inOneGo(segmentSteps(inputs, K, every, parts, phrases))
}

/** The last prediction, and what was asked for beside it. */
type SegmentOutputs = Outputs<Tensors & { readonly logits: Tensor; readonly masks: Tensor }>

/** The steps of {@link segmentPlan}, for `planInTurns`. */
export function* segmentSteps(
  { input, bound }: Inputs,
  K: number,
  every: boolean,
  parts: Parts,
  phrases = 1,
): Generator<void, SegmentOutputs, void> {
  const { config, weights: w, baseline } = parts
  const { hidden: d } = config.head
  const language = {
    condition: bound('condition', [K, d]),
    seg: bound('seg', [1, d]),
    length: param('length'),
    // With the background's row among them, C's rows are the classes already
    spans: config.flow.condition === 'pooled+background' ? undefined : inputSpans(input, phrases),
  }
  const image = boundImage(bound, config)
  const predictions = yield* flowSteps(image, language, w, config, { baseline, every })
  const { logits, masks } = lastOf(predictions, 'the predictions')
  if (!masks) throw new Error('segmentPlan: the last prediction has no masks')
  const layers = every ? predictions.flatMap(readable) : []
  return { read: { ...Object.fromEntries(layers), logits, masks } }
}

function readable(
  { logits, masks, condition, refinement }: LayerPrediction,
  layer: number,
): [string, Tensor][] {
  const gate = refinement && activate(refinement.gate, 'sigmoid')
  const entries = Object.entries({ logits, masks, condition, gate })
  return entries.flatMap(([name, x]): [string, Tensor][] => (x ? [[`${name} ${layer}`, x]] : []))
}

/** Sizes of an image and of its place on SAM's canvas. */
export interface ImageSize {
  /** Pixels of the image as it came, upright. */
  readonly width: number
  /** Pixels of the image as it came, upright. */
  readonly height: number
  /** [h', w']: the part of the canvas that holds the image. */
  readonly scaled: readonly [number, number]
}

/**
 * Runs once per mask. In: `logits` [H, W] of one query; bound: `compressed` features, unless baseline. Read: `bits`,
 * one per pixel of the image; and, unless baseline, the `refined` logits and the `band` they could move in.
 *
 * @param rowBytes if given, `bytes` of the mask are kept in rows of so many, and no bits are read
 */
export function finishPlan(
  inputs: Inputs,
  image: ImageSize,
  parts: Parts,
  rowBytes?: number,
): Outputs<Tensors & { readonly bits?: Tensor }, { readonly bytes?: Tensor }> {
  const { logits, refined, watches } = queryMask(inputs, parts)
  const bits = imageBits(logits, image, parts.config)
  const read = refined ? { refined: logits, band: refined.band, ...watches } : {}
  if (rowBytes === undefined) return { read: { ...read, bits } }
  const size = [image.height, image.width] as const
  return { read, keep: { bytes: maskBytes(bits, size, rowBytes) } }
}

/** The mask of one query on the model's canvas: refined along its boundary, unless baseline. */
export function queryMask(
  { input, bound }: Inputs,
  parts: Parts,
): {
  /** [H, W] */
  readonly logits: Tensor
  /** The intermediate results of the refinement; undefined for the baseline. */
  readonly refined: Refined | undefined
  /** Outputs that the plan reads back. */
  readonly watches: Tensors
} {
  const { config, weights: w, baseline } = parts
  const [H, W] = finestSize(config)
  const raw = input('logits', [H, W])
  if (baseline) return { logits: raw, refined: undefined, watches: {} }
  const refiner = w.scope('segmentor.boundary_refiner.')
  const refined = refineBoundary(raw, boundCompressed(bound, parts), refiner)
  return { logits: refined.logits, refined, watches: watched('refined', refined.logits, refined.steps) }
}

/** A bit per pixel of the image: whether a logit there is above 0. @param logits [H, W] */
export function imageBits(logits: Tensor, image: ImageSize, config: Config): Tensor {
  const [H, W] = finestSize(config)
  // In two steps: to SAM's whole canvas, then from its part that holds the image to the image. The crop
  // happens on logits between the two, so one direct resize would not be the same.
  const { image: side } = config.sam
  const canvas = resize(reshape(logits, [H, W, 1]), [side, side])
  return maskPixels(reshape(canvas, [side, side]), image.scaled, [image.height, image.width])
}

/**
 * Runs once per region. In: its `points` [rows, points of a row, 2] in cells of the map of SAM's tokens; bound: these,
 * the `sam tokens` that lookPlan kept. Read: the `rows` [rows, H] that stand for the region in a prompt.
 */
export function samplerPlan({ input, bound }: Inputs, { config }: Parts): Outputs<{ readonly rows: Tensor }> {
  const { regions, llm, sam } = config
  const side = gridSide(sam) / 2
  const map = reshape(bound('sam tokens', [side * side, llm.hidden]), [side, side, llm.hidden])
  const points = input('points', [regions.rows, regions.points / regions.rows, 2])
  return { read: { rows: sampleRegions(map, points, { pool: regions.pool }) } }
}

function boundCompressed(bound: Inputs['bound'], { config, weights }: Parts): Tensor {
  const [H, W] = finestSize(config)
  const channels = weights.tensor('segmentor.boundary_refiner.compress.bias').size
  return bound('compressed', [H, W, channels])
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple
}

/** The plans of one image and one sentence of usual length, for the tuner. */
export function workload(parts: Parts): Build[] {
  const { config, capacity, prefix } = parts
  const { image: side } = config.sam
  const tokens = Math.min(32, capacity - prefix)
  const names = 16
  const rows = conditionRows(config, names)
  const image: ImageSize = { width: side, height: side, scaled: [side, side] }
  return [
    (inputs) => lookPlan(inputs, parts),
    (inputs) => readPlan(inputs, tokens, names, parts),
    // A token of an answer is a row, which other kernels may suit
    ...(writesWords(config) ? [(inputs: Inputs) => readPlan(inputs, 1, names, parts)] : []),
    (inputs) => segmentPlan(inputs, rows, false, parts),
    (inputs) => finishPlan(inputs, image, parts),
  ]
}
