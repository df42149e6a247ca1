// The contents of a converted checkpoint: which tensors, in what types, in which shards. All of it follows from the
// headers of the original and from the options, so that an interrupted conversion finds its place again.

import { UsageError } from '../../errors.ts'
import type { Checkpoint, TensorEntry } from '../../io/safetensors.ts'
import { bytesOf, type FileOutline, outlineFile, type TensorOutline } from '../../io/safetensors-writer.ts'
import type { Quantized } from '../../kernels/quantize.ts'
import { printable } from '../../printable.ts'
import type { Config } from '../checkpoint/config.ts'
import { expectFit, type Fit, fitOf, misfitOf, type ParameterMatch } from '../checkpoint/fit.ts'
import { canonicalName, type Parameter, parameters } from '../checkpoint/parameters.ts'
import { outlineQuantized, QUANTIZED_NAMES, scalesName } from '../checkpoint/stored.ts'
import { quantizedBy, type Recipe, recipeText } from './recipe.ts'

/** The key of the metadata that says how a file was converted: it is part of no other conversion. */
export const CONVERSION = 'flowseg.conversion'

/** A tensor of the original, and what becomes of it. */
export interface ConversionStep {
  /** The tensor in the original. */
  readonly entry: TensorEntry
  /** Its name in the converted model. */
  readonly name: string
  /** The type of its codes; undefined if it stays numbers. */
  readonly quantized?: Quantized | undefined
  /** True if it is quantised on its way, false if it is copied as it is. */
  readonly isRounded: boolean
  /** The tensors that are written: its values, or codes and scales. */
  readonly outputs: readonly TensorOutline[]
}

/** A file to be written. */
export interface ShardPlan {
  /** Its name in the folder. */
  readonly file: string
  /** Its tensors, in the order of reading. */
  readonly steps: readonly ConversionStep[]
  /** The places of its tensors in the file. */
  readonly outline: FileOutline
}

/** A conversion before anything is written. */
export interface ConvertPlan {
  /** The files, in order. */
  readonly shards: readonly ShardPlan[]
  /** The text of model.safetensors.index.json. */
  readonly index: string
  /** Bytes of all shards. */
  readonly bytes: number
  /** Tensors of the original that no network reads. */
  readonly unused: Left
  /** Tensors of the original that mean nothing to this engine. */
  readonly unknown: Left
}

/** Tensors that are left out. */
export interface Left {
  /** Their names in the original. */
  readonly names: readonly string[]
  /** Bytes that they take there. */
  readonly bytes: number
}

/** The settings of a conversion. */
export interface ConvertSettings {
  /** The type that each part is quantised to. */
  readonly recipe: Recipe
  /** Most bytes of a shard; a tensor that is larger has one of its own. */
  readonly shardBytes: number
  /** The fingerprint of the original (fingerprint.ts). */
  readonly source: string
  /** Keep tensors that no network reads, too. */
  readonly all: boolean
}

const MAX_SHARDS = 1000 // as many as are read (safetensors.ts)

/**
 * Lays a conversion out.
 *
 * @throws WeightsError naming the first tensor that doesn't fit the config
 * @throws UsageError if there would be more shards than are read, or what is in few bits already would be rounded again
 */
export function planConversion(
  checkpoint: Checkpoint,
  config: Config,
  settings: ConvertSettings,
): ConvertPlan {
  const steps = stepsOf(checkpoint, config, settings)
  const quantized = new Map(steps.flatMap(({ name, quantized: type }) => (type ? [[name, type]] : [])))
  const metadata = {
    ...(quantized.size > 0 && { [QUANTIZED_NAMES]: JSON.stringify(Object.fromEntries(quantized)) }),
    [CONVERSION]: JSON.stringify({
      version: 1,
      source: settings.source,
      quantize: recipeText(settings.recipe),
      shardSize: settings.shardBytes,
      all: settings.all,
    }),
  }
  const groups = inShards(steps, settings.shardBytes)
  if (groups.length > MAX_SHARDS) {
    throw new UsageError(
      `--shard-size: this checkpoint would become ${groups.length} files, at most ${MAX_SHARDS} are read. Give a larger size.`,
    )
  }
  const shards = groups.map((group, i): ShardPlan => {
    const file = `model-${digits(i + 1)}-of-${digits(groups.length)}.safetensors`
    return {
      file,
      steps: group,
      outline: outlineFile(
        group.flatMap(({ outputs }) => outputs),
        metadata,
      ),
    }
  })
  const taken = new Set(steps.flatMap(({ entry, name }) => [entry.name, canonicalName(scalesName(name))]))
  const known = new Set(parameters(config).map(({ name }) => name))
  const rest = [...checkpoint.tensors.values()].filter(({ name }) => !taken.has(name))
  return {
    shards,
    index: indexText(shards),
    bytes: sum(shards.map(({ outline }) => outline.size)),
    unused: leftOf(rest.filter(({ name }) => known.has(canonicalName(name)))),
    unknown: leftOf(rest.filter(({ name }) => !known.has(canonicalName(name)))),
  }
}

