// Named files side by side, wherever they are: a directory, a URL, or files chosen in a browser.
//
// File names may come from an index that somebody else wrote, so a folder opens plain names only: no
// slashes, no drive letters, nothing a server or a file system would read as a way out of the folder.

import { WeightsError } from '../errors.ts'
import { printable, quoted } from '../printable.ts'
import { BlockCache, type BlockCacheOptions } from './block-cache.ts'
import { findCachedUrl, Gate } from './cached-source.ts'
import { type Chosen, type ChosenFiles, describeChosen, filesOf } from './chosen.ts'
import { DISGUISE_BYTES, disguiseOf } from './disguise.ts'
import type { Download } from './download.ts'
import { type JsonLimits, plainJson, SMALL_JSON } from './json.ts'
import { blobSource, findFile, type Source, type UrlOptions } from './source.ts'

export interface Folder {
  /** For messages: the path, the URL, or what kind of files these are. */
  readonly describe: string
  /** The path of a directory on disk. */
  readonly directory?: string
  /** What a user should know about how files were read, in sentences: that they can't be cached, for instance. */
  readonly notes?: readonly string[]
  /** The file, or undefined if there is none of that name. Whoever asks closes it. */
  find(file: string, signal?: AbortSignal): Promise<Source | undefined>
  /** @throws WeightsError if there is none, naming the folder and what it does have */
  open(file: string, signal?: AbortSignal): Promise<Source>
  /** A small file as text, which must be UTF-8. */
  readText(file: string, signal?: AbortSignal): Promise<string>
}

/** Where files can be: a path, an address, what an input element or a drop gives, or a folder made elsewhere. */
export type FolderLocation = string | URL | Chosen | Folder

/** What matters for addresses only. */
export interface FolderOptions extends UrlOptions, BlockCacheOptions {
  /**
   * Where what was downloaded is kept for the next visit: in the browser's origin private file system by default. Where
   * there is none, such as in Node, nothing is kept.
   */
  readonly cache?: 'opfs' | 'none' | undefined
  /** Requests at a time; 4 by default. */
  readonly maxRequests?: number | undefined
  readonly download?: Download | undefined
}

const MAX_TEXT_BYTES = 64 * 2 ** 20 // real tokenizers have up to 35 MB
const MAX_JSON_BYTES = 2 ** 20 // a config.json has a few thousand
const MAX_NAMES_TOLD = 8

/**
 * Opens nothing yet: a folder that isn't there is reported with the first file asked of it.
 *
 * @param where a drop must be given in its event's handler, before anything is awaited: it is empty afterwards
 */
export function openFolder(where: FolderLocation, options: FolderOptions = {}): Folder {
  if (typeof where !== 'string' && 'readText' in where) return where
  if (typeof where !== 'string' && !(where instanceof URL)) return chosenFolder(where)
  const text = String(where)
  if (/^https?:/i.test(text)) return urlFolder(text, options)
  const hasFiles = typeof globalThis.process?.versions?.node === 'string' // Deno and Bun say so too
  if (hasFiles) return directoryFolder(where)
  return urlFolder(new URL(text, globalThis.location.href), options)
}

/** A directory, by path or file: URL, in Node, Deno and Bun. */
export function directoryFolder(where: string | URL): Folder {
  const directory = async () => {
    if (typeof where === 'string' && !where.startsWith('file:')) return where
    const { fileURLToPath } = await import('node:url')
    return fileURLToPath(where)
  }
  const found = folder(
    String(where),
    async (file) => {
      const path = await import('node:path')
      return findFile(path.join(await directory(), file))
    },
    async () => {
      const { readdir } = await import('node:fs/promises')
      try {
        return await readdir(await directory())
      } catch (cause) {
        const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
        throw new WeightsError(
          missing
            ? `There is no folder ${shown(String(where))}. Check the path.`
            : `${shown(String(where))} can't be listed as a folder. Give the path of the folder that holds the files.`,
          { cause },
        )
      }
    },
  )
  return { ...found, directory: String(where) }
}

/** Files under a URL, `https://host/models/flowseg-nano` for instance. */
export function urlFolder(url: string | URL, options: FolderOptions = {}): Folder {
  const base = new URL(url)
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  const notes: string[] = []
  const gate = new Gate(options.maxRequests)
  let cache: Promise<BlockCache | undefined> | undefined
  const found = folder(
    String(url),
    async (file, signal) => {
      const address = new URL(file, base)
      address.search = base.search // signed addresses keep their signature
      if (options.cache !== 'none') cache ??= BlockCache.open(options, notes)
      const how = { ...options, signal: signal ?? options.signal, gate, cache: await cache }
      return findCachedUrl(address.href, how)
    },
    async () => undefined,
  )
  return { ...found, notes }
}

