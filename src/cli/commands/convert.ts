// flowseg convert: any checkpoint that is read, as sharded safetensors in a folder that is a model.

import { existsSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { UsageError, WeightsError } from '../../errors.ts'
import { formatBytes } from '../../gpu/memory.ts'
import { isFolder } from '../../make-folders.ts'
import type { Config } from '../../model/checkpoint/config.ts'
import { type Converted, convertInto } from '../../model/convert/convert.ts'
import { type ConvertPlan, type Left, planConversion } from '../../model/convert/convert-plan.ts'
import { parseRecipe, recipeText } from '../../model/convert/recipe.ts'
import { firstOf, printable } from '../../printable.ts'
import { type Command, expectOperands, type Given, type Page, SHARED } from '../args.ts'
import { basePlaces, openBases } from '../convert/bases.ts'
import { downloadFolder } from '../convert/download.ts'
import { CONFIG, openOriginal, SETTINGS, VOCABULARY } from '../convert/source.ts'
import { isUrl, locationOf } from '../files.ts'
import { jsonLine } from '../json.ts'
import { compatOption } from '../model-folder.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { grouped, painter, type Terminal } from '../output/terminal.ts'

const page: Page = {
  name: 'convert',
  operands: 'SOURCE OUT',
  summary: 'write a checkpoint as sharded safetensors, rounded or as it is',
  details:
    'SOURCE is the folder of a checkpoint, or its file (safetensors, or .bin, .pth, .pt of PyTorch); a path, a URL or a ' +
    'place on Hugging Face (hf:owner/name). OUT becomes the folder of a model: shards with ' +
    'their index and checksums, config.json, the tokenizer and manifest.json. The same command resumes a conversion that ' +
    'was interrupted. Without a config.json of FlowSeg the model is found by the names and shapes of its tensors. Tensors ' +
    'that no network reads are left out. With --siglip, --sam and --llm in place of SOURCE, the model is put together from ' +
    'published ones, as the start of a training of your own: SigLIP, SAM, and Qwen3 or Phi-3, each with its config.json, ' +
    'and a head that is untrained.',
  options: {
    siglip: { value: 'PLACE', help: 'assemble: the image encoder that the language model reads' },
    sam: { value: 'PLACE', help: 'assemble: the image encoder that masks are made from' },
    llm: { value: 'PLACE', help: 'assemble: the language model, with its tokenizer' },
    seed: { value: 'N', help: 'assemble: draw the untrained head from it; 0 by default' },
    quantize: {
      value: 'KIND',
      help: 'int8 or int4, or one for each of llm, siglip, sam and projectors: llm=int4,siglip=int8',
    },
    'shard-size': { value: 'SIZE', help: 'most bytes of a file, such as 500MB or 2GiB; by default 1GiB' },
    tokenizer: {
      value: 'DIR',
      help: "folder of the tokenizer's files, on disk, by URL or hf:owner/name; by default SOURCE's, or --llm's",
    },
    config: {
      value: 'FILE',
      help: "a config.json of FlowSeg, or its URL, instead of SOURCE's, or for another head",
    },
    compat: { value: 'KIND', help: 'aaai or main: whose branch of X-SAM the model follows' },
    all: { help: 'keep the tensors that no network reads as well' },
    force: { help: 'replace an earlier conversion in OUT that had other settings' },
    json: SHARED.json,
  },
  examples: [
    ['convert xsam/ models/xsam', "X-SAM's checkpoint as it is stored"],
    ['convert xsam/ models/xsam-int4 --quantize int4 --tokenizer phi3/', 'a third of its size'],
    ['convert --siglip siglip2/ --sam sam-vit-large/ --llm qwen3-4b/ models/mine', 'a model to be trained'],
  ],
}

/** The usage with base models. */
const ASSEMBLE = { ...page, operands: '--siglip PLACE --sam PLACE --llm PLACE OUT' }

/** The command. */
export const convert: Command = { page, run }

const DEFAULT_SHARD = 2 ** 30
const LEAST_SHARD = 2 ** 20

async function run(options: Given, terminal: Terminal): Promise<number> {
  const bases = basePlaces(options)
  expectOperands(bases ? ASSEMBLE : page, options, bases ? 1 : 2)
  const [place = '', out = ''] = bases ? ['', ...options.operands] : options.operands
  const recipe = parseRecipe(options.text('quantize'))
  const shardBytes = shardSize(options.text('shard-size'))
  const compat = compatOption(options)
  const { signal } = terminal
  const target = locationOf(out, terminal)
  const places = bases ? Object.entries(bases).map(([base, at]) => [`--${base}`, at]) : [['SOURCE', place]]
  const sources = places.map(([label = '', at = '']) => ({ label, at, location: locationOf(at, terminal) }))
  await expectPlaces(sources, target, out)

  const original = await (bases
    ? openBases(bases, options, terminal)
    : openOriginal(locationOf(place, terminal), options, terminal))
  const progress = new ProgressLine(terminal)
  try {
    // 1. What it becomes
    const { checkpoint, source, tokenizer } = original
    const config = compat === undefined ? original.config : { ...original.config, compat }
    const plan = planConversion(checkpoint, config, { recipe, shardBytes, source, all: options.has('all') })
    const ownText = compat === undefined ? original.configText : undefined
    const configText = ownText ?? `${JSON.stringify(config, null, 2)}\n`
    const small = new Map([
      [CONFIG, encode(configText)],
      [VOCABULARY, encode(tokenizer.vocabulary)],
      [SETTINGS, encode(tokenizer.settings)],
    ])

    // 2. The files
    const begun = performance.now()
    const rate = rateSince(begun)
    const cache = downloadFolder()
    const converted = await convertInto(target, checkpoint, plan, small, {
      signal,
      download:
        cache === undefined
          ? undefined
          : { folder: cache, bytesOf: (entries) => original.bytesToCome(entries) },
      force: options.has('force'),
      onProgress: ({ phase, what, loaded, total }) =>
        progress.show(phase, total > 0 ? loaded / total : 0, `${rate(phase, loaded, total)}, ${what}`),
    })
    progress.clear()
    const notes = [...original.notes, ...notesOn(plan, converted)]
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

/** A place that is read, as the user named it. */
interface NamedSource {
  /** The option or the operand. */
  readonly label: string
  readonly at: string
  readonly location: string
}

/** Refuses places that can't be read or written before anything is. */
async function expectPlaces(sources: readonly NamedSource[], target: string, out: string): Promise<void> {
  for (const { label, at, location } of sources) {
    if (isUrl(location) || existsSync(location)) continue
    throw new WeightsError(`There is nothing at ${printable(at)}. Check the path of ${label}.`)
  }
  if (isUrl(target)) throw new UsageError(`OUT is ${printable(out)}, expected a folder on disk.`)
  const real = await realpath(target).catch(() => undefined)
  if (real === undefined) return
  if (!isFolder(real)) {
    throw new UsageError(
      `OUT is ${printable(out)}, which is a file. Give a new folder, or that of an earlier conversion.`,
    )
  }
  for (const { label, location } of sources) {
    if (real !== (await realpath(location).catch(() => undefined))) continue
    throw new UsageError(
      `OUT is ${label}, ${printable(out)}: nothing is converted in place. Give another folder.`,
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
