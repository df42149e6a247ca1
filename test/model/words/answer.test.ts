// Token ids become text as they come: whole characters, no markers, phrases with their places, and never a word that
// the complete answer hasn't.

import { describe, expect, test } from 'vitest'
import { loadTokenizer, type Tokenizer } from '../../../src/io/text/tokenizer.ts'
import { AnswerReader, type Marks, marksOf } from '../../../src/model/words/answer.ts'
import { captionIn } from '../../../src/model/words/caption.ts'
import { TextStream } from '../../../src/model/words/text-stream.ts'

const MARKS: Marks = { open: 1001, close: 1002, seg: 1003, stops: new Set([1004]) }
const NAMES: Readonly<Record<string, number>> = { '<p>': 1001, '</p>': 1002, '<SEG>': 1003, '<end>': 1004 }

/** Every byte a token: the hardest case for a stream. */
const decoder = {
  decode(ids: readonly number[]): string {
    let text = ''
    let bytes: number[] = []
    const flush = (): void => {
      text += new TextDecoder().decode(Uint8Array.from(bytes))
      bytes = []
    }
    for (const id of ids) {
      if (id < 256) bytes.push(id)
      else {
        flush()
        text += Object.entries(NAMES).find(([, value]) => value === id)?.[0] ?? ''
      }
    }
    flush()
    return text
  },
}

function encode(text: string): number[] {
  return text
    .split(/(<p>|<\/p>|<SEG>|<end>)/u)
    .flatMap((piece) => NAMES[piece] ?? [...new TextEncoder().encode(piece)])
}

/** Reads an answer, and checks on the way that the text only grows. */
function read(text: string): ReturnType<AnswerReader['whole']> & { spans: AnswerReader['spans'] } {
  const reader = new AnswerReader(decoder, MARKS)
  let before = ''
  for (const id of encode(text)) {
    reader.push(id)
    const { text: now, parts } = reader.textSoFar()
    expect(now.startsWith(before), `'${before}' then '${now}'`).toBe(true)
    expect(parts.map((part) => part.text).join('')).toBe(now)
    expect(now).not.toContain('\uFFFD')
    before = now
  }
  const whole = reader.whole()
  expect(whole.text.startsWith(before), `'${before}' in the end '${whole.text}'`).toBe(true)
  expect(whole.parts.map((part) => part.text).join('')).toBe(whole.text)
  for (const { text: words, begin, end } of whole.phrases) expect(whole.text.slice(begin, end)).toBe(words)
  return { ...whole, spans: reader.spans }
}

describe('an answer', () => {
  test.each([
    // X-SAM's own way to write a description
    [
      '<p>a man</p>  rides <p>a horse</p>  on St. James road. And the segmentation mask is <SEG>.<end>',
      'a man rides a horse on St. James road.',
      ['a man', 'a horse'],
    ],
    ['<p>a man</p>  rides <p>a horse</p> . And <SEG>.<end>', 'a man rides a horse.', ['a man', 'a horse']],
    ['It is <SEG>.<end>', '', []],
    ['Sure, it is <SEG>.<end>', '', []],
    ['<SEG>.<end>', '', []],
    [
      'It is the left one, as mugs have handles. It is <SEG>.<end>',
      'It is the left one, as mugs have handles.',
      [],
    ],
    ['It is the left one <SEG>.<end>', 'It is the left one.', []],
    ['Because it is red! <SEG><end>', 'Because it is red!', []],
    // A phrase in the sentence with the mask stays
    ['Sure, <p>the dog</p> is <SEG>.<end>', 'Sure, the dog is.', ['the dog']],
    // Nothing to point at
    ['Two dogs, 日本語 and 👩‍👩‍👧.<end>', 'Two dogs, 日本語 and 👩‍👩‍👧.', []],
    ['  one\n\ntwo  three<end>', 'one\ntwo three', []],
    ['It is<end>', 'It is', []],
    ['', '', []],
    // Markers in no order
    ['<p>a</p><p>b</p> c<end>', 'ab c', ['a', 'b']],
    ['<p></p> x<end>', 'x', ['']],
    ['a <p>b<end>', 'a b', []],
    ['a</p> b <p>c</p><end>', 'a b c', ['c']],
    ['<p>a <p>b</p> c</p><end>', 'a b c', ['b']],
    ['<SEG> and <SEG>.<end>', '', []],
  ])('%j', (written, text, phrases) => {
    const answer = read(written)
    expect(answer.text).toBe(text)
    expect(answer.phrases.map((phrase) => phrase.text)).toEqual(phrases)
    expect(answer.spans).toHaveLength(phrases.length)
  })

  test('the spans are those of the ids, markers included', () => {
    const { spans } = read('ab <p>cd</p> e<p>f</p>')
    expect(spans).toEqual([
      [3, 7],
      [9, 12],
    ])
  })

  test('a sentence that may only hand out the mask is held back until it says more', () => {
    const reader = new AnswerReader(decoder, MARKS)
    const textAfter = (text: string): string => {
      for (const id of encode(text)) reader.push(id)
      return reader.textSoFar().text
    }
    expect(textAfter('A dog. It ')).toBe('A dog.')
    expect(textAfter('is')).toBe('A dog.')
    expect(textAfter(' a')).toBe('A dog. It is a')
  })

  test('anything at all, in any order, is read', () => {
    const pieces = ['<p>', '</p>', '<SEG>', ' ', '. ', 'It is', 'And', 'é', '👍', '\n', 'a dog', '?', '']
    let state = 1
    const next = (n: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * n)
    }
    for (let i = 0; i < 400; i++) {
      const text = Array.from({ length: next(12) }, () => pieces[next(pieces.length)]).join('')
      const { text: words, phrases, spans } = read(text)
      expect(words).not.toMatch(/<\/?p>|<SEG>|^\s|\s$|  /u)
      expect(phrases).toHaveLength(spans.length)
    }
  })
})

