// Compares a checkpoint with a config: the tensors in its header with those that the config's networks read.
//
// Every tensor that a network reads must be there, in its shape, in a type we know. Tensors that no network reads are
// passed over. All misfits are reported, not only the first: weights.ts refuses to load a checkpoint that doesn't fit,
// and `flowseg inspect` prints the reasons without loading anything.

import { entryOf } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import type { Checkpoint, Dtype, TensorEntry } from '../../io/safetensors.ts'
import type { Quantized } from '../../kernels/quantize.ts'
import { firstOf, printable, quoted } from '../../printable.ts'
import type { DType } from '../../tensor/tensor.ts'
import type { Config } from './config.ts'
import { canonicalName, type Parameter, parameters } from './parameters.ts'
import { isAsOutlined, outlineQuantized, quantizedTo, scalesName, storedQuantized } from './stored.ts'

/** The table of token embeddings. */
export const EMBEDDING_NAME = 'llm.model.embed_tokens.weight'
/** The head of the language model; where it is tied, a checkpoint may leave it out. */
export const HEAD_NAME = 'llm.lm_head.weight'

/** Types that a weight may be stored in, and how matrices of them are kept on the device. */
export const KEPT_AS: Partial<Record<Dtype, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' }

/** The result of comparing a checkpoint with a config: the tensors used, missing, misfitting and unknown. */
export interface Fit {
  /** The tensors that the networks read. */
  readonly used: readonly ParameterMatch[]
  /**
   * The head of the language model, which only words need: a matrix of its own, or the embedding where they are tied.
   * Undefined where the checkpoint has none.
   */
  readonly head: ParameterMatch | undefined
  /** Names of what they can't do without. */
  readonly missing: readonly string[]
  /** All of `used` that have a shape or a type that the networks can't use. */
  readonly misfits: readonly Misfit[]
  /** Names in the checkpoint that mean nothing to this engine. */
  readonly unknown: readonly string[]
  /** The checkpoint has no tensors of the semantic flow: it is X-SAM. */
  readonly baseline: boolean
  /** The beginning of the names that is left out: 'module.' */
  readonly prefix: string | undefined
}

/** A parameter and where it is stored; an optional one that isn't is zero. */
export interface ParameterMatch {
  /** The tensor that a network expects, by its canonical name. */
  readonly parameter: Parameter
  /** The stored tensor; undefined if the checkpoint lacks it. */
  readonly entry: TensorEntry | undefined
  /** The type that it is stored in, of few bits; undefined if it is stored as numbers. */
  readonly quantized?: Quantized | undefined
  /** Its scales, if it is. */
  readonly scales?: TensorEntry | undefined
}

/** A stored tensor that its network can't use. */
export interface Misfit extends Pick<TensorEntry, 'name' | 'dtype' | 'shape'> {
  /** The shape it should have; if it has, its type is at fault. */
  readonly expected: readonly number[]
  /** All of that as a sentence. */
  readonly text: string
}

/** Compares what a checkpoint lists with what the networks of a config read. */
export function fitOf(checkpoint: Pick<Checkpoint, 'tensors' | 'metadata'>, config: Config): Fit {
  const { tensors } = checkpoint
  const known = new Set(parameters(config).map(({ name }) => name))
  const prefix = prefixOf([...tensors.keys()], (name) => known.has(canonicalName(name)))
  const { stored, doubles } = byPlainName(tensors, prefix)
  const quantized = new Map(
    [...storedQuantized(checkpoint)].map(([name, dtype]) => [plainName(name, prefix), dtype]),
  )
  for (const name of quantized.keys()) known.add(scalesName(name))
  const expected = parameters(withSizesOf(stored, config))

  // FlowSeg's additions may be missing, but only all together
  const baseline = !expected.some((p) => p.flow && stored.has(p.name))
  const matchOf = (parameter: Parameter, name = parameter.name): ParameterMatch => {
    const [entry, type] = [stored.get(name), quantized.get(name)]
    return { parameter, entry, ...(type && { quantized: type, scales: stored.get(scalesName(name)) }) }
  }
  const used = expected.filter((p) => p.used && !(p.flow && baseline)).map((p) => matchOf(p))
  const headParameter = expected.find(({ name }) => name === HEAD_NAME)
  const head = headParameter && matchOf(headParameter, config.llm.tied ? EMBEDDING_NAME : HEAD_NAME)
  return {
    used,
    head: head?.entry && head,
    missing: used.flatMap(({ parameter: p, entry }) => (entry || p.optional ? [] : [p.name])),
    misfits: used.flatMap((match) => misfitOf(match) ?? []),
    unknown: [...[...stored].flatMap(([name, entry]) => (known.has(name) ? [] : [entry.name])), ...doubles],
    baseline,
    prefix,
  }
}

