// Regions: rows, columns, scores and the choice are X-SAM's with both language models and both of its generations, down
// from pixels and token ids; and what a caller asks of a scene, or should not ask, is answered.

import { describe, expect, test, vi } from 'vitest'
import { FlowSegError, PromptError, UsageError } from '../../../src/errors.ts'
import { boxOf } from '../../../src/masks/picture.ts'
import { type Config, parseConfig } from '../../../src/model/checkpoint/config.ts'
import type { Scene } from '../../../src/model/flowseg.ts'
import { REGION } from '../../../src/model/input/prompt.ts'
import { gesturesOf, type Region } from '../../../src/model/input/region.ts'
import { type FramedRegion, frameRegion, regionPixels } from '../../../src/model/input/region-frame.ts'
import type { LoadedModel } from '../../../src/model/load.ts'
import type { SceneState } from '../../../src/model/look.ts'
import { bestPairs, classProbabilities } from '../../../src/model/output/classes.ts'
import { masksOf } from '../../../src/model/output/masks.ts'
import { overlapOf } from '../../../src/model/output/overlap.ts'
import { PlanCache } from '../../../src/model/plan-cache.ts'
import { lookPlan } from '../../../src/model/plans.ts'
import { packMask } from '../../../src/model/segmentation.ts'
import { decode } from '../../../src/model/tasks/decode.ts'
import { sampleRegion } from '../../../src/model/tasks/region.ts'
import { boxOverlap, chooseMask } from '../../../src/model/tasks/region-choice.ts'
import type { Progress } from '../../../src/progress.ts'
import { upload } from '../../../src/tensor/tensor.ts'
import { expectGolden, goldenInput, loadGolden, readFixture } from '../../fixtures/golden.ts'
import { adapters, anyGpu, expectSameBits } from '../../support.ts'
import { valuesOf } from '../../values.ts'
import { assemble, freeAll, runOnce } from '../checkpoint/parts.ts'
import { picture, saturate, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { cleanUp, load } from '../small-model.ts'

cleanUp()

const TASKS = ['referring', 'reasoning', 'regions']
const regionFiles = (type: 'qwen3' | 'phi3', compat: Config['compat'], maxTokens = 600): File[] =>
  smallCheckpoint({ type, maxTokens, config: { compat, tasks: TASKS } })

interface Facts {
  before: number[]
  scaledSize: [number, number]
  imageSize: [number, number]
  compat: Config['compat']
  'after.one': number[]
  'after.both': number[]
  'spans.one': [number, number][]
  'spans.both': [number, number][]
  keep: number[]
  'overlaps.boxes': number[]
  'overlaps.masks': number[]
  chosen: number
  'pairs.one': [number, number, number][]
  'pairs.both': [number, number, number][]
}

const REGIONS: Record<string, Region> = { disc: { point: [20.5, 31.5] }, box: { box: [30, 10, 61, 47] } }

for (const gpu of await adapters()) {
  describe.each([
    ['regions-qwen3', 'small'],
    ['regions-phi3', 'small-phi3'],
  ])(`%s on ${gpu.name}`, (name, file) => {
    const golden = loadGolden(name)
    const facts = golden.facts as unknown as Facts
    const json = { ...(readFixture(`${file}.json`) as object), compat: facts.compat, tasks: TASKS }
    const config = parseConfig(json, file)
    const [height, width] = facts.imageSize

    test('from pixels and ids to scores', async () => {
      const { parts, cache, free } = await assemble(gpu, config, 3, facts['after.both'].length)
      const pixels = {
        sam: await upload(gpu, goldenInput(golden, 'pixels'), [128, 128, 3], 'f32'),
        siglip: await upload(gpu, goldenInput(golden, 'semantic'), [60, 60, 3], 'f32'),
      }
      const values = { inputs: { before: await parts.embed(facts.before) }, bound: { ...cache, ...pixels } }
      const { kept } = await runOnce(gpu, (inputs) => lookPlan(inputs, parts), values)
      const { 'sam tokens': tokens, ...image } = kept
      const size = { width, height, scaled: facts.scaledSize }
      const placed = { size, scaled: facts.scaledSize, capacity: parts.capacity }
      const scene = { ...placed, image, tokens, cache } as unknown as SceneState
      const embeddings = { rows: parts.embed }
      const plans = new PlanCache(8)
      const model = { gpu, parts, plans, embeddings, language: new Map() } as unknown as LoadedModel

      // 1. The regions' rows
      const rows: Record<string, Float32Array> = {}
      const frames: Record<string, FramedRegion> = {}
      for (const [what, region] of Object.entries(REGIONS)) {
        const frame = frameRegion(gesturesOf('test', region, size).gestures, size, size.scaled)
        expectGolden(`frame.${what}`, frame.inside, golden, 1e-9)
        frames[what] = frame
        rows[what] = await sampleRegion(model, scene, frame, {})
        expectGolden(`rows.${what}`, rows[what], golden, 1e-5)
      }

      // 2. Prompts with one and with both of them
      for (const [what, used] of [
        ['one', [rows['box']!]],
        ['both', [rows['disc']!, rows['box']!]],
      ] as const) {
        const after = facts[`after.${what}`]
        const spans = facts[`spans.${what}`]
        const regions = spans.map(([begin]) => begin + 1)
        expect(after.filter((id) => id === REGION)).toHaveLength(used.length * config.regions.rows)
        const prompt = { before: facts.before, after, spans, regions, seg: after.length - 1, text: '' }
        const joined = Float32Array.from(used.flatMap((x) => [...x]))
        const decoded = await decode(model, scene, prompt, { task: 'regions', regions: joined }, {})
        expect(decoded.baseline).toBe(true) // this flow wasn't trained on regions
        const { condition, seg, spans: among } = decoded.language
        const C = await valuesOf(gpu, condition)
        const d = config.head.hidden
        const columns = among.flatMap(([begin, end]) =>
          Array.from({ length: d }, (_, c) => {
            let sum = 0
            for (let k = begin; k < end; k++) sum += C[k * d + c]!
            return sum / (end - begin)
          }),
        )
        expectGolden(`columns.${what}`, Float32Array.from(columns), golden, 1e-5)
        expectGolden(`s.${what}`, await valuesOf(gpu, seg), golden, 1e-5)
        expectGolden(`class.${what}`, decoded.logits, golden, 1e-5)
        expectGolden(`mask.${what}`, decoded.masks, golden, 1e-5)

        // 3. Pairs: scores are probabilities times qualities
        const queries = Array.from({ length: 12 }, (_, query) => query)
        const masks = await masksOf(model, scene, decoded, queries, {})
        const quality = Float32Array.from(masks, (mask) => mask.quality)
        expectGolden(`quality.${what}`, quality, golden, 1e-5)
        const K = used.length
        const pairs = bestPairs(classProbabilities(decoded.logits, K), K, 0).map((pair) => ({
          ...pair,
          score: pair.probability * masks[pair.query]!.quality,
        }))
        const ranked = pairs.toSorted((a, b) => b.score - a.score)
        expect(ranked.map(({ query, category }) => [query, category])).toEqual(
          facts[`pairs.${what}`].map(([query, region]) => [query, region]),
        )
        ranked.forEach(({ score }, i) => expect(score).toBeCloseTo(facts[`pairs.${what}`][i]![2], 5))
        if (what === 'both') continue

        // 4. The one that the box means
        const data = regionPixels(frames['box']!, size)
        const region = { bits: packMask(data), area: data.reduce((sum, v) => sum + v, 0) }
        const measured = masks.map((mask) => ({
          query: mask.query,
          score: pairs.find(({ query }) => query === mask.query)!.score,
          overlap:
            facts.compat === 'main'
              ? overlapOf(mask, region)
              : boxOverlap(mask.box, boxOf({ ...size, data })),
          isHit: false,
        }))
        const known = facts[facts.compat === 'main' ? 'overlaps.masks' : 'overlaps.boxes']
        facts.keep.forEach((query, i) => expect(measured[query]!.overlap).toBeCloseTo(known[i]!, 5))
        expect(chooseMask(measured, 0.5, false)?.query).toBe(facts.chosen)
      }
      plans.clear()
      for (const language of model.language.values()) freeAll(gpu, language)
      freeAll(gpu, { ...kept, ...pixels })
      free()
    })
  })

  describe.each([
    ['qwen3', 'main'],
    ['phi3', 'aaai'],
  ] as const)(`a scene of %s, %s, on ${gpu.name}`, (type, compat) => {
    test('says what was pointed at', async () => {
      const model = await load(regionFiles(type, compat), { gpu })
      const scene = await model.look(picture(80, 60))
      const answer = await scene.segmentRegion({ box: [30, 10, 61, 47] })
      expect(answer.text).toContain('based on the following regions: <p><region></p>? Please')
      expect(answer.mask.data).toHaveLength(80 * 60)
      expect(answer.score).toBeLessThanOrEqual(answer.probability)
      expect(answer.found).toBe(answer.score >= 0.5 && answer.overlap > 0)
      expect(answer.candidates).toHaveLength(12)
      expect(answer.candidates.find(({ query }) => query === answer.query)?.score).toBe(answer.probability)

      // The choice is that of all queries, none pruned
      const all = await Promise.all(
        answer.candidates.map(async (candidate) => ({ ...candidate, mask: await candidate.mask() })),
      )
      expect(all.find(({ query }) => query === answer.query)!.mask).toEqual(answer.mask)

      // Again: the same to the bit, and a list is the same one by one
      const [again, point] = await scene.segmentRegion([{ box: [30, 10, 61, 47] }, { point: [5, 5] }])
      expectSameBits(again!.logits.raw, answer.logits.raw)
      expect(again!.mask).toEqual(answer.mask)
      expect(point!.overlap).not.toBe(answer.overlap)
      const alone = await scene.segmentRegion({ point: [5, 5] })
      expect(alone.query).toBe(point!.query)
      expectSameBits(alone.logits.raw, point!.logits.raw)
    })

    test('tells the flow, and which rows of C are of which region', async () => {
      const model = await load(regionFiles(type, compat), { gpu })
      const scene = await model.look(picture(80, 60))
      const regions = [{ box: [30, 10, 61, 47] }, { point: [5, 5] }] as const
      const { rows } = model.config.regions
      const { flow } = await scene.segmentRegion(regions, { like: true, flow: true })
      expect(flow!.phrases).toEqual([
        { region: 0, rows: [0, rows + 2] },
        { region: 1, rows: [rows + 2, 2 * rows + 4] },
      ])
      expect(flow!.layers).toHaveLength(4)
      expect(flow!.layers[3]!.moved).toBeGreaterThan(0)
      const [one] = await scene.segmentRegion([{ point: [5, 5] }], { flow: true })
      expect(one!.flow!.phrases).toEqual([{ region: 0, rows: [0, rows + 2] }])
      expect((await scene.segmentRegion({ point: [5, 5] }, { flow: false })).flow).toBeUndefined()
    })

    test('says what is like it', async () => {
      const model = await load(regionFiles(type, compat), { gpu })
      const scene = await model.look(picture(80, 60))
      const regions = [{ box: [30, 10, 61, 47] }, { point: [5, 5] }] as const
      const every = await scene.segmentRegion(regions, { like: true, threshold: 0 })
      expect(every.instances).toHaveLength(12)
      expect(every.text).toContain('<p><region></p>, <p><region></p>')
      const scores = every.instances.map(({ score }) => score)
      expect(scores).toEqual(scores.toSorted((a, b) => b - a))
      // With a threshold it is the same list, cut
      const level = scores[5]!
      const some = await scene.segmentRegion(regions, { like: true, threshold: level })
      const shown = ({ instances }: typeof some) =>
        instances.map(({ query, region, score, box }) => ({ query, region, score, box }))
      expect(shown(some)).toEqual(shown(every).filter(({ score }) => score >= level))
      expect(some.found).toBe(true)
      const none = await scene.segmentRegion(regions, { like: true, threshold: 1 })
      expect(none).toMatchObject({ found: false, instances: [] })
      for (const { region, mask, box, query } of some.instances) {
        expect([0, 1]).toContain(region)
        expect(query).toBeLessThan(12)
        expect(box === null).toBe(mask.area === 0)
      }
    })
  })
}

test('a mask that an answer has is a region, and where it is wanted is where it is', async () => {
  const gpu = await anyGpu()
  const model = await load(regionFiles('qwen3', 'main'), { gpu })
  const scene = await model.look(picture(80, 60))
  const { mask } = await scene.segmentRegion({ point: [40, 30] })
  const like = await scene.segmentRegion({ mask }, { like: true, threshold: 0 })
  expect(like.instances[0]!.mask.data).toHaveLength(80 * 60)
  expect(like.instances[0]!.mask.area).toBe(like.instances[0]!.area)
  const one = await scene.segmentRegion({ mask }, { output: 'buffer' })
  expect(one.mask.bytesPerRow).toBe(256)
  one.mask.buffer.destroy()
})

test.each(['segmentRegion', 'segmentEach'] as const)(
  'masks of %s that nobody gets are freed',
  async (call) => {
    const gpu = await anyGpu()
    const model = await load(regionFiles('qwen3', 'aaai'), { gpu })
    const scene = await model.look(picture(80, 60))
    const exported: { destroyed: number }[] = []
    const transfer = gpu.buffers.transferOwnership.bind(gpu.buffers)
    vi.spyOn(gpu.buffers, 'transferOwnership').mockImplementation((buffer) => {
      const entry = { destroyed: 0 }
      exported.push(entry)
      const destroy = buffer.destroy.bind(buffer)
      vi.spyOn(buffer, 'destroy').mockImplementation(() => {
        entry.destroyed++
        destroy()
        return undefined
      })
      return transfer(buffer)
    })
    const stop = new AbortController()
    let isFinished = false
    const options = {
      output: 'buffer',
      signal: stop.signal,
      onProgress: ({ what, loaded, total }: Progress) => {
        if (isFinished) stop.abort(new Error('enough'))
        isFinished ||= what === 'finish' && loaded === total
      },
    } as const
    const calls = {
      segmentRegion: () => scene.segmentRegion([{ point: [1, 1] }, { point: [9, 9] }], options),
      segmentEach: () => scene.segmentEach(['a dog', 'a cat'], options),
    }
    const pending: Promise<unknown> = calls[call]()
    await expect(pending).rejects.toThrow('enough')
    expect(exported).toEqual([{ destroyed: 1 }])
  },
)

test('a region is what it was when it was given', async () => {
  const gpu = await anyGpu()
  const model = await load(regionFiles('qwen3', 'aaai'), { gpu })
  const scene = await model.look(picture(80, 60))
  const data = new Uint8Array(80 * 60).fill(1, 0, 2000)
  const region = { mask: { width: 80, height: 60, data } }
  const first = await scene.segmentRegion(region)
  const pending = scene.segmentRegion(region)
  data.fill(0).fill(1, 4000)
  const second = await pending
  expectSameBits(second.logits.raw, first.logits.raw)
})

test('with saturated gates the flow is the baseline to the bit', async () => {
  const gpu = await anyGpu()
  const model = await load(
    smallCheckpoint({ edit: saturate, maxTokens: 600, config: { compat: 'main', tasks: TASKS } }),
    { gpu },
  )
  const scene = await model.look(picture(40, 30))
  const regions = [{ point: [10, 10] }, { box: [5, 5, 30, 20] }] as const
  for (const options of [{ threshold: 0 }, { threshold: 0.3, seed: 3 }]) {
    const like = async (flow: boolean) => {
      const { instances } = await scene.segmentRegion(regions, { ...options, like: true, flow })
      return instances.map((instance) => ({ ...instance }))
    }
    expect(await like(true)).toEqual(await like(false))
    const [on, off] = [
      await scene.segmentRegion(regions[1], { ...options, flow: true }),
      await scene.segmentRegion(regions[1], { ...options, flow: false }),
    ]
    expectSameBits(on.logits.refined, off.logits.refined)
    expect({ ...on, flow: 0, logits: 0, candidates: 0, times: 0 }).toEqual({
      ...off,
      flow: 0,
      logits: 0,
      candidates: 0,
      times: 0,
    })
  }
})

test('a seed draws other points, the same ones each time', async () => {
  const gpu = await anyGpu()
  const model = await load(regionFiles('qwen3', 'main'), { gpu })
  const scene = await model.look(picture(80, 60))
  const rawWith = async (seed?: number) =>
    (await scene.segmentRegion({ box: [5, 5, 60, 50] }, { seed })).logits.raw
  const [even, first, again, other] = [await rawWith(), await rawWith(1), await rawWith(1), await rawWith(2)]
  expectSameBits(again, first)
  expect(other).not.toEqual(first)
  expect(even).not.toEqual(first)
})

test('`hit` takes the best mask that the click is inside of', async () => {
  const gpu = await anyGpu()
  const model = await load(regionFiles('qwen3', 'aaai'), { gpu })
  const scene = await model.look(picture(80, 60))
  const options = { threshold: 0 } as const
  for (const [x, y] of [
    [10, 10],
    [70, 50],
    [40, 30],
  ] as const) {
    const hit = await scene.segmentRegion({ point: [x, y] }, { ...options, hit: true })
    const inside = await Promise.all(
      hit.candidates.map(async (candidate) => {
        const mask = await candidate.mask()
        return mask.data[y * 80 + x] === 1
      }),
    )
    expect(hit.found).toBe(inside.includes(true))
    if (hit.found) expect(hit.mask.data[y * 80 + x]).toBe(1)
  }
})

describe('a caller who asks for what there is not', () => {
  const scene = async (compat: Config['compat'] = 'aaai', maxTokens?: number): Promise<Scene> => {
    const model = await load(regionFiles('qwen3', compat, maxTokens), { gpu: await anyGpu() })
    return model.look(picture(80, 60))
  }

  test('is told so', async () => {
    const on = await scene()
    const refused = async (region: unknown, options: object, message: string): Promise<void> => {
      const error = await on.segmentRegion(region as Region, options).catch((e: unknown) => e)
      expect(error, message).toBeInstanceOf(FlowSegError)
      expect((error as FlowSegError).code).toBe('ERR_USAGE')
      expect((error as Error).message).toContain(message)
    }
    await refused(undefined, {}, 'segmentRegion is undefined, expected an object such as { point: [x, y] }')
    await refused(null, {}, 'segmentRegion is null')
    await refused('the mug', {}, 'segmentRegion is "the mug"')
    await refused([], {}, 'the list of regions is empty')
    await refused([{ point: [1, 1] }, {}], {}, 'region 1: the region is empty')
    await refused([{ point: [1, 1] }, null], {}, 'segmentRegion: region 1 is null')
    await refused({ point: [80, 5] }, {}, 'point is [80, 5], outside of the image: x is from 0 up to 80')
    await refused([10, 20], {}, 'region 0 is 10, expected an object such as { point: [x, y] }')
    await refused({ point: [1, 1] }, { liek: true }, "there is no option 'liek'")
    await refused({ point: [1, 1] }, { threshold: 2 }, 'threshold is 2, expected a number from 0 to 1')
    await refused({ point: [1, 1] }, { threshold: Number.NaN }, 'threshold is NaN')
    await refused({ point: [1, 1] }, { seed: 1.5 }, 'seed is 1.5, expected a whole number of at least 0')
    await refused({ point: [1, 1] }, { like: 'yes' }, 'like is "yes", expected true or false')
    await refused({ point: [1, 1] }, { like: true, output: 'buffer' }, 'with `like` masks are in host memory')
    await refused({ point: [1, 1] }, { like: true, hit: true }, '`hit` chooses one mask')
    await refused({ box: [1, 1, 5, 5] }, { hit: true }, '`hit` needs a point')
    await refused({ point: [1, 1] }, { output: 'file' }, 'output is "file"')
  })

  test('about templates too', async () => {
    const on = await scene()
    const asked = (options: object) => on.segmentRegion({ point: [1, 1] }, options)
    await expect(asked({ template: 'Segment it.' })).rejects.toThrow('must have {regions} in it, once')
    await expect(asked({ template: '<region> {regions}' })).rejects.toThrow('holds "<region>"')
    await expect(asked({ answer: 'Here.' })).rejects.toThrow('must have <SEG> in it, once')
    const { text } = await asked({ template: 'What is at {regions}?', answer: 'Sure, it is <SEG>.' })
    expect(text).toContain('What is at <p><region></p>?')
    expect(text.endsWith('Sure, it is <SEG>')).toBe(true)
  })

  test('100 regions: as many as fit are named, one by one they are all answered', async () => {
    const regions = Array.from({ length: 100 }, (_, i) => ({ point: [i % 80, i % 60] as const }))
    const on = await scene('main', 330)
    const error = await on.segmentRegion(regions, { like: true }).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(PromptError)
    expect((error as Error).message).toMatch(
      /^100 regions make a prompt of \d+ tokens after the image, where this model reads \d+\. Each takes 64 rows/,
    )
    const most = Number(/at most (\d+) at a time/.exec((error as Error).message)![1])
    const { instances } = await on.segmentRegion(regions.slice(0, most), { like: true, threshold: 0 })
    expect(instances).toHaveLength(12)
    await expect(on.segmentRegion(regions.slice(0, most + 1), { like: true })).rejects.toThrow(PromptError)
    const answers = await on.segmentRegion(regions.slice(0, 12))
    expect(answers).toHaveLength(12)
    const tiny = await scene('main', 167)
    await expect(tiny.segmentRegion({ point: [1, 1] })).rejects.toThrow('It can be asked for none')
  })

  test('more regions than a sentence may have tokens, as the language model reads that many', async () => {
    const long = smallCheckpoint({
      maxTokens: 200,
      positions: 1400,
      config: { compat: 'main', tasks: TASKS },
    })
    const on = await (await load(long, { gpu: await anyGpu() })).look(picture(80, 60))
    const regions = Array.from({ length: 12 }, (_, i) => ({ point: [5 * i, 4 * i] as const }))
    const { instances } = await on.segmentRegion(regions, { like: true, threshold: 0 })
    expect(instances).toHaveLength(12)
  })

  test('an abort comes through, and the scene goes on', async () => {
    const on = await scene()
    const stop = new AbortController()
    const pending = on.segmentRegion([{ point: [1, 1] }, { point: [2, 2] }], { signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(pending).rejects.toThrow('enough')
    expect((await on.segmentRegion({ point: [1, 1] })).mask.width).toBe(80)
    on.close()
    await expect(on.segmentRegion({ point: [1, 1] })).rejects.toThrow('This scene was closed')
  })
})

test('a checkpoint that was not trained on regions says so, and keeps no rows for them', async () => {
  const gpu = await anyGpu()
  const plain = await load(smallCheckpoint(), { gpu })
  const before = gpu.memory().bytes
  const scene = await plain.look(picture(80, 60))
  const held = gpu.memory().bytes - before
  await expect(scene.segmentRegion({ point: [1, 1] })).rejects.toThrow(UsageError)
  await expect(scene.segmentRegion({ point: [1, 1] })).rejects.toThrow('was not trained on regions')
  scene.close()
  plain.close()

  const model = await load(smallCheckpoint({ config: { tasks: TASKS } }), { gpu })
  const start = gpu.memory().bytes
  const other = await model.look(picture(80, 60))
  expect(gpu.memory().bytes - start - held).toBe(16 * 64 * 4)
  other.close()
  await other.segmentRegion({ point: [1, 1] }).catch(() => undefined)
  expect(gpu.memory().bytes).toBeLessThan(start + held)
})
