// flowseg convert: any checkpoint that is read, as sharded safetensors in a folder that is a model.

import { existsSync } from 'node:fs'
import { readdir, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError, WeightsError } from '../../errors.ts'
import { formatBytes } from '../../gpu/memory.ts'
import type { Checkpoint } from '../../io/checkpoint/checkpoint.ts'
import { type Folder, openFolder, readJson } from '../../io/folder.ts'
import { withManifest } from '../../io/manifest.ts'
import { openCheckpoint } from '../../io/open-checkpoint.ts'
import type { TensorEntry } from '../../io/safetensors.ts'
import { loadTokenizer } from '../../io/text/tokenizer.ts'
import { isFolder } from '../../make-folders.ts'
import { type Config, parseConfig } from '../../model/checkpoint/config.ts'
import { type Converted, convertInto } from '../../model/convert/convert.ts'
import { type ConvertPlan, type Left, planConversion } from '../../model/convert/convert-plan.ts'
import { fingerprintOf } from '../../model/convert/fingerprint.ts'
import { parseRecipe, recipeText } from '../../model/convert/recipe.ts'
import { recognize } from '../../model/convert/recognize.ts'
import { viewOf } from '../../model/convert/view.ts'
import { firstOf, printable } from '../../printable.ts'
import { type Command, expectOperands, type Given, type Page, SHARED } from '../args.ts'
import { isUrl, locationOf, splitLocation } from '../files.ts'
import { jsonLine } from '../json.ts'
import { compatOption } from '../model-folder.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { grouped, painter, type Terminal } from '../output/terminal.ts'
import { defaultWeights, packagePath } from '../package.ts'

const page: Page = {
  name: 'convert',
  operands: 'SOURCE OUT',
  summary: 'write a checkpoint as sharded safetensors, rounded or as it is',
  details:
    'SOURCE is the folder of a checkpoint, or its file (safetensors, or .bin, .pth, .pt of PyTorch); a path, a URL or a ' +
    'place on Hugging Face (hf:owner/name). OUT becomes the folder of a model: shards with ' +
    'their index and checksums, config.json, the tokenizer and manifest.json. The same command resumes a conversion that ' +
    'was interrupted. Without a config.json of FlowSeg the model is found by the names and shapes of its tensors. Tensors ' +
    'that no network reads are left out.',
  options: {
    quantize: {
      value: 'KIND',
      help: 'int8 or int4, or one for each of llm, siglip, sam and projectors: llm=int4,siglip=int8',
    },
    'shard-size': { value: 'SIZE', help: 'most bytes of a file, such as 500MB or 2GiB; by default 1GiB' },
    tokenizer: {
      value: 'DIR',
      help: "folder of the tokenizer's files, on disk, by URL or hf:owner/name; by default SOURCE's",
    },
    config: { value: 'FILE', help: "a config.json of FlowSeg, or its URL, instead of SOURCE's" },
    compat: { value: 'KIND', help: 'aaai or main: whose branch of X-SAM the model follows' },
    all: { help: 'keep the tensors that no network reads as well' },
    force: { help: 'replace an earlier conversion in OUT that had other settings' },
    json: SHARED.json,
  },
  examples: [
    ['convert xsam/ models/xsam', "X-SAM's checkpoint as it is stored"],
    ['convert xsam/ models/xsam-int4 --quantize int4 --tokenizer phi3/', 'a third of its size'],
  ],
}

/** The command. */
export const convert: Command = { page, run }

const CONFIG = 'config.json'
const VOCABULARY = 'tokenizer.json'
const SETTINGS = 'tokenizer_config.json'
const EMBEDDING = 'llm.model.embed_tokens.weight'
const DEFAULT_SHARD = 2 ** 30
const LEAST_SHARD = 2 ** 20

