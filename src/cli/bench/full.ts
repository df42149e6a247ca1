// The full model of `flowseg bench`, piece by piece, each with random weights of its own: single layers, and complete
// what comes once. A piece and what it is multiplied by are all that there is to say about a model that fits nowhere.

import { readFile } from 'node:fs/promises'
import { entryOf, lastOf } from '../../check.ts'
import {
  type Config,
  featureChannels,
  featureSizes,
  gridSide,
  parseConfig,
} from '../../model/checkpoint/config.ts'
import { makeParts } from '../../model/checkpoint/parts.ts'
import { randomWeights } from '../../model/checkpoint/random-weights.ts'
import { compressFeatures } from '../../model/networks/boundary.ts'
import { connector } from '../../model/networks/connector.ts'
import { llmLayer } from '../../model/networks/llm.ts'
import { pixelDecoder } from '../../model/networks/pixel-decoder.ts'
import { projector } from '../../model/networks/projector.ts'
import { samLayer, samPatches } from '../../model/networks/sam.ts'
import { imageSide } from '../../model/networks/semantic-flow.ts'
import { siglipLayer, siglipPatches } from '../../model/networks/siglip.ts'
import { finishPlan, type Parts, segmentPlan } from '../../model/plans.ts'
import { spaceToDepth } from '../../ops/layout/layout.ts'
import { linear } from '../../ops/matmul/matmul.ts'
import { argmax } from '../../ops/reduce/reduce.ts'
import type { Inputs, Outputs } from '../../tensor/plan.ts'
import { lastDim, reshape, rowsOf, type Tensor } from '../../tensor/tensor.ts'
import { grouped } from '../output/terminal.ts'
import { packagePath } from '../package.ts'
import { type BenchPiece, type BenchStep, prepare, rowsOfC } from './pieces.ts'

/** The published model whose layers are taken. */
export async function fullConfig(): Promise<Config> {
  const path = packagePath('weights', 'configs', 'flowseg-qwen3-4b.json')
  return parseConfig(JSON.parse(await readFile(path, 'utf8')), path)
}

/** A prompt with its image, and the part of it that is new with each sentence. */
const [SEQUENCE, NEW] = [1800, 45]
/** Rows of C: a phrase of up to 16 tokens. */
const CONDITION = 16
/** The matrix from states to words is the largest: an eighth of it, in rows as even as its own, stands for it. */
const HEAD_PARTS = 8

