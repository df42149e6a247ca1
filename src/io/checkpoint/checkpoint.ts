// Named tensors, however they are stored: in a file of tensors, or in several with an index.
//
// Opening reads names, types, shapes and places; values are read by range, when somebody asks. What is common to all
// formats is in shards.ts.

import { WeightsError } from '../../errors.ts'
import { printable, quoted } from '../../printable.ts'
import type { Dtype } from './dtype.ts'

/** A tensor as its header describes it. */
export interface TensorEntry {
  /** Its name, unique in a checkpoint. */
  readonly name: string
  /** The type of its elements. */
  readonly dtype: Dtype
  /** Lengths of the axes, the slowest first. */
  readonly shape: readonly number[]
  /** Name of the file that holds it. */
  readonly file: string
  /** Offset in the file of its first byte. */
  readonly begin: number
  /** Offset in the file of the byte after its last one. */
  readonly end: number
  /**
   * Elements from one index of an axis to the next in the file, per axis, where that isn't C order. The tensor is
   * gathered when it is read, and is in C order then; `begin` is its first element, and `end - begin` its size.
   */
  readonly strides?: readonly number[]
}

/** A part of a tensor. */
export interface Slice {
  /** Offset of its first byte in the tensor, in bytes. */
  readonly offset: number
  /** The bytes, in a buffer of their own. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Options of all reads. */
export interface ReadOptions {
  /** Aborts the read, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** A file of tensors, or several with an index: names, types and shapes at once, values by range. */
export interface Checkpoint {
  /** The name of the file or the folder, for messages. */
  readonly name: string
  /** Types, shapes and places, by name. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** Texts that the files hold beside the tensors; where several files differ, the first one's. */
  readonly metadata: ReadonlyMap<string, string>
  /** The files that it is read from, by their names in the folder, the index first if there is one. */
  readonly files?: readonly string[]
  /** Notes for the user, in sentences: which of several checkpoints in a folder this is, for instance. */
  readonly notes?: readonly string[]
  /**
   * Bytes of a tensor, all of them by default, in a buffer of their own: wherever the tensor lies in the
   * file, a typed array can view them.
   *
   * @param options offset and length in bytes, from the tensor's first
   * @throws WeightsError if there is no such tensor or range, the file can't be read, or the tensor's
   *   checksum is another
   */
  read(
    name: string,
    options?: ReadOptions & { readonly offset?: number; readonly length?: number },
  ): Promise<Uint8Array<ArrayBuffer>>
  /**
   * The bytes of a tensor in order, at most `maxBytes` at a time; all slices but the last are a multiple of 16 bytes.
   */
  slices(name: string, maxBytes: number, options?: ReadOptions): AsyncGenerator<Slice, void, void>
  /** The reads to come, in order, so that they can be fetched ahead; other parts needn't be fetched. */
  willRead?(names: readonly string[]): void
  /**
   * Once all has been read: waits until it is kept, and compares the files with what hashes are known of them
   * (manifest.ts).
   *
   * @throws DamagedError naming the file
   */
  verify?(options?: ReadOptions): Promise<void>
  /** Closes every file, the source that it was opened from too. */
  close(): Promise<void>
}

/** Tensors of a file; the largest mixture-of-experts models have some 100,000 in all. */
export const MAX_TENSORS: number = 500_000

/** @throws WeightsError that names the file, the tensor and the rule */
export function fail(file: string, tensor: string, what: string): never {
  throw new WeightsError(`${printable(file)}, tensor ${quoted(tensor, 80)}: ${what.replace(/\.$/, '')}.`)
}
