// Both language models return what transformers' do, and reading a sequence in two parts through the cache
// is reading it at once.

import { describe, expect, test } from 'vitest'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import type { Config } from '../../../src/model/checkpoint/config.ts'
import { type KvCache, kvCacheShapes, llm, llmLayer, llmPrefix } from '../../../src/model/networks/llm.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { release as free, param, type Tensor, upload } from '../../../src/tensor/tensor.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { onlyInNode, thorough } from '../../runtime.ts'
import { adapters, anyGpu, expectClose, expectSameBits } from '../../support.ts'
import { relative } from '../small-model.ts'
import { compute, goldenWeights, realConfig, smallConfig } from './networks.ts'

const TYPES = ['qwen3', 'phi3'] as const
const SMALL = { qwen3: 'small', phi3: 'small-phi3' } as const
const REAL = { qwen3: 'flowseg-qwen3-4b', phi3: 'flowseg-phi3' }

/** A cache full of what an earlier sentence left. */
async function usedCache(gpu: Gpu, { llm: config }: Config, capacity: number): Promise<KvCache> {
  const { layers, shape } = kvCacheShapes(config, capacity)
  const data = new Float32Array(shape[0]! * shape[1]!).fill(1e4)
  const cache: { key: Tensor; value: Tensor }[] = []
  for (let i = 0; i < layers; i++) {
    cache.push({ key: await upload(gpu, data, shape, 'f32'), value: await upload(gpu, data, shape, 'f32') })
  }
  return cache
}

function freeCache(gpu: Gpu, cache: KvCache): void {
  for (const { key, value } of cache) {
    free(gpu, key)
    free(gpu, value)
  }
}

