// Weights by name, on the device.
//
// A checkpoint must fit the config (fit.ts) before a byte of it is uploaded. Then matrices go slice by slice
// from the file to the device (fill.ts), as they are stored. Where the adapter multiplies faster from packed weights
// (src/kernels/packed.ts), they are packed on the way; asked to, we quantise them too (src/kernels/quantize.ts).

import { breathe } from '../../breathe.ts'
import { expectDefined } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { Checkpoint, TensorEntry } from '../../io/safetensors.ts'
import { allocatePacked, fitsPacked, prefersPacked } from '../../kernels/packed.ts'
import { allocateQuantized, type Quantized } from '../../kernels/quantize.ts'
import { printable } from '../../printable.ts'
import type { TaskOptions } from '../../progress.ts'
import { allocate, release, sizeOf, type Tensor } from '../../tensor/tensor.ts'
import type { Config } from './config.ts'
import { fillAll, type PlacedParameter, runsOf, throwFirst } from './fill.ts'
import { expectFit, fitOf, KEPT_AS, misfitOf, type ParameterMatch } from './fit.ts'
import { canonicalName, type ParameterComponent, parameters } from './parameters.ts'
import { quantizedTo } from './stored.ts'
import { TokenEmbeddings } from './token-embeddings.ts'

/** Tensors under the names they have in the checkpoint (spec, section 3). */
export interface Weights {
  /** @throws WeightsError if it isn't there */
  tensor(name: string): Tensor
  /** True if the checkpoint stores it, or an optional one stands for it as zeros. */
  has(name: string): boolean
  /** Those whose names begin with `prefix`, without it: 'segmentor.encoder.', dot included. */
  scope(prefix: string): Weights
}

/** Weights with their values, and what was learnt about the checkpoint. */
export interface LoadedWeights {
  /** The tensors on the device, by name; the head, the embeddings and the host's tables aren't among them. */
  readonly weights: Weights
  /** The table of token embeddings, on the host. Undefined where the tensors that were given have none. */
  readonly embeddings: TokenEmbeddings | undefined
  /** Small tables that the host computes with, by name. */
  readonly host: ReadonlyMap<string, Float32Array>
  /** The tensor that stores the head of the language model, which is loaded when words are asked for. */
  readonly head: ParameterMatch | undefined
  /** The checkpoint has no tensors of the semantic flow: it is X-SAM. */
  readonly baseline: boolean
  /** Names in the checkpoint that mean nothing to this engine. */
  readonly unknown: readonly string[]
  /** The types of few bits, by component. */
  readonly quantized: ReadonlyMap<ParameterComponent, Quantized>
  /** Frees all of them. */
  readonly release: () => void
}

/** Options of loading: the type that matrices are quantised to, progress and signal. */
export interface PlaceOptions extends TaskOptions {
  /** Hold the matrices of the encoders and the language model in so many bits; as they are stored by default. */
  readonly quantize?: Quantized | undefined
}

/** Tensors that have their memory, and not yet their values. */
export interface PlacedWeights extends LoadedWeights {
  /** Uploads the values, once. What fails or is given up is still to be released. */
  readonly stream: (options?: TaskOptions) => Promise<void>
}

/**
 * Makes room for what the networks of this config read: enough to plan with.
 *
 * @throws WeightsError      naming the tensor, what was expected and what was found; nothing is allocated then.
 *   `stream`
 *                           throws one that names a tensor with a NaN or an infinity
 * @throws OutOfMemoryError  before anything is uploaded
 * @throws the signal's reason; nothing stays allocated
 */
export async function placeWeights(
  gpu: Gpu,
  checkpoint: Checkpoint,
  config: Config,
  options: PlaceOptions = {},
): Promise<PlacedWeights> {
  const fit = fitOf(checkpoint, config)
  expectFit(fit, checkpoint, config)
  const { used, head, unknown, baseline } = fit
  expectSameBits(checkpoint, used, options.quantize)
  return {
    ...(await place(gpu, checkpoint, used, options)),
    head,
    baseline,
    unknown,
    quantized: quantizedParts(used, options.quantize),
  }
}

