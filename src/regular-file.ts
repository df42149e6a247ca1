// Files on disk, in Node, Deno and Bun. Only regular files are opened, through links too: to open a FIFO waits for a
// writer, a device may never end or do something, and none of them has a size. Where a path leads is looked at before
// it is opened, and once more after, as it may have been replaced in between.

import type { Stats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { reasonOf } from './printable.ts'

/** The reason why a path can't be read as a regular file. The message continues the file's name: 'is a folder'. */
export class FileProblem extends Error {
  /** 'special' is a pipe, a device or a socket; 'large' is above the caller's limit. */
  readonly kind: 'missing' | 'folder' | 'special' | 'large' | 'unreadable'

  constructor(kind: FileProblem['kind'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

/** An open file on a disk: no pipe, device or folder. */
export interface RegularFile {
  /** Open for reading; the caller closes it. */
  readonly file: FileHandle
  /** When it was opened. It may grow or be cut since. */
  readonly size: number
}

const CHUNK = 64 * 2 ** 20 // Node reads at most 2 GiB at once

/**
 * Checks, without opening it, that the path is a regular file of at most `maxBytes` that we may read.
 *
 * @throws FileProblem if it is not
 */
export async function expectRegularFile(path: string, maxBytes: number): Promise<void> {
  const { access, constants, stat } = await import('node:fs/promises')
  try {
    const status = await stat(path)
    expectRegular(status)
    expectSize(status.size, maxBytes)
    await access(path, constants.R_OK)
  } catch (cause) {
    throw problemOf(cause)
  }
}

/** @throws FileProblem */
export async function openRegular(path: string): Promise<RegularFile> {
  const { constants } = await import('node:fs')
  const { open, stat } = await import('node:fs/promises')
  let file: FileHandle
  try {
    expectRegular(await stat(path))
    // Windows has no O_NONBLOCK
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    throw problemOf(cause)
  }
  try {
    const status = await file.stat()
    expectRegular(status)
    return { file, size: status.size }
  } catch (cause) {
    await file.close()
    throw problemOf(cause)
  }
}

/**
 * All of a file that isn't larger than it should be.
 *
 * @throws FileProblem
 */
export async function readRegular(
  path: string,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const { file, size } = await openRegular(path)
  try {
    expectSize(size, maxBytes)
    const bytes = new Uint8Array(size)
    return bytes.subarray(0, await readInto(file, bytes, 0, signal))
  } catch (cause) {
    signal?.throwIfAborted()
    throw problemOf(cause)
  } finally {
    await file.close()
  }
}

/** @returns the bytes that were read: fewer than asked for where the file ends */
export async function readInto(
  file: FileHandle,
  bytes: Uint8Array,
  offset: number,
  signal?: AbortSignal,
): Promise<number> {
  let have = 0
  while (have < bytes.length) {
    const { bytesRead } = await file.read(bytes, have, Math.min(CHUNK, bytes.length - have), offset + have)
    signal?.throwIfAborted()
    if (bytesRead === 0) break
    have += bytesRead
  }
  return have
}

function expectSize(size: number, maxBytes: number): void {
  if (size > maxBytes) throw new FileProblem('large', `has ${size} bytes; such a file may have ${maxBytes}`)
}

function expectRegular(status: Stats): void {
  if (status.isFile()) return
  if (status.isDirectory()) throw new FileProblem('folder', 'is a folder; a file is needed')
  const what = status.isFIFO()
    ? 'a FIFO (a pipe)'
    : status.isSocket()
      ? 'a socket'
      : status.isCharacterDevice() || status.isBlockDevice()
        ? 'a device'
        : 'of a special kind'
  throw new FileProblem('special', `is ${what}, which is not opened; a regular file is needed`)
}

function problemOf(error: unknown): FileProblem {
  if (error instanceof FileProblem) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new FileProblem('missing', 'is not there', { cause: error })
  return new FileProblem('unreadable', `can't be read: ${reasonOf(error)}`, { cause: error })
}
