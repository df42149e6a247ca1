// The prompts of every task have the ids that Hugging Face's tokenizers give them, in both chats and generations;
// Phi-3's with a vocabulary as Llama's, where each text begins with a word's mark and line feeds are bytes.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadTokenizer, type Tokenizer } from '../../../src/io/text/tokenizer.ts'
import { type Config, type PromptConfig, parseConfig } from '../../../src/model/checkpoint/config.ts'
import {
  CATEGORY_ANSWERS,
  CATEGORY_TEMPLATES,
  categoriesPrompt,
  readCategories,
} from '../../../src/model/input/categories.ts'
import {
  ANSWERS,
  buildPrompt,
  clean,
  frameQuestion,
  type PromptQuestion,
  REASONING_PHRASE_TEMPLATES,
  REASONING_TEMPLATES,
  REFERRING_TEMPLATES,
} from '../../../src/model/input/prompt.ts'
import { cleanQuestion, EXPLAIN_TEMPLATES, GROUNDED_TEMPLATES } from '../../../src/model/input/questions.ts'
import { REGION_TEMPLATES, regionPrompt } from '../../../src/model/input/region-prompt.ts'
import { loadGolden, readFixture } from '../../fixtures/golden.ts'

interface PromptCase {
  readonly chat: PromptConfig['chat']
  readonly compat: Config['compat']
  readonly task: string
  readonly question: number
  readonly words: unknown
  readonly before: readonly number[]
  readonly after: readonly number[]
}

const { tokenizer: phi3, ...facts } = loadGolden('task-prompts').facts
const cases = Object.entries(facts) as [string, PromptCase][]

const vocab = readFileSync('test/fixtures/io/tokenizer.json', 'utf8')
const qwen3 = await loadTokenizer(vocab, '{}', 403)
const { added_tokens: added } = phi3 as { readonly added_tokens: readonly { readonly id: number }[] }
const tokenizers: Record<PromptConfig['chat'], Tokenizer> = {
  qwen3,
  'qwen3-no-think': qwen3,
  phi3: await loadTokenizer(JSON.stringify(phi3), '{}', Math.max(...added.map(({ id }) => id)) + 1),
}

const SENTENCES: Readonly<Record<string, readonly string[]>> = {
  referring: REFERRING_TEMPLATES,
  reasoning: REASONING_TEMPLATES,
  'reasoning phrase': REASONING_PHRASE_TEMPLATES,
}

/** The prompt as the task makes it. */
function promptOf({ chat, compat, task, question, words }: PromptCase): PromptQuestion {
  const small = readFixture('small.json') as { prompt: object }
  const config = parseConfig(
    {
      ...small,
      compat,
      tasks: ['referring', 'regions'],
      prompt: { ...small.prompt, chat, maxTokens: 1000 },
    },
    'small.json',
  )
  const tokenizer = tokenizers[chat]
  const template = SENTENCES[task]?.[question]
  if (template !== undefined) {
    const kind = task === 'referring' ? 'referring' : 'reasoning'
    const wording = { template, answer: ANSWERS[question % 5]!, task: kind } as const
    return buildPrompt(tokenizer, words as string, config, wording)
  }
  const answer = CATEGORY_ANSWERS[question % 5]!
  switch (task) {
    case 'chat':
      return frameQuestion(tokenizer, config, cleanQuestion(words))
    case 'grounded':
      return frameQuestion(tokenizer, config, GROUNDED_TEMPLATES[question]!)
    case 'explain': {
      const phrase = `<p>${clean(words as string, 'reasoning', 1000)}</p>`
      return frameQuestion(
        tokenizer,
        config,
        EXPLAIN_TEMPLATES[question]!.replace('{phrase}', () => phrase),
      )
    }
    case 'categories': {
      const list = readCategories({ things: words as string[] })
      return categoriesPrompt(tokenizer, config, list, 1000, {
        template: CATEGORY_TEMPLATES[question]!,
        answer,
      })
    }
    case 'regions':
      return regionPrompt(tokenizer, config, words as number, 1000, {
        template: REGION_TEMPLATES[question]!,
        answer,
      })
  }
  throw new Error(`no task ${task}`)
}

test('every question of every task is there, for both chats and generations', () => {
  const asked = { referring: 10, reasoning: 5, 'reasoning phrase': 5, chat: 5, grounded: 6, explain: 5 }
  for (const chat of ['qwen3', 'phi3']) {
    for (const compat of ['aaai', 'main']) {
      const own = cases.flatMap(([, one]) => (one.chat === chat && one.compat === compat ? [one.task] : []))
      const lists = chat === 'phi3' ? { categories: 6, regions: 6 } : {}
      const expected = Object.entries({ ...asked, ...lists }).flatMap(([task, count]) =>
        Array.from({ length: count }, () => task),
      )
      expect(own).toEqual(expected)
    }
  }
  expect(REFERRING_TEMPLATES).toHaveLength(asked.referring)
  expect(REASONING_TEMPLATES).toHaveLength(asked.reasoning)
  expect(REASONING_PHRASE_TEMPLATES).toHaveLength(asked['reasoning phrase'])
  expect(GROUNDED_TEMPLATES).toHaveLength(asked.grounded)
  expect(EXPLAIN_TEMPLATES).toHaveLength(asked.explain)
})

test.each(cases)('%s', (_, one) => {
  const { before, after } = promptOf(one)
  expect(before).toEqual(one.before)
  expect(after).toEqual(one.after)
})

describe("a vocabulary as Llama's", () => {
  const tokenizer = tokenizers.phi3
  const idOf = (token: string) => tokenizer.idOf(token)

  test('a text begins with a mark, also behind a marker, and a line feed is a byte', () => {
    const [mark, comma, feed] = ['▁', ',', '<0x0A>'].map(idOf)
    expect(tokenizer.encode('\n')).toEqual([mark, feed])
    expect(tokenizer.encode('</p>, <p>')).toEqual([idOf('</p>'), mark, comma, mark, idOf('<p>')])
    // Phi-3's own markers take the line feed behind them
    expect(tokenizer.encode('<|end|>\n<|assistant|>\n')).toEqual([idOf('<|end|>'), idOf('<|assistant|>')])
  })

  test('what has no token is its bytes, and comes back', () => {
    const ids = tokenizer.encode('日')
    expect(ids).toEqual([idOf('▁'), ...['<0xE6>', '<0x97>', '<0xA5>'].map(idOf)])
    expect(tokenizer.decode(tokenizer.encode('What is 日本 🙂?'))).toBe('What is 日本 🙂?')
  })
})