/** Bits can't be had back, nor rounded twice. */
function expectSameBits(
  { name }: Checkpoint,
  used: readonly ParameterMatch[],
  quantize: Quantized | undefined,
): void {
  const held = quantizedParts(used)
  if (quantize === undefined || [...held.values()].every((bits) => bits === quantize)) return
  const list = [...held].map(([part, bits]) => `${part} in ${bits}`)
  throw new WeightsError(
    `${printable(name)} holds weights in few bits already (${list.join(', ')}), and can't be quantised to ${quantize}. ` +
      `Load it without "quantize", or convert its original with ${quantize}.`,
  )
}

/** The types of few bits, by component: those of the checkpoint, or else those that it is rounded to. */
function quantizedParts(
  used: readonly ParameterMatch[],
  quantize?: Quantized,
): Map<ParameterComponent, Quantized> {
  return new Map(
    used.flatMap(({ parameter, quantized }) => {
      const bits = quantized ?? quantizedTo(parameter, quantize)
      return bits && parameter.kind === 'matrix' ? [[parameter.component, bits]] : []
    }),
  )
}

/** The same with their values. When it fails nothing stays allocated. */
export async function loadWeights(
  gpu: Gpu,
  checkpoint: Checkpoint,
  config: Config,
  options: PlaceOptions = {},
): Promise<LoadedWeights> {
  return filled(await placeWeights(gpu, checkpoint, config, options), options)
}

async function filled<T extends Pick<PlacedWeights, 'stream' | 'release'>>(
  placed: T,
  options: TaskOptions,
): Promise<T> {
  try {
    await placed.stream(options)
    return placed
  } catch (error) {
    placed.release()
    throw error
  }
}

/** A tensor on the host: f32, or 16-bit values as Uint16Array, which must say what they are. */
export interface HostWeight {
  /** Row-major; 16-bit values as their bits. */
  readonly data: Float32Array | Uint16Array
  /** That of the checkpoint: [O, I, kh, kw] for a convolution. */
  readonly shape: readonly number[]
  /** 'F32' by default, which the values of a Uint16Array can't be. */
  readonly dtype?: 'F32' | 'F16' | 'BF16'
}

/**
 * Weights from arrays in memory; any part of a model will do.
 *
 * @param tensors by their names in a checkpoint
 * @throws WeightsError if the model has no such tensor, or it has another shape
 */
export async function weightsFrom(
  gpu: Gpu,
  tensors: ReadonlyMap<string, HostWeight>,
  config: Config,
): Promise<LoadedWeights> {
  const checkpoint = inMemory(tensors)
  const expected = new Map(parameters(config).map((p) => [p.name, p]))
  const matches = [...checkpoint.tensors.values()].map((entry) => {
    const parameter = expected.get(canonicalName(entry.name))
    if (!parameter)
      throw new WeightsError(`${printable(config.name)} has no tensor ${printable(entry.name)}.`)
    const misfit = misfitOf({ parameter, entry })
    if (misfit) throw new WeightsError(misfit.text)
    return { parameter, entry }
  })
  const baseline = !matches.some(({ parameter }) => parameter.flow)
  const placed = await filled(await place(gpu, checkpoint, matches, {}), {})
  return { ...placed, head: undefined, baseline, unknown: [], quantized: new Map() }
}

/** A matrix that is loaded by itself, and what frees it. */
export interface LoadedMatrix {
  /** [rows, columns], resident on the device. */
  readonly tensor: Tensor
  /** Frees the matrix, and its scales if it has any. */
  readonly release: () => void
}

/**
 * Loads one matrix more, after the others.
 *
 * @param owner of its memory, in the report
 * @throws WeightsError if it doesn't fit the config, or holds a number that isn't finite; OutOfMemoryError; LimitError;
 *   nothing stays allocated
 */
export async function loadMatrix(
  gpu: Gpu,
  checkpoint: Checkpoint,
  match: ParameterMatch,
  { owner, ...options }: PlaceOptions & { readonly owner: string },
): Promise<LoadedMatrix> {
  const misfit = misfitOf(match)
  if (misfit) throw new WeightsError(misfit.text)
  const { weights, release: free } = await filled(
    await place(gpu, checkpoint, [match], { ...options, owner }),
    options,
  )
  return { tensor: weights.tensor(match.parameter.name), release: free }
}

// ---------------------------------------------------------------------------------------------------------
// Upload