/** The steps of a conversion, in the order of the spec's section 3. */
function stepsOf(checkpoint: Checkpoint, config: Config, { recipe, all }: ConvertSettings): ConversionStep[] {
  const fit = fitOf(checkpoint, config)
  expectFit(fit, checkpoint, config)
  const steps = [...fit.used, ...ownHead(fit, config)].flatMap((match): ConversionStep[] => {
    const { parameter, entry, quantized, scales } = match
    if (!entry) return []
    const { name } = parameter
    const wanted = quantizedBy(recipe, parameter)
    if (!quantized) return [stepOf(entry, parameter, wanted)]
    if (wanted && wanted !== quantized) {
      throw new UsageError(
        `${printable(entry.name)} is stored in ${quantized} already, and can't be rounded to ${wanted}: convert the original.`,
      )
    }
    const { codes, scales: outline } = outlineQuantized(parameter, quantized)
    return [
      { entry, name, quantized, isRounded: false, outputs: [codes] },
      ...(scales ? [{ entry: scales, name: outline.name, isRounded: false, outputs: [outline] }] : []),
    ]
  })
  if (!all) return steps
  const taken = new Set(steps.map(({ entry }) => entry.name))
  const others = [...checkpoint.tensors.values()].filter(({ name }) => !taken.has(name))
  return [
    ...steps,
    ...others.map((entry): ConversionStep => {
      const name = canonicalName(entry.name)
      return { entry, name, isRounded: false, outputs: [{ name, dtype: entry.dtype, shape: entry.shape }] }
    }),
  ]
}

/**
 * The language model's head, if it isn't the embedding: words need it. As the embedding it is rounded to no fewer than
 * 8 bits, as single words hang on it.
 */
function ownHead({ head }: Fit, { llm }: Config): ParameterMatch[] {
  if (!head || llm.tied || misfitOf(head)) return []
  return [{ ...head, parameter: { ...head.parameter, kind: 'embedding' } }]
}

function stepOf(entry: TensorEntry, parameter: Parameter, quantized: Quantized | undefined): ConversionStep {
  const { name, shape } = parameter
  if (!quantized) return { entry, name, isRounded: false, outputs: [{ name, dtype: entry.dtype, shape }] }
  const { codes, scales } = outlineQuantized(parameter, quantized)
  return { entry, name, quantized, isRounded: true, outputs: [codes, scales] }
}

function inShards(steps: readonly ConversionStep[], most: number): ConversionStep[][] {
  const groups: ConversionStep[][] = []
  let room = 0
  for (const step of steps) {
    const bytes = sum(step.outputs.map(bytesOf))
    const last = groups.at(-1)
    if (last && bytes <= room) {
      last.push(step)
      room -= bytes
    } else {
      groups.push([step])
      room = most - bytes
    }
  }
  return groups
}

/** The index of Hugging Face's libraries: which file has which tensor. */
function indexText(shards: readonly ShardPlan[]): string {
  const map: Record<string, string> = {}
  let size = 0
  for (const { file, outline } of shards) {
    for (const tensor of outline.tensors) {
      map[tensor.name] = file
      size += bytesOf(tensor)
    }
  }
  return `${JSON.stringify({ metadata: { total_size: size }, weight_map: map }, null, 2)}\n`
}

function digits(n: number): string {
  return String(n).padStart(5, '0')
}

function leftOf(entries: readonly TensorEntry[]): Left {
  return { names: entries.map(({ name }) => name), bytes: sum(entries.map(({ begin, end }) => end - begin)) }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
