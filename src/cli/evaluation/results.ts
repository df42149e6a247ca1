// Files of results: JSON Lines that grow while a model is measured, an image per line. A run that was stopped goes on
// where it was; the files of several shards are merged into what the whole run would have written.
//
//   {"flowseg": "eval", "version": 2, "model": ..., "data": ..., "fingerprint": ..., "shard": [0, 4], "options": {...}}
//   {"ordinal": 0, "adapter": ..., "seconds": ..., "rows": [...]}
//   {"scenes": 10, "sentences": 112}                                      once all of it is there
//
// A row has intersection and union in pixels rather than their quotient: all measures are computed from these.

import { existsSync } from 'node:fs'
import { type FileHandle, open, stat, truncate } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { entryOf, isObject, listed } from '../../check.ts'
import { FlowSegError } from '../../errors.ts'
import { makeFolders } from '../../make-folders.ts'
import { printable, quoted, reasonOf } from '../../printable.ts'
import { FileProblem, readRegular } from '../../regular-file.ts'
import { jsonLine } from '../json.ts'
import type { Overlap } from '../metrics.ts'
import type { Terminal } from '../output/terminal.ts'
import type { MeasuredImage, Row } from './measure.ts'
import type { EvaluationShard } from './source.ts'

/** Those of version 1 that are without an oracle were decoded without the semantic flow. */
const VERSION = 2
/** V8 holds no longer text. */
const MAX_BYTES = 500 * 2 ** 20
const LINE_FEED = 0x0a

/** The run that results are of. */
export interface About {
  /** The model's name, as its config.json has it. */
  readonly model: string
  /** The data's name, as the user typed it. */
  readonly data: string
  /** The fingerprint of the data, as Source has it. */
  readonly fingerprint: string
  /** All that changes answers, or which sentences there are. */
  readonly options: Readonly<Record<string, unknown>>
}

/** A file of results. */
export interface Results {
  /** As the user typed it. */
  readonly name: string
  /** From the first line; results are merged only if it is the same. */
  readonly about: About
  /** The part of the data that the run was about. */
  readonly shard: EvaluationShard
  /** In the order of the data; fewer than the shard has if the run was stopped. */
  readonly measured: readonly MeasuredImage[]
  /** All of the shard is there. */
  readonly isWhole: boolean
  /** The bytes of whole lines: what follows was cut off in the middle. */
  readonly bytes: number
}

/** @throws FlowSegError 'ERR_RESULTS' naming the file, and the line that is wrong */
export async function readResults(
  name: string,
  { cwd, signal }: Pick<Terminal, 'cwd' | 'signal'>,
): Promise<Results> {
  let bytes: Uint8Array<ArrayBuffer>
  try {
    bytes = await readRegular(resolve(cwd, name), MAX_BYTES, signal)
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause
    throw damaged(name, cause.message, { cause })
  }
  // A run that was ended in the middle of a line has lost that one image
  const length = bytes.lastIndexOf(LINE_FEED) + 1
  const lines = new TextDecoder().decode(bytes.subarray(0, length)).split('\n').slice(0, -1)
  const valueIn = (line: string, number: number): unknown => {
    try {
      return JSON.parse(line)
    } catch (cause) {
      throw damaged(name, `line ${number} is no JSON: ${reasonOf(cause)}`, { cause })
    }
  }
  const [first = '', ...others] = lines
  const { about, shard } = headIn(first, name)
  const rest = others.map((line, i) => valueIn(line, i + 2))
  const end = rest.at(-1)
  const isWhole = isObject(end) && 'scenes' in end
  const measured = (isWhole ? rest.slice(0, -1) : rest).map((value, i) => measuredIn(value, name, i + 2))
  if (isWhole && end['scenes'] !== measured.length)
    throw damaged(
      name,
      `it has ${measured.length} images, and its last line counts ${printable(String(end['scenes']))}`,
    )
  return { name, about, shard, measured, isWhole, bytes: length }
}

