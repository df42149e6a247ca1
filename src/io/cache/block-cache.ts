// Blocks of files from servers, kept for the next visit.
//
//   <url>-<version>/         both as hashes: another version is another folder, so that tabs or processes which see
//                            different versions of a file never mix them
//     entry.json             the address, without what may be secret in it, and the version
//     0, 1, 2 ...            its blocks, each followed by its SHA-256: one that was cut short, or damaged since, is
//                            as good as not there
//
// They lie in the browser's origin private file system, or in the cache folder of the user (Node, Deno, Bun). All of it
// can be downloaded again. So what can't be read is not there, and what can't be written is not kept: one of `notes`
// says so, and nothing fails. In pages without https, and in private windows of some browsers, there is no cache.

import { FlowSegError, UsageError } from '../../errors.ts'
import { hasFiles } from '../../has-files.ts'
import { ADDRESS, expectKind } from '../../options.ts'
import { printable, quoted, reasonOf } from '../../printable.ts'
import { lastingAddress, shownAddress } from '../http/address.ts'
import { Hub } from '../http/hub.ts'
import { isHubPlace } from '../http/hub-place.ts'
import type { Remote } from '../http/url-source.ts'
import { sha256Hex } from '../sha256.ts'
import { type BlockStore, StoreError } from './block-store.ts'
import { openDiskStore } from './disk-store.ts'
import { openOpfsStore } from './opfs-store.ts'

const ENTRY = 'entry.json'
const MAX_ENTRY_BYTES = 2 ** 20
const HASH_BYTES = 32
const FOLDER_NAME = /^[0-9a-f]{32}-([0-9a-f]{32}|none)$/

/** A file that is kept, wholly or in part. */
export interface CachedFile {
  /** The address without its query, which may be secret. */
  readonly url: string
  /** Bytes that are kept. */
  readonly bytes: number
  /** Bytes that the file has. */
  readonly size: number
}

/** The facts of a cached file; undefined stands for "the server has no such file". */
interface Entry {
  /** The address as it is shown. The folder's name has a hash of all of it but the parameters that sign a request. */
  readonly url: string
  readonly blockBytes: number
  readonly remote?: Omit<Remote, 'url' | 'body'> | undefined
  /** The hash of the whole file, once it was compared. */
  readonly sha256?: string | undefined
}

/** The blocks of one version of a file. */
export interface KeptFile {
  /** Bytes of each block but the last, as the cache has it. */
  readonly blockBytes: number
  /** The same for all who keep this version. */
  readonly key: string
  /** The hash of the whole file, once it was compared; its blocks have hashes of their own. */
  readonly sha256: string | undefined
  /** The block, or undefined if it isn't there, or not whole. */
  read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** Keeps a block if it can be. */
  write(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  /** Drops a block, so that the next visit fetches it; harmless where it isn't kept. */
  remove(index: number): Promise<void>
  /** Notes that the whole file has this hash. */
  approve(sha256: string): Promise<void>
}

/** Options of a block cache. */
export interface BlockCacheOptions {
  /** Bytes of a block but the last; 4 MiB by default. */
  readonly blockBytes?: number | undefined
  /** Ask the browser not to evict what is kept when it runs short of space. Some ask the user. */
  readonly persist?: boolean | undefined
}

/** The place where blocks are kept, in this browser or for this user. */
export class BlockCache {
  /** Bytes of each block but the last; what was kept in blocks of another size isn't found. */
  readonly blockBytes: number
  readonly #store: BlockStore
  /** Notes for the user, in sentences. */
  readonly #notes: string[]
  /** Nothing more can be written. */
  #isFull = false

  private constructor(store: BlockStore, blockBytes: number, notes: string[]) {
    this.#store = store
    this.blockBytes = blockBytes
    this.#notes = notes
  }

  /** @returns undefined where nothing can be kept */
  static async open(options: BlockCacheOptions, notes: string[]): Promise<BlockCache | undefined> {
    const store = await openStore(true)
    if (typeof store === 'string') {
      notes.push(
        `Weights can't be kept: ${printable(store)}. They will be downloaded again the next time. Set XDG_CACHE_HOME ` +
          `to a folder of yours where they should lie, or pass { cache: 'none' }.`,
      )
    }
    if (typeof store !== 'object') return undefined
    const cache = new BlockCache(store, options.blockBytes ?? 4 * 2 ** 20, notes)
    if (options.persist) void cache.#persist() // some browsers ask the user, who may take their time
    return cache
  }

