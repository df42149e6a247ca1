// Names of categories as the model reads them, X-SAM's way to type a list with its oddities, seeded orders, and how
// many names fit.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PromptError } from '../../../src/errors.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'
import { parseConfig, visionTokens } from '../../../src/model/checkpoint/config.ts'
import {
  CATEGORY_ANSWERS,
  CATEGORY_TEMPLATES,
  categoriesPrompt,
  parseCategoryText,
  readCategories,
  shuffled,
} from '../../../src/model/input/categories.ts'
import { loadGolden } from '../../fixtures/golden.ts'

/** The names of COCO's panoptic categories. */
const COCO = {
  things: names(`
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
    parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv,
    laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase,
    scissors, teddy bear, hair drier, toothbrush
  `),
  stuff: names(`
    banner, blanket, bridge, cardboard, counter, curtain, door-stuff, floor-wood, flower, fruit, gravel, house,
    light, mirror-stuff, net, pillow, platform, playingfield, railroad, river, road, roof, sand, sea, shelf, snow,
    stairs, tent, towel, wall-brick, wall-stone, wall-tile, wall-wood, water-other, window-blind, window-other,
    tree-merged, fence-merged, ceiling-merged, sky-other-merged, cabinet-merged, table-merged, floor-other-merged,
    pavement-merged, mountain-merged, grass-merged, dirt-merged, paper-merged, food-other-merged, building-other-
    merged, rock-merged, wall-other-merged, rug-merged
  `),
}

function names(text: string): string[] {
  return text.split(',').map((name) => name.trim().replace(/\s+/g, ' '))
}

const prompted = (...things: string[]) => readCategories({ things }).map(({ prompt }) => prompt)

describe('names', () => {
  test('are cleaned as the model was trained', () => {
    expect(
      prompted(
        'wall-other-merged',
        'sky-other',
        'floor-wood',
        'water-merged',
        'Potted-Plant',
        'food-stuff',
        'traffic_light',
        'St. Bernard (dog)',
        'person:hand',
        '  cup ',
        'tea\ncup',
        '{phrase} $& {categories}',
      ),
    ).toEqual([
      'wall',
      'sky',
      'floor wood',
      'water',
      'potted plant',
      'food',
      'traffic_light',
      'st. bernard (dog)',
      'person hand',
      'cup',
      'tea cup',
      '{phrase} $& {categories}',
    ])
  })

  test('stay as they were given for people, things first', () => {
    expect(readCategories({ stuff: ['Sky-merged'], things: ['Bird'] })).toEqual([
      { name: 'Bird', kind: 'thing', prompt: 'bird' },
      { name: 'Sky-merged', kind: 'stuff', prompt: 'sky' },
    ])
  })

  test("COCO's 133 are told apart, and those that share their first word as well", () => {
    expect([COCO.things.length, COCO.stuff.length]).toEqual([80, 53])
    const list = readCategories(COCO)
    expect(list.map(({ name }) => name)).toEqual([...COCO.things, ...COCO.stuff])
    expect(new Set(list.map(({ prompt }) => prompt)).size).toBe(133)
    const prompts = new Map(list.map(({ name, prompt }) => [name, prompt]))
    expect(
      ['floor-wood', 'floor-other-merged', 'wall-wood', 'wall-other-merged', 'table-merged'].map((name) =>
        prompts.get(name),
      ),
    ).toEqual(['floor wood', 'floor', 'wall wood', 'wall', 'table'])
  })
})

describe("X-SAM's text", () => {
  test.each([
    ['ins: a, b; sem: c, d', ['a', 'b'], ['c', 'd']],
    ['ins:a,,  b ,', ['a', 'b'], []],
    ['sem: sky', [], ['sky']],
    ['ins:;sem: a', [], ['a']],
    ['sem:\nins: a', ['a'], ['ins: a']],
    ['pins: x', ['x'], []],
    ['INS: a; sem: b', [], ['b']],
    ['ins: a\nsem: b', ['a'], ['b']],
    ['ins: a; ins: b', ['a'], []],
  ])('%j', (text, things, stuff) => {
    expect(parseCategoryText(text)).toEqual({ things, stuff })
  })

  test.each(['', 'INS: a', 'a, b', 'ins:', 'ins: , ,', 'sem:;'])('%j names nothing', (text) => {
    expect(() => parseCategoryText(text)).toThrow(PromptError)
    expect(() => parseCategoryText(text)).toThrow("at least one of 'ins:' and 'sem:'")
  })
})

