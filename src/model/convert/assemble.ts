// A checkpoint put together from published base models: their tensors under our names, the embedding cut to the tokens
// and enlarged by FlowSeg's three, and a head that nobody has trained. It is read like any other checkpoint, so that it
// is converted like one.
//
//   SigLIP         vision_model.              vision_encoder.vision_model.
//   SAM            vision_encoder.            segmentor.encoder.
//   Qwen3, Phi-3   model., lm_head.           llm.model., llm.lm_head.
//
// A base's tensors are found by one that each of its kind has, whatever stands before: a program's prefix, or nothing
// where a part of a model was saved alone.

import { entryOf, expectDefined } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import type { Checkpoint, ReadOptions, TensorEntry } from '../../io/safetensors.ts'
import { FLOWSEG_TOKENS } from '../../io/text/tokenizer.ts'
import { printable, quoted } from '../../printable.ts'
import type { Config } from '../checkpoint/config.ts'
import { misfitOf } from '../checkpoint/fit.ts'
import { type Parameter, type ParameterComponent, parameters } from '../checkpoint/parameters.ts'
import { bytesPerElement } from '../checkpoint/stored.ts'
import { BASES, type Base } from './base-config.ts'
import { untrained, untrainedRows } from './untrained.ts'
import { viewOf } from './view.ts'

/** The base models, opened. */
export type Bases = Readonly<Record<Base, Checkpoint>>

/** A checkpoint of base models, and what was made for it. */
export interface Assembled extends Checkpoint {
  /** Parameters that were drawn from the seed, those of the new tokens not counted. */
  readonly drawn: number
  /** Rows of the embedding that belong to no token, and are left out. */
  readonly padding: number
  /** Tensors of the base models that have no place in a FlowSeg model. */
  readonly foreign: readonly string[]
}

/** The names of the tensors of a base, and the names that they get here. */
interface Layout {
  /** The end of a name that every model of the kind has. What stands before it is the prefix of all names. */
  readonly mark: string
  /** The same prefix here. */
  readonly own: string
  /** The names of layers begin with it. */
  readonly layers: string
  /** A tensor beside the prefix's last word: its end there, and its name here. */
  readonly beside?: readonly [end: string, own: string]
}

const LAYOUTS: Readonly<Record<Base, Layout>> = {
  siglip: {
    mark: 'embeddings.patch_embedding.weight',
    own: 'vision_encoder.vision_model.',
    layers: 'encoder.layers.',
  },
  sam: {
    mark: 'patch_embed.projection.weight',
    own: 'segmentor.encoder.',
    layers: 'layers.',
    beside: [
      'shared_image_embedding.positional_embedding',
      'segmentor.shared_image_embedding.positional_embedding',
    ],
  },
  llm: {
    mark: 'embed_tokens.weight',
    own: 'llm.model.',
    layers: 'layers.',
    beside: ['lm_head.weight', 'llm.lm_head.weight'],
  },
}

const EMBEDDING = 'llm.model.embed_tokens.weight'
/** Tables with a row per token. */
const TOKEN_TABLES = [EMBEDDING, 'llm.lm_head.weight']
/** Tables of rotary angles and of positions, which older versions of transformers stored: the config says it all. */
const DERIVED = /(^|\.)(inv_freq|position_ids)$/

/** The values of a tensor. */
interface Values {
  /** The tensor of a base that is read for it. */
  readonly stored?: { readonly from: Checkpoint; readonly name: string }
  read(offset: number, length: number, options: ReadOptions): Promise<Uint8Array<ArrayBuffer>>
}

interface Piece extends Values {
  readonly entry: TensorEntry
}

/**
 * Puts a checkpoint together. Reads no values.
 *
 * @param config whose sizes are those of the bases; `llm.vocab` counts FlowSeg's tokens
 * @param seed   of all that isn't in the bases
 * @throws WeightsError naming the base and its first tensor that is missing, or another, or one too many
 */
