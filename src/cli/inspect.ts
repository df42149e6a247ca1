// flowseg inspect: what is in a checkpoint, and whether its config fits. Headers only: no tensor is loaded, no
// GPU is needed.

import { existsSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { formatBytes } from '../gpu/memory.ts'
import { openFolder, readJson } from '../io/folder.ts'
import { type Checkpoint, openSafetensors, type TensorEntry } from '../io/safetensors.ts'
import { fileSource } from '../io/source.ts'
import { type Config, parseConfig } from '../model/config.ts'
import { type Component, canonicalName, type Parameter, parameters } from '../model/parameters.ts'
import { type Command, expectOperands, type Given, type Page, SHARED } from './args.ts'
import { defaultWeights } from './package.ts'
import { grouped, painter, type Terminal, table } from './terminal.ts'

const page: Page = {
  name: 'inspect',
  operands: '[WEIGHTS]',
  summary: 'what is in a checkpoint, without loading it',
  details:
    'WEIGHTS is a folder with model.safetensors (or its shards and index) and config.json, a URL of such a ' +
    'folder, one .safetensors file, or a config.json alone, whose parameters are then counted. The exit code ' +
    'is 1 when the model could not be loaded with these weights.',
  options: {
    config: {
      value: 'FILE',
      help: 'the config.json to hold against it; by default the one beside the weights',
    },
    json: SHARED.json,
  },
  examples: [
    ['inspect', 'the model that comes along'],
    ['inspect models/my-flowseg', 'tensors, totals by component, what is missing or unknown'],
    [
      'inspect xsam.safetensors --config weights/configs/flowseg-qwen3-4b.json',
      'would it load as that model?',
    ],
  ],
}

export const inspect: Command = { page, run }

type Part = Component | 'unknown'

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
  unknown: 'unknown',
}

interface Total {
  readonly part: Part
  readonly tensors: number
  readonly parameters: number
  readonly bytes: number
  readonly types: readonly string[]
}

/** What the model would say to the checkpoint. */
interface Fit {
  readonly needed: number
  readonly missing: readonly string[]
  readonly misfits: readonly {
    readonly name: string
    readonly dtype: string
    readonly shape: readonly number[]
    readonly expected: readonly number[]
  }[]
  readonly unknown: readonly string[]
  readonly baseline: boolean
}

async function run(given: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, given, 0, 1)
  const { cwd, signal } = terminal
  const place = given.operands[0] ?? defaultWeights()
  const isUrl = /^https?:/i.test(place)
  const path = isUrl ? place : resolve(cwd, place)

  // 1. A config alone
  if (path.endsWith('.json') && !path.endsWith('.index.json')) {
    const config = await readConfig(path, signal)
    return tellConfig(place, config, given, terminal)
  }

  // 2. Headers, and the config beside them
  const isFile = path.endsWith('.safetensors') || (!isUrl && existsSync(path) && statSync(path).isFile())
  const isIndex = path.endsWith('.index.json')
  const folder = isFile || isIndex ? dirname(path) : path
  const checkpoint =
    isFile && !isIndex && !isUrl
      ? await openSafetensors(await fileSource(path), { signal })
      : await openSafetensors(openFolder(folder), { signal })
  try {
    const other = given.text('config')
    const beside = join(folder, 'config.json')
    const configPath = other ? resolve(cwd, other) : isUrl ? `${folder}/config.json` : beside
    const hasConfig = other !== undefined || isUrl || existsSync(beside)
    const config = hasConfig ? await readConfig(configPath, signal) : undefined
    return tellCheckpoint(place, checkpoint, config, given, terminal)
  } finally {
    await checkpoint.close()
  }
}

async function readConfig(path: string, signal: AbortSignal): Promise<Config> {
  const [folder, name] = [dirname(path), basename(path)]
  return parseConfig(await readJson(openFolder(folder), name, signal), path)
}

// ---------------------------------------------------------------------------------------------------------
// A config alone

