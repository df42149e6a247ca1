// Words are those of transformers, token for token, with its states; and a token costs no memory.

import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Checkpoint } from '../../../src/io/safetensors.ts'
import type { ParameterMatch } from '../../../src/model/checkpoint/fit.ts'
import { LanguageHead } from '../../../src/model/checkpoint/language-head.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import type { LoadedModel } from '../../../src/model/load.ts'
import { bytesOf, makeCache, type SceneState } from '../../../src/model/look.ts'
import { llmPrefix } from '../../../src/model/networks/llm.ts'
import { PlanCache } from '../../../src/model/plan-cache.ts'
import { boundCache, type Parts } from '../../../src/model/plans.ts'
import { generate } from '../../../src/model/words/generate.ts'
import { Sampler } from '../../../src/model/words/sample.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { release } from '../../../src/tensor/tensor.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { adapters } from '../../support.ts'
import { goldenWeights, smallConfig } from '../networks/networks.ts'

const SMALL = { qwen3: 'small', phi3: 'small-phi3' } as const

afterEach(() => void vi.restoreAllMocks())

/** A checkpoint with the one matrix that the head is. */
function headOnly(name: string, shape: readonly number[]): Checkpoint {
  const bytes = new Uint8Array(weightTensor(name, shape).buffer)
  const entry = { name, dtype: 'F32' as const, shape, file: 'memory', begin: 0, end: bytes.length }
  return {
    name: 'memory',
    tensors: new Map([[name, entry]]),
    metadata: new Map(),
    read: async () => bytes,
    async *slices() {
      yield { offset: 0, bytes }
    },
    close: async () => undefined,
  }
}

for (const gpu of await adapters()) {
  describe.each(['qwen3', 'phi3'] as const)(`%s on ${gpu.name}`, (type) => {
    test('greedy tokens and states are those of transformers', async () => {
      const golden = loadGolden(`${type}-words`)
      const config = smallConfig(SMALL[type])
      const { hidden: H, tied, vocab } = config.llm
      const { prefix, ids } = golden.facts as { prefix: number; ids: number[] }
      const embeds = goldenInput(golden, 'embeds')
      const loaded = await goldenWeights(gpu, golden.weights, config, 'llm.')
      const { weights, baseline } = loaded
      const parts: Parts = { config, weights, baseline, sines: [], prefix, capacity: 60, cacheType: 'f32' }

      // 1. A model of a language model alone, and a scene that has looked at the prefix
      const name = tied ? 'llm.model.embed_tokens.weight' : 'llm.lm_head.weight'
      const checkpoint = headOnly(name, [vocab, H])
      const parameter = parameters(config).find((p) => p.name === 'llm.lm_head.weight')!
      const match: ParameterMatch = { parameter, entry: checkpoint.tensors.get(name) }
      const head = new LanguageHead({ gpu, checkpoint, match, quantize: undefined })
      const plans = new PlanCache(8)
      const model = { gpu, parts, plans, head, embeddings: loaded.embeddings } as unknown as LoadedModel
      const cache = await makeCache(model, parts.capacity)
      const scene = { cache, capacity: parts.capacity, bytes: bytesOf(cache) } as unknown as SceneState
      const look = await plan(gpu, 'prefix', ({ input, bound }) => {
        const x = input('x', [prefix, H])
        llmPrefix(x, weights.scope('llm.'), config.llm, boundCache(bound, parts), 0)
        return { read: { x } }
      })
      await look.run({ inputs: { x: embeds.subarray(0, prefix * H) }, bound: cache })
      look.release()

      // 2. Its words
      const seen: number[] = []
      const { generated } = await generate(model, scene, embeds.subarray(prefix * H), {
        maxTokens: ids.length,
        stops: new Set(),
        onToken: (id) => seen.push(id),
      })
      expect(generated.ids).toEqual(ids)
      expect(seen).toEqual(ids)
      expect(generated.end).toBe('length')
      expect(scene.capacity).toBe(128) // 20 + 17 + 48 + spare rows
      expect(scene.bytes).toBe(bytesOf(scene.cache))
      const states = Float32Array.from(generated.states.flatMap((row) => [...row]))
      expectGolden('states', states, golden, 1e-5)

      // 3. Again, by a sampler so cold that it takes the likeliest: it sees all logits
      const draw = vi.spyOn(Sampler.prototype, 'draw')
      const cold = { maxTokens: ids.length, stops: new Set<number>(), temperature: 1e-6 }
      const again = await generate(model, scene, embeds.subarray(prefix * H), cold)
      expect(again.generated.ids).toEqual(ids)
      const logits = Float32Array.from(draw.mock.calls.flatMap(([row]) => [...row]))
      expectGolden('logits', logits, golden, 1e-5)

      head.release()
      plans.clear()
      for (const x of Object.values(scene.cache)) release(gpu, x)
      loaded.release()
    })
  })
}
