// Blocks of files from servers, kept in the browser's origin private file system (OPFS).
//
//   flowseg/                 in navigator.storage.getDirectory()
//     <url>-<version>/       both as hashes: another version is another folder, so that tabs which see different
//       entry.json           versions of a file never mix them
//       0, 1, 2 ...          its blocks, each followed by its SHA-256: one that was cut short, or damaged since, is
//                            as good as not there
//
// All of it can be downloaded again. So what can't be read is not there, and what can't be written is not kept: one of
// `notes` says so, and nothing fails. Where there is no OPFS (Node, Deno, pages without https, private windows of some
// browsers) there is no cache.

import { FlowSegError } from '../errors.ts'
import { ADDRESS, expectKind } from '../options.ts'
import { sha256Hex } from './sha256.ts'
import type { Remote } from './source.ts'

const FOLDER = 'flowseg'
const ENTRY = 'entry.json'

/** A file that is kept, wholly or in part. */
export interface CachedFile {
  readonly url: string
  /** Bytes that are kept, and that the file has. */
  readonly bytes: number
  readonly size: number
}

/** What is known of a file that is kept; undefined stands for "the server has no such file". */
interface Entry {
  readonly url: string
  readonly blockBytes: number
  readonly remote?: Omit<Remote, 'body'> | undefined
  /** Of the whole file, found right. */
  readonly sha256?: string | undefined
}

/** The blocks of one version of a file. */
export interface KeptFile {
  readonly blockBytes: number
  /** The same for all who keep this version. */
  readonly key: string
  /** Of the whole file, found right once; its blocks have their own. */
  readonly sha256: string | undefined
  /** The block, or undefined if it isn't there, or not whole. */
  read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** Keeps a block if it can be. */
  write(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  remove(index: number): Promise<void>
  /** Remembers that the whole file has this hash. */
  approve(sha256: string): Promise<void>
}

export interface BlockCacheOptions {
  /** Bytes of a block but the last; 4 MiB by default. */
  readonly blockBytes?: number | undefined
  /** Ask the browser not to evict what is kept when it runs short of space. Some ask the user. */
  readonly persist?: boolean | undefined
}

export class BlockCache {
  readonly blockBytes: number
  readonly #folder: FileSystemDirectoryHandle
  /** What a user should know, in sentences. */
  readonly #notes: string[]
  /** Nothing more can be written. */
  #isFull = false

  private constructor(folder: FileSystemDirectoryHandle, blockBytes: number, notes: string[]) {
    this.#folder = folder
    this.blockBytes = blockBytes
    this.#notes = notes
  }

  /** @returns undefined where nothing can be kept */
  static async open(options: BlockCacheOptions, notes: string[]): Promise<BlockCache | undefined> {
    const folder = await rootFolder({ create: true })
    if (!folder) return undefined
    const cache = new BlockCache(folder, options.blockBytes ?? 4 * 2 ** 20, notes)
    if (options.persist) void cache.#persist() // some browsers ask the user, who may take their time
    return cache
  }

