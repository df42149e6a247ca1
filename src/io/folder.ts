// Named files side by side, wherever they are: a directory, a URL, or files chosen in a browser.
//
// File names may come from an index that somebody else wrote, so a folder opens plain names only: no
// slashes, no drive letters, nothing a server or a file system would read as a way out of the folder.

import { describe, lastOf, tagOf } from '../check.ts'
import { UsageError, WeightsError } from '../errors.ts'
import { hasFiles } from '../has-files.ts'
import { firstOf, printable, quoted } from '../printable.ts'
import { BlockCache, type BlockCacheOptions } from './cache/block-cache.ts'
import { findCachedUrl, Gate, Shelf } from './cache/cached-source.ts'
import { type Chosen, type ChosenFiles, describeChosen, filesOf, isChosen } from './chosen.ts'
import { EMBEDDED, embeddedFile } from './embedded.ts'
import { shownAddress } from './http/address.ts'
import { Absent } from './http/answers.ts'
import { DISGUISE_BYTES, disguiseOf } from './http/disguise.ts'
import type { Download } from './http/download.ts'
import { headersOf } from './http/http.ts'
import { Hub, type HubOptions } from './http/hub.ts'
import { isHubPlace, splitHubPlace } from './http/hub-place.ts'
import type { UrlOptions } from './http/url-source.ts'
import { blobSource, bytesSource, findFile, type Source } from './source.ts'
import { type JsonLimits, JsonReader, plainJson, SMALL_JSON } from './text/json.ts'

/**
 * Files side by side, wherever they are: on disk, on a server, chosen by a page's user. {@link openFolder} makes one.
 */
export interface Folder {
  /** The folder in words, for messages: its path, its URL, or the kind of its files. */
  readonly describe: string
  /** The path of a directory on disk. */
  readonly directory?: string
  /** Name of the file with the weights, or of their index, where the place was given as that file. */
  readonly weights?: string
  /** Notes for the user on how files were read, in sentences: that they can't be cached, for instance. */
  readonly notes?: readonly string[]
  /**
   * The file, or undefined if there is none of that name, or a server has none for us: the caller can do without it.
   * The caller closes it.
   */
  find(file: string, signal?: AbortSignal): Promise<Source | undefined>
  /**
   * The refusal of a server to send this file, which may exist although `find` returned undefined; undefined if there
   * was none.
   */
  refusal?(file: string): WeightsError | undefined
  /** @throws WeightsError if there is none, naming the folder and what it does have */
  open(file: string, signal?: AbortSignal): Promise<Source>
  /** Names of what is in it; undefined where they can't be listed, such as on a server. */
  list?(): Promise<readonly string[] | undefined>
  /** Paths of files in it and in folders below, the first ones of many; undefined where they can't be listed. */
  listBelow?(): Promise<readonly string[] | undefined>
  /** A small file as text, which must be UTF-8. */
  readText(file: string, signal?: AbortSignal): Promise<string>
}

/**
 * The place of a model's files: a path, an address, the files of an input element or a drop, a {@link Folder}, or
 * {@link EMBEDDED}, the model that comes with the package.
 */
export type FolderLocation = string | URL | Chosen | Folder | typeof EMBEDDED

/** The values of the option `cache`. */
export const CACHE_PLACES = ['disk', 'opfs', 'none'] as const
/** The place where downloaded files are cached, or `none`. */
export type CachePlace = (typeof CACHE_PLACES)[number]

/** Options for web addresses only. */
export interface FolderOptions extends UrlOptions, BlockCacheOptions, HubOptions {
  /**
   * The place where downloaded bytes are cached for the next visit. 'disk', the default, is the user's cache folder in
   * Node and Deno, and the origin private file system in browsers; 'opfs' is its older name. 'none' caches nothing.
   */
  readonly cache?: CachePlace | undefined
  /** Requests at a time; 4 by default. */
  readonly maxRequests?: number | undefined
  /** @internal Counts the bytes of several files as one progress. */
  readonly download?: Download | undefined
}