/** The tensors by the names that this engine has for them; of two that have the same one, the other is a double. */
function byPlainName(
  tensors: Checkpoint['tensors'],
  prefix: string | undefined,
): { stored: Map<string, TensorEntry>; doubles: string[] } {
  const stored = new Map<string, TensorEntry>()
  const doubles: string[] = []
  for (const entry of tensors.values()) {
    const name = plainName(entry.name, prefix)
    const before = stored.get(name)
    if (!before || entry.name === name) stored.set(name, entry)
    if (before) doubles.push(entry.name === name ? before.name : entry.name)
  }
  return { stored, doubles }
}

/** A stored name without the prefix, and as the newest generation of X-SAM has it. */
export function plainName(name: string, prefix: string = ''): string {
  return canonicalName(name.startsWith(prefix) ? name.slice(prefix.length) : name)
}

const MOST_WORDS = 4

/**
 * Refuses a checkpoint that doesn't fit.
 *
 * @throws WeightsError naming the first tensors that are missing, or the first that is another
 */
export function expectFit(
  { used, missing, misfits }: Fit,
  { name }: Pick<Checkpoint, 'name'>,
  config: Config,
): void {
  if (missing.length > 0) {
    throw new WeightsError(
      `${printable(name)}: ${missing.length} of the ${used.length} tensors that ${printable(config.name)} needs are missing: ` +
        `${firstOf(missing, 3)}. Does config.json belong to this checkpoint?`,
    )
  }
  if (misfits.length > 0) {
    const more = misfits.length > 1 ? ` ${misfits.length - 1} more do not fit either.` : ''
    throw new WeightsError(
      `${printable(name)}: ${entryOf(misfits, 0).text}${more} Does config.json belong to this checkpoint?`,
    )
  }
}

/**
 * The prefix that a program put before the names, such as 'module.' by PyTorch's DataParallel, '_orig_mod.' by
 * torch.compile, or the attribute of a whole that the model is a part of.
 *
 * @returns undefined unless most names are known without it, and fewer with it
 */
export function prefixOf(names: readonly string[], isKnown: (name: string) => boolean): string | undefined {
  const asTheyAre = names.filter(isKnown).length
  const counts = new Map<string, number>()
  for (const name of names) {
    let end = 0
    for (let words = 0; words < MOST_WORDS; words++) {
      end = name.indexOf('.', end) + 1
      if (end === 0) break
      if (!isKnown(name.slice(end))) continue
      const prefix = name.slice(0, end)
      counts.set(prefix, (counts.get(prefix) ?? 0) + 1)
    }
  }
  const [best] = [...counts].sort(([, a], [, b]) => b - a)
  if (!best) return undefined
  const [prefix, without] = best
  return without > asTheyAre && without > names.length / 2 ? prefix : undefined
}

/** The sentence that reports it. */
export function aboutPrefix(prefix: string): string {
  return `The names begin with ${quoted(prefix, 80)}, which is left out.`
}

/** The fault of a stored tensor, if it has one. */
export function misfitOf({ parameter, entry, quantized, scales }: ParameterMatch): Misfit | undefined {
  if (!entry) return undefined
  const { name, shape: expected } = parameter
  const { dtype, shape } = entry
  const misfit = (text: string): Misfit => ({ name: entry.name, dtype, shape, expected, text })
  if (quantized) {
    const asStored = outlineQuantized(parameter, quantized)
    const isRight = isAsOutlined(entry, asStored.codes) && isAsOutlined(scales, asStored.scales)
    if (isRight && quantizedTo(parameter, quantized) === quantized) return undefined
    return misfit(
      `${printable(entry.name)} can't be [${expected.join(', ')}] in ${quantized}: it is ${dtype} [${shape.join(', ')}], ` +
        `its scales ${scales ? `${scales.dtype} [${scales.shape.join(', ')}]` : 'are missing'}. Convert the checkpoint again.`,
    )
  }
  if (shape.join() !== expected.join()) {
    return misfit(`${printable(entry.name)} is [${shape.join(', ')}], expected [${expected.join(', ')}].`)
  }
  if (!KEPT_AS[dtype]) {
    const wanted = Object.keys(KEPT_AS).join(', ')
    return misfit(`${name} is ${dtype}, expected one of ${wanted}: convert it.`)
  }
  return undefined
}

/** Sizes that the file gives and the config doesn't: rows of the vocabulary, and BAR's shapes, which no paper gives. */
function withSizesOf(stored: ReadonlyMap<string, TensorEntry>, config: Config): Config {
  const rows = (name: string, fallback: number): number => stored.get(name)?.shape[0] || fallback
  const vocab = rows(EMBEDDING_NAME, config.llm.vocab)
  const compress = rows('segmentor.boundary_refiner.compress.weight', config.boundary.compress)
  const hidden = rows('segmentor.boundary_refiner.refine.0.weight', config.boundary.hidden)
  return {
    ...config,
    llm: { ...config.llm, vocab: Math.max(vocab, config.llm.vocab) },
    boundary: { compress, hidden },
  }
}