  /** What an earlier visit found at this address, whether or not it still is so. */
  async find(url: string): Promise<{ readonly remote: Entry['remote'] } | undefined> {
    for (const name of await this.#namesOf(url)) {
      const entry = await readEntry(this.#folder, name)
      if (entry?.url === url && entry.blockBytes === this.blockBytes) return { remote: entry.remote }
    }
    return undefined
  }

  /**
   * The blocks of this version of a file, those that are there and those to come. Other versions are dropped.
   *
   * @returns undefined if nothing can be kept
   */
  async keep({ url, size, version, hasRanges }: Remote): Promise<KeptFile | undefined> {
    const { blockBytes } = this
    const remote = { url, size, version, hasRanges }
    const name = `${urlKey(url)}-${shortHash(`${size} ${blockBytes} ${version}`)}`
    const kept = await this.#enter(name, { url, blockBytes, remote })
    if (!kept) return undefined
    const { folder, entry } = kept
    const path = (index: number): string => String(index)
    return {
      blockBytes,
      key: name,
      sha256: entry.sha256,
      read: async (index) => {
        const length = Math.min(blockBytes, size - index * blockBytes)
        try {
          const file = await (await folder.getFileHandle(path(index))).getFile()
          const stored = new Uint8Array(await file.arrayBuffer())
          const bytes = stored.subarray(0, length)
          const digest = await digestOf(bytes)
          return digest.every((byte, i) => byte === stored[length + i]) ? bytes : undefined
        } catch {
          return undefined
        }
      },
      write: async (index, bytes) => {
        await this.#write(folder, path(index), url, [bytes, await digestOf(bytes)])
      },
      remove: async (index) => {
        await folder.removeEntry(path(index)).catch(() => undefined)
      },
      approve: (sha256) => this.#write(folder, ENTRY, url, [json({ ...entry, sha256 })]),
    }
  }

  /** Remembers that the server has no such file, for visits without a connection. */
  async keepMissing(url: string): Promise<void> {
    await this.#enter(`${urlKey(url)}-none`, { url, blockBytes: this.blockBytes })
  }

  /** A note, once. */
  note(sentence: string): void {
    if (!this.#notes.includes(sentence)) this.#notes.push(sentence)
  }

  async #persist(): Promise<void> {
    if (await navigator.storage.persist?.().catch(() => false)) return
    this.note('The browser does not promise to keep the weights: it may evict them when space is short.')
  }

  async #enter(
    name: string,
    entry: Entry,
  ): Promise<{ folder: FileSystemDirectoryHandle; entry: Entry } | undefined> {
    for (const stale of await this.#namesOf(entry.url)) {
      if (stale !== name) await this.#folder.removeEntry(stale, { recursive: true }).catch(() => undefined)
    }
    try {
      const found = await readEntry(this.#folder, name)
      const folder = await this.#folder.getDirectoryHandle(name, { create: true })
      if (!found) await this.#write(folder, ENTRY, entry.url, [json(entry)])
      return { folder, entry: found ?? entry }
    } catch (error) {
      await this.#giveUp(entry.url, error)
      return undefined
    }
  }

  async #namesOf(url: string): Promise<string[]> {
    const names: string[] = []
    const prefix = `${urlKey(url)}-`
    try {
      for await (const name of this.#folder.keys()) if (name.startsWith(prefix)) names.push(name)
    } catch {
      // Somebody cleared all of it
    }
    return names
  }

  async #write(
    folder: FileSystemDirectoryHandle,
    name: string,
    url: string,
    parts: readonly Uint8Array<ArrayBuffer>[],
  ): Promise<void> {
    if (this.#isFull) return
    try {
      await writeFile(folder, name, parts)
    } catch (error) {
      // Another tab is writing the same, or has cleared the cache: that is its business
      if (!['NoModificationAllowedError', 'NotFoundError'].includes(nameOf(error)))
        await this.#giveUp(url, error)
    }
  }

  /** The rest isn't kept. What is stays: it is good for the next visit. */
  async #giveUp(url: string, error: unknown): Promise<void> {
    this.#isFull = true
    const file = fileName(url)
    if (nameOf(error) === 'NotSupportedError') return // a browser whose windows can't write
    if (nameOf(error) !== 'QuotaExceededError') {
      const reason = error instanceof Error ? error.message.replace(/\.$/, '') : String(error)
      this.note(`The browser can't keep ${file}: ${reason}. It will be downloaded again the next time.`)
      return
    }
    const { usage, quota } = (await navigator.storage.estimate?.().catch(() => undefined)) ?? {}
    const numbers =
      usage !== undefined && quota ? ` (${megabytes(usage)} of ${megabytes(quota)} are in use)` : ''
    this.note(
      `The browser's storage for this page is full${numbers}: from ${file} on, what is missing will be downloaded ` +
        `again the next time. Free space on the disk, or clear weights that you no longer need.`,
    )
  }
}

/** Files that were kept by earlier visits, of all folders; none where there is no OPFS. */
export async function cachedWeights(): Promise<CachedFile[]> {
  const kept = await keptFolders()
  return kept.flatMap(({ entry, bytes }) =>
    entry?.remote ? [{ url: entry.url, bytes, size: entry.remote.size }] : [],
  )
}

/**
 * Deletes what is kept.
 *
 * @param under the address of a folder or a file; everything by default
 * @returns how many bytes were freed
 * @throws FlowSegError 'ERR_OUTPUT' when another tab is using it
 */
export async function clearCachedWeights(under?: string | URL): Promise<number> {
  if (under !== undefined) expectKind('clearCachedWeights: what to clear', under, ADDRESS)
  const root = await rootFolder()
  let freed = 0
  for (const { name, entry, bytes } of await keptFolders()) {
    if (under !== undefined && !(entry && isUnder(entry.url, String(under)))) continue
    try {
      await root?.removeEntry(name, { recursive: true })
      freed += bytes
    } catch (cause) {
      if (nameOf(cause) === 'NotFoundError') continue // another tab was faster
      throw new FlowSegError(
        'ERR_OUTPUT',
        `${entry?.url ?? name} can't be cleared while another tab or worker is downloading it: close that, and try again.`,
        { cause },
      )
    }
  }
  return freed
}

interface KeptFolder {
  readonly name: string
  /** Undefined if it can't be read. */
  readonly entry: Entry | undefined
  readonly bytes: number
}

async function keptFolders(): Promise<KeptFolder[]> {
  const root = await rootFolder()
  const found: KeptFolder[] = []
  if (!root) return found
  for await (const [name, handle] of root.entries()) {
    if (handle.kind !== 'directory') continue
    const entry = await readEntry(root, name)
    let bytes = 0
    for await (const file of handle.keys()) {
      if (!entry?.remote || !/^\d+$/.test(file)) continue
      bytes += Math.max(0, Math.min(entry.blockBytes, entry.remote.size - Number(file) * entry.blockBytes))
    }
    found.push({ name, entry, bytes })
  }
  return found
}

// ---------------------------------------------------------------------------------------------------------
// The part of OPFS that we use

/** Undefined where there is none, or it is refused. */
async function rootFolder(options = { create: false }): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await globalThis.navigator?.storage?.getDirectory?.()
    return await root?.getDirectoryHandle(FOLDER, options)
  } catch {
    return undefined
  }
}

