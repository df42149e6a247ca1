// Found or not, one or all, one sentence or several, on a small checkpoint of random weights.

import { describe, expect, test } from 'vitest'
import { PromptError, UsageError } from '../../../src/errors.ts'
import { TASKS } from '../../../src/model/checkpoint/task-config.ts'
import { adapters, anyGpu, creations } from '../../support.ts'
import { picture, saturate, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { bytesOn, cleanUp, expectSame, files, load } from '../small-model.ts'

cleanUp()

/** Queries that differ more than random ones do: so do their masks. */
const diverse = smallCheckpoint({
  edit: (name, values) => {
    if (name.endsWith('queries_features.weight')) for (const [i, v] of values.entries()) values[i] = 20 * v
    if (name.includes('mask_embedder') && name.endsWith('bias')) values.fill(0)
  },
})

for (const gpu of await adapters()) {
  describe(`several answers on ${gpu.name}`, () => {
    test('found says whether the score reaches the threshold, and changes nothing else', async () => {
      const scene = await (await load(files, { gpu })).look(picture(83, 47))
      const answer = await scene.segment('a dog')
      expect(answer.found).toBe(answer.score >= 0.5)
      for (const [threshold, found] of [
        [0, true],
        [answer.score, true],
        [Math.min(1, answer.score + 1e-6), false],
      ] as const) {
        const same = await scene.segment('a dog', { threshold })
        expectSame(same, answer)
        expect(same.found).toBe(found)
        expect(same).not.toHaveProperty('instances')
      }
    })

    test('all are the distinct masks of the queries that are sure enough', async () => {
      const scene = await (await load(diverse, { gpu })).look(picture(83, 47))
      const plain = await scene.segment('a dog')
      const { candidates } = plain
      for (const threshold of [candidates[6]!.score, 0]) {
        const answer = await scene.segment('a dog', { all: true, threshold })
        expectSame(answer, plain)
        // By definition: in the order of their scores, those that overlap with no kept one by more than 0.8
        const kept: { query: number; score: number; data: Uint8Array }[] = []
        for (const candidate of candidates) {
          const { query, score } = candidate
          if (score < threshold) continue
          const { data, area } = await candidate.mask()
          const overlaps = kept.some((other) => {
            const common = data.filter((bit, i) => bit === 1 && other.data[i] === 1).length
            const union = data.filter((bit, i) => bit === 1 || other.data[i] === 1).length
            return common / union > 0.8
          })
          if (area > 0 && !overlaps) kept.push({ query, score, data })
        }
        expect(kept.length).toBeGreaterThan(threshold === 0 ? 1 : 0)
        expect(kept.length).toBeLessThan(12) // some are found twice
        expect(answer.instances.map(({ query, score, mask }) => ({ query, score, data: mask.data }))).toEqual(
          kept,
        )
        const union = plain.mask.data.map((_, i) => Number(kept.some(({ data }) => data[i] === 1)))
        expect(answer.union.data).toEqual(union)
        expect(answer.union.area).toBe(union.reduce((sum, bit) => sum + bit, 0))
        expect(answer.found).toBe(true)
        for (const { box, area, mask } of answer.instances) {
          expect(area).toBe(mask.area)
          const [x0, y0, x1, y1] = box!
          expect(mask.data.some((bit, i) => bit === 1 && i % 83 === x0)).toBe(true)
          expect(x0 < x1 && y0 < y1 && x1 <= 83 && y1 <= 47).toBe(true)
        }
      }
    })

    test("the config's own thresholds are the default", async () => {
      const { score } = await (await (await load(files, { gpu })).look(picture(20, 10))).segment('a dog')
      for (const [threshold, all, found] of [
        [score, 1, true],
        [score + 1e-6, 0, false],
      ] as const) {
        const model = await load(smallCheckpoint({ config: { presence: { threshold, all } } }), { gpu })
        const answer = await (await model.look(picture(20, 10))).segment('a dog', { all: true })
        expect(answer).toMatchObject({ found, instances: { length: found ? 1 : 0 } }) // the best one, or none
        model.close()
      }
    })

    test('nothing found is an empty list and an empty union, beside the mask of the best candidate', async () => {
      const scene = await (await load(files, { gpu })).look(picture(20, 10))
      const best = await scene.segment('a dog', { threshold: 0 })
      expect([best.found, best.mask.area > 0]).toEqual([true, true])
      const answer = await scene.segment('a dog', { all: true, threshold: 1 })
      expect(answer.found).toBe(false)
      expect(answer.instances).toEqual([])
      expect(answer.union).toMatchObject({ width: 20, height: 10, area: 0 })
      expect(answer.union.data).toEqual(new Uint8Array(200))

      expect(answer.mask).toEqual(best.mask)
      expect(answer.mask).toEqual(await answer.candidates[0]!.mask())
      expect(answer.score).toBe(Math.max(...answer.candidates.map(({ score }) => score)))
      // Without `all` as well
      const alone = await scene.segment('a dog', { threshold: 1 })
      expect(alone.found).toBe(false)
      expect(alone.mask).toEqual(best.mask)
    })

    test('each sentence is answered as if it were asked alone', async () => {
      const model = await load(files, { gpu })
      const scene = await model.look(picture(40, 30))
      const sentences = ['a dog', 'the red mug', 'a dog']
      const answers = await scene.segmentEach(sentences, { flow: true })
      expect(answers.map(({ sentence }) => sentence)).toEqual(sentences)
      for (const [i, sentence] of sentences.entries()) expectSame(answers[i]!, await scene.segment(sentence))
      expect(answers[1]!.flow).toHaveLength(4)

      const bytes = bytesOn(gpu)
      const counts = creations(gpu)
      await scene.segmentEach(sentences, { all: true, threshold: 0 })
      await scene.segmentEach(sentences, { all: true, threshold: 0 })
      expect(bytesOn(gpu)).toBeGreaterThanOrEqual(bytes)
      const again = new Map(counts)
      await scene.segmentEach(sentences, { all: true, threshold: 0 })
      expect(counts).toEqual(again)
    })
  })
}

test('all sentences are checked before the first is asked, and the wrong one is named', async () => {
  const model = await load(files, { gpu: await anyGpu() })
  const scene = await model.look(picture(20, 10))
  const plans = model.plans().length
  for (const [sentences, type, message] of [
    [[], UsageError, 'the sentences are an empty array'],
    ['a dog', UsageError, 'the sentences are "a dog"'],
    [undefined, UsageError, 'the sentences are undefined'],
    [['a dog', ''], PromptError, 'Sentence 1: The sentence is empty'],
    [['a dog', 'a <SEG>', 'a cat'], PromptError, 'Sentence 1: The sentence holds "<SEG>"'],
    [['a dog', 7], PromptError, 'Sentence 1: The sentence must be a string'],
    [['x '.repeat(10_000)], PromptError, 'Sentence 0'],
  ] as const) {
    const refused = scene.segmentEach(sentences as unknown as string[])
    await expect(refused).rejects.toThrow(type)
    await expect(refused).rejects.toThrow(message)
  }
  for (const options of [{ all: 'yes' }, { threshold: 2 }, { threshold: Number.NaN }]) {
    await expect(scene.segmentEach(['a dog'], options as object)).rejects.toThrow('segmentEach: ')
    await expect(scene.segment('a dog', options as object)).rejects.toThrow('segment: ')
  }
  expect(model.plans()).toHaveLength(plans)
})

test('options, regions and lists are read as they are when a call is made', async () => {
  const know = smallCheckpoint({ config: { tasks: [...TASKS] }, maxTokens: 900, positions: 4000 })
  const model = await load(know, { gpu: await anyGpu() })
  const image = picture(40, 20)
  const scene = await model.look(image)

  const options = { threshold: 0 }
  const sentences = ['a dog', 'a cat']
  const each = scene.segmentEach(sentences, options)
  options.threshold = 1
  sentences.length = 0
  expect((await each).map(({ sentence, found }) => [sentence, found])).toEqual([
    ['a dog', true],
    ['a cat', true],
  ])

  const wording = { template: 'Find {regions} here.' as string }
  const data = new Uint8Array(40 * 20).fill(1, 0, 200)
  const regions = [{ box: [2, 2, 20, 15] as const }, { mask: { width: 40, height: 20, data } }]
  const expected = await scene.segmentRegion(regions, wording)
  const pointed = scene.segmentRegion(regions, wording)
  wording.template = 'Not {regions}.'
  data.fill(0)
  regions.length = 0
  const answers = await pointed
  expect(answers.map(({ text, score }) => [text, score])).toEqual(
    expected.map(({ text, score }) => [text, score]),
  )

  // Its turn comes after that of another look
  const grey = await (await model.look(image, { padding: 'grey' })).segment('a dog')
  const padding: { padding: 'grey' | 'none' } = { padding: 'grey' }
  const looks = [model.look(image), model.look(image, padding)]
  padding.padding = 'none'
  const [, second] = await Promise.all(looks)
  expect((await second?.segment('a dog'))?.score).toBe(grey.score)
  expect((await scene.segment('a dog')).score).not.toBe(grey.score)
})

test('with saturated gates the flow is the baseline to the bit, in each of several sentences', async () => {
  const model = await load(smallCheckpoint({ edit: saturate }), { gpu: await anyGpu() })
  const scene = await model.look(picture(40, 30))
  const sentences = ['a dog', 'the red mug', 'what keeps you dry in the rain']
  const options = { all: true, threshold: 0 } as const
  const on = await scene.segmentEach(sentences, { ...options, flow: true })
  const off = await scene.segmentEach(sentences, { ...options, flow: false })
  for (const [i, answer] of on.entries()) {
    expect(answer.flow).toBeDefined()
    expectSame(answer, off[i]!)
    expect(answer.instances).toEqual(off[i]!.instances)
  }
  expect(on[0]!.logits.raw).not.toEqual(on[1]!.logits.raw)
})

test('an abort ends the sentences that are left', async () => {
  const model = await load(files, { gpu: await anyGpu() })
  const scene = await model.look(picture(20, 10))
  const stop = new AbortController()
  const asked = scene.segmentEach(
    Array.from({ length: 50 }, () => 'a dog'),
    { signal: stop.signal },
  )
  setTimeout(() => stop.abort(), 30)
  await expect(asked).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
  expect((await scene.segment('a dog')).sentence).toBe('a dog')
})
