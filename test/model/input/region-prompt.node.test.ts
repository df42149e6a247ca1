// The prompt of regions has the ids of its pieces (spec of the tasks, 1.3 and 4.4), in both chats and generations, and
// places for the rows of each region.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PromptError } from '../../../src/errors.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'
import { type Config, parseConfig } from '../../../src/model/checkpoint/config.ts'
import { REGION, roomAfterImage } from '../../../src/model/input/prompt.ts'
import { REGION_TEMPLATES, regionPrompt } from '../../../src/model/input/region-prompt.ts'
import { loadGolden, readFixture } from '../../fixtures/golden.ts'

const json = readFileSync('test/fixtures/io/tokenizer.json', 'utf8')
const tokenizers = {
  qwen3: await loadTokenizer(json, '{}', 403),
  // Phi-3's markers in the same vocabulary: stripped on the right, as in its own file
  phi3: await (async () => {
    const file: { added_tokens: object[] } = JSON.parse(json)
    for (const [i, content] of ['<s>', '<|user|>', '<|assistant|>', '<|end|>'].entries()) {
      file.added_tokens.push({
        id: 400 + i,
        content,
        rstrip: content !== '<s>',
        normalized: false,
        special: true,
      })
    }
    return await loadTokenizer(JSON.stringify(file), '{}', 407)
  })(),
}

const configOf = (chat: 'qwen3' | 'phi3', compat: Config['compat'], maxTokens = 1000): Config => {
  const small = readFixture('small.json') as { prompt: object }
  const tasks = ['referring', 'regions']
  return parseConfig({ ...small, compat, tasks, prompt: { ...small.prompt, chat, maxTokens } }, 'small.json')
}

interface PromptCase {
  chat: 'qwen3' | 'phi3'
  compat: Config['compat']
  question: number
  answer: number
  count: number
  before: number[]
  after: number[]
}

const ANSWERS = [
  '<SEG>.',
  'It is <SEG>.',
  'Sure, <SEG>.',
  'Sure, it is <SEG>.',
  'Sure, the segmentation result is <SEG>.',
]

describe('ids', () => {
  const cases = Object.entries(loadGolden('region-prompts').facts) as [string, PromptCase][]
  expect(cases).toHaveLength(24)

  test.each(cases)('%s', (_, { chat, compat, question, answer, count, before, after }) => {
    const config = configOf(chat, compat)
    const wording = { template: REGION_TEMPLATES[question], answer: ANSWERS[answer] }
    const prompt = regionPrompt(tokenizers[chat], config, count, 30_000, wording)
    expect(prompt.before).toEqual(before)
    expect(prompt.after).toEqual(after)

    // Places: <p>, the rows, </p>; 3 or 66 of them
    const { rows } = config.regions
    expect(prompt.regions).toHaveLength(count)
    expect(prompt.spans).toEqual(prompt.regions.map((first) => [first - 1, first + rows + 1]))
    const marked = prompt.after.flatMap((id, i) => (id === REGION ? [i] : []))
    expect(marked).toEqual(
      prompt.regions.flatMap((first) => Array.from({ length: rows }, (_, i) => first + i)),
    )
    expect(prompt.seg).toBe(after.length - 1)
  })

  test('the default is the first question and the second answer', () => {
    const { text } = regionPrompt(tokenizers.qwen3, configOf('qwen3', 'aaai'), 2, 30_000)
    expect(text).toContain(
      '<image>\nCan you segment the image based on the following regions: <p><region></p>, <p><region></p>? ' +
        'Please output the corresponding segmentation mask.<|im_end|>',
    )
    expect(text.endsWith('It is <SEG>')).toBe(true)
  })
})

test.each([
  ['aaai', 1],
  ['main', 64],
] as const)('as many regions as there is room for, in %s of %i rows', (compat, rows) => {
  const config = configOf('qwen3', compat, 100) // a sentence's limit is no region's
  const promptOf = (count: number, room = 400) => regionPrompt(tokenizers.qwen3, config, count, room)
  const lengthOf = (count: number): number => promptOf(count, 30_000).after.length
  let most = 1
  while (lengthOf(most + 1) <= 400) most++
  expect(lengthOf(2) - lengthOf(1)).toBeGreaterThanOrEqual(rows + 2)
  expect(() => promptOf(most)).not.toThrow()
  expect(() => promptOf(most + 1)).toThrow(PromptError)
  expect(() => promptOf(most + 1)).toThrow(
    `${most + 1} regions make a prompt of ${lengthOf(most + 1)} tokens after the image, where this model reads 400.` +
      `${rows === 1 ? '' : ' Each takes 64 rows.'} Ask for at most ${most} at a time.`,
  )
  expect(() => promptOf(1, 20)).toThrow('It can be asked for none.')
})

test('a config that leaves out its positions has room for the longest prompt of any', () => {
  const { llm } = configOf('qwen3', 'aaai')
  expect(roomAfterImage({ llm }, 100)).toBe(32_768)
  expect(roomAfterImage({ llm: { ...llm, maxPositions: 4096 } }, 100)).toBe(3996)
})
