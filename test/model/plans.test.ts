// The whole, plan by plan, is the reference: from prepared pixels and token ids to the mask, with both
// language models. And what lets plans be split so: image rows read before the sentence, nothing after <SEG>
// mattering, one query chosen before its mask is enlarged.

import { describe, expect, test, vi } from 'vitest'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { type Config, visionTokens } from '../../src/model/checkpoint/config.ts'
import { rank } from '../../src/model/matching.ts'
import { connector } from '../../src/model/networks/connector.ts'
import { llm } from '../../src/model/networks/llm.ts'
import { pixelDecoder } from '../../src/model/networks/pixel-decoder.ts'
import { projector } from '../../src/model/networks/projector.ts'
import { samEncoder, samLayer, samPatches } from '../../src/model/networks/sam.ts'
import { siglip } from '../../src/model/networks/siglip.ts'
import { finishPlan, lookPlan, readPlan, segmentPlan } from '../../src/model/plans.ts'
import { floats } from '../../src/model/segmentation.ts'
import { resize } from '../../src/ops/image/resize.ts'
import { concatRows, sliceRows, spaceToDepth } from '../../src/ops/layout/layout.ts'
import { plan } from '../../src/tensor/plan.ts'
import { reshape, type Tensor, upload } from '../../src/tensor/tensor.ts'
import { expectGolden, type Golden, goldenInput, loadGolden } from '../fixtures/golden.ts'
import { adapters, anyGpu, expectClose, expectSameBits, random } from '../support.ts'
import { valuesOf } from '../values.ts'
import { assemble, freeAll, runOnce, type TestParts } from './checkpoint/parts.ts'
import { compute, smallConfig } from './networks/networks.ts'

// The first test on a device waits for its kernels: half a minute on a software adapter, more on a busy machine
vi.setConfig({ testTimeout: 400_000 })

const CASES = [
  ['whole-qwen3', 'small'],
  ['whole-phi3', 'small-phi3'],
] as const

type Tensors = Readonly<Record<string, Tensor>>

interface Facts {
  before: number[]
  after: number[]
  span: [number, number]
  scaledSize: [number, number]
  imageSize: [number, number]
  query: number
  bestScores: [number, number]
  gateMeans: number[]
  maskShare: number
  maskBandShare: number
}

const factsOf = (golden: Golden) => golden.facts as unknown as Facts

async function look(gpu: Gpu, golden: Golden, parts: TestParts, cache: Tensors) {
  const { before } = factsOf(golden)
  const pixels: Record<string, Tensor> = {
    sam: await upload(gpu, goldenInput(golden, 'pixels'), [128, 128, 3], 'f32'),
  }
  if (parts.config.prompt.vision.includes('siglip'))
    pixels['siglip'] = await upload(gpu, goldenInput(golden, 'semantic'), [60, 60, 3], 'f32')
  const values = { inputs: { before: await parts.embed(before) }, bound: { ...cache, ...pixels } }
  const result = await runOnce(gpu, (inputs) => lookPlan(inputs, parts), values)
  freeAll(gpu, pixels)
  return result
}

/** C and S of a sentence. @param ids what to read instead of the file's, 12 ids that count */
async function read(gpu: Gpu, golden: Golden, parts: TestParts, cache: Tensors, ids?: Uint32Array) {
  const { after, span } = factsOf(golden)
  const embedded = await parts.embed(ids ?? after, 16)
  const K = span[1] - span[0] + 1
  const rows = Uint32Array.from({ length: K + 1 }, (_, k) => (k < K ? span[0] + k : after.length - 1))
  const values = { inputs: { after: embedded, rows }, bound: cache, params: { span: K } }
  const { kept } = await runOnce(gpu, (inputs) => readPlan(inputs, 16, K, parts), values)
  return { condition: kept.condition, seg: kept.seg }
}

