// A stranger's tokenizer.json can't run away: what isn't known to be quick and small is refused, and named; the
// published ones pass.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PromptError, WeightsError } from '../../../src/errors.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'

const json = readFileSync('test/fixtures/io/tokenizer.json', 'utf8')
const VOCAB = 403

/** The file with other steps. */
function load(change: Record<string, unknown>) {
  return loadTokenizer(JSON.stringify({ ...(JSON.parse(json) as object), ...change }), '{}', VOCAB)
}
const split = (Regex: string) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })
const replace = (Regex: string, content: unknown) => ({ type: 'Replace', pattern: { Regex }, content })
const sequence = (normalizers: unknown[]) => ({ type: 'Sequence', normalizers })
const times = (count: number, entry: unknown) => Array<unknown>(count).fill(entry)

test.each<[string, Record<string, unknown>, string]>([
  [
    'nested repetition',
    { pre_tokenizer: split('(a+)+$') },
    'pre_tokenizer has the pattern "(a+)+$", which repeats a part',
  ],
  [
    'nested repetition in a sequence',
    { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits' }, split('(?:a|a)*b')] } },
    'pre_tokenizer.pretokenizers[1] has the pattern "(?:a|a)*b", which repeats',
  ],
  ['too many ways', { pre_tokenizer: split('a*a*a*a*$') }, 'which could take too long on some texts'],
  [
    'a word boundary repeated',
    { pre_tokenizer: split(String.raw`(?:\w+\b)+x`) },
    'pre_tokenizer has the pattern',
  ],
  ['a possessive group', { pre_tokenizer: split('(?>a+)+b') }, 'pre_tokenizer has the pattern'],
  ['references back', { pre_tokenizer: split(String.raw`(a)\1+`) }, 'refers back'],
  ['a pattern that is none', { pre_tokenizer: split('[z-a]') }, "can't be used: "],
  [
    'a pattern of 100,000 characters',
    { pre_tokenizer: split('ab'.repeat(50_000)) },
    'more than 4096 characters',
  ],
  ['no pattern', { pre_tokenizer: { type: 'Split' } }, 'neither a Regex nor a String'],
  [
    'an empty pattern',
    { normalizer: { type: 'Replace', pattern: { String: '' }, content: 'x' } },
    'a String of 1 to',
  ],
  [
    'doubling, twenty times',
    { normalizer: sequence(times(20, replace('.', '$&$&'))) },
    'normalizer.normalizers[0] replaces by "$&$&"',
  ],
  [
    'doubling by words',
    { normalizer: sequence(times(20, replace('.', 'aa'))) },
    'more than 256 times as long',
  ],
  ['what stands before', { normalizer: replace('.', '$`') }, 'where "$" has a meaning of its own'],
  [
    'content that is long',
    { normalizer: replace('.', 'x'.repeat(65)) },
    "a content that isn't a string of at most 64 characters",
  ],
  ['content that is a number', { normalizer: replace('.', 5) }, "a content that isn't a string"],
  [
    'a behaviour that is a number',
    { pre_tokenizer: { ...split('a'), behavior: 5 } },
    "has a behavior that isn't a string",
  ],
  [
    'a flag that is a list',
    { decoder: { type: 'WordPiece', cleanup: [] } },
    "has a cleanup that isn't a boolean",
  ],
  ['prepending pages', { normalizer: { type: 'Prepend', prepend: 'x'.repeat(1e6) } }, 'has a prepend'],
  ['prepending nothing', { normalizer: { type: 'Prepend' } }, 'normalizer prepends nothing'],
  [
    'letters of 18 letters',
    { normalizer: sequence(times(3, { type: 'NFKD' })) },
    'more than 256 times as long',
  ],
  [
    'bytes of bytes',
    { pre_tokenizer: { type: 'Sequence', pretokenizers: times(20, { type: 'ByteLevel' }) } },
    'times as long',
  ],
  [
    'pieces of no length',
    { pre_tokenizer: { type: 'FixedLength', length: 0 } },
    'not a positive whole number',
  ],
  [
    'many steps',
    { normalizer: sequence(times(1000, { type: 'Strip' })) },
    'normalizer has more than 32 steps',
  ],
  [
    'an unknown step',
    { normalizer: { type: 'constructor' } },
    'normalizer is of type "constructor", which isn\'t known',
  ],
  ['a step of another stage', { pre_tokenizer: { type: 'NFC' } }, 'pre_tokenizer is of type "NFC"'],
  ['a step that is a list', { decoder: [] }, 'decoder is not an object'],
  ['a sequence of nothing', { decoder: { type: 'Sequence' } }, 'a Sequence without a list of decoders'],
  [
    'a decoder that doubles',
    { decoder: { type: 'Sequence', decoders: times(20, replace('.', 'aa')) } },
    'decoder.decoders[',
  ],
  ['another kind of model', { model: { type: 'Unigram', unk_id: 0, vocab: [['a', 0]] } }, 'no vocabulary'],
  [
    'a model of words',
    { model: { ...modelOf(json), type: 'WordPiece' } },
    'model.type is "WordPiece", expected "BPE"',
  ],
  [
    'merges of three',
    { model: { ...modelOf(json), merges: [['a', 'b', 'c']] } },
    'merges must be a list of pairs',
  ],
  ['no merges', { model: { ...modelOf(json), merges: null } }, 'merges must be a list of pairs'],
  [
    'a long suffix',
    { model: { ...modelOf(json), end_of_word_suffix: 'x'.repeat(1000) } },
    'end_of_word_suffix must be',
  ],
  [
    'an added token of pages',
    { added_tokens: [{ id: 395, content: 'x'.repeat(1e6) }] },
    '"added_tokens" must be',
  ],
  [
    'an escape sequence',
    { pre_tokenizer: split('\u001b[2J(a+)+') },
    String.raw`has the pattern "\e[2J(a+)+"`,
  ],
])('%s is refused', async (_, change, why) => {
  await expect(load(change)).rejects.toThrow(WeightsError)
  await expect(load(change)).rejects.toThrow(why)
  await expect(load(change)).rejects.toThrow(/^tokenizer\.json.{20,500}$/)
})

function modelOf(text: string): object {
  return (JSON.parse(text) as { model: object }).model
}

test("a key that occurs twice, and a file that isn't text, are refused", async () => {
  const twice = json.replace('"vocab":{', '"vocab":{"!":0,')
  await expect(loadTokenizer(twice, '{}', VOCAB)).rejects.toThrow('the key "!" occurs twice')
  await expect(loadTokenizer('<!DOCTYPE html>', '{}', VOCAB)).rejects.toThrow('It is a web page')
  await expect(loadTokenizer(`{"x":[${'{},'.repeat(2e6)}{}]}`, '{}', VOCAB)).rejects.toThrow(
    'objects and lists',
  )
  await expect(loadTokenizer('['.repeat(1e6), '{}', VOCAB)).rejects.toThrow('more than 32 levels')
})

describe('published steps pass', () => {
  test('those of Phi-3 and Llama 2', async () => {
    const tokenizer = await load({
      normalizer: sequence([
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ]),
      pre_tokenizer: { type: 'ByteLevel', use_regex: false },
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          { type: 'Strip', content: ' ', start: 1, stop: 0 },
        ],
      },
    })
    expect(tokenizer.encode('the <SEG>').at(-1)).toBe(400)
  })

  test('those of GPT-4o, BERT and DeepSeek', async () => {
    await load({
      normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          split(String.raw`\p{N}{1,3}`),
          split('[一-龥぀-ゟ゠-ヿ]+'),
          split(
            String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` +
              '`' +
              String.raw`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
          ),
          split(
            String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
          ),
          { type: 'ByteLevel', use_regex: false },
        ],
      },
    })
  })
})

describe('texts are bounded', () => {
  test('as they are given', async () => {
    const tokenizer = await load({})
    expect(tokenizer.encode('a'.repeat(8192)).length).toBeGreaterThan(1000)
    expect(() => tokenizer.encode('a'.repeat(8193))).toThrow(PromptError)
    expect(() => tokenizer.encode('a'.repeat(8193))).toThrow('has 8193 characters')
  })

  test('after each step that makes them longer', async () => {
    const tokenizer = await load({
      normalizer: sequence([replace('[a-c]', 'x'.repeat(60)), { type: 'NFC' }]),
    })
    expect(tokenizer.encode('abcabc').length).toBeGreaterThan(0)
    expect(() => tokenizer.encode('a'.repeat(500))).toThrow('has 30000 characters, as the tokenizer sees it')
  })

  test('in time, whatever is repeated', async () => {
    const tokenizer = await load({})
    for (const part of ['a', ' ', '\n', ' \n', 'the ', '日', "'", '1', 'é']) {
      const begin = performance.now()
      tokenizer.encode(part.repeat(8192 / part.length))
      expect(performance.now() - begin, JSON.stringify(part)).toBeLessThan(5000)
    }
  })
})