const MAX_TEXT_BYTES = 64 * 2 ** 20 // real tokenizers have up to 35 MB
const MAX_JSON_BYTES = 2 ** 20 // a config.json has a few thousand
const MAX_NAMES_TOLD = 8
const WEIGHTS_NAME = /\.(safetensors|bin|pth|pt)(\.index\.json)?$/i

/**
 * A folder at a place. Nothing is opened yet: a missing folder is reported with the first file that is asked of it.
 *
 * @param where a drop must be given in its event's handler, before anything is awaited: it is empty afterwards
 */
export function openFolder(where: FolderLocation, options: FolderOptions = {}): Folder {
  expectLocation('openFolder', where)
  if (where === EMBEDDED) return embeddedFolder(options)
  if (typeof where !== 'string' && 'readText' in where) return where
  if (typeof where !== 'string' && !isUrl(where)) return chosenFolder(where)
  const text = String(where)
  const file = weightsIn(text)
  if (file) return { ...openFolder(file.parent, options), weights: file.name }
  if (/^https?:/i.test(text)) return urlFolder(text, options)
  if (isHubPlace(text)) return hubFolder(text, options)
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text)?.[1] ?? /^(data|blob|ftp):/i.exec(text)?.[1]
  if (scheme !== undefined && !/^file$/i.test(scheme)) {
    throw new UsageError(
      `${quoted(shownAddress(text))}: files are not read by ${scheme}. Give a path, an address with https:, http: or file:, or hf:owner/name.`,
    )
  }
  if (hasFiles()) return directoryFolder(where)
  return urlFolder(new URL(text, globalThis.location.href), options)
}

/**
 * The parent folder and the name of a place that is a file of weights, or an index of them; undefined of other places.
 */