/** The language model in one pass over all rows: [before | image | after]. */
async function readAtOnce(
  gpu: Gpu,
  golden: Golden,
  { config, weights: w, embed }: TestParts,
  cache: Tensors,
) {
  const { before, after } = factsOf(golden)
  const inputs = {
    tokens: { data: await embed([...before, ...after]), shape: [15, config.llm.hidden] },
    semantic: { data: goldenInput(golden, 'semantic'), shape: [60, 60, 3] },
    pixels: { data: goldenInput(golden, 'pixels'), shape: [128, 128, 3] },
  }
  return compute(gpu, inputs, (t) => {
    const rows = {
      siglip: () => {
        const x = siglip(t['semantic'], w.scope('vision_encoder.vision_model.'), config.siglip)
        return projector(x, w.scope('visual_projector.'))
      },
      sam: () => {
        const { llm: x } = samEncoder(t['pixels'], w.scope('segmentor.encoder.'), config.sam)
        return projector(reshape(spaceToDepth(x), [16, 128]), w.scope('seg_projector.'))
      },
    }
    const image = config.prompt.vision.map((from) => rows[from]())
    const x = concatRows(sliceRows(t['tokens'], 0, 3), ...image, sliceRows(t['tokens'], 3, 12))
    const kv = Array.from({ length: config.llm.layers }, (_, i) => ({
      key: cache[`cache key ${i}`]!,
      value: cache[`cache value ${i}`]!,
    }))
    const states = llm(x, w.scope('llm.'), config.llm, kv, 0)
    return { states, projected: projector(states, w.scope('llm_projector.')) }
  })
}

/** C and S are the same in one pass and in two. @returns all states of the one pass */
async function expectSameInParts(
  gpu: Gpu,
  golden: Golden,
  parts: TestParts,
  cache: Tensors,
): Promise<Float32Array> {
  const { span } = factsOf(golden)
  const { states, projected } = await readAtOnce(gpu, golden, parts, cache)
  const d = parts.config.head.hidden
  const first = projected.length / d - 12
  const rows = (from: number, to: number) => projected.subarray((first + from) * d, (first + to + 1) * d)

  // The cache is full of the first run's rows by now
  const { kept: image } = await look(gpu, golden, parts, cache)
  const language = await read(gpu, golden, parts, cache)
  expectClose(await valuesOf(gpu, language.condition), rows(...span), 1e-5)
  expectClose(await valuesOf(gpu, language.seg), rows(11, 11), 1e-5)
  freeAll(gpu, { ...image, ...language })
  return states
}

