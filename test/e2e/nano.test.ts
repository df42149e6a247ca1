// The embedded checkpoint on scenes of its test split: it finds what it is asked for, its answers are those of
// the PyTorch reference, a second sentence is cheap, and asking on and on costs no memory.

import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { metricsOf, overlap } from '../../src/cli/metrics.ts'
import { FlowSeg, type LoadOptions, type Scene } from '../../src/model/flowseg.ts'
import { type DatasetScene, datasetScene } from '../../src/scenes/dataset.ts'
import { SIZE } from '../../src/scenes/scene.ts'
import { adapters, anyGpu, creations } from '../support.ts'
import { NANO } from './cli-harness.ts'

/** What PyTorch answers, a line a sentence: made by training/reference.py from the weights and the test split. */
interface Answer {
  readonly scene: number
  readonly sentence: string
  readonly query: number
  /** The mask as lengths of runs, zeros first. */
  readonly runs: readonly number[]
}

const expected = readFileSync(new URL('../fixtures/nano.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Answer)

const gpu = await anyGpu()

describe(`flowseg-nano on ${gpu.name}`, () => {
  let model: FlowSeg
  beforeAll(async () => {
    model = await FlowSeg.load(NANO, { gpu })
  })
  afterAll(() => model.close())

  const look = ({ rgb }: DatasetScene): Promise<Scene> => model.look({ width: SIZE, height: SIZE, rgb })

  test('finds what it is asked for, as PyTorch does', async () => {
    const overlaps = []
    let [sameQuery, samePixels] = [0, 0]
    for (const index of new Set(expected.map(({ scene }) => scene))) {
      const drawn = datasetScene('test', index)
      const answers = expected.filter(({ scene }) => scene === index)
      expect(answers.map(({ sentence }) => sentence)).toEqual(drawn.sentences.map(({ text }) => text))
      const scene = await look(drawn)
      for (const [i, { text, target }] of drawn.sentences.entries()) {
        const { mask, query } = await scene.segment(text)
        const { query: theirQuery, runs } = answers[i]!
        const theirs = runs.flatMap((length, k) => Array.from({ length }, () => k % 2))
        const truth = drawn.ids.map((id) => (id === target + 1 ? 1 : 0))
        overlaps.push(overlap(mask.data, truth))
        sameQuery += query === theirQuery ? 1 : 0
        samePixels += theirs.reduce((sum, bit, k) => sum + (bit === mask.data[k] ? 1 : 0), 0)
      }
      scene.close()
    }
    // Both compute in f32; only where two candidates or the two sides of an edge are level may they differ
    expect(sameQuery / expected.length).toBeGreaterThanOrEqual(0.995)
    expect(samePixels / (expected.length * SIZE * SIZE)).toBeGreaterThanOrEqual(0.999)
    const { cIoU, half } = metricsOf(overlaps)
    expect(cIoU).toBeGreaterThanOrEqual(0.75)
    expect(half).toBeGreaterThanOrEqual(0.8)
  })

  test('a second sentence is less than a quarter of the work of the first', async () => {
    const drawn = datasetScene('test', 0)
    const scene = await look(drawn)
    await scene.segment(drawn.sentences[0]!.text)
    scene.close()
    const flops = (name: string): number => {
      return Math.max(...model.plans().flatMap((plan) => (plan.name === name ? [plan.flops] : [])))
    }
    const again = flops('read') + flops('segment') + flops('finish')
    expect(again).toBeLessThan(0.25 * (flops('look') + again))
  })

  test('two hundred sentences leave memory as it was', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const drawn = datasetScene('test', 0)
    const scene = await look(drawn)
    const askOn = async (times: number): Promise<{ gpu: number; resident: number }> => {
      for (let i = 0; i < times; i++) {
        await scene.segment(drawn.sentences[i % drawn.sentences.length]!.text)
      }
      collect()
      return { gpu: gpu.memory().bytes, resident: process.memoryUsage().rss }
    }

    const before = await askOn(40)
    const after = await askOn(200)
    expect(after.gpu).toBe(before.gpu)
    expect(after.resident).toBeLessThan(1.05 * before.resident)
    scene.close()
  })
})

/** Of the matrices alone: vectors, tables and convolutions stay as they are stored, and textures are filled up. */
test.each([
  ['int8', 0.97, 0.75],
  ['int4', 0.85, 0.65],
] as const)('in %s it finds the same, in less memory', async (quantize, same, memory) => {
  const drawn = datasetScene('test', 0)
  const answers = async (options: LoadOptions): Promise<{ queries: number[]; bytes: number }> => {
    const model = await FlowSeg.load(NANO, { gpu, ...options })
    const bytes = model.memory().byOwner['weights']!
    const scene = await model.look({ width: SIZE, height: SIZE, rgb: drawn.rgb })
    const queries = []
    for (const { text } of drawn.sentences) queries.push((await scene.segment(text)).query)
    model.close()
    return { queries, bytes }
  }
  const [full, few] = [await answers({}), await answers({ quantize })]
  const agreeing = few.queries.filter((query, i) => query === full.queries[i]).length
  expect(agreeing / full.queries.length).toBeGreaterThanOrEqual(same)
  expect(few.bytes).toBeLessThan(memory * full.bytes)
})

test('what it can be quantised to is told', async () => {
  const load = FlowSeg.load(NANO, { gpu, quantize: 'int2' as 'int4' })
  await expect(load).rejects.toThrow("FlowSeg.load: quantize is 'int2', expected int8 or int4, or nothing.")
})

for (const each of await adapters()) {
  test(`a sentence whose plans are ready creates nothing on ${each.name}`, async () => {
    const model = await FlowSeg.load(NANO, { gpu: each })
    const { rgb, sentences } = datasetScene('test', 0)
    const scene = await model.look({ width: SIZE, height: SIZE, rgb })
    const [one, two] = [sentences[0]!.text, sentences[1]!.text]
    const answers = [await scene.segment(one), await scene.segment(two)]
    const created = creations(each)
    for (const { sentence, query, mask } of answers) {
      expect(await scene.segment(sentence)).toMatchObject({ query, mask })
    }
    expect([...created]).toEqual([])
    vi.restoreAllMocks()
    model.close()
  })
}
