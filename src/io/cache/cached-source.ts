// A file in blocks of a few MiB: fetched once, ahead of the reader, and kept for the next visit.
//
//   read -> blocks in memory -> blocks that are kept (block-cache.ts) -> the server
//
// A reader of weights asks for thousands of small ranges. Here they become a request a block, a few at a time and
// always some ahead; the last blocks that were read of a folder's files stay in memory, as the next range often begins
// in them. A block is written to the cache as soon as it has come, so what was downloaded isn't lost when the rest is
// given up. Tabs that load the same file take turns at each block (Web Locks), and so download it once.

import { breathe, orAborted } from '../../breathe.ts'
import { lastOf } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import type { Waiting } from '../../progress.ts'
import { shownAddress } from '../http/address.ts'
import { Absent } from '../http/answers.ts'
import type { Download } from '../http/download.ts'
import { probe, type Remote, type RemoteSource, remoteSource, type UrlOptions } from '../http/url-source.ts'
import { Sha256 } from '../sha256.ts'
import { type ByteRange, DamagedError, expectRange, type Source, UnreachableError } from '../source.ts'
import type { BlockCache, KeptFile } from './block-cache.ts'

/** Blocks that are fetched before they are read, and blocks that stay in memory after. */
const AHEAD = 4
const STAY = 8
/** Bytes that are hashed in one turn: 1 to 4 ms of a host's hash. */
const HASHED_BYTES = 2 ** 20

/** Options of a source that reads a file in blocks: their size, and the cache and queue that it uses. */
export interface BlockOptions {
  /** The blocks that are kept for later visits; undefined where nothing is kept. */
  readonly kept?: KeptFile | undefined
  /** 4 MiB by default; where blocks are kept, theirs. */
  readonly blockBytes?: number | undefined
  /** The counts of all files of a checkpoint, which this file's bytes are added to. */
  readonly download?: Download | undefined
  /** Shared by the files of a server. */
  readonly gate?: Gate | undefined
  /** Shared by the files of a folder. */
  readonly shelf?: Shelf | undefined
}

interface Block {
  readonly bytes: Promise<Uint8Array<ArrayBuffer>>
  isHere: boolean
  isRead: boolean
}

/** The origin of a file's hash. A manifest's is always compared, a server's where all of the file is read. */
type HashBy = 'manifest.json' | 'the server'

/** The hash of a file, of which block after block is seen. */
interface Checking {
  readonly expected: string
  readonly by: HashBy
  readonly remedy: string
  /** It was right at an earlier visit, and nothing has come over the network since. */
  isKnown: boolean
  readonly hash: Sha256
  /** The block that comes next, and those that came too early. */
  next: number
  readonly early: Map<number, Uint8Array>
  /** The first block that came too early to wait: from it on, `verify` reads again. */
  end: number
  /** Settles once all that can be hashed is. */
  work: Promise<void> | undefined
}

/** A file in blocks: those in memory, those that are kept, and the server. */
export class BlockSource implements Source {
  /** The name of the file on the server, for messages. */
  readonly name: string
  /** Bytes of the whole file. */
  readonly size: number
  readonly #origin: RemoteSource
  readonly #kept: KeptFile | undefined
  readonly #blockBytes: number
  readonly #count: number
  /** The file's name in progress. */
  readonly #label: string
  readonly #download: Download | undefined
  readonly #gate: Gate
  readonly #shelf: Shelf

  /** The blocks in memory or on their way. */
  readonly #blocks = new Map<number, Block>()
  /** Blocks that were read: none is fetched ahead for another reader that has been there. */
  readonly #wereRead = new Set<number>()
  /** The reads to come: the blocks in order, and the place of each. Without it, nobody knows. */
  #order: readonly number[] = []
  #placeOf = new Map<number, number>()
  /** Blocks that were reported as loaded; those that came over the network; those that an earlier visit had kept. */
  readonly #told = new Set<number>()
  readonly #haveCome = new Set<number>()
  readonly #wereKept = new Set<number>()
  #checking: Checking | undefined

  readonly #closing = new AbortController()
  /** Blocks that are being fetched or written. */
  readonly #work = new Map<number, Promise<void>>()
  #closed: Promise<void> | undefined

  constructor(origin: RemoteSource, options: BlockOptions = {}) {
    const { kept, blockBytes = 4 * 2 ** 20, download, gate, shelf } = options
    this.name = origin.name
    this.size = origin.size
    this.#origin = origin
    this.#kept = kept
    this.#blockBytes = kept?.blockBytes ?? blockBytes
    this.#count = Math.ceil(origin.size / this.#blockBytes)
    this.#label = labelOf(origin.name)
    this.#download = download
    this.#gate = gate ?? new Gate()
    this.#shelf = shelf ?? new Shelf()
    download?.add(origin.size)
  }