for (const gpu of await adapters()) {
  describe.each(CASES)(`%s on ${gpu.name}`, (name, file) => {
    const golden = loadGolden(name)
    const facts = factsOf(golden)
    const config = smallConfig(file)
    const { decoderLayers: L } = config.head

    test('image side, step by step', async () => {
      const { parts, free } = await assemble(gpu, config, 3, 16)
      const { weights: w, sines } = parts
      const inputs = {
        semantic: { data: goldenInput(golden, 'semantic'), shape: [60, 60, 3] },
        pixels: { data: goldenInput(golden, 'pixels'), shape: [128, 128, 3] },
      }
      const steps = await compute(gpu, inputs, (t) => {
        const semantic = siglip(t['semantic'], w.scope('vision_encoder.vision_model.'), config.siglip)
        const encoder = w.scope('segmentor.encoder.')
        const { window } = config.sam
        const first = samLayer(
          samPatches(t['pixels'], encoder, config.sam),
          encoder.scope('layers.0.'),
          window,
          config.sam,
        )
        const sam = samEncoder(t['pixels'], encoder, config.sam)
        const visual = projector(semantic, w.scope('visual_projector.'))
        const seg = projector(reshape(spaceToDepth(sam.llm), [16, 128]), w.scope('seg_projector.'))
        const maps = connector(sam.taps, w.scope('seg_connector.'))
        const pixels = pixelDecoder(maps, sines, w.scope('segmentor.pixel_decoder.'), config.head)
        return {
          siglip: semantic,
          'sam.1': first,
          ...Object.fromEntries(sam.taps.map((x, i) => [`sam.${i + 2}`, x])),
          rows: concatRows(visual, seg),
          levels: concatRows(...pixels.levels),
          maskFeatures: pixels.maskFeatures,
        }
      })
      expect(Object.keys(steps)).toHaveLength(8)
      for (const [step, values] of Object.entries(steps)) expectGolden(step, values, golden, 1e-5)
      free()
    })

    test('look, read, segment, finish', async () => {
      const { parts, cache, free } = await assemble(gpu, config, 3, 16)

      // 1. Look
      const { kept: image } = await look(gpu, golden, parts, cache)
      expectGolden('maskFeatures', await valuesOf(gpu, image['mask features']!), golden, 1e-5)

      // 2. Read
      const language = await read(gpu, golden, parts, cache)
      expectGolden('condition.0', await valuesOf(gpu, language.condition), golden, 1e-5)
      expectGolden('s', await valuesOf(gpu, language.seg), golden, 1e-5)

      // 3. Segment
      const { compressed, ...side } = image
      const { read: flow } = await runOnce(gpu, (inputs) => segmentPlan(inputs, 5, true, parts), {
        bound: { ...side, ...language },
        params: { length: 5 },
      })
      for (let l = 0; l <= L; l++) {
        expectGolden(`class.${l}`, flow[`logits ${l}`]!, golden, 1e-5)
        expectGolden(`mask.${l}`, flow[`masks ${l}`]!, golden, 1e-5)
        expectGolden(`condition.${l}`, flow[`condition ${l}`]!, golden, 1e-5)
        if (l > 0) expectGolden(`gate.${l}`, flow[`gate ${l}`]!, golden, 1e-5)
      }
      expect(flow['gate 0']).toBeUndefined()
      expectSameBits(flow['logits'], flow[`logits ${L}`]!)
      expectSameBits(flow['masks'], flow[`masks ${L}`]!)
      const ranking = rank(flow['logits'])
      const scores = Float64Array.from(
        { length: 12 },
        (_, q) => ranking.find(({ query }) => query === q)!.score,
      )
      expectGolden('score', scores, golden, 1e-5)
      expect(ranking[0]!.query).toBe(facts.query)
      facts.bestScores.forEach((score, i) => expect(ranking[i]!.score).toBeCloseTo(score, 4))

      // 4. Finish
      const logits = flow['masks'].slice(facts.query * 256, (facts.query + 1) * 256)
      const [height, width] = facts.imageSize
      const size = { width, height, scaled: facts.scaledSize }
      const { read: mask } = await runOnce(gpu, (inputs) => finishPlan(inputs, size, parts), {
        inputs: { logits },
        bound: { compressed: compressed! },
      })
      expectGolden('refined', mask['refined']!, golden, 1e-5)
      expect(floats(mask, 'band').reduce((sum, b) => sum + b, 0) / 256).toBeCloseTo(facts.maskBandShare, 3)
      const { final } = await compute(gpu, { x: { data: mask['refined']!, shape: [16, 16, 1] } }, (t) => ({
        final: resize(resize(t['x'], [128, 128]), [height, width], { crop: facts.scaledSize }),
      }))
      expectGolden('final', final, golden, 1e-5)
      const inside = pixelsOf(mask['bits']!, height * width)
      final.forEach((v, i) => Math.abs(v) > 1e-5 && expect(inside[i]).toBe(Number(v > 0)))
      expect(inside.reduce((sum, b) => sum + b, 0) / inside.length).toBeCloseTo(facts.maskShare, 3)

      freeAll(gpu, { ...image, ...language })
      free()
    })

    test('reading the image first is reading everything at once', async () => {
      const { parts, cache, free } = await assemble(gpu, config, 3, 16)
      expectGolden('states', await expectSameInParts(gpu, golden, parts, cache), golden, 1e-5)
      free()
    })

    test('what follows <SEG> changes neither C nor S', async () => {
      const { parts, cache, free } = await assemble(gpu, config, 3, 16)
      const { kept: image } = await look(gpu, golden, parts, cache)
      const followedBy = async (id: number) => {
        const ids = Uint32Array.from({ length: 16 }, (_, i) => facts.after[i] ?? id + i)
        const { condition, seg } = await read(gpu, golden, parts, cache, ids)
        const values = [await valuesOf(gpu, condition), await valuesOf(gpu, seg)] as const
        freeAll(gpu, { condition, seg })
        return values
      }
      const [C, S] = await followedBy(0)
      const [C2, S2] = await followedBy(300)
      expectSameBits(C2, C)
      expectSameBits(S2, S)
      freeAll(gpu, image)
      free()
    })
  })
}

