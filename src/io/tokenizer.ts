// Text <-> token ids, by the tokenizer.json that comes with a language model.
//
// @huggingface/tokenizers does the work. FlowSeg's own three tokens stand at the end of the vocabulary, in
// this order; a published tokenizer lacks them and gets them here. They match anywhere in a text and are
// never split, normalised or stripped around (spec, section 5.1).

import { Tokenizer as Library } from '@huggingface/tokenizers'
import { WeightsError } from '../errors.ts'

/** In the order of their ids. */
export const FLOWSEG_TOKENS = ['<SEG>', '<p>', '</p>'] as const

export interface Tokenizer {
  /** Ids in use: the highest plus one. */
  readonly length: number
  /** Nothing is added to the text: no beginning or end of sequence. */
  encode(text: string): number[]
  decode(ids: readonly number[]): string
  /** @throws WeightsError if the vocabulary has no such token */
  idOf(token: string): number
}

interface AddedToken {
  readonly id: number
  readonly content: string
  readonly [key: string]: unknown
}

/**
 * @param tokenizerJson text of tokenizer.json
 * @param configJson    text of tokenizer_config.json
 * @param vocab         rows of the model's embedding table, whose last three belong to FlowSeg's tokens
 * @throws WeightsError if the files make no sense or don't fit the model
 */
export function loadTokenizer(tokenizerJson: string, configJson: string, vocab: number): Tokenizer {
  const json = parseObject(tokenizerJson, 'tokenizer.json')
  const config = parseObject(configJson, 'tokenizer_config.json')
  const added = withFlowsegTokens(addedTokens(json), vocabulary(json), vocab)

  let library: Library
  try {
    library = new Library({ ...json, added_tokens: added }, config)
  } catch (cause) {
    throw new WeightsError(
      `tokenizer.json can't be used: ${cause instanceof Error ? cause.message : String(cause)}. ` +
        `It must be the "fast" tokenizer of the language model.`,
      { cause },
    )
  }
  return {
    length: vocab,
    encode(text) {
      const { ids, tokens } = library.encode(text, { add_special_tokens: false })
      const unknown = ids.findIndex((id) => !Number.isInteger(id))
      if (unknown >= 0) {
        throw new WeightsError(
          `tokenizer.json has no token for ${JSON.stringify(tokens[unknown])} and none for the unknown.`,
        )
      }
      return ids
    },
    decode(ids) {
      if (ids.length === 0) return ''
      return library.decode([...ids], { clean_up_tokenization_spaces: false })
    },
    idOf(token) {
      const id = library.token_to_id(token)
      if (id === undefined) {
        throw new WeightsError(
          `tokenizer.json has no token ${JSON.stringify(token)}. Does it belong to this model?`,
        )
      }
      return id
    },
  }
}

/** The added tokens with ours among them, their ids checked against the embedding table's last three rows. */
function withFlowsegTokens(
  added: readonly AddedToken[],
  known: ReadonlyMap<string, number>,
  vocab: number,
): AddedToken[] {
  const ids = new Map([...known, ...added.map(({ content, id }): [string, number] => [content, id])])
  let next = 0
  for (const id of ids.values()) next = Math.max(next, id + 1)

  const own: AddedToken[] = []
  for (const content of FLOWSEG_TOKENS) {
    const id = ids.get(content) ?? next++
    own.push({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })
  }
  const first = vocab - FLOWSEG_TOKENS.length
  if (next !== vocab || own.some(({ id }, i) => id !== first + i)) {
    const found = own.map(({ content, id }) => `${content} ${id}`).join(', ')
    throw new WeightsError(
      `The tokenizer does not fit the model: with ${found} it has ${next} tokens, but the model's embedding has ` +
        `${vocab} rows, the last three for these. Take tokenizer.json from the same model as the weights.`,
    )
  }
  return [...added.filter(({ content }) => !own.some((token) => token.content === content)), ...own]
}

/** Tokens of the model's own vocabulary: an object of ids or, for Unigram, a list in order. */
function vocabulary(json: Readonly<Record<string, unknown>>): Map<string, number> {
  const { model } = json
  const vocab = isObject(model) ? model['vocab'] : undefined
  const known = new Map<string, number>()
  if (Array.isArray(vocab)) {
    for (const [id, entry] of vocab.entries()) known.set(String(Array.isArray(entry) ? entry[0] : entry), id)
  } else if (isObject(vocab)) {
    for (const [token, id] of Object.entries(vocab)) {
      if (!isId(id))
        throw new WeightsError(`tokenizer.json: the id of token ${JSON.stringify(token)} is not a number.`)
      known.set(token, id)
    }
  }
  if (known.size === 0)
    throw new WeightsError(`tokenizer.json has no vocabulary (model.vocab). Download it again.`)
  return known
}

function addedTokens(json: Readonly<Record<string, unknown>>): AddedToken[] {
  const added = json['added_tokens'] ?? []
  const isToken = (token: unknown): token is AddedToken =>
    isObject(token) && isId(token['id']) && typeof token['content'] === 'string'
  if (!Array.isArray(added) || !added.every(isToken)) {
    throw new WeightsError('tokenizer.json: "added_tokens" must be a list of tokens with content and id.')
  }
  return added
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new WeightsError(
      `${file} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}. Download it again.`,
      { cause },
    )
  }
  if (!isObject(value)) throw new WeightsError(`${file} must hold a JSON object. Download it again.`)
  return value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