  /** Fetches, or takes from the cache, each block of the range; the next few are fetched meanwhile. */
  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    signal?.throwIfAborted()
    expectRange(this, offset, length)
    if (this.#closed) throw new WeightsError(`${this.name} was closed: open it again.`)
    const bytes = new Uint8Array(length)
    const end = offset + length
    const indices = this.#blocksOf([offset, end])
    for (const i of indices) {
      const begin = i * this.#blockBytes
      const block = await this.#get(i, lastOf(indices), signal)
      // Reading doesn't run ahead of hashing: blocks that wait for it would fill the memory, or be left out of it
      await this.#checking?.work
      bytes.set(block.subarray(Math.max(0, offset - begin), end - begin), Math.max(0, begin - offset))
    }
    return bytes
  }

  /** Blocks outside of these ranges leave the download's total, unless the file's hash needs them. */
  willRead(ranges: readonly ByteRange[]): void {
    const order = new Set<number>()
    for (const range of ranges) for (const i of this.#blocksOf(range)) order.add(i)
    // A hash is of the whole file
    if (this.#checking?.by === 'the server' && order.size < this.#count) this.#checking = undefined
    if (this.#checking && !this.#checking.isKnown) for (let i = 0; i < this.#count; i++) order.add(i)
    this.#order = [...order]
    this.#placeOf = new Map(this.#order.map((block, place) => [block, place]))
    for (let i = 0; i < this.#count; i++) if (!order.has(i)) this.#skip(i)
  }

  /**
   * @param sha256 of the whole file, in hex: `verify` compares
   * @param remedy what to do where it is another
   */
  expectSha256(sha256: string, remedy = 'Get the file again.', by: HashBy = 'manifest.json'): void {
    const isKnown = this.#kept?.sha256 === sha256
    this.#checking = {
      expected: sha256,
      by,
      remedy,
      isKnown,
      hash: new Sha256(),
      next: 0,
      early: new Map(),
      end: Infinity,
      work: undefined,
    }
  }

  /** Compares the hash that `expectSha256` was given. What is kept of a file with another is dropped. */
  async verify(signal?: AbortSignal): Promise<void> {
    try {
      await this.#verify(signal)
    } finally {
      await this.#settle()
    }
  }

  async #verify(signal: AbortSignal | undefined): Promise<void> {
    const checking = this.#checking
    if (!checking || checking.isKnown) return
    await checking.work // what has come may not be hashed yet
    if (checking.by === 'the server' && !this.#isAtHand(checking)) return
    this.#wereRead.clear()
    for (;;) {
      await checking.work
      const i = checking.next
      if (i >= this.#count) break
      checking.end = Infinity
      this.#check(i, await this.#get(i, this.#count - 1, signal))
    }
    const sha256 = checking.hash.digest()
    this.#checking = undefined
    if (sha256 === checking.expected) return this.#kept?.approve(sha256)
    const wasKept = await this.forget([0, this.size])
    throw new DamagedError(
      `${printable(this.name)}: its bytes are damaged (SHA-256 ${sha256}, ${checking.by} says ${checking.expected}). ${checking.remedy}`,
      wasKept,
    )
  }

  /** The rest of the file needn't be downloaded for its hash alone. */
  #isAtHand({ next }: Checking): boolean {
    return this.#told.size === this.#count && (next === this.#count || this.#kept !== undefined)
  }

  /** Drops every block that the range touches, from memory and from the cache. */
  async forget(range: ByteRange): Promise<boolean> {
    const indices = this.#blocksOf(range)
    for (const i of indices) {
      await this.#work.get(i)
      this.#drop(i)
      await this.#kept?.remove(i)
    }
    return indices.some((i) => this.#wereKept.has(i))
  }

  /** Ends what is under way, but for the writing of what has come. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#closing.abort(new WeightsError(`${this.name} was closed while it was being read.`))
      await this.#settle()
      for (const i of this.#blocks.keys()) this.#drop(i)
      if (!this.#download?.hasBegun) for (let i = 0; i < this.#count; i++) this.#skip(i)
      await this.#origin.close()
    })()
    return this.#closed
  }

  async #settle(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work.values())
  }

  #blocksOf([begin, end]: ByteRange): number[] {
    const first = Math.floor(begin / this.#blockBytes)
    const count = begin < end ? Math.ceil(end / this.#blockBytes) - first : 0
    return Array.from({ length: count }, (_, i) => first + i)
  }

  /** A block, while those that come after it are fetched too. @param last the last one that this reader wants */
  async #get(i: number, last: number, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
    const block = this.#blocks.get(i) ?? this.#fetch(i)
    block.isRead = true
    this.#wereRead.add(i)
    if (block.isHere) this.#stay(i, block)
    const place = this.#placeOf.get(i)
    for (let k = 1; k < AHEAD; k++) {
      const next = place === undefined ? (i + k <= last ? i + k : undefined) : this.#order[place + k]
      if (next === undefined || this.#unread() >= AHEAD) break
      if (!this.#blocks.has(next) && !this.#wereRead.has(next)) this.#fetch(next)
    }
    // Others may wait for it too
    return orAborted(block.bytes, signal)
  }

  /** Keeps a block that was just read, until others were read after it. */
  #stay(i: number, block: Block): void {
    if (this.#blocks.get(i) === block) this.#shelf.put(block, () => this.#drop(i))
  }

  #drop(i: number): void {
    const block = this.#blocks.get(i)
    this.#blocks.delete(i)
    if (block) this.#shelf.remove(block)
  }

  #unread(): number {
    let count = 0
    for (const { isRead } of this.#blocks.values()) if (!isRead) count++
    return count
  }

  #fetch(i: number): Block {
    const block: Block = { bytes: this.#load(i), isHere: false, isRead: false }
    this.#blocks.set(i, block)
    block.bytes.then(
      (bytes) => {
        block.isHere = true
        this.#check(i, bytes)
        if (block.isRead) this.#stay(i, block)
      },
      // The reader gets the error; the next one may have more luck
      () => this.#blocks.get(i) === block && this.#blocks.delete(i),
    )
    return block
  }

  async #load(i: number): Promise<Uint8Array<ArrayBuffer>> {
    const kept = await this.#fromCache(i)
    if (kept) return kept
    const { signal } = this.#closing
    // It is ours once it has come; its writing goes on
    return new Promise((resolve, reject) => {
      const work = this.#inTurn(i, async (waited) => {
        const others = waited ? await this.#fromCache(i) : undefined
        if (others) return resolve(others)
        return this.#gate.pass(async () => {
          signal.throwIfAborted()
          const bytes = await this.#fromNetwork(i)
          resolve(bytes)
          await this.#kept?.write(i, bytes)
        })
      }).catch(reject)
      this.#work.set(i, work)
      void work.finally(() => this.#work.get(i) === work && this.#work.delete(i))
    })
  }

