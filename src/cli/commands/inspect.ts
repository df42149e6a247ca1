// flowseg inspect: what is in a checkpoint, whether its config fits, and what the model takes. Headers only: no tensor
// is loaded, and no GPU is needed but to tell the memory.

import { statSync } from 'node:fs'
import { WeightsError } from '../../errors.ts'
import { formatBytes } from '../../gpu/memory.ts'
import type { Checkpoint, TensorEntry } from '../../io/checkpoint/checkpoint.ts'
import { type Folder, openFolder, readJson } from '../../io/folder.ts'
import { MANIFEST, readManifest } from '../../io/manifest.ts'
import { openCheckpoint } from '../../io/open-checkpoint.ts'
import { fileSource } from '../../io/source.ts'
import { type Config, parseConfig } from '../../model/checkpoint/config.ts'
import { aboutPrefix, type Fit, fitOf, plainName, prefixOf } from '../../model/checkpoint/fit.ts'
import { canonicalName, type ParameterComponent, parameters } from '../../model/checkpoint/parameters.ts'
import { scalesName, storedQuantized } from '../../model/checkpoint/stored.ts'
import { isLibraryConfig, type LanguageBase } from '../../model/convert/language-base.ts'
import { type Recognized, recognize } from '../../model/convert/recognize.ts'
import { viewOf } from '../../model/convert/view.ts'
import { printable, quoted } from '../../printable.ts'
import { type Command, expectOperands, type Given, type Page, SHARED } from '../args.ts'
import { CONFIG, knownModels } from '../convert/source.ts'
import { isUrl, locationOf, splitLocation } from '../files.ts'
import { jsonLine } from '../json.ts'
import { type Needs, needRows, needsOf } from '../output/inspect-memory.ts'
import { commonWords, families, groupBy } from '../output/inspect-tensors.ts'
import { knowsFields, knowsRows } from '../output/knows.ts'
import { grouped, painter, type Terminal, table } from '../output/terminal.ts'
import { defaultWeights } from '../package.ts'
import { type FileVerdict, verdictsOf } from './manifest.ts'

/** Larger files are only hashed by `flowseg manifest --check`. */
const MOST_HASHED = 64 * 2 ** 20

const page: Page = {
  name: 'inspect',
  operands: '[WEIGHTS]',
  summary: 'what is in a checkpoint, without loading it',
  details:
    'WEIGHTS is a folder with config.json and model.safetensors or pytorch_model.bin (or shards and their index), one ' +
    'file of weights (.safetensors, or .bin, .pth, .pt as torch.save writes), one .index.json of shards, or a ' +
    'config.json alone, whose parameters are then counted; or the URL of any of these, or a place on Hugging Face (hf:owner/name). Any such file is listed, also ' +
    'beside the config of another model. Without a config.json of FlowSeg, the model is found by the names and shapes of ' +
    'its tensors. Nothing in a file of PyTorch is executed. In a folder on disk, the ' +
    `files are compared with manifest.json, those above ${formatBytes(MOST_HASHED)} by their sizes alone. The exit code is 1 ` +
    'when the model could not be loaded with these weights.',
  options: {
    config: {
      value: 'FILE',
      help: 'the config.json to hold against it, or its URL; by default the one beside the weights',
    },
    adapter: { ...SHARED.adapter, help: `${SHARED.adapter.help}: memory is told for it` },
    json: SHARED.json,
  },
  examples: [
    ['inspect', 'the model that comes along'],
    ['inspect hf:owner/name/folder@revision', 'of a repository on Hugging Face'],
    ['inspect models/my-flowseg', 'tensors, totals by component, what is missing or unknown'],
    [
      'inspect xsam.safetensors --config weights/configs/flowseg-qwen3-4b.json',
      'would it load as that model?',
    ],
  ],
}

/** The command. */
export const inspect: Command = { page, run }

type Part = ParameterComponent | 'unknown'

