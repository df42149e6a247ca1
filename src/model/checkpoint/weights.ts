// Weights by name, on the device.
//
// A checkpoint must fit the config (fit.ts) before a byte of it is uploaded. Then matrices go slice by slice
// from the file to the device, as they are stored; so the largest checkpoint takes a few slices of host memory. Where
// the adapter multiplies faster from packed weights (src/kernels/packed.ts), they are packed on the way; asked to, we
// quantise them too (src/kernels/quantize.ts).

import { entryOf, expectDefined } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { Uploader } from '../../gpu/transfer.ts'
import { firstNotFinite, type NotFinite } from '../../io/finite.ts'
import { type Checkpoint, type TensorEntry, toFloat32 } from '../../io/safetensors.ts'
import { allocatePacked, fitsPacked, PackedWriter, prefersPacked } from '../../kernels/packed.ts'
import { allocateQuantized, fitsQuantized, type Quantized, QuantizedWriter } from '../../kernels/quantize.ts'
import { firstOf, printable, quoted } from '../../printable.ts'
import type { TaskOptions } from '../../progress.ts'
import { allocate, release, storagesOf, type Tensor } from '../../tensor/tensor.ts'
import type { Config } from './config.ts'
import { aboutPrefix, fitOf, KEPT_AS, type Match, misfitOf } from './fit.ts'
import { type Component, canonicalName, type Kind, type Parameter, parameters } from './parameters.ts'

/** Tensors under the names they have in the checkpoint (spec, section 3). */
export interface Weights {
  /** @throws WeightsError if it isn't there */
  tensor(name: string): Tensor
  has(name: string): boolean
  /** Those whose names begin with `prefix`, without it: 'segmentor.encoder.', dot included. */
  scope(prefix: string): Weights
}

export interface LoadedWeights {
  readonly weights: Weights
  /** The checkpoint has no tensors of the semantic flow: it is X-SAM. */
  readonly baseline: boolean
  /** Names in the checkpoint that mean nothing to this engine. */
  readonly unknown: readonly string[]
  /** Frees all of them. */
  readonly release: () => void
}

/** Host memory for a piece of a matrix on its way. */
const SLICE_BYTES = 4 * 2 ** 20
/** Tensors on their way at once: over HTTP, small ones are mostly waiting. */
const READERS = 4

/**
 * Nine tenths of a model's matrices, and those that stand rounding: what decides between masks stays as it is stored.
 */
const QUANTIZED_PARTS: readonly Component[] = ['siglip', 'sam', 'llm', 'visualProjector', 'segProjector']

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
  const { used, missing, misfits, unknown, baseline, prefix } = fitOf(checkpoint, config)
  if (missing.length > 0) {
    throw new WeightsError(
      `${printable(checkpoint.name)}: ${missing.length} of the ${used.length} tensors that ${printable(config.name)} needs are missing: ` +
        `${firstOf(missing, 3)}. ${prefix === undefined ? 'Does config.json belong to this checkpoint?' : aboutPrefix(prefix)}`,
    )
  }
  if (misfits.length > 0) {
    const more = misfits.length > 1 ? ` ${misfits.length - 1} more do not fit either.` : ''
    throw new WeightsError(
      `${printable(checkpoint.name)}: ${entryOf(misfits, 0).text}${more} Does config.json belong to this checkpoint?`,
    )
  }
  return { ...(await place(gpu, checkpoint, used, options)), baseline, unknown }
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
  readonly data: Float32Array | Uint16Array
  readonly shape: readonly number[]
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
    const misfit = misfitOf(parameter, entry)
    if (misfit) throw new WeightsError(misfit.text)
    return { parameter, entry }
  })
  const baseline = !matches.some(({ parameter }) => parameter.flow)
  return { ...(await filled(await place(gpu, checkpoint, matches, {}), {})), baseline, unknown: [] }
}

// ---------------------------------------------------------------------------------------------------------
// Upload

interface Placed extends Match {
  readonly x: Tensor
}