  /** @param task is told whether another tab may have had its turn just now */
  async #inTurn(i: number, task: (waited: boolean) => Promise<void>): Promise<void> {
    const locks = this.#kept && globalThis.navigator?.locks
    if (!locks) return task(false)
    const { signal } = this.#closing
    await locks.request(`flowseg ${this.#kept?.key} ${i}`, { signal }, () => task(true))
  }

  async #fromCache(i: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await this.#kept?.read(i)
    if (!bytes) return undefined
    if (!this.#haveCome.has(i)) this.#wereKept.add(i)
    if (this.#tell(i)) this.#download?.cameFromCache(this.#label, bytes.length)
    return bytes
  }

  async #fromNetwork(i: number): Promise<Uint8Array<ArrayBuffer>> {
    const begin = i * this.#blockBytes
    const length = Math.min(this.#blockBytes, this.size - begin)
    const isNew = this.#tell(i)
    let come = 0
    const received = (bytes: number): void => {
      come += bytes
      if (isNew) this.#download?.cameFromNetwork(this.#label, bytes)
    }
    try {
      const bytes = await this.#origin.read(begin, length, this.#closing.signal, received)
      received(length - come)
      this.#haveCome.add(i)
      if (this.#checking) this.#checking.isKnown = false
      return bytes
    } catch (error) {
      received(-come)
      if (isNew) this.#told.delete(i)
      throw error
    }
  }

  /** @returns whether it is reported for the first time */
  #tell(i: number): boolean {
    const isNew = !this.#told.has(i)
    this.#told.add(i)
    return isNew
  }

  #skip(i: number): void {
    const begin = i * this.#blockBytes
    if (this.#tell(i)) this.#download?.skip(this.#label, Math.min(this.#blockBytes, this.size - begin))
  }

  #check(i: number, bytes: Uint8Array): void {
    const checking = this.#checking
    if (!checking || checking.isKnown || i < checking.next || i >= checking.end) return
    const { early } = checking
    early.set(i, bytes)
    if (early.size > this.#shelf.most) {
      checking.end = Math.max(...early.keys())
      early.delete(checking.end)
    }
    if (early.has(checking.next)) checking.work ??= hashInTurns(checking)
  }
}