const TITLES: Record<Part, string> = {
  siglip: 'SigLIP encoder',
  sam: 'SAM encoder',
  connector: 'connector',
  visualProjector: 'visual projector',
  segProjector: 'seg projector',
  llmProjector: 'LLM projector',
  llm: 'language model',
  pixelDecoder: 'pixel decoder',
  decoder: 'mask decoder',
  matching: 'matching',
  semanticFlow: 'semantic flow',
  boundary: 'boundary refinement',
  world: 'world of its images',
  unknown: 'unknown',
}

interface PartTotal {
  readonly part: Part
  readonly tensors: number
  readonly parameters: number
  readonly bytes: number
  readonly types: readonly string[]
}

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 0, 1)
  const { signal } = terminal
  const place = args.operands[0] ?? defaultWeights()
  const location = locationOf(place, terminal)
  const { folder: parent, name } = splitLocation(location)
  const isIndex = name.endsWith('.index.json')

  // 1. A config alone
  if (name.endsWith('.json') && !isIndex) {
    return tellConfig(place, await configAt(location, signal), args, terminal)
  }

  // 2. Headers, and the config beside them
  const isFile = !isIndex && isLocalFile(location)
  const folder = openFolder(isFile || isIndex ? parent : location)
  const checkpoint = isFile
    ? await openCheckpoint(await fileSource(location), { signal })
    : await openCheckpoint(folder, { signal, ...(isIndex && { file: name }) })
  try {
    const other = args.text('config')
    const config =
      other === undefined
        ? await configBeside(folder, signal)
        : await configAt(locationOf(other, terminal), signal)
    const isPart = isFile || isIndex || folder.weights !== undefined
    const files = isPart ? undefined : await compareFiles(folder, signal)
    const own = config && 'model' in config ? config : undefined
    const recognized = own ? undefined : await recognizedIn(checkpoint, config)
    const model = own ?? (recognized && 'config' in recognized ? recognized.config : undefined)
    const fit = model && fitOf(checkpoint, model)
    const loads = fit && fit.missing.length === 0 && fit.misfits.length === 0
    const needs = loads ? await needsOf(checkpoint, model, args, terminal) : undefined
    return tellCheckpoint({ place, checkpoint, config, recognized, files, fit, needs }, args, terminal)
  } finally {
    await checkpoint.close()
  }
}

/** Or a device, which is refused when it is opened. */
function isLocalFile(location: string): boolean {
  const file = isUrl(location) ? undefined : statSync(location, { throwIfNoEntry: false })
  return file !== undefined && !file.isDirectory()
}

/** Undefined if there is none; why it can't be used, if it is another model's or a damaged one. */
async function configBeside(folder: Folder, signal: AbortSignal): Promise<Config | Unusable | undefined> {
  const file = await folder.find(CONFIG, signal)
  await file?.close()
  if (!file) return undefined
  const name = `${folder.describe}/${CONFIG}`
  let json: unknown
  try {
    json = await readJson(folder, CONFIG, signal)
    return parseConfig(json, name)
  } catch (cause) {
    if (!(cause instanceof WeightsError)) throw cause
    return { why: cause.message, ...(isLibraryConfig(json) && { base: { json, file: name } }) }
  }
}

interface Unusable {
  readonly why: string
  /** That of the language model, if it is one. */
  readonly base?: LanguageBase
}

/** The model that `flowseg convert` would find, or why it would find none. */
async function recognizedIn(
  checkpoint: Checkpoint,
  config: Unusable | Config | undefined,
): Promise<Recognized | Unusable> {
  const known = await knownModels()
  try {
    return recognize(viewOf(checkpoint, known), known, config && 'base' in config ? config.base : undefined)
  } catch (cause) {
    if (cause instanceof WeightsError) return { why: cause.message }
    throw cause
  }
}

/** Compares files on disk with the manifest beside the weights; undefined without one. */
async function compareFiles(folder: Folder, signal: AbortSignal): Promise<FileVerdict[] | undefined> {
  if (folder.directory === undefined) return undefined
  try {
    const listed = await readManifest(folder, signal)
    return listed && listed.size > 0 ? await verdictsOf(folder, listed, signal, MOST_HASHED) : undefined
  } catch (cause) {
    if (!(cause instanceof WeightsError)) throw cause
    return [{ name: MANIFEST, verdict: 'differs', text: cause.message }]
  }
}