/** All that one image and one sentence take, in the order in which they take it. */
export function fullPieces(config: Config, dtype: 'f32' | 'bf16'): BenchPiece[] {
  const { siglip, sam, llm, head } = config
  const [patches, grid] = [gridSide(siglip) ** 2, gridSide(sam)]
  const sizes = featureSizes(config)
  const tokens = sizes.reduce((sum, [H, W]) => sum + H * W, 0)
  const samLayers = Math.max(...sam.connectorLayers, sam.llmLayer)
  const globals = sam.globalLayers.filter((i) => i < samLayers)
  const windowed = Array.from({ length: samLayers }, (_, i) => i).find((i) => !globals.includes(i)) ?? 0
  const step = (of: BenchStep, pieces: readonly Full[]): BenchPiece[] =>
    pieces.map(({ name, title, count, weights: prefixes, build, params = {}, config: own = config }) => ({
      name,
      title,
      count,
      step: of,
      prepare: async (gpu, task) => {
        const { bytes } = gpu.memory()
        const loaded = await randomWeights(gpu, own, prefixes, dtype)
        const weightBytes = gpu.memory().bytes - bytes
        const built = await makeParts(gpu, { ...loaded, baseline: false }, config, 0).catch(
          (error: unknown) => {
            loaded.release()
            throw error
          },
        )
        const free = (): void => {
          built.release()
          loaded.release()
        }
        const ready = await prepare(gpu, name, (from) => build(from, built.parts), { params }, task, free)
        return { ...ready, weightBytes }
      },
    }))
  const features = ({ bound }: Inputs): Tensor[] =>
    sizes.map(([H, W], l) => bound(`features ${l}`, [H, W, entryOf(featureChannels(config), l)]))
  const tap = ({ bound }: Inputs, name: string): Tensor => bound(name, [grid, grid, sam.hidden])
  const samPiece = (name: string, i: number, count: number, kind: string): Full => ({
    name,
    title: `SAM layer, ${kind}, ${grouped(grid * grid)} tokens`,
    count,
    weights: [`segmentor.encoder.layers.${i}.`],
    build: (from, { weights }) => {
      const window = globals.includes(i) ? 0 : sam.window
      const w = weights.scope(`segmentor.encoder.layers.${i}.`)
      return { keep: { y: samLayer(tap(from, 'x'), w, window, sam) } }
    },
  })
  const llmPiece = (name: string, T: number, title: string): Full => ({
    name,
    title,
    count: llm.layers,
    weights: ['llm.model.layers.0.'],
    build: ({ bound }, { weights }) => {
      const width = llm.kvHeads * llm.headDim
      const cache = {
        key: bound('cache key', [SEQUENCE, width]),
        value: bound('cache value', [SEQUENCE, width]),
      }
      const w = weights.scope('llm.model.layers.0.')
      return { keep: { y: llmLayer(bound('x', [T, llm.hidden]), w, llm, cache, SEQUENCE - T) } }
    },
  })

  return [
    ...step('look', [
      {
        name: 'siglip-patches',
        title: `SigLIP patches, ${siglip.image} x ${siglip.image}`,
        count: 1,
        weights: ['vision_encoder.vision_model.embeddings.'],
        build: ({ bound }, { weights }) => {
          const w = weights.scope('vision_encoder.vision_model.embeddings.')
          return { keep: { y: siglipPatches(bound('pixels', [siglip.image, siglip.image, 3]), w, siglip) } }
        },
      },
      {
        name: 'siglip',
        title: `SigLIP layer, ${patches} tokens`,
        count: siglip.layers - 1,
        weights: ['vision_encoder.vision_model.encoder.layers.0.'],
        build: ({ bound }, { weights }) => {
          const w = weights.scope('vision_encoder.vision_model.encoder.layers.0.')
          return { keep: { y: siglipLayer(bound('x', [patches, siglip.hidden]), w, siglip) } }
        },
      },
      {
        name: 'sam-patches',
        title: `SAM patches, ${sam.image} x ${sam.image}`,
        count: 1,
        weights: ['segmentor.encoder.patch_embed.', 'segmentor.encoder.pos_embed'],
        build: ({ bound }, { weights }) => {
          const w = weights.scope('segmentor.encoder.')
          return { keep: { y: samPatches(bound('pixels', [sam.image, sam.image, 3]), w, sam) } }
        },
      },
      samPiece('sam-window', windowed, samLayers - globals.length, `windows of ${sam.window}`),
      ...globals.slice(0, 1).map((i) => samPiece('sam-global', i, globals.length, 'global')),
      {
        name: 'connector',
        title: 'connector, complete',
        count: 1,
        weights: ['seg_connector.'],
        build: (from, { weights }) => {
          const taps = [0, 1, 2].map((i) => tap(from, `tap ${i}`))
          return { keep: numbered('y', connector(taps, weights.scope('seg_connector.'))) }
        },
      },
      {
        name: 'projectors',
        title: 'projectors to the LLM, both',
        count: 1,
        weights: ['visual_projector.', 'seg_projector.'],
        build: (from, { weights }) => {
          const seen = from.bound('x', [patches, siglip.hidden])
          const merged = spaceToDepth(tap(from, 'tap'))
          const x = reshape(merged, [rowsOf(merged), lastDim(merged)])
          const visual = projector(seen, weights.scope('visual_projector.'))
          return { keep: { visual, seg: projector(x, weights.scope('seg_projector.')) } }
        },
      },
      llmPiece('llm-prefill', SEQUENCE, `Qwen3 layer, ${grouped(SEQUENCE)} tokens`),
      {
        name: 'pixel-decoder',
        title: `pixel decoder, ${head.pixelLayers} layers, ${grouped(tokens)} tokens`,
        count: 1,
        weights: ['segmentor.pixel_decoder.'],
        build: (from, { weights, sines }) => {
          const w = weights.scope('segmentor.pixel_decoder.')
          const { levels, maskFeatures } = pixelDecoder(features(from), sines, w, head)
          return { keep: { ...numbered('level', levels), maskFeatures } }
        },
      },
      {
        name: 'image-side',
        title: 'keys and values of the flow decoder',
        count: 1,
        weights: ['segmentor.decoder.', 'segmentor.boundary_refiner.'],
        build: ({ bound }, { weights, sines }) => {
          const [H, W] = lastOf(sizes)
          const maskFeatures = bound('mask features', [H, W, head.hidden])
          const levels = sizes.map(([h, w], l) => bound(`level ${l}`, [h * w, head.hidden]))
          const decoder = weights.scope('segmentor.decoder.')
          const { keys, values, maskLevels } = imageSide(
            { levels, maskFeatures },
            sizes,
            sines,
            decoder,
            config,
          )
          const compressed = compressFeatures(maskFeatures, weights.scope('segmentor.boundary_refiner.'))
          const coarser = numbered('mask level', maskLevels.slice(0, -1))
          return { keep: { ...numbered('key', keys), ...numbered('value', values), ...coarser, compressed } }
        },
      },
    ]),
    ...step('read', [
      llmPiece('llm-read', NEW, `Qwen3 layer, ${NEW} tokens after ${grouped(SEQUENCE - NEW)}`),
      {
        name: 'llm-projector',
        title: `LLM projector, ${CONDITION + 1} rows`,
        count: 1,
        weights: ['llm_projector.'],
        build: ({ bound }, { weights }) => {
          const x = bound('x', [CONDITION + 1, llm.hidden])
          return { keep: { y: projector(x, weights.scope('llm_projector.')) } }
        },
      },
    ]),
    ...step('segment', [
      {
        name: 'flow-decoder',
        title: `flow decoder, ${head.decoderLayers} layers, ${head.queries} queries`,
        count: 1,
        weights: ['segmentor.decoder.', 'segmentor.class_predictor.', 'bg_embeds.'],
        build: (from, parts) => segmentPlan(from, rowsOfC(config, CONDITION), false, parts),
        params: { length: rowsOfC(config, CONDITION) },
      },
      {
        name: 'refinement',
        title: 'boundary refinement, 1,024 x 768 pixels',
        count: 1,
        weights: ['segmentor.boundary_refiner.'],
        build: (from, parts) => finishPlan(from, { width: 1024, height: 768, scaled: [768, 1024] }, parts),
      },
    ]),
    ...step('token', [
      llmPiece('llm-token', 1, `Qwen3 layer, 1 token after ${grouped(SEQUENCE - 1)}`),
      {
        name: 'lm-head',
        title: `LM head and the largest logit, 1 of ${HEAD_PARTS} parts`,
        count: HEAD_PARTS,
        weights: ['llm.lm_head.weight'],
        config: { ...config, llm: { ...llm, vocab: 32 * Math.ceil(llm.vocab / HEAD_PARTS / 32) } },
        build: ({ bound }, { weights }) => {
          const logits = linear(bound('x', [1, llm.hidden]), weights.tensor('llm.lm_head.weight'))
          return { keep: { id: argmax(logits) } }
        },
      },
    ]),
  ]
}

interface Full {
  readonly name: string
  readonly title: string
  readonly count: number
  /** Prefixes of the tensors that it reads. */
  readonly weights: readonly string[]
  readonly build: (inputs: Inputs, parts: Parts) => Outputs
  readonly params?: Readonly<Record<string, number>>
  /** The sizes of its weights, if they aren't those of the model. */
  readonly config?: Config
}

function numbered(name: string, tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(tensors.map((x, i) => [`${name} ${i}`, x]))
}