export function assemble(bases: Bases, config: Config, seed: number): Assembled {
  const all = new Map(parameters(config).map((parameter) => [parameter.name, parameter]))
  const pieces = new Map<string, Piece>()
  const foreign: string[] = []
  let padding = 0

  // 1. What the bases have
  for (const base of BASES) {
    const from = viewOf(bases[base], []) // f64 as f32
    const { named, others } = underOwnNames(base, from, all)
    foreign.push(...others)
    expectBase(base, from.name, named, all, config)
    for (const [name, entry] of named) {
      const isTable = TOKEN_TABLES.includes(name)
      if (isTable) padding = Math.max(padding, (entry.shape[0] ?? 0) - tokensOf(config))
      pieces.set(
        name,
        isTable ? withNewRows(name, entry, from, config, seed) : storedPiece(name, entry, from),
      )
    }
  }

  // 2. The head
  let drawn = 0
  for (const parameter of all.values()) {
    if (baseOf(parameter.component) || !parameter.used) continue
    pieces.set(parameter.name, drawnPiece(parameter, all, config, seed))
    drawn += parameter.count
  }
  return { ...checkpointOf(pieces, Object.values(bases)), drawn, padding, foreign }
}

function baseOf(component: ParameterComponent): Base | undefined {
  return BASES.find((base) => base === component)
}

function tokensOf({ llm }: Config): number {
  return llm.vocab - FLOWSEG_TOKENS.length
}

/** The tensors of a base that a FlowSeg model has, by their names here. */
function underOwnNames(
  base: Base,
  { name: place, tensors }: Checkpoint,
  all: ReadonlyMap<string, Parameter>,
): { readonly named: ReadonlyMap<string, TensorEntry>; readonly others: readonly string[] } {
  const { mark, own, layers, beside } = LAYOUTS[base]
  const marked = [...tensors.keys()].find((name) => name === mark || name.endsWith(`.${mark}`))
  if (marked === undefined) {
    throw new WeightsError(
      `--${base}: ${printable(place)} has no tensor whose name ends in ${mark}, as every model of this kind has.`,
    )
  }
  const prefix = marked.slice(0, -mark.length)
  const parent = prefix.replace(/[^.]+\.$/, '')
  const named = new Map<string, TensorEntry>()
  const others: string[] = []
  for (const [name, entry] of tensors) {
    const ownName =
      beside && name === parent + beside[0]
        ? beside[1]
        : name.startsWith(prefix)
          ? own + name.slice(prefix.length)
          : ''
    if (all.has(ownName)) named.set(ownName, entry)
    else if (ownName.startsWith(own + layers) && !DERIVED.test(name)) {
      throw new WeightsError(
        `--${base}: ${printable(place)} has a tensor ${quoted(name)}, which no layer of this engine reads: it is a variant of ` +
          'the model that would give other results here, or its config.json is that of another.',
      )
    } else others.push(name)
  }
  return { named, others }
}

/** Checks that a base has all tensors that the networks read, in the config's shapes. */
function expectBase(
  base: Base,
  place: string,
  named: ReadonlyMap<string, TensorEntry>,
  all: ReadonlyMap<string, Parameter>,
  config: Config,
): void {
  const about = `--${base}: ${printable(place)}`
  for (const parameter of all.values()) {
    if (parameter.component !== base) continue
    const { name, used } = parameter
    const isTable = TOKEN_TABLES.includes(name)
    const entry = named.get(name)
    if (!entry && !used) continue
    if (!entry) {
      throw new WeightsError(
        `${about} has no tensor for ${name}. Does its config.json belong to it, and is it whole?`,
      )
    }
    // A row per token at least, whatever the config counts
    const [rows = 0, ...others] = entry.shape
    if (isTable && rows < tokensOf(config)) {
      throw new WeightsError(
        `${about}: ${printable(entry.name)} has ${rows} rows, and its tokenizer ${tokensOf(config)} tokens. Take both from the ` +
          'same model.',
      )
    }
    const shape = isTable ? [config.llm.vocab, ...others] : entry.shape
    const misfit = used || isTable ? misfitOf({ parameter, entry: { ...entry, shape } }) : undefined
    if (misfit) throw new WeightsError(`${about}: ${misfit.text} Does its config.json belong to it?`)
  }
}