/** Hashes the blocks that are there, up to the first that isn't. */
async function hashInTurns(checking: Checking): Promise<void> {
  const { early, hash } = checking
  for (let bytes = early.get(checking.next); bytes; bytes = early.get(checking.next)) {
    for (let at = 0; at < bytes.length; at += HASHED_BYTES) {
      await breathe()
      hash.update(bytes.subarray(at, at + HASHED_BYTES))
    }
    early.delete(checking.next++)
  }
  checking.work = undefined
}

/** The blocks of several files that were read last: others leave the memory. */
export class Shelf {
  /** Blocks that stay. */
  readonly most: number
  /** Blocks with the functions that let go of them, the least recently read first. */
  readonly #blocks = new Map<object, () => void>()

  constructor(most: number = STAY) {
    this.most = most
  }

  /** @param drop called once others were read after it */
  put(block: object, drop: () => void): void {
    this.#blocks.delete(block)
    this.#blocks.set(block, drop)
    for (const [old, dropOld] of this.#blocks) {
      if (this.#blocks.size <= this.most) break
      this.#blocks.delete(old)
      dropOld()
    }
  }

  /** Takes a block off without calling its `drop`. */
  remove(block: object): void {
    this.#blocks.delete(block)
  }
}

/** Lets so many in at a time. */
export class Gate {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(places: number = AHEAD) {
    this.#free = places
  }

  /** Runs the task once there is a place; callers get in in the order of asking. */
  async pass<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((enter) => this.#waiting.push(enter))
    try {
      return await task()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}

// ---------------------------------------------------------------------------------------------------------
// Files on servers

/** Options for a file on a server that is read in blocks. */
export interface CachedUrlOptions extends UrlOptions, Omit<BlockOptions, 'kept'> {
  /** The cache that blocks are kept in; without it nothing is kept. */
  readonly cache?: BlockCache | undefined
}

/**
 * A file on a server, in blocks. What is kept from an earlier visit counts as long as the server's ETag, or the date of
 * the last change, is the same; it also counts when there is no connection.
 */
export async function findCachedUrl(url: string, asked: CachedUrlOptions): Promise<Source | Absent> {
  const { cache, download } = asked
  const onWait = (waiting: Waiting): void => {
    asked.onWait?.(waiting)
    download?.waits(labelOf(url), waiting)
  }
  const options = { ...asked, onWait }
  const remote = cache ? await probeOrKept(url, options, cache) : await probe(url, options)
  if (remote instanceof Absent) return remote
  if (cache && remote.version === undefined) {
    cache.note(
      'The server sends neither an ETag nor a Last-Modified date, or does not expose them to this page, so the ' +
        'weights are not cached: they will be downloaded again the next time.',
    )
  }
  const kept = remote.version === undefined ? undefined : await cache?.keep(remote)
  const httpCache = kept && 'no-store' // not twice
  const source = new BlockSource(remoteSource(remote, { ...options, httpCache }), { ...options, kept })
  if (remote.sha256 !== undefined) source.expectSha256(remote.sha256, undefined, 'the server')
  return source
}

async function probeOrKept(url: string, options: UrlOptions, cache: BlockCache): Promise<Remote | Absent> {
  const have = await cache.find(url)
  const isOffline = globalThis.navigator !== undefined && 'onLine' in navigator && !navigator.onLine
  try {
    if (!have || !isOffline) {
      const remote = await probe(url, { ...options, httpCache: 'no-cache' }, have)
      // A server that refuses us may do so for now only: what is kept stays
      if (remote instanceof Absent && (remote.why === 'gone' || !have?.remote)) await cache.keepMissing(url)
      return remote
    }
  } catch (error) {
    if (!have || !(error instanceof UnreachableError)) throw error
  }
  cache.note('The server can not be reached: the weights are those of an earlier visit.')
  const wasAbsent = `${shownAddress(url)} was not there at an earlier visit, and the server can not be reached.`
  return have.remote ?? new Absent('gone', new WeightsError(`${wasAbsent} Check the connection.`))
}

/** The file's name, for progress. */
function labelOf(url: string): string {
  return lastOf(shownAddress(url).split('/'))
}