async function run(options: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, options, 2)
  const [place = '', out = ''] = options.operands
  const recipe = parseRecipe(options.text('quantize'))
  const shardBytes = shardSize(options.text('shard-size'))
  const compat = compatOption(options)
  const { signal } = terminal
  const location = locationOf(place, terminal)
  const target = locationOf(out, terminal)
  await expectPlaces(location, place, target, out)

  const { folder, checkpoint: original } = await openSource(location, signal)
  const progress = new ProgressLine(terminal)
  try {
    // 1. What it is
    const known = await knownModels()
    const own = await ownConfig(folder, options, terminal)
    const checkpoint = viewOf(original, own.config ? [own.config] : known)
    const model = own.config
      ? {
          config: own.config,
          notes: [`The model is ${printable(own.config.name)}, by ${printable(own.name)}.`],
        }
      : recognize(checkpoint, known, own.base)
    const config = compat === undefined ? model.config : { ...model.config, compat }
    const tokenizer = await tokenizerTexts(folder, options, terminal)
    await expectTokenizer(tokenizer, config, checkpoint.tensors.get(EMBEDDING), terminal.signal)

    // 2. What it becomes
    const settings = {
      recipe,
      shardBytes,
      source: await fingerprintOf(checkpoint, signal),
      all: options.has('all'),
    }
    const plan = planConversion(checkpoint, config, settings)
    const isOwn = own.text !== undefined && compat === undefined
    const configText = isOwn && own.text ? own.text : `${JSON.stringify(config, null, 2)}\n`
    const small = new Map([
      [CONFIG, encode(configText)],
      [VOCABULARY, encode(tokenizer.vocabulary)],
      [SETTINGS, encode(tokenizer.settings)],
    ])

    // 3. The files
    const begun = performance.now()
    const rate = rateSince(begun)
    const converted = await convertInto(target, checkpoint, plan, small, {
      signal,
      force: options.has('force'),
      onProgress: ({ phase, what, loaded, total }) =>
        progress.show(phase, total > 0 ? loaded / total : 0, `${rate(phase, loaded, total)}, ${what}`),
    })
    progress.clear()
    const prefix =
      checkpoint.prefix === undefined
        ? []
        : [`Every name began with ${printable(checkpoint.prefix)}: it is left out.`]
    const notes = [...model.notes, ...prefix, ...notesOn(plan, converted)]
    const seconds = (performance.now() - begun) / 1000
    tell({ out, plan, converted, notes, seconds, config, recipe: recipeText(recipe) }, options, terminal)
    return 0
  } finally {
    progress.clear()
    await original.close()
  }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Refuses places that can't be read or written before anything is. */
async function expectPlaces(source: string, place: string, target: string, out: string): Promise<void> {
  if (!isUrl(source) && !existsSync(source)) {
    throw new WeightsError(`There is nothing at ${printable(place)}. Check the path of SOURCE.`)
  }
  if (isUrl(target)) throw new UsageError(`OUT is ${printable(out)}, expected a folder on disk.`)
  const real = await realpath(target).catch(() => undefined)
  if (real === undefined) return
  if (!isFolder(real)) {
    throw new UsageError(
      `OUT is ${printable(out)}, which is a file. Give a new folder, or that of an earlier conversion.`,
    )
  }
  if (real === (await realpath(source).catch(() => undefined))) {
    throw new UsageError(
      `OUT is SOURCE, ${printable(out)}: nothing is converted in place. Give another folder.`,
    )
  }
}

/** '500MB' or '1GiB'. */
function shardSize(text: string | undefined): number {
  if (text === undefined) return DEFAULT_SHARD
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*(|[KMGT]i?B)$/i.exec(text) ?? []
  const power = ' KMGT'.indexOf(unit.slice(0, 1).toUpperCase())
  const bytes = Math.floor(Number(digits) * (unit === '' ? 1 : (/i/i.test(unit) ? 1024 : 1000) ** power))
  if (digits === '' || bytes < LEAST_SHARD || !Number.isSafeInteger(bytes)) {
    throw new UsageError(
      `--shard-size is '${printable(text, 80)}', expected a size of at least 1 MiB, such as 500MB or 2GiB.`,
    )
  }
  return bytes
}

/** The checkpoint of a place, and the folder that its small files are in. */
async function openSource(
  location: string,
  signal: AbortSignal,
): Promise<{ folder: Folder; checkpoint: Checkpoint }> {
  // A file on disk may have any name
  const isFile = !isUrl(location) && !isFolder(location)
  const { folder: parent, name } = isFile ? splitLocation(location) : { folder: location }
  const folder = await withManifest(openFolder(parent), signal)
  return { folder, checkpoint: await openCheckpoint(folder, { signal, file: name }) }
}

/** The models whose configs come with the package. */
async function knownModels(): Promise<Config[]> {
  const configs = packagePath('weights', 'configs')
  const names = (await readdir(configs)).filter((name) => name.endsWith('.json')).sort()
  const paths = [...names.map((name) => join(configs, name)), join(defaultWeights(), CONFIG)]
  return Promise.all(paths.map(async (path) => parseConfig(JSON.parse(await readFile(path, 'utf8')), path)))
}

/** A config of ours, with its text; or that of the language model, which lies beside weights as well. */
interface OwnConfig {
  readonly name: string
  readonly config?: Config
  readonly text?: string
  readonly base?: unknown
}