function headIn(line: string, name: string): { about: About; shard: EvaluationShard } {
  let head: unknown
  try {
    head = JSON.parse(line)
  } catch {
    head = undefined
  }
  if (!isObject(head) || head['flowseg'] !== 'eval') {
    const isSummary = isObject(head) && 'all' in head && 'floors' in head
    throw damaged(name, isSummary ? 'it is a summary (--json)' : 'it is no file of results')
  }
  const { version, model, data, fingerprint, shard, options } = head
  if (version !== VERSION)
    throw damaged(name, `its version is ${quoted(String(version), 20)}, expected ${VERSION}`)
  const [index, of] = Array.isArray(shard) ? (shard as unknown[]) : []
  const areTexts = [model, data, fingerprint].every((one) => typeof one === 'string')
  if (!areTexts || !isObject(options) || !isCount(index) || !isCount(of) || index >= of)
    throw damaged(name, 'its first line does not say what it is of')
  const about = { model: String(model), data: String(data), fingerprint: String(fingerprint), options }
  return { about, shard: { index, of } }
}

function measuredIn(value: unknown, name: string, line: number): MeasuredImage {
  const { ordinal, adapter, seconds, rows } = isObject(value) ? value : {}
  const isRight = isCount(ordinal) && typeof adapter === 'string' && typeof seconds === 'number'
  if (!isRight || !Array.isArray(rows) || !rows.every(isRow))
    throw damaged(name, `line ${line} is none of an image`)
  return { ordinal, adapter, seconds, rows }
}

function isRow(value: unknown): value is Row {
  if (!isObject(value)) return false
  const { scene, sentence, kind, query, score, found, answer, oracle, largest, shuffled, runs, times } = value
  const isText = (one: unknown): boolean => one === undefined || typeof one === 'string'
  return (
    [scene, query, score].every((one) => typeof one === 'number') &&
    typeof sentence === 'string' &&
    isText(kind) &&
    typeof found === 'boolean' &&
    [answer, shuffled].every(isOverlap) &&
    [oracle, largest].every((one) => one === undefined || isOverlap(one)) &&
    Array.isArray(runs) &&
    runs.every(isCount) &&
    isObject(times) &&
    ['look', 'read', 'segment'].every((step) => typeof times[step] === 'number')
  )
}