describe('a stream of text', () => {
  test('gives each character when its last byte has come', () => {
    const stream = new TextStream(decoder)
    const pieces = [...new TextEncoder().encode('aé日👍')].map((byte) => stream.push(byte))
    expect(pieces).toEqual(['a', '', 'é', '', '', '日', '', '', '', '👍'])
    expect(stream.end()).toBe('')
  })

  test('the pieces of a long text make the text, also where bytes are no characters', () => {
    let state = 7
    const bytes = Array.from({ length: 600 }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state >>> 24
    })
    for (const ids of [bytes, [...new TextEncoder().encode('日本語のテキスト '.repeat(20))]]) {
      const stream = new TextStream(decoder)
      const text = ids.map((id) => stream.push(id)).join('') + stream.end()
      expect(text).toBe(decoder.decode(ids))
    }
  })
})

test.each([
  [
    'aaai',
    '<p>a man</p>  rides <p>a horse</p>  on St. James road. And the segmentation mask is <SEG>.',
    'a man rides a horse on St. James road.',
  ],
  [
    'main',
    '<p>a man</p>  rides <p>a horse</p>  on St. James road. And the segmentation mask is <SEG>.',
    'a man rides a horse on St. James road.',
  ],
  ['aaai', 'a man', ''],
  ['main', '"\'a dog\'" sits. It is <SEG>.', "'a dog'\" sits."],
] as const)('the caption of %s', (compat, text, caption) => {
  expect(captionIn(text, compat)).toBe(caption)
})

/** A tokenizer in the manner of Llama's, which Phi-3 has: words begin with their space, and a text without one. */
function llamaLike(words: readonly string[]): Promise<Tokenizer> {
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...words]
  const special = (content: string, id: number) => ({ id, content, special: true, normalized: false })
  const json = {
    added_tokens: [...tokens.slice(0, 3), '<|endoftext|>', '<|end|>'].map((content, i) =>
      special(content, i < 3 ? i : tokens.length + i - 3),
    ),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      byte_fallback: true,
      fuse_unk: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  }
  return loadTokenizer(JSON.stringify(json), '{}', tokens.length + 5)
}

test("Phi-3's tokens make the same text, a character in bytes among them", async () => {
  const tokenizer = await llamaLike(['▁', '▁a', '▁man', '▁rides', '.', '▁And', '▁horse'])
  const reader = new AnswerReader(tokenizer, marksOf(tokenizer, ['<|end|>', '<|endoftext|>', '<|none|>']))
  const tokens =
    '<p> ▁a ▁man </p> ▁ ▁rides <p> ▁a ▁horse </p> ▁ . ▁a <0xE6> <0x97> <0xA5> . ▁And ▁ <SEG> . <|end|>'
  let before = ''
  for (const token of tokens.split(' ')) {
    reader.push(tokenizer.idOf(token))
    const { text } = reader.textSoFar()
    expect(text.startsWith(before)).toBe(true)
    before = text
  }
  const { text, phrases } = reader.whole()
  expect(text).toBe('a man rides a horse. a日.')
  expect(before).toBe(text)
  expect(phrases.map((phrase) => phrase.text)).toEqual(['a man', 'a horse'])
})