function tellConfig(place: string, config: Config, given: Given, { out }: Terminal): number {
  const all = parameters(config)
  const parts = [...new Set(all.map(({ component }) => component))].map((component) => ({
    component,
    parameters: sum(all.filter((p) => p.component === component).map(({ count }) => count)),
  }))
  const total = sum(all.map(({ count }) => count))
  const used = sum(all.map((p) => (p.used ? p.count : 0)))
  const flow = sum(all.map((p) => (p.flow ? p.count : 0)))
  if (given.has('json')) {
    out.write(
      `${JSON.stringify({ source: place, config: config.name, total, used, flow, components: parts })}\n`,
    )
    return 0
  }
  const rows = [
    ...parts.map((part): string[] => [TITLES[part.component], grouped(part.parameters)]),
    ['total', grouped(total)],
    ['of which networks read', grouped(used)],
    ['of which FlowSeg adds', grouped(flow)],
  ]
  out.write(`${config.name}, parameters by its config\n\n${indented(table(rows)).join('\n')}\n`)
  return 0
}

// ---------------------------------------------------------------------------------------------------------
// A checkpoint

function tellCheckpoint(
  place: string,
  checkpoint: Checkpoint,
  config: Config | undefined,
  given: Given,
  { out }: Terminal,
): number {
  const entries = [...checkpoint.tensors.values()]
  const partOf = partsOf(config)
  const totals = totalsOf(entries, partOf)
  const fit = config && fitOf(checkpoint, config)
  const fits = !fit || (fit.missing.length === 0 && fit.misfits.length === 0)
  if (given.has('json')) {
    const tensors = entries.map(({ name, dtype, shape, file, begin, end }) => ({
      name,
      dtype,
      shape,
      bytes: end - begin,
      file,
      component: partOf(name),
    }))
    const account = {
      source: place,
      metadata: Object.fromEntries(checkpoint.metadata),
      components: totals.map(({ part, ...rest }) => ({ component: part, ...rest })),
      config: config?.name ?? null,
      fits: fit ? fits : null,
      ...fit,
      tensors,
    }
    out.write(`${JSON.stringify(account)}\n`)
    return fits ? 0 : 1
  }

  const paint = painter(out)
  const all = totalOf('unknown', entries)
  const sections = [
    [paint('bold', 'Tensors'), ...indented(table(families(entries), [0, 1, 2]))],
    [
      paint('bold', 'By component'),
      ...indented(table([...totals.map(totalRow), totalRow(all, 'total')], [0, 4])),
    ],
    [
      paint('bold', 'As a model'),
      ...indented(fit ? verdict(fit, config) : ['No config.json beside it: give one with --config.']),
    ],
  ]
  out.write(`${place}\n\n${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`)
  return fits ? 0 : 1
}