test('an order depends on its seed alone, and keeps every name', () => {
  const names = Array.from({ length: 20 }, (_, i) => i)
  expect(shuffled(names, 5)).toEqual(shuffled(names, 5))
  expect(shuffled(names, 5)).not.toEqual(shuffled(names, 6))
  expect(shuffled(names, 5).toSorted((a, b) => a - b)).toEqual(names)
  expect(names[0]).toBe(0)
  // Every name comes first now and then
  const first = new Set(Array.from({ length: 400 }, (_, seed) => shuffled(names, seed)[0]))
  expect(first.size).toBe(20)
})

test('the words of the question are those of the training', () => {
  expect(CATEGORY_TEMPLATES).toHaveLength(6)
  for (const template of CATEGORY_TEMPLATES) expect(template.split('{categories}')).toHaveLength(2)
  expect(CATEGORY_TEMPLATES[0]).toBe(
    'Can you segment the image based on the following categories: {categories}? Please output the segmentation masks.',
  )
  expect(CATEGORY_ANSWERS.at(-1)).toBe('Sure, the segmentation result is <SEG>.')
})

interface PromptCase {
  readonly chat: 'qwen3' | 'phi3'
  readonly compat: 'aaai' | 'main'
  readonly question: number
  readonly answer: number
  readonly names: readonly string[]
  readonly before: readonly number[]
  readonly after: readonly number[]
}

describe('prompts have the ids of the Rust library', () => {
  const json = readFileSync('test/fixtures/io/tokenizer.json', 'utf8')
  const phi: { added_tokens: object[] } = JSON.parse(json)
  for (const [i, content] of ['<s>', '<|user|>', '<|assistant|>', '<|end|>'].entries()) {
    phi.added_tokens.push({ id: 400 + i, content, rstrip: i > 0, normalized: false, special: true })
  }
  const tokenizers = {
    qwen3: loadTokenizer(json, '{}', 403),
    phi3: loadTokenizer(JSON.stringify(phi), '{}', 407),
  }
  const cases = Object.entries(loadGolden('list-prompts').facts) as [string, PromptCase][]

  test.each(cases)('%s', async (_, { chat, compat, question, answer, names, before, after }) => {
    const tokenizer = await tokenizers[chat]
    const settings = { compat, prompt: { chat, template: '', answer: '', maxTokens: 10 } }
    const words = { template: CATEGORY_TEMPLATES[question]!, answer: CATEGORY_ANSWERS[answer]! }
    const list = readCategories({ things: names })
    const prompt = categoriesPrompt(tokenizer, settings, list, 1000, words)
    expect([prompt.before, prompt.after]).toEqual([before, after])
    // Every name is a phrase, from its <p> to its </p>
    const [p, end] = ['<p>', '</p>'].map((marker) => tokenizer.idOf(marker))
    expect(prompt.spans.map(([first, last]) => [after[first], after[last - 1]])).toEqual(
      names.map(() => [p, end]),
    )
    expect(prompt.spans.map(([first, last]) => tokenizer.decode(after.slice(first + 1, last - 1)))).toEqual(
      list.map(({ prompt: name }) => name),
    )
    expect(after[prompt.seg]).toBe(tokenizer.idOf('<SEG>'))
    expect(() => categoriesPrompt(tokenizer, settings, list, after.length - 1, words)).toThrow('fit')
    expect(categoriesPrompt(tokenizer, settings, list, after.length, words)).toEqual(prompt)
  })
})

test("COCO's 133 fit Phi-3, whose window bounds what a query sees and not the prompt", async () => {
  const file: { added_tokens: readonly { id: number }[] } = JSON.parse(
    JSON.stringify(loadGolden('task-prompts').facts['tokenizer']),
  )
  const length = Math.max(...file.added_tokens.map(({ id }) => id)) + 1
  const tokenizer = await loadTokenizer(JSON.stringify(file), '{}', length)
  const name = 'configs/flowseg-phi3.json'
  const config = parseConfig(JSON.parse(readFileSync(`weights/${name}`, 'utf8')), name)
  const { maxPositions, window = 0 } = config.llm
  expect([maxPositions, visionTokens(config), window]).toEqual([4096, 1753, 2047])

  const before = 2 // <s> <|user|>
  const room = maxPositions - visionTokens(config) - before
  const prompt = categoriesPrompt(tokenizer, config, readCategories(COCO), room)
  expect(prompt.before).toHaveLength(before)
  expect(prompt.spans).toHaveLength(133)
  expect(prompt.after.length).toBeLessThanOrEqual(room)
  // A vocabulary of a few hundred makes more tokens of them than Phi-3's own, which makes 788
  expect(prompt.after.length).toBeGreaterThan(788)

  // Were the prompt bounded by the window, a few names would fit
  const bounded = () =>
    categoriesPrompt(tokenizer, config, readCategories(COCO), window - visionTokens(config) - before)
  expect(bounded).toThrow(PromptError)
  expect(bounded).toThrow(/ [1-9]\d? of the names fit\./)
})