async function configAt(location: string, signal: AbortSignal): Promise<Config> {
  const { folder, name } = splitLocation(location)
  return readConfig(openFolder(folder), name, signal)
}

async function readConfig(folder: Folder, name: string, signal: AbortSignal): Promise<Config> {
  return parseConfig(await readJson(folder, name, signal), `${folder.describe}/${name}`)
}

// ---------------------------------------------------------------------------------------------------------
// A config alone

function tellConfig(place: string, config: Config, args: Given, { out }: Terminal): number {
  const all = parameters(config)
  const parts = [...new Set(all.map(({ component }) => component))].map((component) => ({
    component,
    parameters: sum(all.filter((p) => p.component === component).map(({ count }) => count)),
  }))
  const total = sum(all.map(({ count }) => count))
  const used = sum(all.map((p) => (p.used ? p.count : 0)))
  const flow = sum(all.map((p) => (p.flow ? p.count : 0)))
  if (args.has('json')) {
    const counts = { total, used, flow, components: parts }
    out.write(jsonLine({ source: place, config: config.name, ...counts, ...knowsFields(config) }))
    return 0
  }
  const rows = [
    ...parts.map((part): string[] => [TITLES[part.component], grouped(part.parameters)]),
    ['total', grouped(total)],
    ['of which networks read', grouped(used)],
    ['of which FlowSeg adds', grouped(flow)],
  ]
  const said = knowsRows(config)
  const sections = [
    [`${printable(config.name)}, parameters by its config`, '', ...indented(table(rows))],
    ...(said ? [['What it says that it knows', '', ...indented(table(said, [0, 1]))]] : []),
  ]
  out.write(`${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`)
  return 0
}

// ---------------------------------------------------------------------------------------------------------
// A checkpoint

interface Found {
  readonly place: string
  readonly checkpoint: Checkpoint
  readonly config: Config | Unusable | undefined
  /** Without a config that can be used: the model by its names and shapes, or why it is none. */
  readonly recognized: Recognized | Unusable | undefined
  readonly files: readonly FileVerdict[] | undefined
  /** Undefined without a model. */
  readonly fit: Fit | undefined
  /** Undefined where it would not load. */
  readonly needs: Needs | undefined
}