describe('C(0)', () => {
  const golden = loadGolden('whole-qwen3')
  const small = smallConfig()
  const d = small.head.hidden

  test('pooled is the mean of the rows, projected first; beside the background if asked for', async () => {
    const gpu = await anyGpu()
    const { parts, cache, free } = await assemble(gpu, small, 3, 16)
    const { kept: image } = await look(gpu, golden, parts, cache)
    const conditionAs = async (condition: Config['flow']['condition']) => {
      const config = { ...small, flow: { ...small.flow, condition } }
      const { condition: C, seg } = await read(gpu, golden, { ...parts, config }, cache)
      const values = await valuesOf(gpu, C)
      freeAll(gpu, { C, seg })
      return { shape: C.shape, values }
    }
    const tokens = await conditionAs('tokens')
    expect(tokens.shape).toEqual([5, d])
    const mean = Float64Array.from({ length: d }, (_, c) => {
      let sum = 0
      for (let k = 0; k < 5; k++) sum += tokens.values[k * d + c]!
      return sum / 5
    })
    const pooled = await conditionAs('pooled')
    expect(pooled.shape).toEqual([1, d])
    expectClose(pooled.values, mean, 1e-6)
    const both = await conditionAs('pooled+background')
    expect(both.shape).toEqual([2, d])
    expectSameBits(both.values.subarray(0, d), pooled.values)
    expectSameBits(both.values.slice(d), await valuesOf(gpu, parts.weights.tensor('bg_embeds.weight')))
    freeAll(gpu, image)
    free()
  })

  test.each([[['sam']], [['siglip']], [['sam', 'siglip']]] as const)(
    'after the rows of %s',
    async (vision) => {
      // An encoder that the language model doesn't see isn't needed, nor loaded
      const gpu = await anyGpu()
      const config = { ...small, prompt: { ...small.prompt, vision } }
      expect(visionTokens(config)).toBe(16 * vision.length)
      const { parts, cache, free } = await assemble(gpu, config, 3, 16)
      const sees = (from: string) => (vision as readonly string[]).includes(from)
      expect(parts.weights.has('visual_projector.model.0.weight')).toBe(sees('siglip'))
      expect(parts.weights.has('seg_projector.model.0.weight')).toBe(sees('sam'))
      await expectSameInParts(gpu, golden, parts, cache)
      free()
    },
  )
})

for (const gpu of await adapters()) {
  test(`choosing a query before its mask is enlarged is the same as after, on ${gpu.name}`, async () => {
    // An image twice as wide as high: its part of the canvas is [64, 128]
    const config = smallConfig()
    const { parts, free } = await assemble(gpu, config, 3, 16)
    const masks = random([3, 16, 16, 1], 5, 4)
    const [height, width] = [37, 75]
    const scaled = [64, 128] as const

    const after = await compute(gpu, { masks }, (t) => {
      const canvas = resize(t['masks'], [128, 128])
      return {
        right: resize(canvas, [height, width], { crop: scaled }),
        direct: resize(t['masks'], [height, width], { crop: [8, 16] }),
        transposed: resize(canvas, [height, width], { crop: [128, 64] }),
      }
    })
    const size = { width, height, scaled }
    const ready = await plan(gpu, 'finish', (inputs) =>
      finishPlan(inputs, size, { ...parts, baseline: true }),
    )
    const pixels = height * width
    for (let q = 0; q < 3; q++) {
      const { read: y } = await ready.run({ inputs: { logits: masks.data.subarray(q * 256, (q + 1) * 256) } })
      expect(Object.keys(y)).toEqual(['bits'])
      const inside = pixelsOf(y['bits']!, pixels)
      const differences = (maps: Float32Array) =>
        inside.filter((bit, i) => {
          const logit = maps[q * pixels + i]!
          return Math.abs(logit) > 1e-5 && bit !== Number(logit > 0)
        }).length
      expect(differences(after['right'])).toBe(0)
      // Neither one direct resize nor height and width exchanged would do
      expect(differences(after['direct'])).toBeGreaterThan(0)
      expect(differences(after['transposed'])).toBeGreaterThan(pixels / 10)
    }
    ready.release()
    free()
  })
}

function pixelsOf(bits: ArrayLike<number>, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (bits[i >>> 5]! >>> (i & 31)) & 1)
}
