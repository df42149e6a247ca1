// A checkpoint is compared with a config by its header alone, and all misfits are reported at once.

import { expect, test } from 'vitest'
import type { TensorEntry } from '../../../src/io/safetensors.ts'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { type Fit, fitOf, prefixOf } from '../../../src/model/checkpoint/fit.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { readFixture } from '../../fixtures/golden.ts'

const config = parseConfig(readFixture('small.json'), 'small.json')
const all = parameters(config)

const EMBEDDING = 'llm.model.embed_tokens.weight'
const QUERY = 'llm.model.layers.0.self_attn.q_proj.weight'
const BACKGROUND = 'bg_embeds.weight'
const GATE_BIAS = 'segmentor.decoder.decoder.layers.1.semantic_gate.bias'

/** The fit of a checkpoint that has every parameter in F32, changed by a test. */
function fitAfter(change: (tensors: Map<string, TensorEntry>) => void): Fit {
  const entries = all.map(({ name, shape }): [string, TensorEntry] => [
    name,
    { name, dtype: 'F32', shape, file: 'test.safetensors', begin: 0, end: 0 },
  ])
  const tensors = new Map(entries)
  change(tensors)
  return fitOf({ tensors, metadata: new Map() }, config)
}

function set(tensors: Map<string, TensorEntry>, name: string, change: Partial<TensorEntry>): void {
  tensors.set(name, { ...tensors.get(BACKGROUND)!, name, ...change })
}

test('a whole checkpoint fits; what may be missing, and what no network reads, does not count', () => {
  const fit = fitAfter((tensors) => {
    tensors.delete(GATE_BIAS)
    set(tensors, 'llm.lm_head.weight', { dtype: 'I64', shape: [1] })
  })
  expect(fit).toMatchObject({ missing: [], misfits: [], unknown: [], baseline: false })
  expect(fit.used.map(({ parameter }) => parameter)).toEqual(all.filter(({ used }) => used))
  const absent = fit.used.filter(({ entry }) => entry === undefined)
  expect(absent.map(({ parameter }) => parameter.name)).toEqual([GATE_BIAS])
})

test('everything that is wrong is told, under the names of the file', () => {
  const older = 'visual_encoder.vision_model.embeddings.position_embedding.weight'
  const newer = older.replace('visual_', 'vision_')
  const { shape } = all.find(({ name }) => name === newer)!
  const fit = fitAfter((tensors) => {
    tensors.delete('segmentor.boundary_refiner.alpha')
    tensors.delete('seg_projector.model.0.weight')
    tensors.delete(newer)
    set(tensors, older, { shape: [1, 2] })
    set(tensors, QUERY, { shape: [96, 64], dtype: 'F64' })
    set(tensors, 'text_cross_attn.weight', {})
  })
  expect(fit.missing).toEqual(['seg_projector.model.0.weight', 'segmentor.boundary_refiner.alpha'])
  expect(fit.misfits).toEqual([
    {
      name: older,
      dtype: 'F32',
      shape: [1, 2],
      expected: shape,
      text: `${older} is [1, 2], expected [${shape.join(', ')}].`,
    },
    {
      name: QUERY,
      dtype: 'F64',
      shape: [96, 64],
      expected: [96, 64],
      text: `${QUERY} is F64, expected one of F32, F16, BF16: convert it.`,
    },
  ])
  expect(fit.unknown).toEqual(['text_cross_attn.weight'])
  expect(fit.baseline).toBe(false)
})

test('without all of the flow it is the baseline, which needs none of it', () => {
  const { used, missing, baseline } = fitAfter((tensors) => {
    for (const { name, flow } of all) if (flow) tensors.delete(name)
  })
  expect([baseline, missing]).toEqual([true, []])
  expect(used.some(({ parameter }) => parameter.flow)).toBe(false)
})