function tellCheckpoint(
  { place, checkpoint, config: beside, recognized, files, fit, needs }: Found,
  options: Given,
  { out }: Terminal,
): number {
  const config = beside && 'model' in beside ? beside : undefined
  const problem = beside && 'why' in beside ? beside.why : undefined
  const { notes = [] } = checkpoint
  const entries = [...checkpoint.tensors.values()]
  const model = config ?? (recognized && 'config' in recognized ? recognized.config : undefined)
  const partOfPlain = partsOf(model)
  const contents = contentsOf(checkpoint, model)
  const prefix = fit
    ? fit.prefix
    : prefixOf([...checkpoint.tensors.keys()], (name) => partOfPlain(name) !== 'unknown')
  const partOf = (name: string): Part => partOfPlain(plainName(name, prefix))
  const totals = totalsOf(entries, partOf, contents)
  const bad = files?.filter(({ verdict }) => verdict === 'differs' || verdict === 'missing') ?? []
  const fits =
    !problem && (!fit || (fit.missing.length === 0 && fit.misfits.length === 0)) && bad.length === 0
  if (options.has('json')) {
    const tensors = entries.map(({ name, dtype, shape, file, begin, end, strides }) => ({
      name,
      dtype,
      shape,
      bytes: end - begin,
      file,
      component: partOf(name),
      ...(strides && { strides }),
    }))
    const { used, head: _, ...verdicts } = fit ?? {}
    const account = {
      source: place,
      metadata: Object.fromEntries(checkpoint.metadata),
      components: totals.map(({ part, ...rest }) => ({ component: part, ...rest })),
      config: config?.name ?? null,
      ...(config && knowsFields(config)),
      ...(problem !== undefined && { problem }),
      fits: config || problem !== undefined ? fits : null,
      ...(recognized && {
        recognized:
          'config' in recognized
            ? { config: recognized.config.name, notes: recognized.notes }
            : { config: null, problem: recognized.why },
      }),
      ...(used && { needed: used.length, ...verdicts }),
      ...(prefix !== undefined && { prefix }),
      ...(files && { files }),
      ...(needs && { memory: needs }),
      ...(notes.length > 0 && { notes }),
      tensors,
    }
    out.write(jsonLine(account))
    return fits ? 0 : 1
  }

  const paint = painter(out)
  const all = totalOf('unknown', entries, contents)
  const said = config && knowsRows(config)
  const without = config ? [] : [problem ?? NO_CONFIG]
  const seen =
    recognized && ('config' in recognized ? [...recognized.notes, HOW_TO_CONFIG] : [recognized.why])
  const asModel = [...without, ...(seen ?? []), ...(fit && model ? verdict(fit, model) : [])]
  const isForeign = totals.every(({ part }) => part === 'unknown')
  const common = isForeign ? commonWords(entries.map(({ name }) => name)) : undefined
  const sections = [
    [paint('bold', 'Tensors'), ...indented(table(families(entries), [0, 1, 2]))],
    [
      paint('bold', 'By component'),
      ...indented(table([...totals.map(totalRow), totalRow(all, 'total')], [0, 4])),
    ],
    ...(notes.length > 0 ? [[paint('bold', 'Notes'), ...indented(notes.map(shown))]] : []),
    ...(files ? [[paint('bold', 'Files, by manifest.json'), ...indented(fileLines(files))]] : []),
    [
      paint('bold', 'As a model'),
      ...indented([
        ...asModel,
        ...(prefix === undefined ? [] : [aboutPrefix(prefix)]),
        ...(common === undefined ? [] : [`All names begin with ${quoted(common, 80)}.`]),
      ]),
    ],
    ...(said ? [[paint('bold', 'What it says that it knows'), ...indented(table(said, [0, 1]))]] : []),
    ...(needs ? [[paint('bold', 'What it takes'), ...indented(needLines(needs))]] : []),
  ]
  out.write(`${printable(place)}\n\n${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`)
  return fits ? 0 : 1
}

function needLines(needs: Needs): string[] {
  if ('unknown' in needs) return [`Not known, as there is no adapter here: ${needs.unknown}`]
  return [
    ...table(needRows(needs), [0]),
    `On ${needs.adapter}, to the first answers about an image of 1024 x 1024. Fewer bits: flowseg convert, or --quantize.`,
  ]
}

const HOW_TO_CONFIG = 'flowseg convert writes it with its config.json and tokenizer.'
const NO_CONFIG = 'No config.json beside it: give one with --config.'

function fileLines(files: readonly FileVerdict[]): string[] {
  const lines = table(
    files.map(({ name, text }) => [printable(name), text]),
    [0, 1],
  )
  const isStale = files.some(({ verdict }) => verdict === 'differs' || verdict === 'missing')
  return isStale ? [...lines, 'If you changed them, renew it: flowseg manifest DIR'] : lines
}

function totalRow({ part, tensors, parameters, bytes, types }: PartTotal, title?: unknown): string[] {
  const name = typeof title === 'string' ? title : TITLES[part]
  const noun = tensors === 1 ? 'tensor' : 'tensors'
  return [
    name,
    `${grouped(tensors)} ${noun}`,
    `${grouped(parameters)} numbers`,
    formatBytes(bytes),
    types.join(', '),
  ]
}

/** The count of a stored tensor. */
interface Contents {
  readonly numbers: number
  readonly type: string
}

