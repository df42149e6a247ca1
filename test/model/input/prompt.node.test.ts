// A prompt has the words, the pieces and the places that the spec gives it (section 5), for every chat frame.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PromptError } from '../../../src/errors.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'
import {
  ANSWERS,
  answered,
  buildPrompt,
  frameQuestion,
  type PromptSettings,
  REASONING_PHRASE_TEMPLATES,
  REASONING_TEMPLATES,
  REFERRING_TEMPLATES,
  REGION,
  spansOf,
} from '../../../src/model/input/prompt.ts'

const json = readFileSync('test/fixtures/io/tokenizer.json', 'utf8')
const qwen = loadTokenizer(json, '{}', 403)
const [SEG, P, END_P] = [400, 401, 402]

// Phi-3's markers in the same vocabulary: stripped on the right, as in its own file
const phi = (() => {
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
  return loadTokenizer(JSON.stringify(file), '{}', 407)
})()

const settings = (
  prompt: Partial<PromptSettings['prompt']> = {},
  compat: PromptSettings['compat'] = 'aaai',
): PromptSettings => ({
  compat,
  prompt: { chat: 'qwen3', template: 'Segment {phrase}.', answer: 'It is <SEG>.', maxTokens: 96, ...prompt },
})

describe('the small model', () => {
  test('reads a question with a line feed before it and stops at <SEG>', () => {
    const { before, after, spans, seg, text } = buildPrompt(
      qwen,
      'the red mug left of the laptop',
      settings(),
    )
    expect(text).toBe(
      '<|im_start|>user\n<image>\nSegment <p>the red mug left of the laptop</p>.<|im_end|>\n<|im_start|>assistant\nIt is <SEG>',
    )
    // By the Rust library (test/fixtures/io/encodings.json): "Segment <p>...</p>." and "It is <SEG>"
    expect(before).toEqual([396, 370, 81, 198])
    const question = [198, 50, 68, 270, 220, 401, 366, 323, 309, 369, 322, 384, 258, 308, 327, 367, 402, 13]
    const header = [397, 198, 396, 64, 360, 283, 364, 83, 198]
    expect(after).toEqual([...question, ...header, 40, 83, 272, 220, SEG])
    expect(spans).toEqual([[5, 17]])
    expect(after[5]).toBe(P)
    expect(after[16]).toBe(END_P)
    expect(seg).toBe(after.length - 1)
  })

  test('its committed config and tokenizer agree', () => {
    const read = (name: string) => readFileSync(`weights/flowseg-nano/${name}`, 'utf8')
    const config: PromptSettings & { llm: { vocab: number } } = JSON.parse(read('config.json'))
    const tokenizer = loadTokenizer(read('tokenizer.json'), read('tokenizer_config.json'), config.llm.vocab)
    const { before, after, spans, seg } = buildPrompt(tokenizer, 'the red mug', config)
    expect(tokenizer.decode(before)).toBe('<|im_start|>user\n')
    expect(tokenizer.decode(after.slice(...spans[0]!))).toBe('<p>the red mug</p>')
    expect(after[seg]).toBe(config.llm.vocab - 3)
  })
})