  /** The facts that an earlier visit found at this address, which may have changed since. */
  async find(url: string): Promise<{ readonly remote: Remote | undefined } | undefined> {
    for (const name of await this.#foldersOf(urlKey(url))) {
      const entry = await readEntry(this.#store, name)
      if (entry?.url !== shownAddress(url) || entry.blockBytes !== this.blockBytes) continue
      return { remote: entry.remote && { ...entry.remote, url } }
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
    const store = this.#store
    const folder = `${urlKey(url)}-${shortHash(`${size} ${blockBytes} ${version}`)}`
    const remote = { size, version, hasRanges }
    const entry = await this.#enter(folder, { url: shownAddress(url), blockBytes, remote })
    if (!entry) return undefined
    const write = (name: string, parts: readonly Uint8Array<ArrayBuffer>[]): Promise<void> =>
      this.#write(fileName(url), () => store.write(folder, name, parts))
    return {
      blockBytes,
      key: folder,
      sha256: entry.sha256,
      read: async (index) => {
        const length = Math.min(blockBytes, size - index * blockBytes)
        const stored = await store.read(folder, String(index), length + HASH_BYTES)
        if (stored?.length !== length + HASH_BYTES) return undefined
        const bytes = stored.subarray(0, length)
        const digest = await digestOf(bytes)
        return digest.every((byte, i) => byte === stored[length + i]) ? bytes : undefined
      },
      write: async (index, bytes) => write(String(index), [bytes, await digestOf(bytes)]),
      remove: (index) => store.removeFile(folder, String(index)),
      approve: (sha256) => write(ENTRY, [json({ ...entry, sha256 })]),
    }
  }

  /** Notes that the server has no such file, for visits without a connection. */
  async keepMissing(url: string): Promise<void> {
    await this.#enter(`${urlKey(url)}-none`, { url: shownAddress(url), blockBytes: this.blockBytes })
  }

  /** A note, once. */
  note(sentence: string): void {
    if (!this.#notes.includes(sentence)) this.#notes.push(sentence)
  }

  async #persist(): Promise<void> {
    if (await this.#store.persist()) return
    this.note('The browser does not promise to keep the weights: it may evict them when space is short.')
  }

  /** @returns what is known of the file in this folder, which is made if it isn't there */
  async #enter(folder: string, entry: Entry): Promise<Entry | undefined> {
    const [key = folder] = folder.split('-')
    for (const stale of await this.#foldersOf(key)) {
      if (stale !== folder) await this.#store.removeFolder(stale).catch(() => undefined)
    }
    const present = await readEntry(this.#store, folder)
    let isThere = present !== undefined
    await this.#write(fileName(entry.url), async () => {
      await this.#store.makeFolder(folder)
      isThere = true
      if (!present) await this.#store.write(folder, ENTRY, [json(entry)])
    })
    return isThere ? (present ?? entry) : undefined
  }

  /** Folders of all versions of a file. */
  async #foldersOf(key: string): Promise<string[]> {
    return (await this.#store.folders()).filter((name) => name.startsWith(`${key}-`))
  }

  async #write(file: string, task: () => Promise<void>): Promise<void> {
    if (this.#isFull) return
    try {
      await task()
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      // Another tab or process is writing the same, or has cleared the cache: that is its business
      if (error.why !== 'taken' && error.why !== 'elsewhere') await this.#giveUp(file, error)
    }
  }

  /** The rest isn't kept. What is stays: it is good for the next visit. */
  async #giveUp(file: string, { why, message }: StoreError): Promise<void> {
    if (this.#isFull) return // as another block found out
    this.#isFull = true
    if (why === 'unable') return // a browser whose windows can't write
    if (why !== 'full') {
      this.note(
        `${this.#store.name} can't keep ${file}: ${message}. It will be downloaded again the next time.`,
      )
      return
    }
    this.note(
      `${await this.#store.describeFull()}: from ${file} on, what is missing will be downloaded again the next time. ` +
        `Free space on the disk, or clear weights that you no longer need.`,
    )
  }
}

/**
 * Files that were kept by earlier visits; none where nothing can be kept.
 *
 * @param under the address of a folder or a file, or its place on Hugging Face's hub; everything by default
 * @throws UsageError if `under` is no address
 */
export async function cachedWeights(under?: string | URL): Promise<CachedFile[]> {
  const isMeant = filterOf(under)
  const kept = await keptFolders(await openStore(false))
  return kept.flatMap(({ entry, bytes }) =>
    entry?.remote && isMeant(entry.url) ? [{ url: entry.url, bytes, size: entry.remote.size }] : [],
  )
}

/**
 * Deletes what is kept.
 *
 * @param under the address of a folder or a file, or its place on Hugging Face's hub; everything by default
 * @returns how many bytes were freed
 * @throws UsageError if `under` is no address, FlowSegError 'ERR_OUTPUT' when another tab is using it
 */
export async function clearCachedWeights(under?: string | URL): Promise<number> {
  if (under !== undefined) expectKind('clearCachedWeights: what to clear', under, ADDRESS)
  const isMeant = filterOf(under)
  const store = await openStore(false)
  let freed = 0
  for (const { name, entry, bytes } of await keptFolders(store)) {
    if (typeof store !== 'object') break
    if (under !== undefined && !(entry && isMeant(entry.url))) continue
    try {
      await store.removeFolder(name)
      freed += bytes
    } catch (cause) {
      if (cause instanceof StoreError && cause.why === 'elsewhere') continue // another tab was faster
      throw new FlowSegError(
        'ERR_OUTPUT',
        cause instanceof StoreError && cause.why === 'taken'
          ? `${entry?.url ?? name} can't be cleared while another tab or worker is downloading it: close that, and try again.`
          : `${entry?.url ?? name} can't be cleared: ${reasonOf(cause)}.`,
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

async function keptFolders(store: BlockStore | string | undefined): Promise<KeptFolder[]> {
  const kept: KeptFolder[] = []
  if (typeof store !== 'object') return kept
  for (const name of await store.folders()) {
    if (!FOLDER_NAME.test(name)) continue // whatever it is, it is none of ours
    const entry = await readEntry(store, name)
    let bytes = 0
    for (const file of await store.files(name)) {
      if (!entry?.remote || !/^\d+$/.test(file)) continue
      bytes += Math.max(0, Math.min(entry.blockBytes, entry.remote.size - Number(file) * entry.blockBytes))
    }
    kept.push({ name, entry, bytes })
  }
  return kept
}

/**
 * @param create false: only if something has been kept
 * @returns a reason why nothing can be kept, or undefined where that is usual
 */
async function openStore(create: boolean): Promise<BlockStore | string | undefined> {
  if ('storage' in (globalThis.navigator ?? {}) && 'getDirectory' in navigator.storage)
    return openOpfsStore(create)
  return hasFiles() ? openDiskStore(create) : undefined
}

async function readEntry(store: BlockStore, folder: string): Promise<Entry | undefined> {
  try {
    const bytes = await store.read(folder, ENTRY, MAX_ENTRY_BYTES)
    const entry: Partial<Entry> | null = JSON.parse(new TextDecoder().decode(bytes))
    const { size } = entry?.remote ?? { size: 0 }
    const isWhole = typeof entry?.url === 'string' && typeof entry.blockBytes === 'number'
    return isWhole && Number.isSafeInteger(size) && size >= 0
      ? { ...entry, url: entry.url, blockBytes: entry.blockBytes }
      : undefined
  } catch {
    return undefined
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

function urlKey(url: string): string {
  return shortHash(lastingAddress(url))
}

function fileName(url: string): string {
  return shownAddress(url).split('/').at(-1) || shownAddress(url)
}

/**
 * A function that is true of addresses of files at or below `place`; of all if that is undefined. @throws UsageError if
 * `place` is no address
 */
function filterOf(place: string | URL | undefined): (url: string) => boolean {
  if (place === undefined) return () => true
  const page = globalThis.location?.href
  const under = isHubPlace(String(place)) ? new Hub(String(place)).address : place
  if (!URL.canParse(String(under), page)) {
    throw new UsageError(
      `${quoted(shownAddress(under))} is not the address of kept weights. cachedWeights() lists them.`,
    )
  }
  const plain = (address: string): string => {
    const { origin, pathname } = new URL(address, page)
    return origin + pathname
  }
  const base = plain(String(under))
  return (url) => plain(url) === base || plain(url).startsWith(base.endsWith('/') ? base : `${base}/`)
}
