// The parameters listed for a config are those of the real models, to the last one (spec, section 3), and
// their counts need no weights.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import {
  canonicalName,
  countParameters,
  type Parameter,
  type ParameterComponent,
  parameters,
} from '../../../src/model/checkpoint/parameters.ts'

const SCENE: Partial<Record<ParameterComponent, number>> = {
  siglip: 428_225_600,
  sam: 308_278_272,
  connector: 10_499_072,
  pixelDecoder: 6_101_440,
  decoder: 14_509_824,
  matching: 257,
  semanticFlow: 5_918_976,
  boundary: 10_682,
}

const MODELS = {
  'flowseg-qwen3-4b': {
    counts: {
      visualProjector: 9_507_840,
      segProjector: 17_044_480,
      llmProjector: 721_408,
      llm: 4_021_792_256,
    },
    baseline: 4_816_680_449,
    total: 4_822_610_107,
  },
  'flowseg-qwen3-1.7b': {
    counts: {
      visualProjector: 6_557_696,
      segProjector: 12_587_008,
      llmProjector: 590_336,
      llm: 1_720_034_304,
    },
    baseline: 2_507_383_809,
    total: 2_513_313_467,
  },
  'flowseg-phi3': {
    counts: {
      visualProjector: 12_982_272,
      segProjector: 22_026_240,
      llmProjector: 852_480,
      llm: 3_820_772_352,
    },
    baseline: 4_624_247_809,
    total: 4_630_177_467,
  },
}

function parametersOf(model: string): Parameter[] {
  const file = new URL(`../../../weights/configs/${model}.json`, import.meta.url)
  return parameters(parseConfig(JSON.parse(readFileSync(file, 'utf8')), `${model}.json`))
}

const sum = (all: readonly Parameter[]) => all.reduce((total, p) => total + p.count, 0)

for (const [model, { counts, baseline, total }] of Object.entries(MODELS)) {
  test(`parameters of ${model}`, () => {
    const all = parametersOf(model)
    for (const [component, count] of Object.entries({ ...SCENE, ...counts })) {
      expect(countParameters(all, component as ParameterComponent), component).toBe(count)
    }
    expect(sum(all.filter((p) => !p.flow))).toBe(baseline)
    expect(sum(all.filter((p) => p.flow))).toBe(5_929_658)
    expect(sum(all)).toBe(total)
  })
}

test('parameters that no network reads', () => {
  const skipped = (model: string) => parametersOf(model).filter((p) => !p.used)
  const of = (all: readonly Parameter[], component: ParameterComponent) =>
    sum(all.filter((p) => p.component === component))

  const qwen = skipped('flowseg-qwen3-4b')
  expect(of(qwen, 'siglip')).toBe(30_480_160)
  expect(of(qwen, 'sam')).toBe(852_992)
  expect(of(qwen, 'llm')).toBe(0) // tied: a copy of the embedding, if stored at all
  expect(of(skipped('flowseg-phi3'), 'llm')).toBe(32_014 * 3072)
  expect(new Set(qwen.map((p) => p.component))).toEqual(new Set(['siglip', 'sam', 'llm']))
})

test("names are unique, and the spec's", () => {
  const all = parametersOf('flowseg-qwen3-4b')
  expect(new Set(all.map((p) => p.name)).size).toBe(all.length)

  const shapes = new Map(all.map((p) => [p.name, p.shape]))
  for (const [name, shape] of Object.entries({
    'vision_encoder.vision_model.embeddings.patch_embedding.weight': [1152, 3, 14, 14],
    'vision_encoder.vision_model.embeddings.position_embedding.weight': [729, 1152],
    'vision_encoder.vision_model.encoder.layers.25.mlp.fc1.weight': [4304, 1152],
    'vision_encoder.vision_model.head.attention.in_proj_weight': [3456, 1152],
    'segmentor.encoder.pos_embed': [1, 64, 64, 1024],
    'segmentor.encoder.layers.0.attn.rel_pos_h': [27, 64],
    'segmentor.encoder.layers.23.attn.rel_pos_w': [127, 64],
    'segmentor.encoder.neck.conv2.weight': [256, 256, 3, 3],
    'segmentor.shared_image_embedding.positional_embedding': [2, 128],
    'seg_connector.model.0.model.4.weight': [2048, 512, 1, 1],
    'seg_projector.model.0.weight': [2560, 4096],
    'llm.model.layers.35.self_attn.o_proj.weight': [2560, 4096],
    'llm.model.layers.35.self_attn.k_norm.weight': [128],
    'llm.lm_head.weight': [151672, 2560],
    'segmentor.pixel_decoder.level_embed': [3, 256],
    'segmentor.pixel_decoder.input_projections.0.0.weight': [256, 2048, 1, 1],
    'segmentor.pixel_decoder.encoder.layers.5.self_attn.sampling_offsets.weight': [192, 256],
    'segmentor.pixel_decoder.adapter_1.0.weight': [256, 512, 1, 1],
    'segmentor.decoder.level_embed.weight': [3, 256],
    'segmentor.decoder.decoder.layers.8.cross_attn.in_proj_weight': [768, 256],
    'segmentor.decoder.decoder.mask_predictor.mask_embedder.2.0.bias': [256],
    'segmentor.decoder.decoder.layers.8.semantic_gate.weight': [256, 512],
    'segmentor.decoder.decoder.layers.8.condition_attn.out_proj.bias': [256],
    'segmentor.class_predictor.logit_scale': [1],
    'bg_embeds.weight': [1, 256],
    'segmentor.boundary_refiner.refine.0.weight': [8, 33, 3, 3],
  })) {
    expect(shapes.get(name), name).toEqual(shape)
  }

  const phi = new Map(parametersOf('flowseg-phi3').map((p) => [p.name, p.shape]))
  expect(phi.get('llm.model.layers.31.self_attn.qkv_proj.weight')).toEqual([9216, 3072])
  expect(phi.get('llm.model.layers.31.mlp.gate_up_proj.weight')).toEqual([16_384, 3072])
})

test('the older spelling of X-SAM leads to the same names', () => {
  expect(canonicalName('visual_encoder.vision_model.post_layernorm.bias')).toBe(
    'vision_encoder.vision_model.post_layernorm.bias',
  )
  expect(canonicalName('segmentor.logit_scale')).toBe('segmentor.class_predictor.logit_scale')
  expect(canonicalName('bg_embeds.weight')).toBe('bg_embeds.weight')
})
