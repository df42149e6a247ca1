// Text <-> token ids, by the tokenizer.json that comes with a language model.
//
// @huggingface/tokenizers does the work, with steps that were vetted (tokenizer-steps.ts). FlowSeg's own three tokens
// stand at the end of the vocabulary, in this order; a published tokenizer lacks them and gets them here. They match
// anywhere in a text and are never split, normalised or stripped around (spec, section 5.1).

import { Tokenizer as Library } from '@huggingface/tokenizers'
import { isObject } from '../../check.ts'
import { FlowSegError, WeightsError } from '../../errors.ts'
import { printable, quoted, reasonOf } from '../../printable.ts'
import { jsonIn } from '../folder.ts'
import type { JsonLimits } from './json.ts'
import { expectShort, vettedSteps, watchLength } from './tokenizer-steps.ts'

/** The most characters of added tokens, and of what is put to a token. The library makes an object of each of them. */
const MAX_TOKEN = 256
const MAX_ADDED = 20_000 // the published ones have up to 6,500
/** The largest published vocabularies have 260,000 tokens and 520,000 merges. */
const TOKENIZER_LIMITS: JsonLimits = { values: 4_000_000, containers: 1_500_000, keyBytes: 4096 }
const CONFIG_LIMITS: JsonLimits = { values: 1_000_000, containers: 100_000, keyBytes: 4096 }

/** In the order of their ids. */
export const FLOWSEG_TOKENS = ['<SEG>', '<p>', '</p>'] as const

/** The way from text to the language model's token ids, and back. */
export interface Tokenizer {
  /** Ids in use: the highest plus one. */
  readonly length: number
  /** Nothing is added to the text: no beginning or end of sequence. */
  encode(text: string): number[]
  /** The text of these ids, special tokens included. */
  decode(ids: readonly number[]): string
  /** @throws WeightsError if the vocabulary has no such token */
  idOf(token: string): number
  /** The same; undefined if the vocabulary has no such token. */
  find(token: string): number | undefined
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
  const json = parseObject(tokenizerJson, 'tokenizer.json', TOKENIZER_LIMITS)
  const config = parseObject(configJson, 'tokenizer_config.json', CONFIG_LIMITS)
  const added = withFlowsegTokens(addedTokens(json), vocabulary(json), vocab)
  const steps = vettedSteps(json)
  expectBpe(json)

  // Nothing is added to a text, so there is nothing to process afterwards
  const model = { ...json, ...steps, post_processor: null, added_tokens: added }
  const library = usable(() => new Library(model, flagsOf(config)))
  watchLength(library)
  return {
    length: vocab,
    encode(text) {
      expectShort(text.length)
      const { ids, tokens } = usable(() => library.encode(text, { add_special_tokens: false }))
      const unknown = ids.findIndex((id) => !Number.isInteger(id))
      if (unknown >= 0) {
        throw new WeightsError(
          `tokenizer.json has no token for ${quoted(tokens[unknown] ?? '', 80)} and none for the unknown.`,
        )
      }
      return ids
    },
    decode(ids) {
      if (ids.length === 0) return ''
      return usable(() => library.decode([...ids], { clean_up_tokenization_spaces: false }))
    },
    find: (token) => library.token_to_id(token),
    idOf(token) {
      const id = library.token_to_id(token)
      if (id === undefined) {
        throw new WeightsError(
          `tokenizer.json has no token ${quoted(token, 80)}. Does it belong to this model?`,
        )
      }
      return id
    },
  }
}

/** Opens a file with the library; where that fails, the file is at fault. */
function usable<T>(use: () => T): T {
  try {
    return use()
  } catch (cause) {
    if (cause instanceof FlowSegError) throw cause
    throw new WeightsError(
      `tokenizer.json can't be used: ${reasonOf(cause)}. ` +
        `It must be the "fast" tokenizer of the language model.`,
      { cause },
    )
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
    const listing = own.map(({ content, id }) => `${content} ${id}`).join(', ')
    throw new WeightsError(
      `The tokenizer does not fit the model: with ${listing} it has ${next} tokens, but the model's embedding has ` +
        `${vocab} rows, the last three for these. Take tokenizer.json from the same model as the weights.`,
    )
  }
  return [...added.filter(({ content }) => !own.some((token) => token.content === content)), ...own]
}

/** The fields of tokenizer_config.json that change ids; we need no others. */
function flagsOf(config: Readonly<Record<string, unknown>>): Record<string, boolean> {
  const flags: Record<string, boolean> = {}
  for (const key of ['remove_space', 'do_lowercase_and_remove_accent']) {
    if (config[key] === true) flags[key] = true
  }
  return flags
}

/** The kind that the language models have. */
function expectBpe(json: Readonly<Record<string, unknown>>): void {
  const model = isObject(json['model']) ? json['model'] : {}
  const fail = (what: string): never => {
    throw new WeightsError(
      `tokenizer.json can't be used: model.${what}. It must be the "fast" tokenizer of the language model.`,
    )
  }
  if (model['type'] !== 'BPE')
    fail(`type is ${printable(JSON.stringify(model['type']) ?? 'missing', 80)}, expected "BPE"`)
  const { merges } = model
  const isPair = (merge: unknown): boolean =>
    typeof merge === 'string' || (Array.isArray(merge) && merge.length === 2 && merge.every(isText))
  if (!Array.isArray(merges) || !merges.every(isPair)) fail('merges must be a list of pairs')
  for (const key of ['end_of_word_suffix', 'continuing_subword_suffix', 'unk_token']) {
    const value = model[key] ?? ''
    if (!isText(value) || value.length > MAX_TOKEN)
      fail(`${key} must be a text of at most ${MAX_TOKEN} characters`)
  }
}

/** Tokens of the model's own vocabulary. */
function vocabulary(json: Readonly<Record<string, unknown>>): Map<string, number> {
  const { model } = json
  const vocab = isObject(model) ? model['vocab'] : undefined
  const known = new Map<string, number>()
  for (const [token, id] of isObject(vocab) ? Object.entries(vocab) : []) {
    if (!isId(id))
      throw new WeightsError(`tokenizer.json: the id of token ${quoted(token, 80)} is not a number.`)
    known.set(token, id)
  }
  if (known.size === 0)
    throw new WeightsError(`tokenizer.json has no vocabulary (model.vocab). Download it again.`)
  return known
}

function addedTokens(json: Readonly<Record<string, unknown>>): AddedToken[] {
  const added = json['added_tokens'] ?? []
  const isToken = (token: unknown): token is AddedToken =>
    isObject(token) && isId(token['id']) && isText(token['content']) && token['content'].length <= MAX_TOKEN
  if (!Array.isArray(added) || !added.every(isToken)) {
    throw new WeightsError(
      `tokenizer.json: "added_tokens" must be a list of tokens with an id and a content of at most ${MAX_TOKEN} characters.`,
    )
  }
  if (added.length > MAX_ADDED) {
    throw new WeightsError(
      `tokenizer.json has ${added.length} added tokens, at most ${MAX_ADDED} are allowed.`,
    )
  }
  return added
}

function parseObject(text: string, file: string, limits: JsonLimits): Record<string, unknown> {
  const value = jsonIn(text, file, limits)
  if (!isObject(value)) throw new WeightsError(`${file} must hold a JSON object. Download it again.`)
  return value
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
