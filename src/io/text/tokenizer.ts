// Text <-> token ids, by the tokenizer.json that comes with a language model.
//
// @huggingface/tokenizers does the work, with steps that were vetted (tokenizer-steps.ts). FlowSeg's own three tokens
// stand at the end of the vocabulary, in this order; a published tokenizer lacks them and gets them here. They match
// anywhere in a text and are never split, normalised or stripped around (spec, section 5.1).

import { type BPE, Tokenizer as Library } from '@huggingface/tokenizers'
import { breathe } from '../../breathe.ts'
import { expectDefined, isObject } from '../../check.ts'
import { FlowSegError, WeightsError } from '../../errors.ts'
import { printable, quoted, reasonOf } from '../../printable.ts'
import { jsonIn } from '../folder.ts'
import type { JsonLimits } from './json.ts'
import { isId, readTokenizerFile, type TokenizerFile } from './tokenizer-file.ts'
import { expectShort, vettedSteps, watchLength } from './tokenizer-steps.ts'

/** The most characters of added tokens, and of what is put to a token. The library makes an object of each of them. */
const MAX_TOKEN = 256
const MAX_ADDED = 20_000 // the published ones have up to 6,500
/** Tokens that the library is given in a row: a millisecond's work at the most. */
const TOKENS_PER_TURN = 4096
const CONFIG_LIMITS: JsonLimits = { values: 1_000_000, containers: 100_000, keyBytes: 4096 }

/** The tokens that FlowSeg adds to the language model's, in the order of their ids. */
export const FLOWSEG_TOKENS = ['<SEG>', '<p>', '</p>'] as const

/** The way from text to the language model's token ids, and back. */
export interface Tokenizer {
  /** Number of ids in use: the highest plus one. */
  readonly length: number
  /** The token ids of a text. Nothing is added to it: no beginning or end of sequence. */
  encode(text: string): number[]
  /** The text of these ids, special tokens included. */
  decode(ids: readonly number[]): string
  /** The id of a token. @throws WeightsError if the vocabulary has no such token */
  idOf(token: string): number
  /** The id of a token; undefined if the vocabulary has no such token. */
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
export async function loadTokenizer(
  tokenizerJson: string,
  configJson: string,
  vocab: number,
  signal?: AbortSignal,
): Promise<Tokenizer> {
  const file = await readTokenizerFile(tokenizerJson, signal)
  const config = parseObject(configJson, 'tokenizer_config.json', CONFIG_LIMITS)
  if (file.ids.size === 0) {
    throw new WeightsError(`tokenizer.json has no vocabulary (model.vocab). Download it again.`)
  }
  const added = withFlowsegTokens(addedTokens(file.rest), file, vocab)
  const steps = vettedSteps(file.rest)
  const ranks = expectBpe(file)

  // Nothing is added to a text, so there is nothing to process afterwards
  const model = { ...file.model, vocab: {}, merges: [] }
  const settings = { ...file.rest, ...steps, post_processor: null, added_tokens: added, model }
  const library = usable(() => new Library(settings, flagsOf(config)))
  await fillModel(library, { ids: file.ids, ranks }, added, signal)
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

/** A tokenizer with FlowSeg's tokens. */
export interface ExtendedTokenizer {
  /** The text of its tokenizer.json. */
  readonly json: string
  /** Number of ids in use: the highest plus one. */
  readonly length: number
}

/**
 * Puts FlowSeg's tokens at the end of a published tokenizer; one that has them there stays as it is.
 *
 * @param tokenizerJson text of tokenizer.json
 * @throws WeightsError if the file makes no sense, or has one of the tokens elsewhere
 */
export async function extendTokenizer(tokenizerJson: string): Promise<ExtendedTokenizer> {
  const file = await readTokenizerFile(tokenizerJson)
  const added = addedTokens(file.rest)
  const ids = new Map(added.map(({ content, id }) => [content, id]))
  const missing = FLOWSEG_TOKENS.filter((token) => !ids.has(token) && !file.ids.has(token))
  const length = added.reduce((most, { id }) => Math.max(most, id + 1), file.end) + missing.length
  const extended = withFlowsegTokens(added, file, length)
  if (missing.length === 0) return { json: tokenizerJson, length }
  // The reader has seen that it is an object, within limits
  const json = JSON.parse(tokenizerJson) as object
  return { json: JSON.stringify({ ...json, added_tokens: extended }), length }
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

/** Gives the library its vocabulary and merges, which its constructor would take in at one go. */
async function fillModel(
  { model }: Library,
  { ids, ranks }: { readonly ids: Map<string, number>; readonly ranks: Map<string, number> },
  added: readonly AddedToken[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const bpe = model as BPE
  const { unk_token: unknown } = bpe
  let count = 0
  for (const [token, id] of ids) {
    bpe.vocab[id] = token
    if (++count % TOKENS_PER_TURN === 0) await breathe(signal)
  }
  if (unknown !== undefined && ids.has(unknown)) bpe.unk_token_id = expectDefined(ids.get(unknown), unknown)
  for (const { content, id } of added) {
    ids.set(content, id)
    bpe.vocab[id] = content
  }
  bpe.tokens_to_ids = ids
  bpe.bpe_ranks = ranks
}

/** The added tokens with ours among them, their ids checked against the embedding table's last three rows. */
function withFlowsegTokens(
  added: readonly AddedToken[],
  { ids: known, end }: Pick<TokenizerFile, 'ids' | 'end'>,
  vocab: number,
): AddedToken[] {
  const ids = new Map(added.map(({ content, id }) => [content, id]))
  let next = added.reduce((most, { id }) => Math.max(most, id + 1), end)

  const own: AddedToken[] = []
  for (const content of FLOWSEG_TOKENS) {
    const id = ids.get(content) ?? known.get(content) ?? next++
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

/**
 * The kind that the language models have.
 *
 * @returns its merges
 */
function expectBpe({ model, ranks }: TokenizerFile): Map<string, number> {
  const fail = (what: string): never => {
    throw new WeightsError(
      `tokenizer.json can't be used: model.${what}. It must be the "fast" tokenizer of the language model.`,
    )
  }
  if (model['type'] !== 'BPE')
    fail(`type is ${printable(JSON.stringify(model['type']) ?? 'missing', 80)}, expected "BPE"`)
  for (const key of ['end_of_word_suffix', 'continuing_subword_suffix', 'unk_token']) {
    const value = model[key] ?? ''
    if (!isText(value) || value.length > MAX_TOKEN)
      fail(`${key} must be a text of at most ${MAX_TOKEN} characters`)
  }
  return ranks ?? fail('merges must be a list of pairs')
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