async function readEntry(root: FileSystemDirectoryHandle, name: string): Promise<Entry | undefined> {
  try {
    const folder = await root.getDirectoryHandle(name)
    const text = await (await (await folder.getFileHandle(ENTRY)).getFile()).text()
    const entry: Partial<Entry> | null = JSON.parse(text)
    return typeof entry?.url === 'string' && typeof entry.blockBytes === 'number'
      ? { ...entry, url: entry.url, blockBytes: entry.blockBytes }
      : undefined
  } catch {
    return undefined
  }
}

/** In workers. Its methods returned promises in the first browsers that had it. */
interface SyncAccessHandle {
  truncate(size: number): void | Promise<void>
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number
  flush(): void | Promise<void>
  close(): void | Promise<void>
}

/** Replaces a file. In a worker it may be left cut short, should the worker end. */
async function writeFile(
  folder: FileSystemDirectoryHandle,
  name: string,
  parts: readonly Uint8Array<ArrayBuffer>[],
): Promise<void> {
  const file: FileSystemFileHandle & { createSyncAccessHandle?: () => Promise<SyncAccessHandle> } =
    await folder.getFileHandle(name, { create: true })
  try {
    if (file.createSyncAccessHandle) {
      const handle = await file.createSyncAccessHandle()
      try {
        await handle.truncate(0)
        let at = 0
        for (const part of parts) {
          // Fewer where there is no space, or 2^32 - 8: Chromium's error as a count (147, storage in memory)
          if (handle.write(part, { at }) !== part.length)
            throw new DOMException('no space', 'QuotaExceededError')
          at += part.length
        }
        await handle.flush()
      } finally {
        await handle.close()
      }
    } else if ('createWritable' in file) {
      const stream = await file.createWritable()
      try {
        for (const part of parts) await stream.write(part)
        await stream.close()
      } catch (error) {
        await stream.abort().catch(() => undefined)
        throw error
      }
    } else {
      throw new DOMException('files can only be written in workers', 'NotSupportedError')
    }
  } catch (error) {
    // An empty or half a file is of no use, unless another tab is about to fill it
    if (nameOf(error) !== 'NoModificationAllowedError') await folder.removeEntry(name).catch(() => undefined)
    throw error
  }
}

async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

function json(value: object): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(value)))
}

function shortHash(text: string): string {
  return sha256Hex(text).slice(0, 32)
}

const urlKey = shortHash

function nameOf(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.name : ''
}

function fileName(url: string): string {
  return new URL(url).pathname.split('/').at(-1) || url
}

function isUnder(url: string, address: string): boolean {
  const plain = (text: string): string => {
    const { origin, pathname } = new URL(text, globalThis.location?.href)
    return origin + pathname
  }
  const [file, base] = [plain(url), plain(address)]
  return file === base || file.startsWith(base.endsWith('/') ? base : `${base}/`)
}

function megabytes(bytes: number): string {
  return bytes < 1e10 ? `${Math.round(bytes / 1e6)} MB` : `${Math.round(bytes / 1e9)} GB`
}