/** Files that the user chose, known by their names alone. */
export function chosenFolder(chosen: Chosen): Folder {
  const describe = describeChosen(chosen)
  const filesAndFolders = filesOf(chosen) // a drop must be read now
  filesAndFolders.catch(() => undefined) // whoever asks for a file is told
  return folder(
    describe,
    async (name) => {
      const [file, second] = (await filesAndFolders).files.filter((one) => one.name === name)
      if (second) {
        throw new WeightsError(
          `Two of the chosen files are named ${printable(name)}. Choose the files of one folder.`,
        )
      }
      return file && blobSource(file)
    },
    async () => namesIn(await filesAndFolders),
    " Choose the model's folder, or all files in it.",
  )
}

function namesIn({ files, folders }: ChosenFiles): string[] {
  return [...new Set(files.map(({ name }) => name)), ...folders.map((name) => `${name}/`)]
}

/** Opens files side by side, at once. When one can't be, the others are closed. */
export async function openAll(
  from: Folder,
  files: readonly string[],
  signal?: AbortSignal,
): Promise<Source[]> {
  const opened = await Promise.allSettled(files.map((file) => from.open(file, signal)))
  const sources = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  for (const result of opened) {
    if (result.status === 'fulfilled') continue
    await Promise.all(sources.map((source) => source.close()))
    throw result.reason
  }
  return sources
}

/** A small file as text, which must be UTF-8. It is closed. */
export async function readText(
  source: Source,
  signal?: AbortSignal,
  maxBytes: number = MAX_TEXT_BYTES,
): Promise<string> {
  try {
    if (source.size > maxBytes) {
      throw new WeightsError(
        `${printable(source.name)} has ${source.size} bytes; such a file may have ${maxBytes}. Is it the right one?`,
      )
    }
    const bytes = await source.read(0, source.size, signal)
    await source.verify?.(signal)
    return decodeText(bytes, source.name)
  } finally {
    await source.close()
  }
}

/** A small JSON file of a folder, such as config.json. */
export async function readJson(from: Folder, file: string, signal?: AbortSignal): Promise<unknown> {
  const text = await readText(await from.open(file, signal), signal, MAX_JSON_BYTES)
  return jsonIn(text, `${file} in ${from.describe}`)
}

/**
 * What JSON.parse makes of a text that keeps to the limits.
 *
 * @param name for messages: the file's, and where it is
 */
export function jsonIn(text: string, name: string, limits: JsonLimits = SMALL_JSON): unknown {
  try {
    return plainJson(text, limits)
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause)
    const is = disguiseOf(new TextEncoder().encode(text.slice(0, DISGUISE_BYTES)))
    throw new WeightsError(
      text.trim() === ''
        ? `${printable(name)} is empty. Copy or download it again.`
        : `${printable(name)} is not JSON: ${what}. ` +
            (is ?? 'If you edited it, mend it there; else copy or download it again.'),
      { cause },
    )
  }
}

/** @param remedy what else to do when a file is missing */
function folder(
  describe: string,
  find: (file: string, signal: AbortSignal | undefined) => Promise<Source | undefined>,
  list: () => Promise<string[] | undefined>,
  remedy = '',
): Folder {
  const made: Folder = {
    describe,
    async find(file, signal) {
      signal?.throwIfAborted()
      expectPlainName(file)
      return find(file, signal)
    },
    async open(file, signal) {
      const source = await made.find(file, signal)
      if (source) return source
      const names = (await list())?.sort()
      const some = names && (names.slice(0, MAX_NAMES_TOLD).map(shown).join(', ') || 'nothing')
      const more = names && names.length > MAX_NAMES_TOLD ? ` and ${names.length - MAX_NAMES_TOLD} more` : ''
      throw new WeightsError(
        `There is no ${file} in ${printable(describe)}${some ? `, which has ${some}${more}` : ''}.${remedy}`,
      )
    },
    async readText(file, signal) {
      return readText(await made.open(file, signal), signal)
    },
  }
  return made
}

function shown(name: string): string {
  return printable(name)
}

function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    const is = disguiseOf(bytes) ?? 'It may be damaged: copy or download it again.'
    throw new WeightsError(`${printable(name)} is not UTF-8 text. ${is}`, { cause })
  }
}

/** Nothing but a name: what it opens lies in the folder. */
export function expectPlainName(file: string): void {
  if (/^[\p{L}\p{N}_][\p{L}\p{N}_.+-]*$/u.test(file) && file.length <= 255) return
  throw new WeightsError(
    `${quoted(file, 80)} is not a plain file name (letters, digits, "_", "-", "+", "." only), ` +
      `so it is not opened.`,
  )
}