function storedPiece(name: string, entry: TensorEntry, from: Checkpoint): Piece {
  const { name: stored, dtype, shape, file, begin, end } = entry
  return {
    entry: { name, dtype, shape, file, begin, end },
    stored: { from, name: stored },
    read: (offset, length, options) => from.read(stored, { ...options, offset, length }),
  }
}

/** A table cut to the tokens of the base, with rows for those of FlowSeg: what padding the base has, nobody trained. */
function withNewRows(
  name: string,
  entry: TensorEntry,
  from: Checkpoint,
  config: Config,
  seed: number,
): Piece {
  const width = entryOf(entry.shape, 1)
  const kept = tokensOf(config) * width * bytesPerElement(entry)
  // A head that is tied to the embedding may be stored as a copy, and must stay one
  const stream = config.llm.tied ? EMBEDDING : name
  const rows = untrainedRows(stream, FLOWSEG_TOKENS.length * width, seed, entry.dtype)
  const whole = storedPiece(name, entry, from)
  return {
    ...whole,
    entry: { ...whole.entry, shape: [config.llm.vocab, width], end: entry.begin + kept + rows.length },
    async read(offset, length, options) {
      const bytes = new Uint8Array(length)
      const old = Math.min(length, kept - offset)
      if (old > 0) bytes.set(await whole.read(offset, old, options))
      if (old < length)
        bytes.set(
          rows.subarray(Math.max(0, offset - kept), offset + length - kept),
          Math.max(0, kept - offset),
        )
      return bytes
    },
  }
}

/** Numbers of 32 bits, as training has them. */
function drawnPiece(
  parameter: Parameter,
  all: ReadonlyMap<string, Parameter>,
  config: Config,
  seed: number,
): Piece {
  const { name, shape } = parameter
  const draw = untrained(parameter, all, config, seed)
  const size = shape.reduce((product, n) => product * n, 1)
  return {
    entry: { name, dtype: 'F32', shape, file: `seed ${seed}`, begin: 0, end: 4 * size },
    async read(offset, length) {
      const first = Math.floor(offset / 4)
      const values = new Uint8Array(draw(first, Math.ceil((offset + length) / 4) - first).buffer)
      return values.slice(offset - 4 * first, offset - 4 * first + length)
    },
  }
}

function checkpointOf(pieces: ReadonlyMap<string, Piece>, parts: readonly Checkpoint[]): Checkpoint {
  const read: Checkpoint['read'] = async (name, { offset = 0, length, signal } = {}) => {
    const piece = expectDefined(pieces.get(name), name)
    const { begin, end } = piece.entry
    return piece.read(offset, length ?? end - begin - offset, { signal })
  }
  return {
    name: 'the assembled model',
    tensors: new Map([...pieces].map(([name, { entry }]) => [name, entry])),
    metadata: new Map(),
    notes: parts.flatMap(({ notes = [] }) => notes),
    read,
    async *slices(name, maxBytes, options) {
      const { entry } = expectDefined(pieces.get(name), name)
      const size = entry.end - entry.begin
      const step = Math.max(16, maxBytes - (maxBytes % 16))
      for (let offset = 0; offset < size; offset += step) {
        const length = Math.min(step, size - offset)
        yield { offset, bytes: await read(name, { ...options, offset, length }) }
      }
    },
    willRead(names) {
      const stored = names.flatMap((name) => pieces.get(name)?.stored ?? [])
      for (const part of new Set(stored.map(({ from }) => from))) {
        part.willRead?.(stored.filter(({ from }) => from === part).map(({ name }) => name))
      }
    },
    async verify(options) {
      for (const part of parts) await part.verify?.(options)
    },
    async close() {
      await Promise.all(parts.map((part) => part.close()))
    },
  }
}
