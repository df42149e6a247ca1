// One NaN or one infinity in a file of weights, in any network: loading ends with an error that names the tensor, and
// nothing stays on the device.

import { expect, test, vi } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { FlowSeg } from '../../../src/model/flowseg.ts'
import { some } from '../../runtime.ts'
import { anyGpu } from '../../support.ts'
import { smallCheckpoint } from '../checkpoint/small-checkpoint.ts'

vi.setConfig({ testTimeout: 400_000 })

/** Of every network at least one, with matrices, convolutions, vectors, tables and single numbers among them. */
const TENSORS = [
  'segmentor.encoder.layers.1.attn.rel_pos_h',
  'segmentor.encoder.pos_embed',
  'vision_encoder.vision_model.encoder.layers.1.mlp.fc1.weight',
  'vision_encoder.vision_model.embeddings.patch_embedding.weight',
  'seg_connector.model.2.model.2.weight',
  'segmentor.pixel_decoder.encoder.layers.1.self_attn.sampling_offsets.bias',
  'visual_projector.model.0.weight',
  'seg_projector.model.2.bias',
  'segmentor.decoder.level_embed.weight',
  'llm.model.layers.0.self_attn.q_proj.weight',
  'llm.model.layers.1.mlp.gate_proj.weight',
  'llm.model.norm.weight',
  'llm_projector.model.2.bias',
  'bg_embeds.weight',
  'segmentor.class_predictor.logit_scale',
  'segmentor.decoder.queries_features.weight',
  'segmentor.decoder.decoder.layers.0.cross_attn.in_proj_bias',
  'segmentor.decoder.decoder.layers.1.semantic_attn.out_proj.weight',
  'segmentor.decoder.decoder.layers.2.semantic_gate.bias',
  'segmentor.decoder.decoder.layers.2.condition_attn.in_proj_bias',
  'segmentor.decoder.decoder.mask_predictor.mask_embedder.1.0.bias',
  'segmentor.boundary_refiner.compress.weight',
  'segmentor.boundary_refiner.refine.0.weight',
  'segmentor.boundary_refiner.refine.2.bias',
  'segmentor.boundary_refiner.alpha',
]

const gpu = await anyGpu()

// Numbers are checked on the host, in every runtime by the same code
test.each(some(TENSORS))(`%s on ${gpu.name}`, async (tensor) => {
  const bytes = gpu.memory().bytes
  const spoilt = [
    ['NaN', 0],
    ['Infinity', -1],
  ] as const
  for (const [kind, at] of spoilt) {
    const edited: string[] = []
    const files = smallCheckpoint({
      edit: (name, values) => {
        if (name !== tensor) return
        edited.push(name)
        values.set([Number(kind)], at < 0 ? values.length - 1 : at)
      },
    })
    expect(edited).toEqual([tensor])
    const loading = FlowSeg.load(files, { gpu })
    await expect(loading).rejects.toBeInstanceOf(WeightsError)
    await expect(loading).rejects.toThrow(`tensor "${tensor}": the value at [`)
    await expect(loading).rejects.toThrow(` is ${kind}.`)
    expect(gpu.memory().bytes).toBe(bytes)
  }
})
