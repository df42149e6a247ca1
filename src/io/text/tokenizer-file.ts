// tokenizer.json, read in turns: 150,000 tokens and as many merges take a thread most of a second, in which it should
// answer others too. So the two long lists become the maps that the library looks things up in as they are read; the
// library itself makes them in one go.

import { WeightsError } from '../../errors.ts'
import { quoted } from '../../printable.ts'
import { jsonInTurns } from '../folder.ts'
import type { JsonLimits, JsonReader } from './json.ts'

/** The largest published vocabularies have 260,000 tokens and 520,000 merges. */
const LIMITS: JsonLimits = { values: 4_000_000, containers: 1_500_000, keyBytes: 4096 }

/** The contents of a tokenizer.json. */
export interface TokenizerFile {
  /** All but the model. */
  readonly rest: Readonly<Record<string, unknown>>
  /** The model without its vocabulary and merges. */
  readonly model: Readonly<Record<string, unknown>>
  /** Ids by token; empty if there is no vocabulary. */
  readonly ids: Map<string, number>
  /** The highest id plus one. */
  readonly end: number
  /** Ranks of merges, by the JSON of the two parts; undefined if they aren't a list of pairs. */
  readonly ranks: Map<string, number> | undefined
}

/** @throws WeightsError if the text is no JSON object, or the id of a token is no number */
export async function readTokenizerFile(text: string, signal?: AbortSignal): Promise<TokenizerFile> {
  const rest = new Map<string, unknown>()
  const model = new Map<string, unknown>()
  const ids = new Map<string, number>()
  let ranks: Map<string, number> | undefined
  let end = 0

  const read = async (reader: JsonReader): Promise<boolean> => {
    const isFile = await reader.objectInTurns((key) => {
      if (key === 'model') return readModel(reader)
      rest.set(key, reader.plain())
      return undefined
    }, signal)
    if (!isFile) reader.check()
    return isFile
  }
  const readModel = async (reader: JsonReader): Promise<void> => {
    const isModel = await reader.objectInTurns((key) => {
      if (key === 'vocab') return readIds(reader, ids, signal).then((read) => (end = read))
      if (key === 'merges') return readRanks(reader, signal).then((read) => (ranks = read))
      model.set(key, reader.plain())
      return undefined
    }, signal)
    if (!isModel) reader.check()
  }
  const isFile = await jsonInTurns(text, 'tokenizer.json', LIMITS, read)
  if (!isFile) throw new WeightsError('tokenizer.json must hold a JSON object. Download it again.')
  return { rest: Object.fromEntries(rest), model: Object.fromEntries(model), ids, end, ranks }
}

/** @returns the highest id plus one */
async function readIds(
  reader: JsonReader,
  ids: Map<string, number>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let end = 0
  const isObject = await reader.objectInTurns((token) => {
    const value = reader.scalar()
    const id = typeof value === 'bigint' ? Number(value) : value
    if (!isId(id))
      throw new WeightsError(`tokenizer.json: the id of token ${quoted(token, 80)} is not a number.`)
    ids.set(token, id)
    end = Math.max(end, id + 1)
  }, signal)
  if (!isObject) reader.check()
  return end
}

/** @returns undefined if they aren't a list of pairs */
async function readRanks(
  reader: JsonReader,
  signal: AbortSignal | undefined,
): Promise<Map<string, number> | undefined> {
  const ranks = new Map<string, number>()
  let arePairs = true
  const isList = await reader.listInTurns((rank) => {
    const parts = reader.string()?.split(' ', 2) ?? pairIn(reader)
    if (parts) ranks.set(JSON.stringify(parts), rank)
    else arePairs = false
  }, signal)
  if (!isList) reader.check()
  return isList && arePairs ? ranks : undefined
}

function pairIn(reader: JsonReader): string[] | undefined {
  const parts: (string | undefined)[] = []
  const isList = reader.list(() => {
    const part = reader.string()
    if (part === undefined) reader.check()
    parts.push(part)
  })
  if (!isList) reader.check()
  const texts = parts.filter((part) => part !== undefined)
  return texts.length === 2 && parts.length === 2 ? texts : undefined
}

/** True if a value can be the id of a token. */
export function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
