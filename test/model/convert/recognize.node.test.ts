// A model is recognised by the names and shapes of its tensors, at true size too, and the config.json of its language
// model must not contradict it.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { knownModels } from '../../../src/cli/convert/source.ts'
import type { Checkpoint } from '../../../src/io/checkpoint/checkpoint.ts'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import type { Config } from '../../../src/model/checkpoint/config.ts'
import type { Parameter } from '../../../src/model/checkpoint/parameters.ts'
import { recognize } from '../../../src/model/convert/recognize.ts'
import { viewOf } from '../../../src/model/convert/view.ts'
import { NANO, temporaryFolder } from '../../e2e/cli-harness.ts'
import { nameInXsam, packagedConfig, writeSparse } from './sparse-checkpoint.ts'

const known = await knownModels()

async function sparse(
  name: string,
  nameOf: (parameter: Parameter) => string | undefined,
): Promise<Checkpoint> {
  const folder = await temporaryFolder()
  await writeSparse(folder, await packagedConfig(name), nameOf)
  const { size, blocks } = await stat(join(folder, 'model.safetensors'))
  expect([size > 3e9, 512 * blocks < 2e6]).toEqual([true, true])
  const checkpoint = await openCheckpoint(openFolder(folder))
  await checkpoint.close()
  return viewOf(checkpoint, known)
}

const whole = ({ name }: Parameter): string => name
const withoutFlow = ({ name, flow }: Parameter): string | undefined => (flow ? undefined : name)

describe('a model of true size', () => {
  test.each<[string, string, (parameter: Parameter) => string | undefined, RegExp, Config['compat']]>([
    ['flowseg-phi3', "X-SAM's", nameInXsam, /without the semantic flow\. .*AAAI branch/, 'aaai'],
    ['flowseg-phi3', 'of the main branch', withoutFlow, /without the semantic flow\. .*main branch/, 'main'],
    ['flowseg-qwen3-4b', 'with the flow', whole, /with the semantic flow/, 'aaai'],
    ['flowseg-qwen3-4b', "X-SAM's behind a prefix", (p) => prefixed(nameInXsam(p)), /AAAI branch/, 'aaai'],
    ['flowseg-qwen3-1.7b', 'with the flow', whole, /with the semantic flow/, 'aaai'],
    ['flowseg-qwen3-1.7b', 'of the main branch', withoutFlow, /main branch/, 'main'],
  ])('%s, %s, is recognised', async (name, _, nameOf, notes, compat) => {
    const { config, notes: said } = recognize(await sparse(name, nameOf), known)
    expect(config).toEqual({ ...(await packagedConfig(name)), compat })
    expect(said.join(' ')).toMatch(notes)
  })

  test('that lacks a tensor is compared with the closest', async () => {
    const bare = await sparse('flowseg-qwen3-1.7b', ({ name }) =>
      name === 'llm.model.layers.27.mlp.up_proj.weight' ? undefined : name,
    )
    expect(() => recognize(bare, known)).toThrow(
      'It comes closest to flowseg-qwen3-1.7b. The first difference: There is no llm.model.layers.27.mlp.up_proj.weight.',
    )
  })
})

function prefixed(name: string | undefined): string | undefined {
  return name === undefined ? undefined : `module.${name}`
}

describe('the config.json of the language model', async () => {
  const nano = await openCheckpoint(openFolder(NANO))
  await nano.close()
  const recognized = (json: object) => recognize(viewOf(nano, known), known, { json, file: 'm/config.json' })

  test.each<[string, object, object, string[]]>([
    ['nothing', {}, { ropeTheta: 10_000 }, []],
    ['version 4', { rope_theta: 7_654_321 }, { ropeTheta: 7_654_321 }, ['llm.ropeTheta is 7654321']],
    [
      'version 5',
      { rope_parameters: { rope_theta: 7_654_321, rope_type: 'default' } },
      { ropeTheta: 7_654_321 },
      ['llm.ropeTheta is 7654321, by m/config.json.'],
    ],
    [
      'version 5, and a base outside',
      { rope_theta: 5, rope_parameters: { rope_theta: 7_654_321 } },
      { ropeTheta: 7_654_321 },
      ['llm.ropeTheta is 7654321'],
    ],
    [
      'all, as recognised',
      {
        hidden_size: 160,
        num_hidden_layers: 8,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 32,
        intermediate_size: 448,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000,
        rope_scaling: null,
        sliding_window: null,
        tie_word_embeddings: true,
        vocab_size: 151_936,
      },
      { ropeTheta: 10_000 },
      [],
    ],
    [
      'a shorter sequence',
      { max_position_embeddings: 2048 },
      { maxPositions: 2048 },
      ['llm.maxPositions is 2048'],
    ],
  ])('that states %s is taken over', (_, json, llm, notes) => {
    const { config, notes: said } = recognized({ model_type: 'qwen3', ...json })
    expect(config.llm).toMatchObject(llm)
    expect(config.knows).toBeDefined()
    expect(said.slice(1)).toEqual(notes.map((note) => expect.stringContaining(note)))
  })

  const nanoHas = 'by its tensors the checkpoint is flowseg-nano, whose language model has'
  test.each<[string, object, string]>([
    ['other layers', { num_hidden_layers: 99 }, `num_hidden_layers is 99, and ${nanoHas} 8. If the file`],
    ['another norm', { rms_norm_eps: 1e-3 }, `rms_norm_eps is 0.001, and ${nanoHas} 0.000001`],
    [
      'a head of its own',
      { tie_word_embeddings: false },
      `tie_word_embeddings is false, and ${nanoHas} true`,
    ],
    ['stretched angles', { rope_scaling: { rope_type: 'longrope' } }, 'rope_scaling.rope_type is "longrope"'],
    ['stretched angles, older', { rope_scaling: { type: 'longrope' } }, 'rope_scaling.type is "longrope"'],
    ['stretched angles, version 5', { rope_parameters: { rope_type: 'yarn' } }, 'rope_type is "yarn"'],
    ['a base that is none', { rope_theta: 'many' }, 'rope_theta is "many", expected a positive number'],
    ['another activation', { hidden_act: 'gelu' }, 'hidden_act is "gelu"'],
    ['a sequence too short', { max_position_embeddings: 100 }, 'prompt.maxTokens is 160'],
    ['another type', { model_type: 'llama' }, 'is of a model of type "llama", and by its tensors'],
    ['the other type', { model_type: 'phi3' }, 'is of a model of type "phi3"'],
    ['no type', { model_type: undefined, architectures: ['X'] }, 'm/config.json has no model_type, and'],
  ])('that states %s is refused', (_, json, message) => {
    expect(() => recognized({ model_type: 'qwen3', ...json })).toThrow(message)
  })

  test('that has another window is refused: all layers of Phi-3 have it', async () => {
    const phi3 = await sparse('flowseg-phi3', nameInXsam)
    const of = (json: object) => recognize(phi3, known, { json: { model_type: 'phi3', ...json }, file: 'c' })
    expect(of({ sliding_window: 2047, vocab_size: 32_064 }).config.llm.window).toBe(2047)
    expect(() => of({ sliding_window: 262_144 })).toThrow('c: sliding_window is 262144, and by its tensors')
  })
})