for (const gpu of await adapters()) {
  describe.each(TYPES)(`%s on ${gpu.name}`, (type) => {
    const golden = loadGolden(`${type}-small`)
    const config = smallConfig(SMALL[type])
    const T = 37
    const H = config.llm.hidden
    const embeds = goldenInput(golden, 'embeds')

    test('layers, final norm', async () => {
      const { weights, release } = await goldenWeights(gpu, golden.weights, config, 'llm.')
      const w = weights.scope('llm.')
      const cache = await usedCache(gpu, config, 50)
      const y = await compute(gpu, { x: { data: embeds, shape: [T, H] } }, (t) => {
        const first = llmLayer(t['x'], w.scope('model.layers.0.'), config.llm, cache[0]!, 0)
        const second = llmLayer(first, w.scope('model.layers.1.'), config.llm, cache[1]!, 0)
        return { 'hidden.1': first, 'hidden.2': second, output: llm(t['x'], w, config.llm, cache, 0) }
      })
      for (const [name, values] of Object.entries(y)) expectGolden(name, values, golden, 1e-5)
      freeCache(gpu, cache)
      release()
    })

    test('a prefix read before, through the cache', async () => {
      const { weights, release } = await goldenWeights(gpu, golden.weights, config, 'llm.')
      const w = weights.scope('llm.')
      const cache = await usedCache(gpu, config, 64)
      const { shape } = kvCacheShapes(config.llm, 64)
      const prefix = 20

      // 1. Both parts at once, in a plan
      const whole = await compute(gpu, { x: { data: embeds, shape: [T, H] } }, (t) => ({
        y: llm(t['x'], w, config.llm, cache, 0),
      }))
      const expected = whole['y'].subarray(prefix * H)

      // 2. The prefix into the cache, then the rest, padded to 32 rows, from a position known at the run
      const used = await usedCache(gpu, config, 64)
      await compute(gpu, { x: { data: embeds.subarray(0, prefix * H), shape: [prefix, H] } }, (t) => {
        llmPrefix(t['x'], w, config.llm, used, 0)
        return { x: t['x'] }
      })
      const rest = await plan(gpu, 'rest', ({ input, bound }) => {
        const both = used.map((_, i) => ({
          key: bound(`key ${i}`, shape),
          value: bound(`value ${i}`, shape),
        }))
        return { read: { y: llm(input('x', [32, H]), w, config.llm, both, param('position')) } }
      })
      const padded = new Float32Array(32 * H)
      padded.set(embeds.subarray(prefix * H))
      const entries = used.flatMap(({ key, value }, i) => [
        [`key ${i}`, key] as const,
        [`value ${i}`, value] as const,
      ])
      const values = {
        inputs: { x: padded },
        bound: Object.fromEntries(entries),
        params: { position: prefix },
      }
      const first = (await rest.run(values)).read.y
      expectClose(first.subarray(0, expected.length), expected, 1e-6)

      // 3. Again: the second sentence finds the first one's rows in the cache, and must not see them
      expectSameBits((await rest.run(values)).read.y, first)
      rest.release()
      freeCache(gpu, used)
      freeCache(gpu, cache)
      release()
    })

    test.runIf(type === 'phi3')('a window, in one pass and over the cache', async () => {
      const windowed = loadGolden('phi3-window')
      const { weights, release } = await goldenWeights(gpu, windowed.weights, config, 'llm.')
      const w = weights.scope('llm.')
      const narrow = { ...config.llm, window: 9 }
      const x = goldenInput(windowed, 'embeds')
      const cache = await usedCache(gpu, config, 50)

      // 1. At once
      const y = await compute(gpu, { x: { data: x, shape: [T, H] } }, (t) => {
        const first = llmLayer(t['x'], w.scope('model.layers.0.'), narrow, cache[0]!, 0)
        const second = llmLayer(first, w.scope('model.layers.1.'), narrow, cache[1]!, 0)
        return { 'hidden.1': first, 'hidden.2': second, output: llm(t['x'], w, narrow, cache, 0) }
      })
      for (const [name, values] of Object.entries(y)) expectGolden(name, values, windowed, 1e-5)

      // 2. A prefix, then row by row as text is generated, over a cache that holds other rows
      const used = await usedCache(gpu, config, 50)
      const prefix = 20
      await compute(gpu, { x: { data: x.subarray(0, prefix * H), shape: [prefix, H] } }, (t) => {
        llmPrefix(t['x'], w, narrow, used, 0)
        return { x: t['x'] }
      })
      const step = await plan(gpu, 'step', ({ input }) => ({
        read: { y: llm(input('x', [1, H]), w, narrow, used, param('position')) },
      }))
      const rows = new Float32Array((T - prefix) * H)
      for (let t = prefix; t < T; t++) {
        const values = { inputs: { x: x.slice(t * H, (t + 1) * H) }, params: { position: t } }
        rows.set((await step.run(values)).read.y, (t - prefix) * H)
      }
      expectClose(rows, y['output'].subarray(prefix * H), 1e-6)
      step.release()

      // 3. What is no longer seen doesn't matter: without a window it would
      const whole = await compute(gpu, { x: { data: x, shape: [T, H] } }, (t) => ({
        y: llm(t['x'], w, config.llm, used, 0),
      }))
      expectClose(whole['y'].subarray(0, 9 * H), y['output'].subarray(0, 9 * H), 1e-6)
      expect(relative(whole['y'].subarray(9 * H), y['output'].subarray(9 * H))).toBeGreaterThan(1e-2)
      freeCache(gpu, used)
      freeCache(gpu, cache)
      release()
    })

    test('embeddings', async () => {
      const EMBEDDING = 'llm.model.embed_tokens.weight'
      const { embeddings } = await goldenWeights(gpu, golden.weights, config, EMBEDDING)
      const ids = [514, 0, 7, 7]
      const rows = await embeddings!.rows(ids, 5)
      const table = weightTensor(EMBEDDING, [config.llm.vocab, H])
      ids.forEach((id, i) =>
        expectSameBits(rows.slice(i * H, (i + 1) * H), table.slice(id * H, (id + 1) * H)),
      )
      expect(rows.slice(4 * H)).toEqual(new Float32Array(H))
    })
  })
}

const slow = onlyInNode || (thorough ? '' : ' (set FLOWSEG_SLOW to run it)')
test.skipIf(slow).each(TYPES)(
  `a layer of %s at true width${slow}`,
  async (type) => {
    const gpu = await anyGpu()
    const config = realConfig(REAL[type])
    const golden = loadGolden(`${type}-layer`)
    const LAYER = 'llm.model.layers.0.'
    const { weights, release } = await goldenWeights(gpu, golden.weights, config, LAYER)
    const { shape } = kvCacheShapes(config.llm, 200)
    const x = { data: goldenInput(golden, 'x'), shape: [160, config.llm.hidden] }
    const used = new Float32Array(shape[0]! * shape[1]!).fill(1e4)
    const cache = { key: await upload(gpu, used, shape, 'f32'), value: await upload(gpu, used, shape, 'f32') }
    const { y } = await compute(gpu, { x }, (t) => ({
      y: llmLayer(t['x'], weights.scope(LAYER), config.llm, cache, 0),
    }))
    expectGolden('y', y, golden, 1e-5)
    freeCache(gpu, [cache])
    release()
  },
  600_000,
)

test('a sequence longer than the model reads is refused', () => {
  expect(kvCacheShapes(smallConfig().llm, 40)).toEqual({ layers: 2, shape: [40, 48] })
  const { llm: config } = smallConfig()
  expect(() => kvCacheShapes({ ...config, maxPositions: 2047 }, 2048)).toThrow(
    'A sequence of 2048 rows is longer than this language model reads (2047). Lower prompt.maxTokens',
  )
})
