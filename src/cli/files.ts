// Files in and out. What a command makes is held in memory until all of it is there, then written beside its
// place and moved there: whoever looks sees whole files, and a failure leaves no new one behind.

import { existsSync } from 'node:fs'
import { mkdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FlowSegError, ImageError } from '../errors.ts'
import { decodeImage, type Image } from '../io/image.ts'
import { printable } from '../printable.ts'
import { FileProblem, readRegular } from '../regular-file.ts'
import { UsageError } from './args.ts'
import type { Terminal } from './terminal.ts'

/** What the user names: a web address as it is, anything else as a path from where they stand. */
export function locationOf(place: string, { cwd }: Terminal): string {
  if (/^https?:/i.test(place)) return place
  return /^file:/i.test(place) ? fileURLToPath(place) : resolve(cwd, place)
}

/** Larger files are no photographs. */
const MAX_IMAGE_BYTES = 512 * 2 ** 20

/** @throws ImageError that names the file */
export async function readImage(path: string, { cwd }: Terminal): Promise<Image> {
  let bytes: Uint8Array
  try {
    bytes = await readRegular(resolve(cwd, path), MAX_IMAGE_BYTES)
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause
    const shown = printable(path)
    if (cause.kind === 'missing')
      throw new ImageError(`There is no image ${shown}. Check the path.`, { cause })
    throw new ImageError(`${shown} ${cause.message}.`, { cause })
  }
  return decodeImage(bytes, { name: path })
}

/** Files to be. */
export class Drafts {
  readonly #terminal: Terminal
  readonly #files = new Map<string, Uint8Array | string>()

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /**
   * @returns its full path
   * @throws FlowSegError 'ERR_OUTPUT' if there is a draft of this name: one of the two would be lost
   */
  add(path: string, contents: Uint8Array | string): string {
    const place = resolve(this.#terminal.cwd, path)
    if (this.#files.has(place)) {
      throw new FlowSegError('ERR_OUTPUT', `${path} would be written twice. Each output needs its own name.`)
    }
    this.#files.set(place, contents)
    return place
  }

  /**
   * Writes all files or none; but where an older file was replaced before a later one failed, the new one stays.
   *
   * @throws FlowSegError 'ERR_OUTPUT' naming the file
   */
  async commit(): Promise<void> {
    const { signal } = this.#terminal
    const parts = new Map<string, string>()
    const folders: string[] = []
    const added: string[] = []
    let at = ''
    try {
      signal.throwIfAborted()
      for (const [path, contents] of this.#files) {
        at = path
        const made = await mkdir(dirname(path), { recursive: true })
        if (made) folders.push(...foldersBetween(made, dirname(path)))
        const part = `${path}.${process.pid}.part`
        parts.set(path, part)
        await writeFile(part, contents, { flag: 'wx' })
        if (await isFolder(path)) throw new Error('a folder of this name is there')
      }
      signal.throwIfAborted()
      for (const [path, part] of parts) {
        at = path
        const isNew = !existsSync(path)
        await rename(part, path)
        if (isNew) added.push(path)
      }
    } catch (error) {
      await Promise.all([...parts.values(), ...added].map((file) => rm(file, { force: true })))
      // Deepest first; what isn't empty was filled by somebody else
      for (const folder of folders.toReversed()) await rmdir(folder).catch(() => undefined)
      if (signal.aborted) throw error
      throw new FlowSegError('ERR_OUTPUT', `${at} can't be written: ${reason(error)}.`, { cause: error })
    }
  }
}

/** Refuses outputs that are the input, or each other, whatever names and links they go by. */
export async function expectApart(
  input: string,
  outputs: readonly string[],
  { cwd }: Terminal,
): Promise<void> {
  const seen = new Map([[await identity(resolve(cwd, input)), 'the image itself']])
  for (const output of outputs) {
    const place = await identity(resolve(cwd, output))
    const other = seen.get(place)
    if (other) throw new UsageError(`${output} would overwrite ${other}. Choose another name.`)
    seen.set(place, `${output}, which is also written`)
  }
}

/**
 * Links, hard links and names that differ in case may be one file: device and inode tell. What isn't there yet
 * is a name in its folder, which may go by several names too.
 */
async function identity(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(
    ({ dev, ino }) => `${dev} ${ino}`,
    async () => (path === dirname(path) ? path : join(await identity(dirname(path)), basename(path))),
  )
}

/** 'The red mug, left!' -> 'the-red-mug-left': letters and digits of any script. */
export function slug(sentence: string): string {
  const words =
    sentence
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  let name = ''
  for (const word of words) {
    if (name && name.length + word.length > 47) break
    name += `${name && '-'}${word}`
  }
  // Names of 255 bytes are what file systems agree on, and a letter may take four
  return Array.from(name || 'mask')
    .slice(0, 48)
    .join('')
}

export function stem(path: string): string {
  return basename(path, extname(path))
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

/** `first`, ..., `last`, each in the one before. */
function foldersBetween(first: string, last: string): string[] {
  return last === first ? [first] : [...foldersBetween(first, dirname(last)), last]
}

function reason(error: unknown): string {
  // Node's own message repeats the temporary name: 'EACCES: permission denied, open ...'
  return (error instanceof Error ? error.message : String(error)).replace(/, \w+ '.*$/, '')
}
