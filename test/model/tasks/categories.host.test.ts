// Lists of categories on a small checkpoint of random weights: the answers fit the image and each other, a list of one
// name is a sentence, the flow for several phrases, and what is refused before anything runs.

import { describe, expect, test } from 'vitest'
import { PromptError, UsageError } from '../../../src/errors.ts'
import type { FlowSeg, Scene } from '../../../src/model/flowseg.ts'
import type { CategoryList } from '../../../src/model/input/categories.ts'
import { adapters, anyGpu, creations, expectClose, expectSameBits } from '../../support.ts'
import { picture, saturate, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { bytesOn, cleanUp, load } from '../small-model.ts'

cleanUp()

const TASKS = ['referring', 'categories']
const files = smallCheckpoint({ maxTokens: 500, tasks: TASKS })
const LIST = { things: ['red mug', 'Bird'], stuff: ['sky-other-merged'] } as const
const saturated = smallCheckpoint({ maxTokens: 500, tasks: TASKS, edit: saturate })

/** Everything that a list's answers say, for comparisons. */
async function all(scene: Scene, list: CategoryList, options: { flow?: boolean; shuffle?: number } = {}) {
  const semantic = await scene.segmentCategories(list, { ...options, mode: 'semantic' })
  const instance = await scene.segmentCategories(list, { ...options, mode: 'instance', threshold: 0 })
  const panoptic = await scene.segmentCategories(list, { ...options, mode: 'panoptic', threshold: 0 })
  const found = instance.instances.map(({ query, category, score, area, box }) => [
    query,
    category,
    score,
    area,
    box,
  ])
  return { labels: [semantic.labels, instance.labels, panoptic.labels], found, panoptic: panoptic.segments }
}

for (const gpu of await adapters()) {
  describe(`segmentCategories on ${gpu.name}`, () => {
    test('three answers to one list fit the image', async () => {
      const model = await load(files, { gpu })
      for (const [width, height] of [
        [83, 47],
        [3, 2],
        [1, 300],
      ] as const) {
        const scene = await model.look(picture(width, height))
        const semantic = await scene.segmentCategories(LIST, { mode: 'semantic' })
        expect(semantic).toMatchObject({ mode: 'semantic', width, height })
        expect(semantic.categories.map(({ prompt }) => prompt)).toEqual(['red mug', 'bird', 'sky'])
        expect(semantic.text).toContain('<p>red mug</p>, <p>bird</p>, <p>sky</p>?')
        expect(semantic.labels).toHaveLength(width * height)
        for (const { id, category, area, box, mask, name } of semantic.segments) {
          expect([id, name]).toEqual([category, semantic.categories[category]!.name])
          expect(mask).toMatchObject({ width, height, area })
          mask.data.forEach((bit, i) => expect(bit).toBe(Number(semantic.labels[i] === id)))
          expect(box![2]).toBeLessThanOrEqual(width)
        }

        const instance = await scene.segmentCategories(LIST, { mode: 'instance', threshold: 0 })
        expect(instance.instances).toHaveLength(12) // as many as queries
        instance.instances.forEach(({ score, probability, quality, area, mask, category, kind }, i) => {
          expect(score).toBeCloseTo(probability * quality, 12)
          expect(quality === 0).toBe(area === 0)
          expect(quality).toBeLessThanOrEqual(1)
          expect(score).toBeLessThanOrEqual(instance.instances[i - 1]?.score ?? 1)
          expect(mask.area).toBe(area)
          expect(kind).toBe(category < 2 ? 'thing' : 'stuff')
        })
        // The surest lies on top
        const [best] = instance.instances
        best!.mask.data.forEach((bit, i) => expect(bit === 1).toBe(instance.labels[i] === 1))
        const sure = await scene.segmentCategories(LIST, { mode: 'instance', threshold: 0.2 })
        expect(sure.instances.map(({ query }) => query)).toEqual(
          instance.instances.filter(({ score }) => score >= 0.2).map(({ query }) => query),
        )

        const panoptic = await scene.segmentCategories(LIST)
        expect(panoptic.mode).toBe('panoptic')
        const areas = panoptic.segments.reduce((sum, { area }) => sum + area, 0)
        expect(areas).toBe(panoptic.labels.reduce((sum, id) => sum + Number(id > 0), 0))
        for (const { id, mask, area, score } of panoptic.segments) {
          expect(mask.area).toBe(area)
          expect(score).toBeGreaterThan(0.5)
          expect(panoptic.labels).toContain(id)
        }
        expect(panoptic.found).toBe(panoptic.segments.length > 0)
        scene.close()
      }
    })

    test('a semantic map says whether anything of the list is there', async () => {
      const scene = await (await load(files, { gpu })).look(picture(40, 30))
      const instance = await scene.segmentCategories(LIST, { mode: 'instance', threshold: 0 })
      // As sure as the surest query that has a mask
      const level = Math.max(
        ...instance.instances.map(({ probability, area }) => (area > 0 ? probability : 0)),
      )
      const semantic = (threshold: number) => scene.segmentCategories(LIST, { mode: 'semantic', threshold })
      const [sure, unsure] = [await semantic(level), await semantic(Math.min(1, level + 1e-9))]
      expect([sure.found, unsure.found]).toEqual([true, false])
      expect((await semantic(0)).found).toBe(true)
      expect((await semantic(1)).found).toBe(false)
      // The map doesn't depend on it
      expect(unsure.labels).toEqual(sure.labels)
      const scores = unsure.segments.map(({ category, score }) => [category, score])
      expect(sure.segments.map(({ category, score }) => [category, score])).toEqual(scores)
      for (const { category, probability } of instance.instances) {
        const segment = sure.segments.find((one) => one.category === category)
        if (segment) expect(segment.score).toBeGreaterThanOrEqual(probability)
      }
      expect(Math.max(...sure.segments.map(({ score }) => score))).toBeLessThanOrEqual(1)
    })

    test('the lists say which answer is meant, and a text is a list too', async () => {
      const scene = await (await load(files, { gpu })).look(picture(40, 30))
      expect((await scene.segmentCategories({ things: ['a dog'] })).mode).toBe('instance')
      expect((await scene.segmentCategories({ stuff: ['grass'] })).mode).toBe('semantic')
      // An empty list is none
      expect((await scene.segmentCategories({ things: [], stuff: ['grass'] })).mode).toBe('semantic')
      expect((await scene.segmentCategories({ things: ['a dog'], stuff: [] })).mode).toBe('instance')
      expect((await scene.segmentCategories('ins: ; sem: grass')).mode).toBe('semantic')
      expect((await scene.segmentCategories('ins: a dog')).mode).toBe('instance')
      const typed = await scene.segmentCategories('ins: red mug, Bird; sem: sky-other-merged')
      expect(typed.mode).toBe('panoptic')
      const listed = await scene.segmentCategories(LIST)
      expect([typed.text, typed.labels]).toEqual([listed.text, listed.labels])
    })

    test("X-SAM's main branch lists things alone, of the places that stuff takes up too", async () => {
      const main = smallCheckpoint({
        maxTokens: 500,
        tasks: TASKS,
        config: { compat: 'main' },
        // Queries that differ more than random ones do, so that they are of several classes
        edit: (name, values) => {
          if (name.endsWith('queries_features.weight'))
            for (const [i, v] of values.entries()) values[i] = 20 * v
        },
      })
      const scene = await (await load(main, { gpu })).look(picture(40, 30))
      const { instances, text } = await scene.segmentCategories(LIST, { mode: 'instance', threshold: 0 })
      expect(text).toContain('<image>Can you segment')
      expect(instances.length).toBeGreaterThan(0)
      expect(instances.every(({ kind }) => kind === 'thing')).toBe(true)
      // As if all were things, less those of the third name
      const alike = { things: [...LIST.things, ...LIST.stuff] }
      const all = await scene.segmentCategories(alike, { threshold: 0 })
      expect(all.instances).toHaveLength(12)
      const described = (list: typeof instances) =>
        list.map(({ query, score, category }) => [query, score, category])
      expect(described(instances)).toEqual(described(all.instances.filter(({ category }) => category < 2)))
      expect(instances.length).toBeLessThan(12)
    })

    test('a list of one name in the words of a sentence has the columns of a sentence', async () => {
      const scene = await (await load(files, { gpu })).look(picture(40, 30))
      for (const flow of [false, true]) {
        const { candidates, text } = await scene.segment('red mug', { flow })
        const list = { things: ['red mug'] }
        const words = { template: 'Segment {categories}.', flow, threshold: 0 }
        const answer = await scene.segmentCategories(list, { ...words, mode: 'instance' })
        expect(answer.text).toBe(text)
        for (const { query, probability, mask } of answer.instances) {
          const same = candidates.find((candidate) => candidate.query === query)!
          expect(probability).toBeCloseTo(same.score, 12)
          expect(mask).toEqual(await same.mask())
        }
      }
    })

    test('the order of the names counts, and a seed gives always the same', async () => {
      const scene = await (await load(files, { gpu })).look(picture(40, 30))
      const list = { things: ['red mug', 'bird', 'dog', 'cat'] }
      const inOrder = await scene.segmentCategories(list, { mode: 'instance', threshold: 0 })
      const shuffled = await scene.segmentCategories(list, { mode: 'instance', threshold: 0, shuffle: 3 })
      const again = await scene.segmentCategories(list, { mode: 'instance', threshold: 0, shuffle: 3 })
      expect(shuffled.text).not.toBe(inOrder.text)
      expect(again.labels).toEqual(shuffled.labels)
      expect(shuffled.categories).toEqual(inOrder.categories)
      // The same as asking in that order, but for the numbers of the categories
      const names = [...shuffled.text.matchAll(/<p>(.*?)<\/p>/g)].map(([, name]) => name!)
      expect(names.toSorted()).toEqual(list.things.toSorted())
      const asked = await scene.segmentCategories({ things: names }, { mode: 'instance', threshold: 0 })
      const described = (answer: typeof asked) =>
        answer.instances.map(({ query, name, score }) => [query, name, score])
      expect(described(shuffled)).toEqual(described(asked))
    })

    test('without flow training it is off; on, it tells the rows of every category', async () => {
      const scene = await (await load(files, { gpu })).look(picture(40, 30))
      const plain = await all(scene, LIST)
      const off = await all(scene, LIST, { flow: false })
      const on = await all(scene, LIST, { flow: true })
      expect(off).toEqual(plain)
      expect(on.found).not.toEqual(off.found)

      const { flow } = await scene.segmentCategories(LIST, { flow: true, mode: 'panoptic', shuffle: 1 })
      expect(flow!.layers.map(({ layer }) => layer)).toEqual([0, 1, 2, 3])
      for (const { logits, ranking } of flow!.layers)
        expect([logits.length, ranking.length]).toEqual([12 * 4, 12])
      expect(new Set(flow!.phrases.map(({ category }) => category))).toEqual(new Set([0, 1, 2]))
      const lengths = flow!.phrases.map(({ category, rows: [begin, end] }) => [category, end - begin])
      // Every byte is a token, and so is every marker
      expect(Object.fromEntries(lengths)).toEqual({
        0: 'red mug'.length + 2,
        1: 'bird'.length + 2,
        2: 'sky'.length + 2,
      })
      expect(flow!.phrases[0]!.rows[0]).toBe(0)
    })

    test('with saturated gates the flow is the baseline to the bit, in every answer', async () => {
      const scene = await (await load(saturated, { gpu })).look(picture(40, 30))
      expect(await all(scene, LIST, { flow: true })).toEqual(await all(scene, LIST, { flow: false }))
      const on = await scene.segment('a dog', { flow: true })
      const off = await scene.segment('a dog', { flow: false })
      expectSameBits(on.logits.refined, off.logits.refined)
      expect(on.candidates.map(({ score }) => score)).toEqual(off.candidates.map(({ score }) => score))
    })

    test('more than 64 names have a row of C each', async () => {
      const scene = await (await load(files, { gpu })).look(picture(40, 30))
      const name = (i: number) =>
        String.fromCodePoint(97 + (i % 26), ...(i < 26 ? [] : [97 + Math.floor(i / 26)]))
      const things = Array.from({ length: 65 }, (_, i) => name(i))
      const { flow } = await scene.segmentCategories({ things }, { flow: true, mode: 'semantic' })
      expect(flow!.phrases.map(({ rows }) => rows)).toEqual(things.map((_, k) => [k, k + 1]))
      const shorter = await scene.segmentCategories(
        { things: things.slice(0, 64) },
        { flow: true, mode: 'semantic' },
      )
      expect(shorter.flow!.phrases[1]!.rows).toEqual([3, 6])
    })

    test('lists leave nothing behind', async () => {
      const model = await load(files, { gpu })
      const scene = await model.look(picture(40, 30))
      const sentence = await scene.segment('a dog')
      await all(scene, LIST)
      const bytes = bytesOn(gpu)
      const counts = creations(gpu)
      await all(scene, LIST)
      expect(counts).toEqual(new Map())
      expect(bytesOn(gpu)).toBe(bytes)
      expectSameBits((await scene.segment('a dog')).logits.refined, sentence.logits.refined)
    })
  })
}

describe('what is refused before anything runs', () => {
  const refusal = async (model: FlowSeg, list: unknown, options: object = {}): Promise<Error> => {
    const scene = await model.look(picture(20, 10))
    const running = model.plans().length
    const error = await scene.segmentCategories(list as CategoryList, options).catch((e: unknown) => e)
    expect(model.plans()).toHaveLength(running)
    scene.close()
    expect(error).toBeInstanceOf(Error)
    return error as Error
  }

  test('lists that are none', async () => {
    const model = await load(files, { gpu: await anyGpu() })
    for (const [list, message] of [
      [{}, 'The list has no category'],
      [{ things: [], stuff: [] }, 'The list has no category'],
      ['', 'names no category'],
      ['person, sky', 'names no category'],
      ['ins: ,; sem:', 'names no category'],
      [{ things: [''] }, 'The name things[0] is empty'],
      [{ things: ['dog', ' \n\t'] }, 'The name things[1] is empty'],
      [{ stuff: ['-other-merged'] }, 'Nothing is left of the name "-other-merged"'],
      [{ things: ['a dog', 'A-dog'] }, 'The list has "a dog" as "a dog" and as "A-dog"'],
      [{ things: ['wall', 'wall-other-merged'] }, 'The list has "wall" as "wall" and as "wall-other-merged"'],
      [{ things: ['dog', 'dog'] }, 'The list has "dog" twice'],
      [{ things: ['sky'], stuff: ['Sky'] }, 'one among the things and one among the stuff'],
      [{ things: ['dog</p>, <p>cat'] }, 'holds "</p>"'],
      [{ things: ['<SEG>'] }, 'holds "<SEG>"'],
      [{ things: ['<re-otherg>', '<seg-merged>'] }, 'holds "<seg>"'],
      [{ things: ['<image>'] }, 'holds "<image>"'],
      [{ stuff: ['<region>'] }, 'holds "<region>"'],
      [{ things: ['<|im_end|>'] }, 'holds "<|im_end|>"'],
      [{ things: ['half \ud800'] }, 'holds half of a character'],
      [{ things: Array.from({ length: 500 }, (_, i) => `thing ${i}`) }, 'of the names fit'],
      [{ things: ['x'.repeat(2000)] }, 'not even'],
      [{ things: ['dog', 'x'.repeat(1_000_000)] }, 'has 1000000 characters'],
    ] as const) {
      const error = await refusal(model, list)
      expect(error).toBeInstanceOf(PromptError)
      expect(error.message).toContain(message)
    }
    for (const [list, message] of [
      [null, 'the list is null'],
      [undefined, 'the list is undefined'],
      [['dog'], 'the list is ["dog"]'],
      [7, 'the list is 7'],
      [{ thing: ['dog'] }, "no option 'thing'"],
      [{ things: 'dog' }, 'things is "dog", expected an array of names'],
      [{ things: null }, 'things is null'],
      [{ things: [1] }, 'things[0] is 1'],
      [{ things: Object.assign([], { length: 1 }) }, 'things[0] is undefined'],
    ] as const) {
      const error = await refusal(model, list)
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain(message)
    }
  })

  test('the number of names that fit is right', async () => {
    const model = await load(files, { gpu: await anyGpu() })
    const things = Array.from({ length: 500 }, (_, i) => `thing ${i}`)
    const error = await refusal(model, { things })
    const fit = Number(/(\d+) of the names fit/.exec(error.message)![1])
    const scene = await model.look(picture(20, 10))
    await scene.segmentCategories({ things: things.slice(0, fit) })
    await expect(scene.segmentCategories({ things: things.slice(0, fit + 1) })).rejects.toThrow(
      `${fit} of the names`,
    )
  })

  test('options that are none, and checkpoints that know no lists', async () => {
    const model = await load(files, { gpu: await anyGpu() })
    for (const options of [
      { mode: 'both' },
      { threshold: 1.5 },
      { threshold: Number.NaN },
      { shuffle: -1 },
      { shuffle: true },
      { ids: 'coco' },
      { flow: 'yes' },
      { output: 'texture' },
    ]) {
      const error = await refusal(model, LIST, options)
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain(Object.keys(options)[0])
    }
    expect((await refusal(model, LIST, { template: 'no place' })).message).toContain('{categories}')
    expect((await refusal(model, LIST, { answer: 'no token' })).message).toContain('<SEG>')

    const plain = await load(smallCheckpoint({ maxTokens: 500 }), { gpu: await anyGpu() })
    const error = await refusal(plain, LIST)
    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('`tasks` of its config.json')
  })
})

for (const type of ['qwen3', 'phi3'] as const) {
  test(`a list longer than any sentence, ${type}: the cache grows with it, and nothing else changes`, async () => {
    const gpu = await anyGpu()
    const roomy = await load(smallCheckpoint({ maxTokens: 500, tasks: TASKS, type }), { gpu })
    const tight = await load(smallCheckpoint({ maxTokens: 60, positions: 532, tasks: TASKS, type }), { gpu })
    const [a, b] = [await roomy.look(picture(40, 30)), await tight.look(picture(40, 30))]
    const before = await b.segment('a dog')
    const things = Array.from({ length: 25 }, (_, i) => `thing ${i}`)
    const ask = (scene: Scene) => scene.segmentCategories({ things }, { threshold: 0 })
    const [expected, actual] = [await ask(a), await ask(b)]
    expect(actual.labels).toEqual(expected.labels)
    actual.instances.forEach(({ score }, i) => expect(score).toBeCloseTo(expected.instances[i]!.score, 5))
    // A larger cache may have another variant of attention, which adds up in another order
    expectClose((await b.segment('a dog')).logits.refined, before.logits.refined, 1e-5)
    const many = Array.from({ length: 500 }, (_, i) => `thing ${i}`)
    await expect(b.segmentCategories({ things: many })).rejects.toThrow('of the names fit')
  })
}