describe('chat frames', () => {
  const textOf = (config: PromptSettings) => buildPrompt(phi, 'a dog', config).text

  test('with a line feed after the image in AAAI, without in main', () => {
    expect(textOf(settings({}, 'aaai'))).toContain('<image>\nSegment')
    expect(textOf(settings({}, 'main'))).toContain('<image>Segment')
    const [aaai, main] = [
      buildPrompt(qwen, 'a dog', settings({}, 'aaai')),
      buildPrompt(qwen, 'a dog', settings({}, 'main')),
    ]
    expect(aaai.after).toEqual([198, ...main.after])
    expect(aaai.spans[0]?.map((at) => at - 1)).toEqual(main.spans[0])
  })

  test('with an empty thought for models that were trained with one', () => {
    const { text, after } = buildPrompt(qwen, 'a dog', settings({ chat: 'qwen3-no-think' }))
    expect(text).toContain('<|im_start|>assistant\n<think>\n\n</think>\n\nIt is <SEG>')
    const at = after.indexOf(398)
    expect(after.slice(at, at + 6)).toEqual([398, 198, 198, 399, 198, 198])
  })

  test("Phi-3's, with and without <s>, line feeds stripped as its file says", () => {
    const phi3 = settings({ chat: 'phi3' })
    const { before, after, text } = buildPrompt(phi, 'a dog', phi3)
    expect(text).toBe('<s><|user|>\n<image>\nSegment <p>a dog</p>.<|end|>\n<|assistant|>\nIt is <SEG>')
    expect(before).toEqual([400, 401]) // <s> <|user|>, and no line feed
    expect(after[0]).toBe(198)
    const dot = after.indexOf(406) + 1
    expect(after.slice(dot)).toEqual([13, 403, 402, ...phi.encode('It is '), 404])

    const demo = buildPrompt(phi, 'a dog', settings({ chat: 'phi3', bos: false }))
    expect(demo.before).toEqual([401])
    expect(demo.after).toEqual(after)
    expect(demo.text.startsWith('<|user|>')).toBe(true)
  })

  test('a tokenizer of another family is found out', () => {
    expect(() => buildPrompt(qwen, 'a dog', settings({ chat: 'phi3' }))).toThrow('has no token "<s>"')
  })
})

describe('words', () => {
  const question = (sentence: string, options = {}, config = settings()) =>
    buildPrompt(qwen, sentence, config, options)
      .text.replace(/^.*<image>\n/s, '')
      .replace(/<\|im_end.*$/s, '')

  test('referring is lower-cased, reasoning keeps its case, both are trimmed to one line', () => {
    const sentence = ' \n\tThe  RED\u00a0mug,\r\nplease\u200b '
    expect(question(sentence)).toBe('Segment <p>the  red\u00a0mug, please</p>.')
    expect(question(sentence, { task: 'reasoning' })).toBe('Segment <p>The  RED\u00a0mug, please</p>.')
    expect(question('ÄPFEL 日本')).toBe('Segment <p>äpfel 日本</p>.')
  })

  test('spaces inside reach the tokenizer as they are, at the ends they are trimmed', () => {
    for (const compat of ['aaai', 'main'] as const) {
      for (const space of ['  ', '   ', '\u00a0', '\u3000', '\u2009', '\u202f', ' \u00a0 ']) {
        const sentence = `red${space}mug`
        for (const padded of [sentence, `${space}${sentence}${space}`]) {
          const { after, spans } = buildPrompt(qwen, padded, settings({}, compat))
          expect(after.slice(...spans[0]!)).toEqual([P, ...qwen.encode(sentence), END_P])
        }
      }
    }
    // One space stands for what would break the line, or isn't seen
    expect(question('a\r\nb\tc\u200bd\u2028e\u0000f')).toBe('Segment <p>a b c d e f</p>.')
    // Composed and decomposed letters are the tokenizer's to tell apart
    for (const cafe of ['caf\u00e9', 'cafe\u0301']) expect(question(cafe)).toBe(`Segment <p>${cafe}</p>.`)
    expect(question('is it here?!')).toBe('Segment <p>is it here?!</p>.')
  })

  test('each of the ten referring questions gives way to a reasoning one, and only those', () => {
    expect(REFERRING_TEMPLATES).toHaveLength(10)
    expect([REASONING_TEMPLATES.length, REASONING_PHRASE_TEMPLATES.length]).toEqual([5, 5])
    for (const template of REFERRING_TEMPLATES) {
      const config = settings({ template })
      expect(question('Who flies?', { task: 'reasoning' }, config)).toBe(
        '<p>Who flies?</p> Please output the corresponding segmentation mask.',
      )
      expect(question('Who flies?', {}, config)).toBe(template.replace('{phrase}', '<p>who flies?</p>'))
    }
    for (const template of ['Segment {phrase}.', REASONING_TEMPLATES[4], REASONING_PHRASE_TEMPLATES[0]]) {
      const config = settings({ template })
      expect(question('X', { task: 'reasoning' }, config)).toBe(template.replace('{phrase}', '<p>X</p>'))
    }
  })

  test("X-SAM's forms, by task; a model with a question of its own keeps it", () => {
    const xsam = settings({ template: REFERRING_TEMPLATES[3] })
    expect(question('The dog', {}, xsam)).toBe(
      'Can you segment <p>the dog</p> in this image? Please generate the segmentation mask.',
    )
    expect(question('Who flies?', { task: 'reasoning' }, xsam)).toBe(
      '<p>Who flies?</p> Please output the corresponding segmentation mask.',
    )
    for (const template of [...REFERRING_TEMPLATES, ...REASONING_TEMPLATES, ...REASONING_PHRASE_TEMPLATES]) {
      expect(question('x', { template })).toBe(template.replace('{phrase}', '<p>x</p>'))
    }
  })

  test('every answer ends at <SEG>', () => {
    for (const answer of ANSWERS) {
      const { text, after, seg } = buildPrompt(qwen, 'x', settings(), { answer })
      expect(text.endsWith(`assistant\n${answer.slice(0, -1)}`)).toBe(true)
      expect(after.indexOf(SEG)).toBe(seg)
      expect(seg).toBe(after.length - 1)
    }
  })

  test('characters with a meaning to us or to String.replace are only characters', () => {
    for (const sentence of ['$& $1 $$', '{phrase}', '"quotes"', '< p >', 'a<b', '\\n', '👩‍🚀', '%s']) {
      const { spans, after, text } = buildPrompt(qwen, sentence, settings())
      expect(text).toContain(`<p>${sentence}</p>`)
      expect(qwen.decode(after.slice(...spans[0]!))).toBe(`<p>${sentence}</p>`)
    }
  })
})

