// Bytes by range: a file, a Blob or an array, read as those on servers are (url-source.ts).
//
// A checkpoint of eight gigabytes is never held whole: its readers ask a Source for one range at
// a time, gets exactly those bytes in a buffer of their own, and uploads them. Named files side by side
// are a Folder (folder.ts); what the bytes mean is known to safetensors.ts.

import { WeightsError } from '../errors.ts'
import { printable, reasonOf } from '../printable.ts'
import { FileProblem, openRegular, readInto } from '../regular-file.ts'

/** Bytes that can be read by range: of a file, of an array, of an answer from a server. */
export interface Source {
  /** A path, a URL or a file's name, for messages. */
  readonly name: string
  /** Size in bytes. */
  readonly size: number
  /**
   * Reads exactly `length` bytes from `offset` on, at the start of a buffer of their own, so that any typed
   * array may view them.
   *
   * @throws WeightsError if the range is outside the source or the bytes can't be had
   * @throws the signal's own reason once it is aborted
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>
  /** Closes the source. Idempotent; reads after it fail. */
  close(): Promise<void>
  /** The reads to come, in order, so that they can be fetched ahead; other parts needn't be fetched. */
  willRead?(ranges: readonly ByteRange[]): void
  /**
   * Once all has been read that will be: waits until it is kept. Reads the rest of a file whose hash is known, and
   * compares.
   *
   * @throws DamagedError naming the file
   */
  verify?(signal?: AbortSignal): Promise<void>
  /**
   * Drops what is kept of these bytes, which turned out to be damaged.
   *
   * @returns whether any were kept from an earlier visit, so that opening the file again fetches others
   */
  forget?(range: ByteRange): Promise<boolean>
}

/** A range of bytes: the first, and one past the last. */
export type ByteRange = readonly [begin: number, end: number]

/** Bytes that are not those that were written. */
export class DamagedError extends WeightsError {
  /** They were kept from an earlier visit, and now are no more: opening the file again fetches others. */
  readonly wasKept: boolean

  constructor(message: string, wasKept = false) {
    super(message)
    this.wasKept = wasKept
  }
}

/** The server sent no answer, or is out of order. Cached bytes of the file may still be of use. */
export class UnreachableError extends WeightsError {
  /** The time at which the server may be asked again, if it named one. */
  readonly retryAt: Date | undefined

  /** @param options `retryAt`, if the server named a time, and the `cause` */
  constructor(message: string, { retryAt, ...options }: ErrorOptions & { retryAt?: Date } = {}) {
    super(message, options)
    this.retryAt = retryAt
  }
}

/** An array in memory. Reads are copies. */
export function bytesSource(bytes: Uint8Array, name = 'bytes'): Source {
  const source: Source = {
    name,
    size: bytes.length,
    async read(offset, length, signal) {
      signal?.throwIfAborted()
      expectRange(source, offset, length)
      return new Uint8Array(bytes.subarray(offset, offset + length))
    },
    async close() {},
  }
  return source
}

/** A Blob, or a File from an input element or a drop. */
export function blobSource(blob: Blob, name: string = nameOf(blob)): Source {
  const source: Source = {
    name,
    size: blob.size,
    async read(offset, length, signal) {
      signal?.throwIfAborted()
      expectRange(source, offset, length)
      let bytes: ArrayBuffer
      try {
        bytes = await blob.slice(offset, offset + length).arrayBuffer()
      } catch (cause) {
        throw new WeightsError(
          `${printable(name)}: bytes ${span(offset, length)} can't be read: ${reasonOf(cause)}. ` +
            `If the file changed on disk since it was chosen, choose it again.`,
          { cause },
        )
      }
      signal?.throwIfAborted()
      expectLength(source, offset, length, bytes.byteLength)
      return new Uint8Array(bytes)
    },
    async close() {},
  }
  return source
}

function nameOf(blob: Blob): string {
  return 'name' in blob && typeof blob.name === 'string' && blob.name !== '' ? blob.name : 'blob'
}

/** A file on disk, in Node, Deno and Bun. */
export async function fileSource(path: string): Promise<Source> {
  const source = await findFile(path)
  if (!source)
    throw new WeightsError(`There is no file ${printable(path)}. Check the path, or download the file.`)
  return source
}

/** The same, undefined when there is no such file. */
export async function findFile(path: string): Promise<Source | undefined> {
  const opened = await openRegular(path).catch((cause: unknown) => {
    if (!(cause instanceof FileProblem)) throw cause
    if (cause.kind === 'missing') return undefined
    throw new WeightsError(`${printable(path)} ${cause.message}.`, { cause })
  })
  if (!opened) return undefined
  const { file, size } = opened

  let closed: Promise<void> | undefined
  const source: Source = {
    name: path,
    size,
    async read(offset, length, signal) {
      signal?.throwIfAborted()
      expectRange(source, offset, length)
      const bytes = new Uint8Array(length)
      let have: number
      try {
        have = await readInto(file, bytes, offset, signal)
      } catch (cause) {
        signal?.throwIfAborted()
        throw new WeightsError(
          `${printable(path)}: bytes ${span(offset, length)} can't be read: ${reasonOf(cause)}.`,
          { cause },
        )
      }
      expectLength(source, offset, length, have)
      return bytes
    },
    close() {
      closed ??= file.close()
      return closed
    },
  }
  return source
}

/** @throws WeightsError if the source has no such bytes */
export function expectRange({ name, size }: Source, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length)
  if (!whole || offset < 0 || length < 0 || offset + length > size) {
    throw new WeightsError(
      `${printable(name)}: bytes ${span(offset, length)} are asked for, the file has ${size}.`,
    )
  }
}

function expectLength({ name, size }: Source, offset: number, length: number, have: number): void {
  if (have === length) return
  throw new WeightsError(
    `${printable(name)}: only ${have} of the bytes ${span(offset, length)} came, though the file should have ${size}. ` +
      `It was cut short while being read: copy or download it again.`,
  )
}

function span(offset: number, length: number): string {
  return `${offset} to ${offset + length}`
}
