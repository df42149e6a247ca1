// Files out. What a command makes is held in memory until all of it is there, then written beside its place and moved
// there: readers see whole files, and a failure leaves no new one behind.

import { existsSync } from 'node:fs'
import { link, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expectDefined } from '../check.ts'
import { FlowSegError } from '../errors.ts'
import { describeHubPlace, isHubPlace, parseHubPlace, splitHubPlace } from '../io/http/hub-place.ts'
import { isFolder, makeFolders, removeEmpty } from '../make-folders.ts'
import { printable, reasonOf } from '../printable.ts'
import { UsageError } from './args.ts'
import type { Terminal } from './output/terminal.ts'

/**
 * The place that the user names: a web address, or a place on Hugging Face's hub, as it is; anything else as a path
 * from the working folder.
 *
 * @throws UsageError for what can't be a place on the hub, or is no address of a file here
 */
export function locationOf(place: string, { cwd }: Pick<Terminal, 'cwd'>): string {
  if (isHubPlace(place)) return describeHubPlace(parseHubPlace(place))
  if (isUrl(place)) return place
  if (!/^file:/i.test(place)) return resolve(cwd, place)
  try {
    return fileURLToPath(place)
  } catch (cause) {
    throw new UsageError(`${printable(place)} is not the address of a file here. Give its path.`, { cause })
  }
}

/** A web address, or a place on Hugging Face's hub, rather than a path. */
export function isUrl(location: string): boolean {
  return /^https?:/i.test(location) || isHubPlace(location)
}

/**
 * The folder of a file, and the file's name in it. A URL's query stays with the folder, as it may be a signature; so
 * does the revision of a place on the hub.
 */
export function splitLocation(location: string): { readonly folder: string; readonly name: string } {
  if (isHubPlace(location)) return splitHubPlace(location)
  if (!isUrl(location)) return { folder: dirname(location), name: basename(location) }
  const url = new URL(location)
  const name = basename(url.pathname)
  url.pathname = dirname(url.pathname)
  return { folder: url.href, name }
}

interface Draft {
  readonly contents: Uint8Array | string
  /** It never replaces a file: its name was chosen because there was none. */
  readonly isNew: boolean
}

/** Files to be. */
export class Drafts {
  readonly #terminal: Terminal
  readonly #files = new Map<string, Draft>()

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /**
   * @param isNew whether a file that appears there meanwhile is an error, rather than replaced
   * @returns its full path
   * @throws FlowSegError 'ERR_OUTPUT' if there is a draft of this name: one of the two would be lost
   */
  add(path: string, contents: Uint8Array | string, isNew = false): string {
    const place = resolve(this.#terminal.cwd, path)
    if (this.#files.has(place)) {
      throw new FlowSegError(
        'ERR_OUTPUT',
        `${printable(path)} would be written twice. Each output needs its own name.`,
      )
    }
    this.#files.set(place, { contents, isNew })
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
      for (const [path, { contents }] of this.#files) {
        at = path
        folders.push(...makeFolders(dirname(path)))
        const part = join(dirname(path), `.flowseg-${process.pid}-${parts.size}.part`)
        parts.set(path, part)
        await writeFile(part, contents, { flag: 'wx' })
        if (isFolder(path)) throw new Error('a folder of this name is there')
      }
      signal.throwIfAborted()
      for (const [path, part] of parts) {
        at = path
        const isNew = !existsSync(path)
        if (expectDefined(this.#files.get(path), 'files').isNew) await moveToNew(part, path)
        else await rename(part, path)
        if (isNew) added.push(path)
      }
    } catch (error) {
      await Promise.all([...parts.values(), ...added].map((file) => rm(file, { force: true })))
      removeEmpty(folders)
      if (signal.aborted) throw error
      throw new FlowSegError('ERR_OUTPUT', `${printable(at)} can't be written: ${reasonOf(error)}.`, {
        cause: error,
      })
    }
  }
}

/** A name that has a file already refuses a second link: nobody's file is replaced, even if it came a moment ago. */
async function moveToNew(part: string, path: string): Promise<void> {
  try {
    await link(part, path)
    await rm(part)
  } catch (error) {
    const isTaken = existsSync(path)
    if (isTaken) throw new Error('a file of this name has appeared meanwhile: run it again', { cause: error })
    await rename(part, path) // a file system without links
  }
}

/** A file's name without its folder and extension. */
export function stem(path: string): string {
  return basename(path, extname(path))
}

/** `name + end`, where `name` is cut so that `more` can follow: file systems agree on names of 255 bytes. */
export function fitted(name: string, end: string, more: string): string {
  const room = 255 - Buffer.byteLength(end + more)
  let begin = ''
  for (const letter of name) {
    if (Buffer.byteLength(begin + letter) > room) break
    begin += letter
  }
  return begin + end
}