/** A matrix in few bits counts for its numbers, as its type; its scales count for none. */
function contentsOf(checkpoint: Checkpoint, config: Config | undefined): (entry: TensorEntry) => Contents {
  const quantized = storedQuantized(checkpoint)
  const scales = new Set([...quantized.keys()].map(scalesName))
  const expected = new Map((config ? parameters(config) : []).map(({ name, shape }) => [name, shape]))
  return ({ name, shape, dtype }) => {
    const type = quantized.get(name)
    if (scales.has(name)) return { numbers: 0, type: 'scales' }
    if (!type) return { numbers: count(shape), type: dtype }
    const own = expected.get(canonicalName(name))
    return { type, numbers: own ? count(own) : count(shape) * (type === 'int4' ? 2 : 1) }
  }
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1)
}

function totalsOf(
  entries: readonly TensorEntry[],
  partOf: (name: string) => Part,
  contents: (entry: TensorEntry) => Contents,
): PartTotal[] {
  const groups = groupBy(entries, ({ name }) => partOf(name))
  const order = Object.keys(TITLES) as Part[]
  return [...groups]
    .map(([part, group]) => totalOf(part, group, contents))
    .sort((a, b) => order.indexOf(a.part) - order.indexOf(b.part))
}

function totalOf(
  part: Part,
  group: readonly TensorEntry[],
  contents: (entry: TensorEntry) => Contents,
): PartTotal {
  const all = group.map(contents)
  return {
    part,
    tensors: group.length,
    parameters: sum(all.map(({ numbers }) => numbers)),
    bytes: sum(group.map(({ begin, end }) => end - begin)),
    types: [...new Set(all.map(({ type }) => type))].filter((type) => type !== 'scales').sort(),
  }
}

/**
 * A function from a tensor's name to its component: by the config's list of parameters if there is one, else by the
 * prefix.
 */
function partsOf(config: Config | undefined): (name: string) => Part {
  const known = new Map((config ? parameters(config) : []).map((p) => [p.name, p.component]))
  return (name) => {
    const canonical = canonicalName(name)
    return known.get(canonical) ?? PREFIXES.find(([prefix]) => prefix.test(canonical))?.[1] ?? 'unknown'
  }
}

const PREFIXES: readonly (readonly [RegExp, ParameterComponent])[] = [
  [/^vision_encoder\./, 'siglip'],
  [/^segmentor\.(encoder|shared_image_embedding)\./, 'sam'],
  [/^seg_connector\./, 'connector'],
  [/^visual_projector\./, 'visualProjector'],
  [/^seg_projector\./, 'segProjector'],
  [/^llm_projector\./, 'llmProjector'],
  [/^llm\./, 'llm'],
  [/^segmentor\.pixel_decoder\./, 'pixelDecoder'],
  [/^segmentor\.decoder\.decoder\.layers\.\d+\.(semantic_|condition_)/, 'semanticFlow'],
  [/^segmentor\.decoder\./, 'decoder'],
  [/^(segmentor\.class_predictor\.|bg_embeds\.)/, 'matching'],
  [/^segmentor\.boundary_refiner\./, 'boundary'],
  [/^world\./, 'world'],
]

// ---------------------------------------------------------------------------------------------------------
// Would it load?

function verdict({ used, missing, misfits, unknown, baseline }: Fit, config: Config): string[] {
  const name = printable(config.name, 80)
  const lines: string[] = []
  if (missing.length > 0) {
    lines.push(
      `${missing.length} of the ${used.length} tensors that ${name} needs are missing:`,
      ...some(missing),
    )
  }
  if (misfits.length > 0) {
    lines.push(`${misfits.length} do not fit ${name}:`, ...some(misfits.map(({ text }) => text)))
  }
  if (lines.length === 0) lines.push(`All ${used.length} tensors that ${name} needs are there and fit.`)
  if (baseline) lines.push('None of the semantic flow: it runs as X-SAM, the baseline.')
  if (unknown.length > 0) {
    lines.push(
      `${unknown.length} mean nothing to this engine and would be left out:`,
      ...some(unknown.map(shown)),
    )
  }
  return lines
}

const MOST_TOLD = 12

function some(lines: readonly string[]): string[] {
  const rest = lines.length - MOST_TOLD
  return [...lines.slice(0, MOST_TOLD), ...(rest > 0 ? [`and ${rest} more`] : [])].map((line) => `  ${line}`)
}

function shown(name: string): string {
  return printable(name)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}