async function place(
  gpu: Gpu,
  checkpoint: Checkpoint,
  matches: readonly Match[],
  { signal, quantize }: PlaceOptions,
): Promise<Pick<PlacedWeights, 'weights' | 'stream' | 'release'>> {
  // All memory first: if it doesn't suffice, we know now
  signal?.throwIfAborted()
  const made = await Promise.allSettled(
    matches.map(async (match): Promise<Placed> => ({ ...match, x: await allocateFor(gpu, match, quantize) })),
  )
  const placed = made.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const releaseAll = () => placed.forEach(({ x }) => release(gpu, x))
  try {
    throwFirst(made)
  } catch (error) {
    releaseAll()
    throw error
  }
  const byName = new Map(placed.map(({ parameter, x }) => [parameter.name, x]))
  return {
    weights: weightsUnder('', byName),
    stream: (options = {}) => fillAll(gpu, checkpoint, placed, options),
    release: releaseAll,
  }
}

async function allocateFor(
  gpu: Gpu,
  { parameter, entry }: Match,
  quantize: Quantized | undefined,
): Promise<Tensor> {
  const { name, kind, shape } = parameter
  const asStored = kind === 'vector' || kind === 'table' ? undefined : entry && KEPT_AS[entry.dtype]
  const dtype = asStored ?? 'f32'
  const [O = 0, I = 0, ...window] = shape
  const held = kind === 'conv' ? [O, ...window, I] : shape
  const options = { label: name, owner: 'weights' }
  if (quantize && mayQuantize(parameter) && fitsQuantized(gpu, shape, quantize)) {
    return allocateQuantized(gpu, shape, quantize, options)
  }
  if ((kind === 'matrix' || kind === 'conv') && prefersPacked(gpu.adapter)) {
    const packed = { shape: held, dtype, runs: runsOf(kind, shape) }
    // Parts of a matrix, such as the keys' of a fused projection, begin with a group only if groups are full
    const full = kind === 'conv' || O % gpu.adapter.subgroupSize === 0
    if (full && fitsPacked(gpu, packed)) return allocatePacked(gpu, packed, options)
  }
  return allocate(gpu, held, dtype, { ...options, sharded: kind === 'matrix' || kind === 'embedding' })
}

function mayQuantize({ kind, component }: Parameter): boolean {
  return kind === 'matrix' && QUANTIZED_PARTS.includes(component)
}

/** A convolution's weight has a run of values for each row of its window. */
function runsOf(kind: Kind, shape: readonly number[]): number {
  return kind === 'conv' ? entryOf(shape, 2) : 1
}

/** In the order of the file, a few tensors at a time. */
async function fillAll(
  gpu: Gpu,
  checkpoint: Checkpoint,
  placed: readonly Placed[],
  { signal, onProgress }: TaskOptions,
): Promise<void> {
  const queue = placed.filter(hasEntry).sort((a, b) => compare(a.entry, b.entry))
  const total = queue.reduce((sum, { entry }) => sum + entry.end - entry.begin, 0)
  const uploader = new Uploader(gpu)
  let loaded = 0
  let next = 0
  let failed = false
  const spoilt: Spoilt[] = []
  checkpoint.willRead?.(queue.map(({ entry }) => entry.name))
  onProgress?.({ phase: 'upload', what: checkpoint.name, loaded, total })

  const work = async (): Promise<void> => {
    for (let job = queue[next++]; job; job = queue[next++]) {
      const { kind, shape } = job.parameter
      const quantized = job.x.scales && new QuantizedWriter(uploader, job.x)
      const packed =
        job.x.packed && !quantized ? new PackedWriter(uploader, job.x, runsOf(kind, shape)) : undefined
      let before = 0
      let hasSpoilt = false
      for await (const { offset, bytes, stored } of deviceBytes(checkpoint, job, signal)) {
        if (failed) return
        signal?.throwIfAborted()
        if (quantized) await quantized.write(toFloat32(bytes, job.entry.dtype))
        else if (packed) await packed.write(bytes)
        else await write(uploader, job.x, offset, bytes, signal)
        const found = !hasSpoilt && firstNotFinite(stored, job.entry.dtype)
        if (found) {
          hasSpoilt = true
          spoilt.push({ entry: job.entry, value: found.value, index: before + found.index })
        }
        before += stored.length / bytesPerValue(job.entry)
        loaded += stored.length
        onProgress?.({ phase: 'upload', what: job.entry.name, loaded, total })
      }
      await (quantized ?? packed)?.finish()
    }
  }
  // Every reader has stopped before we return, or buffers would be released under it
  const readers = Array.from({ length: READERS }, () =>
    work().catch((error: unknown) => {
      failed = true
      throw error
    }),
  )
  throwFirst(await Promise.allSettled(readers))
  await checkpoint.verify?.({ signal })
  await uploader.flush()
  // After the hashes: damage is named as such, and a kept block that is damaged is downloaded again
  if (spoilt.length > 0) throw notFinite(spoilt.sort((a, b) => compare(a.entry, b.entry)))
}

