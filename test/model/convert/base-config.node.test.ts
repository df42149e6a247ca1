// The sizes that a language model's own config.json gives, windows above all: Phi-3's bounds what a query sees, not how
// long a sequence may be.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { llmSizes } from '../../../src/model/convert/base-config.ts'

/** As the file of Phi-3-mini with 4,096 positions has them. */
const PHI3 = {
  model_type: 'phi3',
  hidden_act: 'silu',
  hidden_size: 3072,
  intermediate_size: 8192,
  max_position_embeddings: 4096,
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 32,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 10_000,
  sliding_window: 2047,
  tie_word_embeddings: false,
}

describe("Phi-3's window", () => {
  const sizes = (change: object) => llmSizes({ ...PHI3, ...change }, 'config.json', 32_014)

  test('leaves the sequence as long as it is: the packaged config has the sizes of its base', () => {
    const file = 'configs/flowseg-phi3.json'
    const { llm } = parseConfig(JSON.parse(readFileSync(`weights/${file}`, 'utf8')), file)
    expect(sizes({})).toEqual(llm)
    expect(llm).toMatchObject({ maxPositions: 4096, window: 2047 })
  })

  test('is the whole sequence where the file has none', () => {
    expect(sizes({ sliding_window: null })).toMatchObject({ maxPositions: 4096, window: 4096 })
  })
})

test("a window of Qwen3, which some of its layers have, bounds the sequence where it's on", () => {
  const qwen3 = { ...PHI3, model_type: 'qwen3', head_dim: 128, max_position_embeddings: 32_768 }
  const sizes = (change: object) => llmSizes({ ...qwen3, ...change }, 'config.json', 1000)
  expect(sizes({})).toMatchObject({ maxPositions: 32_768 })
  expect(sizes({ use_sliding_window: true })).toMatchObject({ maxPositions: 2047 })
  for (const change of [{}, { use_sliding_window: true }]) expect(sizes(change)).not.toHaveProperty('window')
})