describe('questions with several phrases and regions', () => {
  const REGIONS = 'On regions: <p><region></p>, <p><region></p>?'

  test('a region takes its rows between its markers, and text around them is encoded by itself', () => {
    for (const rows of [1, 64] as const) {
      const regions = { rows, pool: 'max', points: 256 } as const
      const { after, spans, regions: places } = frameQuestion(qwen, { ...settings(), regions }, REGIONS)
      expect(after.filter((id) => id === REGION)).toHaveLength(2 * rows)
      expect(spans.map(([begin, end]) => end - begin)).toEqual([rows + 2, rows + 2])
      expect(places).toEqual(spans.map(([begin]) => begin + 1))
      const [first = 0, second = 0] = places
      expect(after.slice(0, first)).toEqual(qwen.encode('\nOn regions: <p>'))
      expect(after.slice(first + rows, second)).toEqual(qwen.encode('</p>, <p>'))
    }
  })

  test('phrases are the k-th <p> with the k-th </p>, and a cut one is none', () => {
    const names = ['a cat', 'wall', 'a cat']
    const list = names.map((name) => `<p>${name}</p>`).join(', ')
    const { after, spans } = frameQuestion(qwen, settings(), `List: ${list}?`)
    expect(spans.map((span) => qwen.decode(after.slice(...span)))).toEqual(
      names.map((name) => `<p>${name}</p>`),
    )
    expect(spansOf([P, 1, END_P, P, 2], qwen)).toEqual([[0, 3]])
    expect(spansOf([1, 2], qwen)).toEqual([])
  })

  test('an answer goes on where the question ends, up to its <SEG>', () => {
    const question = frameQuestion(qwen, settings(), '<p>x</p>')
    const { after, seg, text } = answered(qwen, question, 'Sure, <SEG>. Bye')
    expect(after.slice(0, question.after.length)).toEqual(question.after)
    expect(after.slice(question.after.length)).toEqual([...qwen.encode('Sure, '), SEG])
    expect([after[seg], seg]).toEqual([SEG, after.length - 1])
    expect(text.endsWith('Sure, <SEG>')).toBe(true)
  })
})

