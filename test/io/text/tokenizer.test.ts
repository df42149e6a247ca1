// The same ids as Hugging Face's own library, with FlowSeg's tokens at the end where the model has them.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { FLOWSEG_TOKENS, loadTokenizer } from '../../../src/io/text/tokenizer.ts'

const json = readFileSync('test/fixtures/io/tokenizer.json', 'utf8')
const encodings: { text: string; ids: number[] }[] = JSON.parse(
  readFileSync('test/fixtures/io/encodings.json', 'utf8'),
)
const VOCAB = 403 // 400 in the file, and <SEG>, <p>, </p>
const tokenizer = await loadTokenizer(json, '{}', VOCAB)

/** The file, changed. */
function changed(
  change: (file: {
    added_tokens: Record<string, unknown>[]
    model: { vocab: Record<string, number> }
  }) => void,
): string {
  const copy = JSON.parse(json)
  change(copy)
  return JSON.stringify(copy)
}
const token = (content: string, id: number, more = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
})

test.each(encodings)('$text', ({ text, ids }) => {
  expect(tokenizer.encode(text)).toEqual(ids)
  expect(tokenizer.decode(ids)).toBe(text.normalize('NFC'))
})

describe("FlowSeg's tokens", () => {
  test('are added at the end, in order', () => {
    expect(FLOWSEG_TOKENS.map((name) => tokenizer.idOf(name))).toEqual([400, 401, 402])
    expect(tokenizer.length).toBe(VOCAB)
  })

  test('match anywhere, unsplit, and strip nothing', () => {
    const [seg, begin, end] = [400, 401, 402]
    for (const glue of ['', 'x', '.', ' ', '  ', '\n', '<', '>', 'é', '日', '<|im_end|>']) {
      const between = tokenizer.encode(glue)
      const ids = tokenizer.encode(`<p>${glue}</p>${glue}<SEG>${glue}<SEG>`)
      expect(ids, JSON.stringify(glue)).toEqual([begin, ...between, end, ...between, seg, ...between, seg])
    }
  })

  test('that the file has already are kept, whatever their flags say', async () => {
    const has = changed(({ added_tokens }) => {
      added_tokens.push(token('</p>', 402, { normalized: true, lstrip: true, rstrip: true, special: false }))
      added_tokens.push(token('<SEG>', 400, { single_word: true }), token('<p>', 401, { rstrip: true }))
    })
    const again = await loadTokenizer(has, '{}', VOCAB)
    for (const { text, ids } of encodings) expect(again.encode(text), text).toEqual(ids)
  })

  test.each([
    ['a vocabulary that is padded', json, 448, "it has 403 tokens, but the model's embedding has 448 rows"],
    ['a vocabulary without them', json, 400, 'with <SEG> 400, <p> 401, </p> 402 it has 403 tokens'],
    [
      'another order',
      changed((f) => f.added_tokens.push(token('<p>', 400), token('<SEG>', 401), token('</p>', 402))),
      VOCAB,
      '<SEG> 401, <p> 400',
    ],
    [
      'one of them elsewhere',
      changed((f) => f.added_tokens.push(token('<p>', 400))),
      VOCAB,
      '<SEG> 401, <p> 400, </p> 402',
    ],
    ['one of them in the middle', changed((f) => void (f.model.vocab['<p>'] = 7)), VOCAB, '<p> 7'],
    [
      'something after them',
      changed((f) =>
        f.added_tokens.push(token('<SEG>', 400), token('<p>', 401), token('</p>', 402), token('<x>', 403)),
      ),
      VOCAB,
      'it has 404 tokens',
    ],
  ])('refuses %s', async (_, text, vocab, why) => {
    await expect(loadTokenizer(text, '{}', vocab)).rejects.toThrow(WeightsError)
    await expect(loadTokenizer(text, '{}', vocab)).rejects.toThrow(
      `The tokenizer does not fit the model: with`,
    )
    await expect(loadTokenizer(text, '{}', vocab)).rejects.toThrow(why)
  })
})

test('flags of other tokens are obeyed: Phi-3 strips what follows its own', async () => {
  const stripping = changed(({ added_tokens }) => added_tokens.push(token('<|user|>', 400, { rstrip: true })))
  const phi3 = await loadTokenizer(stripping, '{}', VOCAB + 1)
  expect(phi3.encode('<|user|>\n a')).toEqual([400, ...phi3.encode('a')])
  expect(phi3.encode('<SEG>\n a')).toEqual([401, ...phi3.encode('\n a')])
})

test('nothing is added, whatever the post-processor and the config want', async () => {
  const eager = changed((file) => {
    Object.assign(file, {
      post_processor: {
        type: 'TemplateProcessing',
        single: [
          { SpecialToken: { id: '<|endoftext|>', type_id: 0 } },
          { Sequence: { id: 'A', type_id: 0 } },
        ],
        pair: [],
        special_tokens: {},
      },
    })
  })
  const config = '{"add_bos_token": true, "add_eos_token": true, "clean_up_tokenization_spaces": true}'
  const loaded = await loadTokenizer(eager, config, VOCAB)
  expect(loaded.encode('the dog')).toEqual(tokenizer.encode('the dog'))
  expect(loaded.decode(loaded.encode("is it . do n't"))).toBe("is it . do n't")
})

test('no ids are no text, and a token that is not there is an error', () => {
  expect(tokenizer.decode([])).toBe('')
  expect(tokenizer.idOf('<|im_start|>')).toBe(396)
  expect(() => tokenizer.idOf('<s>')).toThrow(
    'tokenizer.json has no token "<s>". Does it belong to this model?',
  )
})

describe('files that make no sense', () => {
  test.each([
    ['', '{}', 'tokenizer.json is empty'],
    ['[]', '{}', 'tokenizer.json must hold a JSON object'],
    ['{}', '{}', 'tokenizer.json has no vocabulary'],
    ['{"model":{"vocab":{}}}', '{}', 'tokenizer.json has no vocabulary'],
    ['{"model":{"vocab":{"a":"b"}}}', '{}', 'the id of token "a" is not a number'],
    ['{"model":{"vocab":{"a":0}}, "added_tokens": [{"id": "x"}]}', '{}', '"added_tokens" must be a list'],
    ['{"model":{"vocab":{"a":0}}, "added_tokens": 5}', '{}', '"added_tokens" must be a list'],
    ['{"model":{"vocab":{"a":0}}}', '{}', "tokenizer.json can't be used"],
    [json, '', 'tokenizer_config.json is empty'],
    [json, 'null', 'tokenizer_config.json must hold a JSON object'],
  ])('%.40s, %s', async (text, config, why) => {
    const vocab = text === json ? VOCAB : 4
    await expect(loadTokenizer(text, config, vocab)).rejects.toThrow(WeightsError)
    await expect(loadTokenizer(text, config, vocab)).rejects.toThrow(why)
  })
})