function weightsIn(text: string): { parent: string; name: string } | undefined {
  if (/^(https?|file):/i.test(text) && URL.canParse(text)) {
    const url = new URL(text)
    const name = url.pathname.split('/').at(-1) ?? ''
    if (!WEIGHTS_NAME.test(name)) return undefined
    url.pathname = url.pathname.slice(0, -name.length)
    return { parent: url.href, name: decoded(name) }
  }
  if (isHubPlace(text)) {
    const { folder: parent, name } = splitHubPlace(text)
    return WEIGHTS_NAME.test(name) ? { parent, name } : undefined
  }
  const name = text.split(/[\\/]/).at(-1) ?? ''
  if (!WEIGHTS_NAME.test(name)) return undefined
  // A root keeps its slash
  const parent = text.slice(0, -name.length).replace(/(?<=[^:\\/])[\\/]$/, '')
  return { parent: parent || '.', name }
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/**
 * Callers in JavaScript may give anything, `process.env.WEIGHTS` that isn't set for instance.
 *
 * @param call for messages
 */
export function expectLocation(call: string, where: unknown): void {
  const isPlace =
    where === EMBEDDED ||
    (typeof where === 'string' ? where !== '' : isUrl(where) || isFolder(where) || isChosen(where))
  if (isPlace) return
  throw new UsageError(
    `${call}: the place is ${where === '' ? 'an empty string' : describe(where)}, expected a path, an address, chosen files ` +
      'or a folder. The model that comes with the package is FlowSeg.load() without any arguments, or EMBEDDED.',
  )
}

function isFolder(where: unknown): where is Folder {
  return typeof where === 'object' && where !== null && 'readText' in where
}

/** True if a value is a URL, of any realm. */
function isUrl(where: unknown): where is URL {
  return tagOf(where) === 'URL'
}

/** The files of the model that comes with the package. */
function embeddedFolder(options: FolderOptions): Folder {
  const servers = new Map<string, Folder>()
  const folderOf = (url: URL): Folder => {
    const base = new URL('.', url)
    base.search = url.search
    const files = servers.get(base.href) ?? urlFolder(base, options)
    servers.set(base.href, files)
    return files
  }
  const files = folder(
    'the model that comes with the package',
    async (file, signal) => {
      const url = await embeddedFile(file)
      if (!url) return undefined
      if (url.protocol === 'data:') return bytesSource(dataOf(url), file)
      if (url.protocol !== 'file:') return folderOf(url).find(lastOf(url.pathname.split('/')), signal)
      const { fileURLToPath } = await import('node:url')
      return findFile(fileURLToPath(url))
    },
    async () => undefined,
    " Copy the package's folder weights/flowseg-nano to where this program runs, and load it by its path.",
  )
  return {
    ...files,
    get notes() {
      return [...servers.values()].flatMap(({ notes = [] }) => notes)
    },
  }
}

/** The same folder, but for the files that `find` gives in place of its own. */
export function folderWith(from: Folder, find: Folder['find']): Folder {
  const open: Folder['open'] = async (file, signal) => (await find(file, signal)) ?? from.open(file, signal)
  return {
    ...from,
    find,
    open,
    readText: async (file, signal) => readText(await open(file, signal), signal),
    get notes() {
      return from.notes ?? []
    },
  }
}

/** Bundlers write small files into addresses, which a content security policy keeps from being fetched. */
function dataOf({ pathname }: URL): Uint8Array {
  const comma = pathname.indexOf(',')
  const text = decodeURIComponent(pathname.slice(comma + 1))
  if (!pathname.slice(0, comma).endsWith(';base64')) return new TextEncoder().encode(text)
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

/** A directory, by path or file: URL, in Node, Deno and Bun. */
export function directoryFolder(where: string | URL): Folder {
  const directory = async () => {
    if (typeof where === 'string' && !where.startsWith('file:')) return where
    const { fileURLToPath } = await import('node:url')
    return fileURLToPath(where)
  }
  const files = folder(
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
            ? `There is no folder ${printable(String(where))}. Check the path.`
            : `${printable(String(where))} can't be listed as a folder. Give the path of the folder that holds the files.`,
          { cause },
        )
      }
    },
    ' Copy or download it to there.',
  )
  return {
    ...files,
    directory: String(where),
    listBelow: async () => (await import('./files-below.ts')).filesBelow(await directory()),
  }
}

/** Files of a repository on Hugging Face's hub, `hf:owner/name` for instance. */
function hubFolder(place: string, { token, endpoint, ...options }: FolderOptions): Folder {
  const hub = new Hub(place, { token, endpoint, ...options })
  const { describe, remedy } = hub
  const list = (): Promise<string[] | undefined> => hub.list()
  const files = urlFolder(
    hub.address,
    { ...options, headers: hub.headers, resolver: hub },
    { describe, remedy, list },
  )
  return { ...files, listBelow: () => hub.listBelow() }
}

/**
 * Files under a URL, `https://host/models/flowseg-nano` for instance.
 *
 * @param about what messages call it, and what they say of a file that isn't there
 */
export function urlFolder(
  url: string | URL,
  options: FolderOptions = {},
  about: Pick<Folder, 'describe'> & { remedy?: string; list?: () => Promise<string[] | undefined> } = {
    describe: shownAddress(url),
  },
): Folder {
  if (!URL.canParse(String(url)))
    throw new UsageError(`${quoted(about.describe)} is not an address. Check it.`)
  if (options.cache !== undefined && !CACHE_PLACES.includes(options.cache)) {
    throw new UsageError(`cache is ${quoted(options.cache)}, expected 'disk' or 'none', or nothing.`)
  }
  headersOf(options.headers)
  const base = new URL(url)
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  const notes: string[] = []
  const refusals = new Map<string, WeightsError>()
  const [gate, shelf] = [new Gate(options.maxRequests), new Shelf()]
  let cache: Promise<BlockCache | undefined> | undefined
  const isFile = base.pathname.endsWith('.json/')
  const files = folder(
    about.describe,
    async (file, signal) => {
      const address = new URL(file, base)
      address.search = base.search // signed addresses keep their signature
      if (options.cache !== 'none') cache ??= BlockCache.open(options, notes)
      const how = { ...options, signal: signal ?? options.signal, gate, shelf, cache: await cache }
      const source = await findCachedUrl(address.href, how)
      refusals.delete(file)
      if (!(source instanceof Absent)) return source
      if (source.why === 'gone') return undefined
      refusals.set(file, source.error)
      return source.error
    },
    about.list ?? (async () => undefined),
    isFile ? ' Give the address of the folder that holds the files, not of a file.' : about.remedy,
  )
  return { ...files, notes, refusal: (file) => refusals.get(file) }
}

