// One shard of a converted checkpoint, tensor by tensor from the original to its place in the file: a few megabytes are in
// memory at a time. It is written under a name of its own and renamed when all of it is on the disk.

import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { entryOf, expectDefined } from '../../check.ts'
import { firstNotFinite } from '../../io/finite.ts'
import { crc32 } from '../../io/image/crc32.ts'
import { type Checkpoint, toFloat32 } from '../../io/safetensors.ts'
import { type Quantized, quantizeRows } from '../../kernels/quantize.ts'
import { notFinite } from '../checkpoint/fill.ts'
import { bytesPerElement } from '../checkpoint/stored.ts'
import type { Shard, Step } from './convert-plan.ts'

/** Bytes that are read at a time. */
const SLICE_BYTES = 4 * 2 ** 20
/** The same of what is rounded. */
const ROUNDED_BYTES = 2 ** 20
/** Slices begin at multiples of this (Checkpoint.slices). */
const ALIGNMENT = 16

/** The names of unfinished shards; the number is that of the process. */
export const DRAFT_NAME = /^\.flowseg-(\d+)-[\da-f-]+\.part$/

/** How writing is followed and given up. */
export interface WriteOptions {
  /** Aborts between two slices; the draft is removed then. */
  readonly signal: AbortSignal
  /** Called with the bytes of the original that were read since. */
  readonly onRead: (bytes: number, what: string) => void
}

/**
 * Writes a shard.
 *
 * @throws WeightsError if the original can't be read, or has a number that isn't finite
 * @throws the system's own error if the file can't be written; no draft stays
 */
export async function writeShard(
  checkpoint: Checkpoint,
  { steps, outline }: Pick<Shard, 'steps' | 'outline'>,
  path: string,
  options: WriteOptions,
): Promise<void> {
  const draft = join(dirname(path), `.flowseg-${process.pid}-${crypto.randomUUID()}.part`)
  try {
    const file = await open(draft, 'wx')
    try {
      const places = new Map(outline.tensors.map(({ name, begin }) => [name, begin]))
      const checksums = new Map<string, number>()
      for (const step of steps) {
        const writers = step.outputs.map(
          ({ name }) => new PlacedWriter(file, expectDefined(places.get(name), name)),
        )
        await writeStep(checkpoint, step, writers, options)
        step.outputs.forEach(({ name }, i) => checksums.set(name, entryOf(writers, i).checksum))
      }
      await new PlacedWriter(file, 0).write(outline.header(checksums))
      // What is renamed is on the disk, also if the power fails
      await file.sync()
    } finally {
      await file.close()
    }
    options.signal.throwIfAborted()
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined)
    throw error
  }
}

/** Bytes of one tensor, one after another. */
class PlacedWriter {
  readonly #file: FileHandle
  #at: number
  /** CRC-32 of all that was written. */
  checksum = 0

  constructor(file: FileHandle, at: number) {
    this.#file = file
    this.#at = at
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.checksum = crc32(bytes, this.checksum)
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, written, bytes.length - written, this.#at)
      written += bytesWritten
      this.#at += bytesWritten
    }
  }
}

async function writeStep(
  checkpoint: Checkpoint,
  step: Step,
  [values, scales]: readonly PlacedWriter[],
  { signal, onRead }: WriteOptions,
): Promise<void> {
  const { entry, quantized, isRounded } = step
  const [, K = 1] = entry.shape
  const wanted = isRounded ? wholeRows(K * bytesPerElement(entry)) : SLICE_BYTES
  const collected: Uint8Array[] = []
  for await (const { offset, bytes } of checkpoint.slices(entry.name, wanted, { signal })) {
    signal.throwIfAborted()
    const bad = firstNotFinite(bytes, entry.dtype)
    if (bad) {
      throw notFinite([{ entry, value: bad.value, index: offset / bytesPerElement(entry) + bad.index }])
    }
    if (isRounded && quantized) {
      const rows = quantizeRows(toFloat32(bytes, entry.dtype), K, quantized)
      await values?.write(rows.data)
      collected.push(scaleBytes(rows.scales, quantized))
    } else {
      await values?.write(bytes)
    }
    onRead(bytes.length, entry.name)
  }
  for (const part of collected) await scales?.write(part)
}

/** Bytes of as many whole rows as fit, so that every slice begins with a row. */
function wholeRows(rowBytes: number): number {
  let rows = 1
  while ((rows * rowBytes) % ALIGNMENT !== 0) rows *= 2
  const step = rows * rowBytes
  return step * Math.max(1, Math.floor(ROUNDED_BYTES / step))
}

/** As they are stored: f32, or bf16, which those of int4 are numbers of. */
function scaleBytes(scales: Float32Array<ArrayBuffer>, quantized: Quantized): Uint8Array {
  if (quantized === 'int8') return new Uint8Array(scales.buffer)
  return new Uint8Array(Uint16Array.from(new Uint32Array(scales.buffer), (word) => word >>> 16).buffer)
}