/** A tensor with a number that isn't finite, the first of it. */
interface Spoilt extends NotFinite {
  readonly entry: TensorEntry
}

function notFinite([first, ...others]: readonly Spoilt[]): WeightsError {
  const { entry, index, value } = first!
  // Row-major, the last axis the fastest
  const place = entry.shape.map((n, axis) => {
    return Math.floor(index / entry.shape.slice(axis + 1).reduce((product, m) => product * m, 1)) % n
  })
  const more = others.length > 0 ? `, and ${others.length} more of its tensors have such values` : ''
  return new WeightsError(
    `${printable(entry.file)}, tensor ${quoted(entry.name)}: the value at [${place.join(', ')}] is ${value}${more}. ` +
      `Every answer would depend on it. Get the checkpoint again; if it is your own, save it from a step before ` +
      `its training diverged, or in a type with the range of its values: f16 ends at 65,504.`,
  )
}

function bytesPerValue({ begin, end, shape }: TensorEntry): number {
  return (end - begin) / shape.reduce((product, n) => product * n, 1)
}

/** Offset on the device, bytes as they are there, and the bytes of the file that they came from. */
interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly stored: Uint8Array<ArrayBuffer>
}

async function* deviceBytes(
  checkpoint: Checkpoint,
  { parameter: { kind, shape }, entry }: Placed & { entry: TensorEntry },
  signal: AbortSignal | undefined,
): AsyncGenerator<Piece> {
  if (kind === 'matrix' || kind === 'embedding') {
    for await (const { offset, bytes } of checkpoint.slices(entry.name, SLICE_BYTES, { signal })) {
      yield { offset, bytes, stored: bytes }
    }
    return
  }
  const bytes = await checkpoint.read(entry.name, { signal })
  if (kind === 'conv') yield { offset: 0, bytes: channelsLast(bytes, shape), stored: bytes }
  else yield { offset: 0, bytes: new Uint8Array(toFloat32(bytes, entry.dtype).buffer), stored: bytes }
}

/** [O, I, kh, kw] -> [O, kh, kw, I], of elements of 2 or 4 bytes. */
function channelsLast(
  bytes: Uint8Array<ArrayBuffer>,
  [O = 0, I = 0, kh = 0, kw = 0]: readonly number[],
): Uint8Array<ArrayBuffer> {
  const places = kh * kw
  const wide = bytes.length === O * I * places * 4
  const from = wide ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer)
  const to = wide ? new Uint32Array(from.length) : new Uint16Array(from.length)
  for (let o = 0, i = 0; o < O; o++) {
    for (let c = 0; c < I; c++) {
      for (let p = 0; p < places; p++) to[(o * places + p) * I + c] = from[i++]!
    }
  }
  return new Uint8Array(to.buffer)
}

/** Writes into a tensor that may be in several buffers; pieces and buffers end on whole words, but for the last. */
async function write(
  uploader: Uploader,
  x: Tensor,
  offset: number,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  let begin = 0
  for (const { buffer, bytes: length } of storagesOf(x)) {
    const from = Math.max(offset, begin)
    const to = Math.min(offset + bytes.length, begin + length)
    if (from < to)
      await uploader.write(buffer!, from - begin, bytes.subarray(from - offset, to - offset), { signal })
    begin += length
  }
}

function hasEntry(job: Placed): job is Placed & { entry: TensorEntry } {
  return job.entry !== undefined
}

function compare(a: TensorEntry, b: TensorEntry): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.begin - b.begin
}

function throwFirst(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason
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
    async *slices(name) {
      yield { offset: 0, bytes: copyOf(name) }
    },
    close: async () => undefined,
  }
}