describe('what can not be used', () => {
  test.each(['', ' ', '\n\t', '\u200b', '\u00a0 \ufeff', '\0'])('an empty sentence: %j', (sentence) => {
    expect(() => buildPrompt(qwen, sentence, settings())).toThrow(PromptError)
    expect(() => buildPrompt(qwen, sentence, settings())).toThrow('The sentence is empty. Say what to find')
  })

  test.each([
    '<p>',
    '</p>',
    '<SEG>',
    '<image>',
    '<|im_start|>',
    '<|im_end|>',
    '<|end|>',
    '<|user|>',
    '<s>',
    '</think>',
    '<seg>',
    '<P>',
    '<thin\u212a>',
  ])('a sentence with %s', (marker) => {
    for (const task of ['referring', 'reasoning'] as const) {
      expect(() => buildPrompt(qwen, `the ${marker} mug`, settings(), { task })).toThrow(PromptError)
      expect(() => buildPrompt(qwen, `mug${marker}`, settings(), { task })).toThrow(
        /holds "<.*>".*Leave it out/,
      )
    }
  })

  test('a sentence that is too long, with both numbers', () => {
    const prompt = buildPrompt(qwen, 'the red mug', settings())
    const tokens = prompt.before.length + prompt.after.length
    expect(buildPrompt(qwen, 'the red mug', settings({ maxTokens: tokens })).after).toEqual(prompt.after)
    expect(() => buildPrompt(qwen, 'the red mug', settings({ maxTokens: tokens - 1 }))).toThrow(
      `The sentence makes a prompt of ${tokens} tokens; this model takes ${tokens - 1}. Say it in fewer words.`,
    )
    expect(() => buildPrompt(qwen, 'x '.repeat(1e5), settings())).toThrow(
      'has 199999 characters; this model takes prompts of 96',
    )
  })

  test('half a character', () => {
    for (const half of ['\ud83d', '\ude00', 'a\ud83d b', '\ude00\ud83d']) {
      expect(() => buildPrompt(qwen, `the ${half} mug`, settings())).toThrow(PromptError)
      expect(() => buildPrompt(qwen, `the ${half} mug`, settings())).toThrow('holds half of a character')
    }
    expect(buildPrompt(qwen, 'the \u{1f600} mug', settings()).text).toContain('the \u{1f600} mug')
  })

  test.each(['x', ' ', '<|', '<', '\n', '\u200b', '{phrase}', '\ud83d\ude00'])(
    'a million of %j, at once',
    (text) => {
      const started = performance.now()
      expect(() => buildPrompt(qwen, text.repeat(1e6), settings())).toThrow(PromptError)
      expect(performance.now() - started).toBeLessThan(2000) // quadratic time would be minutes
    },
  )

  test('templates and answers without their place, or with too much', () => {
    const build = (options: object) => () => buildPrompt(qwen, 'x', settings(), options)
    expect(build({ template: 'Segment it.' })).toThrow(
      'The template "Segment it." must have {phrase} in it, once.',
    )
    expect(build({ template: '{phrase} {phrase}' })).toThrow('must have {phrase} in it, once')
    expect(build({ template: '<p>{phrase}</p>' })).toThrow('holds "<p>". Leave it out.')
    expect(build({ answer: 'Here.' })).toThrow('The answer "Here." must have <SEG> in it, once.')
    expect(build({ answer: '<SEG> <SEG>' })).toThrow('must have <SEG> in it, once')
    expect(build({ answer: '<|im_end|><SEG>' })).toThrow('holds "<|im_end|>"')
    expect(build({ answer: '' })).toThrow(PromptError)
  })

  test('a sentence that is none', () => {
    const none: string = JSON.parse('null')
    expect(() => buildPrompt(qwen, none, settings())).toThrow('The sentence must be a string, not object.')
  })
})