async function place(
  gpu: Gpu,
  checkpoint: Checkpoint,
  matches: readonly ParameterMatch[],
  { signal, quantize, owner = 'weights' }: PlaceOptions & { readonly owner?: string },
): Promise<Pick<PlacedWeights, 'weights' | 'embeddings' | 'host' | 'stream' | 'release'>> {
  // All memory first: if it doesn't suffice, we know now
  signal?.throwIfAborted()
  const outcomes = await Promise.allSettled(
    matches.map(async (match): Promise<PlacedParameter> => {
      const { parameter, entry, quantized } = match
      await breathe(signal)
      if (parameter.kind === 'host') return { ...match, home: new Float32Array(sizeOf(parameter.shape)) }
      if (parameter.kind !== 'embedding')
        return { ...match, home: await allocateFor(gpu, match, quantize, owner) }
      const round = !quantized && quantizedTo(parameter, quantize) !== undefined
      const codes = { isCodes: quantized !== undefined, round }
      const table = expectDefined(entry, 'the entry of the embeddings')
      return { ...match, home: new TokenEmbeddings(checkpoint, table, codes) }
    }),
  )
  const placed = outcomes.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const onDevice = placed.flatMap(({ parameter, home }) =>
    home instanceof TokenEmbeddings || home instanceof Float32Array ? [] : [[parameter.name, home] as const],
  )
  const onHost = placed.flatMap(({ parameter, home }) =>
    home instanceof Float32Array ? [[parameter.name, home] as const] : [],
  )
  const releaseAll = () => onDevice.forEach(([, x]) => release(gpu, x))
  try {
    throwFirst(outcomes)
  } catch (error) {
    releaseAll()
    throw error
  }
  return {
    weights: weightsUnder('', new Map(onDevice)),
    host: new Map(onHost),
    embeddings: placed.map(({ home }) => home).find((home) => home instanceof TokenEmbeddings),
    stream: (options = {}) => fillAll(gpu, checkpoint, placed, options),
    release: releaseAll,
  }
}

async function allocateFor(
  gpu: Gpu,
  { parameter, entry, quantized }: ParameterMatch,
  quantize: Quantized | undefined,
  owner: string,
): Promise<Tensor> {
  const { name, kind, shape } = parameter
  const asStored = kind === 'vector' || kind === 'table' ? undefined : entry && KEPT_AS[entry.dtype]
  const dtype = asStored ?? 'f32'
  const [O = 0, I = 0, ...window] = shape
  const held = kind === 'conv' ? [O, ...window, I] : shape
  const options = { label: name, owner }
  const bits = quantized ?? quantizedTo(parameter, quantize)
  if (bits) return allocateQuantized(gpu, shape, bits, options)
  if ((kind === 'matrix' || kind === 'conv') && prefersPacked(gpu.adapter)) {
    const packed = { shape: held, dtype, runs: runsOf(kind, shape) }
    // Parts of a matrix, such as the keys' of a fused projection, begin with a group only if groups are full
    const full = kind === 'conv' || O % gpu.adapter.subgroupSize === 0
    if (full && fitsPacked(gpu, packed)) return allocatePacked(gpu, packed, options)
  }
  return allocate(gpu, held, dtype, { ...options, sharded: kind === 'matrix' })
}

function weightsUnder(prefix: string, byName: ReadonlyMap<string, Tensor>): Weights {
  return {
    tensor: (name) => {
      const x = byName.get(prefix + name)
      if (!x)
        throw new WeightsError(
          `There is no tensor ${prefix}${name} among the ${byName.size} that were loaded.`,
        )
      return x
    },
    has: (name) => byName.has(prefix + name),
    scope: (more) => weightsUnder(prefix + more, byName),
  }
}

/** Arrays read as if they were a file. */
function inMemory(tensors: ReadonlyMap<string, HostWeight>): Checkpoint {
  const entries = [...tensors].map(([name, { data, shape, dtype = 'F32' }]): [string, TensorEntry] => [
    name,
    { name, dtype, shape, file: 'memory', begin: 0, end: data.byteLength },
  ])
  const copyOf = (name: string): Uint8Array<ArrayBuffer> => {
    const { data } = expectDefined(tensors.get(name), 'tensors')
    return new Uint8Array(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  return {
    name: 'memory',
    tensors: new Map(entries),
    metadata: new Map(),
    read: async (name) => copyOf(name),
    async *slices(name, maxBytes) {
      const all = copyOf(name)
      for (let offset = 0; offset < all.length; offset += maxBytes) {
        yield { offset, bytes: all.slice(offset, offset + maxBytes) }
      }
    },
    close: async () => undefined,
  }
}