async function ownConfig(folder: Folder, options: Given, terminal: Terminal): Promise<OwnConfig> {
  const { signal } = terminal
  const file = options.text('config')
  if (file !== undefined) {
    const { folder: parent, name } = splitLocation(locationOf(file, terminal))
    const text = await openFolder(parent).readText(name, signal)
    return { name: file, config: parseConfig(await readJson(openFolder(parent), name, signal), file), text }
  }
  const places = [
    folder,
    ...(options.text('tokenizer') === undefined ? [] : [tokenizerFolder(folder, options, terminal)]),
  ]
  for (const from of places) {
    const source = await from.find(CONFIG, signal)
    await source?.close()
    if (!source) continue
    const json = await readJson(from, CONFIG, signal)
    const isForeign = typeof json === 'object' && json !== null && !('model' in json) && 'model_type' in json
    if (isForeign) return { name: from.describe, base: json }
    if (from !== folder) continue
    const name = `${folder.describe}/${CONFIG}`
    return { name, config: parseConfig(json, name), text: await folder.readText(CONFIG, signal) }
  }
  return { name: '' }
}

function tokenizerFolder(folder: Folder, options: Given, terminal: Terminal): Folder {
  const place = options.text('tokenizer')
  return place === undefined ? folder : openFolder(locationOf(place, terminal))
}

/** The texts of a tokenizer's two files, as they are. */
interface TokenizerTexts {
  readonly vocabulary: string
  readonly settings: string
}

async function tokenizerTexts(folder: Folder, options: Given, terminal: Terminal): Promise<TokenizerTexts> {
  const { signal } = terminal
  const from = tokenizerFolder(folder, options, terminal)
  const source = await from.find(VOCABULARY, signal)
  await source?.close()
  if (!source && options.text('tokenizer') === undefined) {
    throw new WeightsError(
      `There is no ${VOCABULARY} in ${printable(from.describe)}. Give the folder of the language model's tokenizer: ` +
        '--tokenizer DIR, or its place on Hugging Face: --tokenizer hf:owner/name.',
    )
  }
  return {
    vocabulary: await from.readText(VOCABULARY, signal),
    settings: await from.readText(SETTINGS, signal),
  }
}

/** That <SEG>, <p> and </p> get the ids that the model was trained with, and that the embedding has rows for them. */
async function expectTokenizer(
  { vocabulary, settings }: TokenizerTexts,
  config: Config,
  embedding: TensorEntry | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { vocab } = config.llm
  // One that is missing is named with all that is
  const [rows = vocab] = embedding?.shape ?? []
  if (rows < vocab) {
    throw new WeightsError(
      `The embedding has ${grouped(rows)} rows, and ${printable(config.name)} has ${grouped(vocab)} tokens, the last three ` +
        'of them <SEG>, <p> and </p>.',
    )
  }
  await loadTokenizer(vocabulary, settings, vocab, signal)
}

function rateSince(begun: number): (phase: string, loaded: number, total: number) => string {
  let [last, from, at] = ['', 0, begun]
  return (phase, loaded, total) => {
    if (phase !== last) [last, from, at] = [phase, 0, performance.now()]
    const seconds = Math.max(1e-3, (performance.now() - at) / 1000)
    return `${formatBytes(loaded)} of ${formatBytes(total)}, ${formatBytes((loaded - from) / seconds)}/s`
  }
}

function notesOn({ unused, unknown }: ConvertPlan, { kept, damaged }: Converted): string[] {
  const count = (n: number, noun: string): string => `${grouped(n)} ${noun}${n === 1 ? '' : 's'}`
  const left = ({ names, bytes }: Left, why: string): string[] =>
    names.length === 0
      ? []
      : [
          `Left out ${count(names.length, 'tensor')} of ${formatBytes(bytes)} that ${why}: ${firstOf(names, 2)}.`,
        ]
  return [
    ...left(unused, 'no network reads'),
    ...left(unknown, 'mean nothing to this engine'),
    ...(kept.length > 0
      ? [`Kept ${count(kept.length, 'shard')} of an earlier run, whose checksums agree.`]
      : []),
    ...(damaged.length > 0 ? [`Wrote damaged ones again: ${firstOf(damaged, 3)}.`] : []),
  ]
}

interface Account {
  readonly out: string
  readonly plan: ConvertPlan
  readonly converted: Converted
  readonly notes: readonly string[]
  readonly seconds: number
  readonly config: Config
  readonly recipe: string
}

function tell(
  { out, plan, converted, notes, seconds, config, recipe }: Account,
  options: Given,
  { out: output, err }: Terminal,
): void {
  if (options.has('json')) {
    output.write(
      jsonLine({
        folder: out,
        config: config.name,
        compat: config.compat,
        quantize: recipe,
        bytes: plan.bytes,
        seconds,
        kept: converted.kept,
        files: Object.fromEntries(converted.files),
        notes,
      }),
    )
    return
  }
  for (const note of notes) err.write(`${painter(err)('yellow', 'note')}: ${printable(note, Infinity)}\n`)
  const noun = plan.shards.length === 1 ? 'shard' : 'shards'
  output.write(
    `${printable(out, Infinity)}: ${printable(config.name)}, ${recipe || 'as it was stored'}, ${formatBytes(plan.bytes)} in ` +
      `${plan.shards.length} ${noun}, ${seconds.toFixed(1)} s\n`,
  )
}
