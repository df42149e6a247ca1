// Values of weights on their way from a checkpoint to the device, slice by slice and in the order of the files, so
// that the largest checkpoint takes a few slices of host memory.

import { breathe } from '../../breathe.ts'
import { entryOf, expectDefined } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { Uploader } from '../../gpu/transfer.ts'
import { firstNotFinite, type NotFinite } from '../../io/finite.ts'
import { type Checkpoint, type TensorEntry, toFloat32 } from '../../io/safetensors.ts'
import { PackedWriter } from '../../kernels/packed.ts'
import { QuantizedWriter, writeInto } from '../../kernels/quantize.ts'
import { printable, quoted } from '../../printable.ts'
import type { TaskOptions } from '../../progress.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { ParameterMatch } from './fit.ts'
import type { ParameterKind } from './parameters.ts'
import { bytesPerElement } from './stored.ts'
import { TokenEmbeddings } from './token-embeddings.ts'

/**
 * Bytes of a piece of a tensor on its way. A thread hashes it, looks through it and lays it out in some milliseconds,
 * and lets other work in before the next.
 */
const SLICE_BYTES = 2 * 2 ** 20
/** The same of a tensor that is rounded, widened or laid out otherwise on its way: 20 ms. */
const REWRITTEN_BYTES = 2 ** 20
/** Tensors on their way at once: over HTTP, small ones are mostly waiting. */
const READERS = 4

/** A tensor that has its memory. */
export interface PlacedParameter extends ParameterMatch {
  /** The tensor on the device, or the table that stays on the host. */
  readonly home: Tensor | TokenEmbeddings | Float32Array
}

/** A tensor to be read, and where its bytes go. */
interface Job extends PlacedParameter {
  readonly entry: TensorEntry
  /** These are the scales of codes that are another job. */
  readonly isScales?: boolean
}

/**
 * Uploads all values, in the order of the files, a few tensors at a time.
 *
 * @throws WeightsError naming a tensor with a number that isn't finite
 */