test('the file knows its vocabulary and the widths of boundary refinement, but no fewer words', () => {
  const { hidden, vocab } = config.llm
  const wider = fitAfter((tensors) => {
    set(tensors, EMBEDDING, { shape: [vocab + 5, hidden] })
    set(tensors, 'segmentor.boundary_refiner.compress.weight', { shape: [24, 64, 1, 1] })
    set(tensors, 'segmentor.boundary_refiner.compress.bias', { shape: [24] })
    set(tensors, 'segmentor.boundary_refiner.refine.0.weight', { shape: [6, 25, 3, 3] })
    set(tensors, 'segmentor.boundary_refiner.refine.0.bias', { shape: [6] })
    set(tensors, 'segmentor.boundary_refiner.refine.2.weight', { shape: [1, 6, 3, 3] })
  })
  expect(wider.misfits).toEqual([])
  const fewer = fitAfter((tensors) => set(tensors, EMBEDDING, { shape: [vocab - 1, hidden] }))
  expect(fewer.misfits.map(({ expected }) => expected)).toEqual([[vocab, hidden]])
})

test.each(['module.', '_orig_mod.', 'model.module.', 'xsam.'])(
  'a prefix %s is left out of the names',
  (prefix) => {
    const fit = fitAfter((tensors) => {
      const entries = [...tensors.values()]
      tensors.clear()
      for (const entry of entries) {
        const name = `${prefix}${entry.name.replace(/^vision_encoder/, 'visual_encoder')}`
        tensors.set(name, { ...entry, name })
      }
      // A tensor that a program keeps beside the model has none
      set(tensors, 'criterion.weight', { ...entries[0], name: 'criterion.weight' })
    })
    expect(fit).toMatchObject({
      prefix,
      missing: [],
      misfits: [],
      unknown: ['criterion.weight'],
      baseline: false,
    })
    expect(fit.used.every(({ entry }) => entry?.name.startsWith(prefix))).toBe(true)
  },
)

test('of two tensors that have the same name here, the one that is named so is read, and the other is told', () => {
  const fit = fitAfter((tensors) => {
    set(tensors, 'segmentor.logit_scale', { shape: [7] })
    const newer = tensors.get(BACKGROUND)
    tensors.delete(BACKGROUND)
    set(tensors, 'visual_encoder.x', { ...newer, name: 'visual_encoder.x' })
    if (newer) tensors.set(BACKGROUND, newer)
  })
  expect(fit.misfits).toEqual([])
  expect(fit.unknown).toEqual(['visual_encoder.x', 'segmentor.logit_scale'])
})

test('a prefix is one of most names, without which they are known', () => {
  const isKnown = (name: string): boolean => name.startsWith('llm.') || name.startsWith('segmentor.')
  expect(prefixOf(['module.llm.a', 'module.segmentor.b', 'module.x'], isKnown)).toBe('module.')
  expect(prefixOf(['a.b.llm.a', 'a.b.llm.b'], isKnown)).toBe('a.b.')
  expect(prefixOf(['module.llm.a', 'segmentor.b'], isKnown)).toBeUndefined()
  expect(prefixOf(['llm.a', 'llm.llm.b'], isKnown)).toBeUndefined()
  expect(prefixOf(['module.x', 'module.y'], isKnown)).toBeUndefined()
  expect(prefixOf(['module', 'module'], isKnown)).toBeUndefined()
  expect(prefixOf([], isKnown)).toBeUndefined()
  // The first name needn't have it
  expect(prefixOf(['epoch', 'module.llm.a', 'module.llm.b'], isKnown)).toBe('module.')
  expect(prefixOf(['x.llm.a', 'module.llm.a', 'module.llm.b'], isKnown)).toBe('module.')
  expect(prefixOf(['a.llm.a', 'b.llm.b', 'c.x', 'd.y'], isKnown)).toBeUndefined()
  expect(prefixOf(['a.b.c.d.e.llm.x'], isKnown)).toBeUndefined()
})