function totalRow({ part, tensors, parameters, bytes, types }: Total, title?: unknown): string[] {
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

/** Same tensor of many layers on one line: 'llm.model.layers.{0-35}.mlp.up_proj.weight'. */
function families(entries: readonly TensorEntry[]): string[][] {
  const groups = new Map<string, TensorEntry[]>()
  for (const entry of entries) {
    const key = `${entry.name.replace(/\.\d+(?=\.|$)/g, '.#')} ${entry.dtype} ${entry.shape.join()}`
    groups.set(key, [...(groups.get(key) ?? []), entry])
  }
  return [...groups.values()].map((group) => {
    const first = group[0]!
    const count = group.length > 1 ? `x ${group.length}` : ''
    return [commonName(group.map(({ name }) => name)), first.dtype, `[${first.shape.join(', ')}]`, count]
  })
}

function commonName(names: readonly string[]): string {
  const split = names.map((name) => name.split('.'))
  return split[0]!
    .map((word, i) => {
      const words = [...new Set(split.map((name) => name[i]!))]
      if (words.length === 1) return word
      const numbers = words.map(Number).sort((a, b) => a - b)
      const [first = 0, last = 0] = [numbers[0], numbers.at(-1)]
      const isRun = numbers.length === last - first + 1
      return `{${isRun ? `${first}-${last}` : numbers.join(',')}}`
    })
    .join('.')
}

function totalsOf(entries: readonly TensorEntry[], partOf: (name: string) => Part): Total[] {
  const groups = new Map<Part, TensorEntry[]>()
  for (const entry of entries) {
    const part = partOf(entry.name)
    groups.set(part, [...(groups.get(part) ?? []), entry])
  }
  const order = Object.keys(TITLES) as Part[]
  return [...groups]
    .map(([part, group]) => totalOf(part, group))
    .sort((a, b) => order.indexOf(a.part) - order.indexOf(b.part))
}

function totalOf(part: Part, group: readonly TensorEntry[]): Total {
  return {
    part,
    tensors: group.length,
    parameters: sum(group.map(({ shape }) => shape.reduce((product, n) => product * n, 1))),
    bytes: sum(group.map(({ begin, end }) => end - begin)),
    types: [...new Set(group.map(({ dtype }) => dtype))].sort(),
  }
}

/** Which component a tensor belongs to: by the config's list if there is one, else by its prefix. */
function partsOf(config: Config | undefined): (name: string) => Part {
  const known = new Map((config ? parameters(config) : []).map((p) => [p.name, p.component]))
  return (name) => {
    const canonical = canonicalName(name)
    return known.get(canonical) ?? PREFIXES.find(([prefix]) => prefix.test(canonical))?.[1] ?? 'unknown'
  }
}

const PREFIXES: readonly (readonly [RegExp, Component])[] = [
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
]

// ---------------------------------------------------------------------------------------------------------
// Would it load?

/** The rules of model/weights.ts, all of them told rather than the first. */
function fitOf(checkpoint: Checkpoint, config: Config): Fit {
  const stored = new Map([...checkpoint.tensors.values()].map((entry) => [canonicalName(entry.name), entry]))
  const expected = parameters(withSizesOf(stored, config))
  const baseline = !expected.some((p) => p.flow && stored.has(p.name))
  const used = expected.filter((p) => p.used && !(p.flow && baseline))
  const known = new Set(expected.map(({ name }) => name))
  const isMisfit = (p: Parameter, entry: TensorEntry): boolean =>
    entry.shape.join() !== p.shape.join() || !['F32', 'F16', 'BF16'].includes(entry.dtype)
  return {
    needed: used.length,
    missing: used.filter((p) => !p.optional && !stored.has(p.name)).map(({ name }) => name),
    misfits: used.flatMap((p) => {
      const entry = stored.get(p.name)
      if (!entry || !isMisfit(p, entry)) return []
      return [{ name: entry.name, dtype: entry.dtype, shape: entry.shape, expected: p.shape }]
    }),
    unknown: [...stored].filter(([name]) => !known.has(name)).map(([, { name }]) => name),
    baseline,
  }
}

/** Sizes that the file knows better than the config. */
function withSizesOf(stored: ReadonlyMap<string, TensorEntry>, config: Config): Config {
  const rows = (name: string, fallback: number): number => stored.get(name)?.shape[0] || fallback
  const vocab = rows('llm.model.embed_tokens.weight', config.llm.vocab)
  const compress = rows('segmentor.boundary_refiner.compress.weight', config.boundary.compress)
  const hidden = rows('segmentor.boundary_refiner.refine.0.weight', config.boundary.hidden)
  const llm = { ...config.llm, vocab: Math.max(vocab, config.llm.vocab) }
  return { ...config, llm, boundary: { compress, hidden } }
}

function verdict({ needed, missing, misfits, unknown, baseline }: Fit, config: Config | undefined): string[] {
  const name = config?.name ?? ''
  const lines: string[] = []
  if (missing.length > 0) {
    lines.push(`${missing.length} of the ${needed} tensors that ${name} needs are missing:`, ...some(missing))
  }
  if (misfits.length > 0) {
    lines.push(
      `${misfits.length} do not fit ${name}:`,
      ...some(
        misfits.map(({ name: tensor, dtype, shape, expected }) => {
          const wanted = shape.join() === expected.join() ? 'F32, F16 or BF16' : `[${expected.join(', ')}]`
          return `${tensor} is ${dtype} [${shape.join(', ')}], expected ${wanted}`
        }),
      ),
    )
  }
  if (lines.length === 0) lines.push(`All ${needed} tensors that ${name} needs are there and fit.`)
  if (baseline) lines.push('None of the semantic flow: it runs as X-SAM, the baseline.')
  if (unknown.length > 0) {
    lines.push(`${unknown.length} mean nothing to this engine and would be left out:`, ...some(unknown))
  }
  return lines
}

const MOST_TOLD = 12

function some(lines: readonly string[]): string[] {
  const rest = lines.length - MOST_TOLD
  return [...lines.slice(0, MOST_TOLD), ...(rest > 0 ? [`and ${rest} more`] : [])].map((line) => `  ${line}`)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}