export async function fillAll(
  gpu: Gpu,
  checkpoint: Checkpoint,
  placed: readonly PlacedParameter[],
  { signal, onProgress }: TaskOptions,
): Promise<void> {
  const queue = placed.flatMap(jobsOf).sort((a, b) => compare(a.entry, b.entry))
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
      const sink = sinkFor(uploader, job, signal)
      let before = 0
      let hasSpoilt = false
      for await (const { offset, bytes, stored } of deviceBytes(checkpoint, job, signal)) {
        if (failed) return
        await breathe(signal)
        await sink.write(bytes, offset)
        const wrong = !hasSpoilt && firstNotFinite(stored, job.entry.dtype)
        if (wrong) {
          hasSpoilt = true
          spoilt.push({ entry: job.entry, value: wrong.value, index: before + wrong.index })
        }
        before += stored.length / bytesPerElement(job.entry)
        loaded += stored.length
        onProgress?.({ phase: 'upload', what: job.entry.name, loaded, total })
      }
      await sink.finish?.()
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

/** The tensors that are read for one on the device: one that may be missing is zero. */
function jobsOf({ entry, scales, ...rest }: PlacedParameter): Job[] {
  if (!entry) return []
  const codes = { ...rest, entry, scales }
  return scales ? [codes, { ...rest, entry: scales, scales, isScales: true }] : [codes]
}

/** It takes the bytes of one tensor, in order. */
interface Sink {
  write(bytes: Uint8Array<ArrayBuffer>, offset: number): Promise<void>
  finish?(): Promise<void>
}

function sinkFor(
  uploader: Uploader,
  { parameter: { kind, shape }, entry, quantized, isScales, home }: Job,
  signal: AbortSignal | undefined,
): Sink {
  if (home instanceof TokenEmbeddings) {
    return {
      write: async (bytes, offset) => (isScales ? home.holdScales(offset, bytes) : home.hold(offset, bytes)),
    }
  }
  if (home instanceof Float32Array) {
    return { write: async (bytes, offset) => home.set(toFloat32(bytes, 'F32'), offset / 4) }
  }
  const into = isScales ? expectDefined(home.scales, 'scales') : home
  if (into.scales && !quantized) {
    const writer = new QuantizedWriter(uploader, into)
    return {
      write: (bytes) => writer.write(toFloat32(bytes, entry.dtype)),
      finish: () => writer.finish(),
    }
  }
  if (into.packed) return new PackedWriter(uploader, into, runsOf(kind, shape))
  return { write: (bytes, offset) => writeInto(uploader, into, offset, bytes, { signal }) }
}

/** A convolution's weight has a run of values for each row of its window. */
export function runsOf(kind: ParameterKind, shape: readonly number[]): number {
  return kind === 'conv' ? entryOf(shape, 2) : 1
}

/** A tensor with a number that isn't finite, the first of it. */
export interface Spoilt extends NotFinite {
  /** The tensor as the checkpoint stores it. */
  readonly entry: TensorEntry
}

/** The error that names the first of them. */
export function notFinite(all: readonly Spoilt[]): WeightsError {
  const [{ entry, index, value }, others] = [entryOf(all, 0), all.slice(1)]
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

/** Offset on the device, bytes as they are there, and the bytes of the file that they came from. */
interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly stored: Uint8Array<ArrayBuffer>
}

async function* deviceBytes(
  checkpoint: Checkpoint,
  { parameter: { kind, shape }, entry, quantized, isScales, home }: Job,
  signal: AbortSignal | undefined,
): AsyncGenerator<Piece> {
  if (kind === 'conv') {
    // Whole outputs, as their channels change places; two by two, so that a piece ends on a word
    const all = await checkpoint.read(entry.name, { signal })
    const [O = 0] = shape
    const pairBytes = (2 * all.length) / O
    const step = pairBytes * Math.max(1, Math.floor(REWRITTEN_BYTES / pairBytes))
    for (let offset = 0; offset < all.length; offset += step) {
      const stored = all.slice(offset, offset + step)
      yield { offset, bytes: channelsLast(stored, shape, bytesPerElement(entry)), stored }
    }
    return
  }
  const isRounded = 'scales' in home && home.scales !== undefined && !quantized && !isScales
  const asStored = isScales || kind === 'matrix' || kind === 'embedding'
  const step = asStored && !isRounded ? SLICE_BYTES : REWRITTEN_BYTES
  for await (const { offset, bytes } of checkpoint.slices(entry.name, step, { signal })) {
    if (asStored) yield { offset, bytes, stored: bytes }
    else {
      const values = new Uint8Array(toFloat32(bytes, entry.dtype).buffer)
      yield { offset: offset * (4 / bytesPerElement(entry)), bytes: values, stored: bytes }
    }
  }
}

/** [O, I, kh, kw] -> [O, kh, kw, I], of elements of 2 or 4 bytes and any O. */
function channelsLast(
  bytes: Uint8Array<ArrayBuffer>,
  [, I = 0, kh = 0, kw = 0]: readonly number[],
  width: number,
): Uint8Array<ArrayBuffer> {
  const places = kh * kw
  const O = bytes.length / (I * places * width)
  const wide = width === 4
  const from = wide ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer)
  const to = wide ? new Uint32Array(from.length) : new Uint16Array(from.length)
  // Indexed directly, as the loops count the elements of `from`: a checked index takes four times as long (view.ts)
  for (let o = 0, i = 0; o < O; o++) {
    for (let c = 0; c < I; c++) {
      for (let p = 0; p < places; p++) to[(o * places + p) * I + c] = from[i++]!
    }
  }
  return new Uint8Array(to.buffer)
}

function compare(a: TensorEntry, b: TensorEntry): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.begin - b.begin
}

/** Throws what the first of them that failed did. */
export function throwFirst(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
