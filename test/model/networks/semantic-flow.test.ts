// The decoder returns what transformers' does without the flow, and what the reference does with it, layer by
// layer; and a flow whose gates are open and whose refreshing is zero is no flow, bit for bit.

import { describe, expect, test } from 'vitest'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import { type Config, featureSizes } from '../../../src/model/checkpoint/config.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { sineEmbedding } from '../../../src/model/checkpoint/sine.ts'
import { type HostWeight, type LoadedWeights, weightsFrom } from '../../../src/model/checkpoint/weights.ts'
import { normed } from '../../../src/model/networks/layers.ts'
import { imageSide, semanticFlow } from '../../../src/model/networks/semantic-flow.ts'
import { attention, maskBits } from '../../../src/ops/attention/attention.ts'
import { activate } from '../../../src/ops/elementwise/elementwise.ts'
import { reshape, type Tensor } from '../../../src/tensor/tensor.ts'
import { compareGolden, expectGolden, type Golden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { onlyInNode } from '../../runtime.ts'
import { adapters, anyGpu, expectClose, expectSameBits, type HostTensor, random } from '../../support.ts'
import { compute, goldenWeights, realConfig, smallConfig } from './networks.ts'

const small = smallConfig()
const { hidden: d, decoderLayers: L } = small.head
const K = 5
const PREFIXES = ['segmentor.decoder.', 'segmentor.class_predictor.', 'bg_embeds.']

interface Case {
  golden: Golden
  config: Config
  baseline: boolean
  /** C(0), by default the file's or, where it has none, any. */
  condition?: HostTensor
  /** Rows of C that count. */
  length?: number
}

/** Runs the decoder. @returns 'query.l', 'mask.l' ... by the names of the golden files */
async function decode(
  gpu: Gpu,
  { weights: w }: LoadedWeights,
  { golden, config, baseline, ...rest }: Case,
): Promise<Record<string, Float32Array>> {
  const { hidden } = config.head
  const spans = golden.facts['spans'] as [number, number][] | undefined
  const tensorOf = (name: string): HostTensor => ({
    data: goldenInput(golden, name),
    shape: golden.inputs[name]!.shape,
  })
  const levels = ['p0', 'p1', 'p2']
  const sizes = levels.map((name) => {
    const [H = 0, W = 0] = golden.inputs[name]!.shape
    return [H, W] as const
  })
  const sines = sizes.map(([H, W], l): [string, HostTensor] => [
    `sine ${l}`,
    { data: sineEmbedding(H, W, hidden), shape: [H * W, hidden] },
  ])
  const names = [...levels, 'maskFeatures', 's', ...('condition' in golden.inputs ? ['condition'] : [])]
  const inputs: Record<string, HostTensor> = {
    condition: random([K, hidden]),
    ...Object.fromEntries([...names.map((name) => [name, tensorOf(name)]), ...sines]),
    ...(rest.condition ? { condition: rest.condition } : {}),
    ...(spans ? { spans: { data: Uint32Array.from(spans.flat()), shape: [spans.length, 2] } } : {}),
  }
  return compute(gpu, inputs, (t) => {
    const pixels = {
      levels: levels.map((name) => reshape(t[name]!, [t[name]!.size / hidden, hidden])),
      maskFeatures: t['maskFeatures']!,
    }
    const sineTensors = sizes.map((_, l) => t[`sine ${l}`]!)
    const image = imageSide(pixels, sizes, sineTensors, w.scope('segmentor.decoder.'), config)
    const language = {
      condition: t['condition']!,
      length: rest.length ?? t['condition']!.shape[0]!,
      seg: reshape(t['s']!, [1, hidden]),
      spans: t['spans'],
    }
    const predictions = semanticFlow(image, language, w, config, { baseline, every: true })
    const entries = predictions.flatMap(
      ({ queries, condition, logits, masks, blocked, refinement }, l): [string, Tensor | undefined][] => [
        [`query.${l}`, queries],
        [`condition.${l}`, condition],
        [`class.${l}`, logits],
        [`mask.${l}`, masks],
        [`blocked.${l + 1}`, blocked],
        [`visual.${l}`, refinement?.visual],
        [`semantic.${l}`, refinement?.semantic],
        [`gate.${l}`, refinement && activate(refinement.gate, 'sigmoid')],
      ],
    )
    const last = predictions.at(-1)!.queries
    const norm = w.scope('segmentor.decoder.decoder.layernorm.')
    const present = entries.filter((entry): entry is [string, Tensor] => entry[1] !== undefined)
    return { ...Object.fromEntries(present), normed: normed(last, norm, config.head.eps) }
  })
}

/** The bits of an attention mask, 1 = blocked. Rows without a blocked key may be rows that were opened. */
function unpackBlocked(bits: ArrayLike<number>, queries: number, tokens: number): Float32Array[] {
  const words = Math.ceil(tokens / 32)
  return Array.from({ length: queries }, (_, q) =>
    Float32Array.from({ length: tokens }, (_, t) => (bits[q * words + (t >>> 5)]! >>> (t & 31)) & 1),
  )
}

/** Compares all entries of a file. */
function expectAll(y: Record<string, Float32Array>, golden: Golden): void {
  const fullyBlocked = golden.facts['fullyBlockedRows'] as number[]
  for (const [name, { shape }] of Object.entries(golden.entries)) {
    const [kind, layer] = name.split('.')
    const l = Number(layer)
    if (kind !== 'blocked') {
      // A layer costs some 1e-6, and what it is given is off by what the ones before it cost
      expectGolden(name, y[name]!, golden, 1e-5)
      continue
    }
    // The file has rows that are blocked everywhere as they were before they were opened: no logit above 0
    const rows = unpackBlocked(y[name]!, shape[0]!, shape[1]!)
    const mask = y[`mask.${l - 1}`]!
    const pixels = mask.length / rows.length
    const reopened = rows.filter(
      (row, q) =>
        !row.includes(1) && mask.subarray(q * pixels, (q + 1) * pixels).reduce((a, b) => a + b, 0) < 0,
    )
    expect(reopened).toHaveLength(fullyBlocked[l - 1]!)
    for (const row of reopened) row.fill(1)
    expectGolden(name, Float32Array.from(rows.flatMap((row) => [...row])), golden, 1e-9) // no single bit survives this
  }
}

for (const gpu of await adapters()) {
  describe(`decoder on ${gpu.name}`, () => {
    test.each(['decoder-small', 'decoder-blocked', 'decoder-wide'])('%s', async (name) => {
      const golden = loadGolden(name)
      const loaded = await goldenWeights(gpu, golden.weights, small, ...PREFIXES)
      const y = await decode(gpu, loaded, { golden, config: small, baseline: true })
      expectAll(y, golden)
      for (let l = 1; l <= L; l++) expectSameBits(y[`condition.${l}`]!, y['condition.0']!)
      loaded.release()
    })

    test.each(['flow-small', 'flow-blocked', 'flow-unplaced', 'flow-phrases'])('%s', async (name) => {
      const golden = loadGolden(name)
      const config = { ...small, flow: { ...small.flow, positions: name !== 'flow-unplaced' } }
      const loaded = await goldenWeights(gpu, golden.weights, config, ...PREFIXES)
      const y = await decode(gpu, loaded, { golden, config, baseline: false })
      expectAll(y, golden)
      ;(golden.facts['gateMeans'] as number[]).forEach((mean, l) => {
        const gate = y[`gate.${l + 1}`]!
        expect(gate.reduce((sum, g) => sum + g, 0) / gate.length).toBeCloseTo(mean, 6)
      })
      loaded.release()
    })

    test('an open gate and no refreshing are the baseline, bit for bit', async () => {
      const golden = loadGolden('flow-small')
      const without = new Map<string, HostWeight>()
      const neutral = new Map<string, HostWeight>()
      for (const { name, shape, used, flow } of parameters(small)) {
        if (!used || !PREFIXES.some((prefix) => name.startsWith(prefix))) continue
        const data = weightTensor(name, shape)
        if (name.endsWith('semantic_gate.weight') || name.includes('condition_attn.out_proj')) data.fill(0)
        if (name.endsWith('semantic_gate.bias')) data.fill(30)
        neutral.set(name, { data, shape })
        if (!flow) without.set(name, { data, shape })
      }
      const [a, b] = [await weightsFrom(gpu, without, small), await weightsFrom(gpu, neutral, small)]
      expect([a.baseline, b.baseline]).toEqual([true, false])
      const baseline = await decode(gpu, a, { golden, config: small, baseline: true })
      const flow = await decode(gpu, b, { golden, config: small, baseline: false })
      expect(Object.keys(baseline)).toHaveLength(5 * L + 5)
      for (const [name, values] of Object.entries(baseline)) expectSameBits(flow[name]!, values)
      a.release()
      b.release()
    })

    test('padding of C changes nothing, whatever it holds', async () => {
      const golden = loadGolden('flow-small')
      const loaded = await goldenWeights(gpu, golden.weights, small, ...PREFIXES)
      const padded = (filler: number): HostTensor => {
        const data = new Float32Array(16 * d).fill(filler)
        data.set(goldenInput(golden, 'condition'))
        return { data, shape: [16, d] }
      }
      const run = (filler: number) =>
        decode(gpu, loaded, { golden, config: small, baseline: false, condition: padded(filler), length: K })
      const [zeros, large] = [await run(0), await run(1e3)]
      for (const [name, values] of Object.entries(zeros)) {
        const rows = name.startsWith('condition') ? K * d : values.length
        expectSameBits(large[name]!.subarray(0, rows), values.subarray(0, rows))
      }
      expectGolden('class.3', zeros['class.3']!, golden, 1e-5)
      expectGolden('condition.3', zeros['condition.3']!.subarray(0, K * d), golden, 1e-5)
      loaded.release()
    })

    test('a query blocked everywhere looks everywhere, one with an open key only there', async () => {
      const T = 40
      const x = { query: random([3, d], 1), key: random([T, d], 2), value: random([T, d], 3) }
      const logits = random([3, T], 4)
      logits.data.fill(-1, 0, 2 * T)
      logits.data[T + 37] = 0 // a probability of one half is inside
      const { y, open } = await compute(gpu, { ...x, logits }, (t) => {
        const { query, key, value } = t as Record<'query' | 'key' | 'value', Tensor>
        const bits = maskBits(t['logits'])
        return {
          y: attention({ query, key, value, heads: 4, bias: { kind: 'mask', bits } }),
          open: attention({ query, key, value, heads: 4 }),
        }
      })
      const row = (values: Float32Array, i: number) => values.subarray(i * d, (i + 1) * d)
      expectClose(row(y, 0), row(open, 0), 1e-6)
      expectClose(row(y, 1), row(x.value.data, 37), 1e-6)
      expect(Math.abs(row(y, 2)[0]! - row(open, 2)[0]!)).toBeGreaterThan(1e-3)
    })
  })
}

describe('other conditions', () => {
  const golden = loadGolden('flow-small')
  const rows = goldenInput(golden, 'condition')
  const mean = Float32Array.from({ length: d }, (_, c) => {
    let sum = 0
    for (let k = 0; k < K; k++) sum += rows[k * d + c]!
    return sum / K
  })
  const background = weightTensor('bg_embeds.weight', [1, d])
  const withCondition = (condition: Config['flow']['condition']) => ({
    ...small,
    flow: { ...small.flow, condition },
  })

  test('pooled: matching begins alike, and every query gets the same from the only key', async () => {
    const gpu = await anyGpu()
    const loaded = await goldenWeights(gpu, golden.weights, small, ...PREFIXES)
    const condition = { data: mean, shape: [1, d] }
    const config = withCondition('pooled')
    const y = await decode(gpu, loaded, { golden, config, baseline: false, condition })
    expectGolden('class.0', y['class.0']!, golden, 1e-5)
    const semantic = y['semantic.1']!
    for (let q = 1; q < 12; q++)
      expectClose(semantic.subarray(q * d, (q + 1) * d), semantic.subarray(0, d), 1e-6)
    expect(compareGolden(golden.entries['class.3']!, y['class.3']!).sampled).toBeGreaterThan(1e-3)
    loaded.release()
  })

  test('pooled with the background: both flow, and both are what is matched with', async () => {
    const gpu = await anyGpu()
    const loaded = await goldenWeights(gpu, golden.weights, small, ...PREFIXES)
    const condition = { data: Float32Array.of(...mean, ...background), shape: [2, d] }
    const config = withCondition('pooled+background')
    const y = await decode(gpu, loaded, { golden, config, baseline: false, condition })
    expectGolden('class.0', y['class.0']!, golden, 1e-5)
    // The last class logits, with the two rows of C(3)
    const [queries, C] = [y['normed']!, y['condition.3']!]
    const scale = Math.exp(weightTensor('segmentor.class_predictor.logit_scale', [1])[0]!)
    const cosine = (a: Float32Array, b: Float32Array) => {
      const dot = (u: Float32Array, v: Float32Array) => u.reduce((sum, x, i) => sum + x * v[i]!, 0)
      return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
    }
    const row = (x: Float32Array, i: number) => x.subarray(i * d, (i + 1) * d)
    const expected = Float64Array.from(
      { length: 24 },
      (_, i) => scale * cosine(row(queries, i >> 1), row(C, i & 1)),
    )
    expectClose(y['class.3']!, expected, 1e-5)
    expect(Math.abs(row(C, 1)[0]! - background[0]!)).toBeGreaterThan(1e-4)
    loaded.release()
  })
})

test.skipIf(onlyInNode)(
  `a layer of 200 queries over 128 x 128 x 256${onlyInNode}`,
  async () => {
    const gpu = await anyGpu()
    const golden = loadGolden('decoder-true')
    const { head, ...rest } = realConfig('flowseg-qwen3-4b')
    const config = { ...rest, head: { ...head, decoderLayers: 1 } }
    expect(featureSizes(config)).toEqual([32, 64, 128].map((side) => [side, side]))
    const loaded = await goldenWeights(gpu, golden.weights, config, ...PREFIXES)
    expectAll(await decode(gpu, loaded, { golden, config, baseline: true }), golden)
    loaded.release()
  },
  1_200_000,
)
