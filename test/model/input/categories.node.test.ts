// Names of categories as the model reads them, X-SAM's way to type a list with its oddities, and seeded orders.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PromptError } from '../../../src/errors.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'
import {
  CATEGORY_ANSWERS,
  CATEGORY_TEMPLATES,
  categoriesPrompt,
  parseCategoryText,
  readCategories,
  shuffled,
} from '../../../src/model/input/categories.ts'
import { loadGolden } from '../../fixtures/golden.ts'

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

  test("COCO's 133 are told apart", () => {
    // Two that differ in nothing but what is removed would share a column: the whole of COCO has none
    const pairs = [
      'door-stuff',
      'floor-wood',
      'floor-other-merged',
      'wall-brick',
      'wall-other-merged',
      'window-other',
    ]
    expect(new Set(prompted(...pairs)).size).toBe(pairs.length)
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