function isOverlap(value: unknown): value is Overlap {
  const { intersection, union } = isObject(value) ? value : {}
  return isCount(intersection) && isCount(union) && intersection <= union
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function damaged(name: string, what: string, options?: ErrorOptions): FlowSegError {
  return new FlowSegError(
    'ERR_RESULTS',
    `${printable(name)}: ${what}. Give a file that \`flowseg eval --results\` wrote, or another name for a new one.`,
    options,
  )
}

// ---------------------------------------------------------------------------------------------------------
// Merging

/**
 * The results of a whole run from those of its shards.
 *
 * @throws FlowSegError 'ERR_RESULTS' naming the files that don't belong together, or the shard that is missing
 */
export function mergeResults(parts: readonly Results[]): Results {
  const first = entryOf(parts, 0)
  const { of } = first.shard
  const byShard = new Map<number, Results>()
  for (const part of parts) {
    const differs =
      differenceOf(first.about, part.about) ?? (part.shard.of === of ? undefined : 'number of shards')
    if (differs !== undefined) {
      throw notTogether(
        `${printable(first.name)} and ${printable(part.name)} are not of one run: the ${differs} differs. ` +
          'Merge shards of the same model, data and options.',
      )
    }
    const other = byShard.get(part.shard.index)
    if (other)
      throw notTogether(
        `${printable(other.name)} and ${printable(part.name)} are both shard ${shardName(part.shard)}. Give it once.`,
      )
    if (!part.isWhole)
      throw notTogether(
        `${printable(part.name)} is not complete. Run its command again: it goes on where it was.`,
      )
    byShard.set(part.shard.index, part)
  }
  const missing = Array.from({ length: of }, (_, index) => index).filter((index) => !byShard.has(index))
  if (missing.length > 0) {
    const names = missing.map((index) => shardName({ index, of }))
    throw notTogether(`The results of ${listed(names)} are missing. Give all of the shards.`)
  }
  const measured = parts.flatMap((part) => part.measured).sort((a, b) => a.ordinal - b.ordinal)
  const gap = measured.findIndex(({ ordinal }, i) => ordinal !== i)
  if (gap >= 0) throw notTogether(`The results of image ${gap} are missing or double. Run the shards again.`)
  return { ...first, shard: { index: 0, of: 1 }, measured }
}

/** '1/4' is the first of four. */
export function shardName({ index, of }: EvaluationShard): string {
  return `${index + 1}/${of}`
}

/** Names what tells two runs apart; the name of the data may differ, as folders do. */
function differenceOf(a: About, b: About): string | undefined {
  if (a.model !== b.model) return `model (${quoted(a.model, 40)}, ${quoted(b.model, 40)})`
  if (a.fingerprint !== b.fingerprint) return 'data'
  const keys = [...new Set([...Object.keys(a.options), ...Object.keys(b.options)])]
  const key = keys.find((name) => JSON.stringify(a.options[name]) !== JSON.stringify(b.options[name]))
  return key === undefined ? undefined : `option ${printable(key, 40)}`
}

function notTogether(message: string): FlowSegError {
  return new FlowSegError('ERR_RESULTS', message)
}

// ---------------------------------------------------------------------------------------------------------
// Writing

/** The lines of a file of results. */
export function resultLines({
  about,
  shard,
  measured,
}: Pick<Results, 'about' | 'shard' | 'measured'>): string {
  return headLine(about, shard) + measured.map(jsonLine).join('') + endLine(measured)
}

function headLine(about: About, { index, of }: EvaluationShard): string {
  return jsonLine({ flowseg: 'eval', version: VERSION, ...about, shard: [index, of] })
}

function endLine(measured: readonly MeasuredImage[]): string {
  const sentences = measured.reduce((sum, { rows }) => sum + rows.length, 0)
  return jsonLine({ scenes: measured.length, sentences })
}

/** A file of results that grows. */
export class ResultsFile {
  readonly #file: FileHandle
  readonly #name: string
  /** The results of an earlier run. */
  readonly earlier: Results | undefined

  private constructor(file: FileHandle, name: string, earlier: Results | undefined) {
    this.#file = file
    this.#name = name
    this.earlier = earlier
  }

  /**
   * Begins a file, or goes on with one of the same run.
   *
   * @throws FlowSegError 'ERR_RESULTS' if it is of another run, 'ERR_OUTPUT' if it can't be written
   */
  static async open(
    name: string,
    about: About,
    shard: EvaluationShard,
    { cwd, signal }: Pick<Terminal, 'cwd' | 'signal'>,
  ): Promise<ResultsFile> {
    const path = resolve(cwd, name)
    const isThere = existsSync(path) && (await stat(path)).size > 0
    const earlier = isThere ? await readResults(name, { cwd, signal }) : undefined
    if (earlier) {
      const isOther = shardName(earlier.shard) !== shardName(shard)
      const differs = differenceOf(about, earlier.about) ?? (isOther ? 'shard' : undefined)
      if (differs !== undefined) {
        throw notTogether(
          `${printable(name)} holds the results of another run: the ${differs} differs. Choose another name, or delete it.`,
        )
      }
    }
    try {
      makeFolders(dirname(path))
      if (earlier) await truncate(path, earlier.bytes)
      const file = await open(path, 'a')
      if (!earlier) await file.appendFile(headLine(about, shard))
      return new ResultsFile(file, name, earlier)
    } catch (cause) {
      throw unwritable(name, cause)
    }
  }

  /** Writes the results of an image. @throws FlowSegError 'ERR_OUTPUT' */
  async add(measured: MeasuredImage): Promise<void> {
    await this.#append(jsonLine(measured))
  }

  /** Writes that all of it is there. @throws FlowSegError 'ERR_OUTPUT' */
  async end(measured: readonly MeasuredImage[]): Promise<void> {
    if (!this.earlier?.isWhole) await this.#append(endLine(measured))
  }

  /** Lines that were written stay, whether or not `end` was called. */
  async close(): Promise<void> {
    await this.#file.close()
  }

  async #append(line: string): Promise<void> {
    try {
      await this.#file.appendFile(line)
    } catch (cause) {
      throw unwritable(this.#name, cause)
    }
  }
}

function unwritable(name: string, cause: unknown): FlowSegError {
  return new FlowSegError('ERR_OUTPUT', `${printable(name)} can't be written: ${reasonOf(cause)}.`, { cause })
}
