// One shard of a converted checkpoint, tensor by tensor from the original to its place in the file: a few megabytes
// are in memory at a time. It is written under a name of its own and renamed when all of it is on the disk.

import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { entryOf, expectDefined } from '../../check.ts'
import { crc32 } from '../../io/image/crc32.ts'
import type { Checkpoint } from '../../io/safetensors.ts'
import type { ShardPlan } from './convert-plan.ts'
import { convertedPieces } from './convert-step.ts'

/** The names of unfinished shards; the number is that of the process. */
export const DRAFT_NAME: RegExp = /^\.flowseg-(\d+)-[\da-f-]+\.part$/

/** Options of writing: progress and signal. */
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
  { steps, outline }: Pick<ShardPlan, 'steps' | 'outline'>,
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
        for await (const { output, bytes, read } of convertedPieces(checkpoint, step, options.signal)) {
          await entryOf(writers, output).write(bytes)
          options.onRead(read, step.entry.name)
        }
        step.outputs.forEach(({ name }, i) => checksums.set(name, entryOf(writers, i).checksum))
      }
      await new PlacedWriter(file, 0).write(outline.header(checksums))
      // The data must be on the disk before the draft gets its name, in case the power fails
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