/** Files that the user chose, known by their names alone. */
export function chosenFolder(chosen: Chosen): Folder {
  const describe = describeChosen(chosen)
  const filesAndFolders = filesOf(chosen) // a drop must be read now
  filesAndFolders.catch(() => undefined) // the next request for a file reports it
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
 * Parses a text that keeps to the limits by JSON.parse.
 *
 * @param name for messages: the file's, and where it is
 */
export function jsonIn(text: string, name: string, limits: JsonLimits = SMALL_JSON): unknown {
  try {
    return plainJson(text, limits)
  } catch (cause) {
    throw notJson(text, name, cause)
  }
}

/**
 * Reads a large text that keeps to the limits.
 *
 * @param name for messages: the file's, and where it is
 * @param read takes the one value in it
 */
export async function jsonInTurns<T>(
  text: string,
  name: string,
  limits: JsonLimits,
  read: (reader: JsonReader) => Promise<T>,
): Promise<T> {
  try {
    const reader = new JsonReader(text, limits)
    const value = await read(reader)
    reader.end()
    return value
  } catch (cause) {
    throw cause instanceof SyntaxError ? notJson(text, name, cause) : cause
  }
}

function notJson(text: string, name: string, cause: unknown): WeightsError {
  const what = cause instanceof Error ? cause.message : String(cause)
  const is = disguiseOf(new TextEncoder().encode(text.slice(0, DISGUISE_BYTES)))
  return new WeightsError(
    text.trim() === ''
      ? `${printable(name)} is empty. Copy or download it again.`
      : `${printable(name)} is not JSON: ${what}. ` +
          (is ?? 'If you edited it, mend it there; else copy or download it again.'),
    { cause },
  )
}

/**
 * @param search gives the file, or the reason why it is of no use
 * @param remedy what else to do when a file is missing
 */
function folder(
  describe: string,
  search: (file: string, signal: AbortSignal | undefined) => Promise<Source | WeightsError | undefined>,
  list: () => Promise<string[] | undefined>,
  remedy = '',
): Folder {
  const look = async (file: string, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted()
    expectPlainName(file)
    return search(file, signal)
  }
  const result: Folder = {
    describe,
    async find(file, signal) {
      const source = await look(file, signal)
      return source instanceof WeightsError ? undefined : source
    },
    async open(file, signal) {
      const source = await look(file, signal)
      if (source instanceof WeightsError) throw source
      if (source) return source
      const names = (await list())?.sort()
      const some = names && (firstOf(names, MAX_NAMES_TOLD) || 'nothing')
      throw new WeightsError(
        `There is no ${file} in ${printable(describe)}${some ? `, which has ${some}` : ''}.${remedy}`,
      )
    },
    list,
    async readText(file, signal) {
      return readText(await result.open(file, signal), signal)
    },
  }
  return result
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
  const isPlain = /^[\p{L}\p{N}_][\p{L}\p{M}\p{N}_.+() -]*$/u.test(file) && !file.endsWith(' ')
  if (isPlain && file.length <= 255) return
  throw new WeightsError(
    `${quoted(file, 80)} is not a plain file name (letters, digits, spaces, "_", "-", "+", "." and parentheses only), ` +
      `so it is not opened.`,
  )
}
