// Files on servers, by HTTP ranges.
//
// One request of two bytes tells a file's size and version. Then each range is asked for until all of it is here: what
// a short answer or a broken connection leaves out is asked for again from there on. An answer counts only if its
// headers say that these are the bytes that were asked for. A server that knows no ranges may send a small file whole.
// Retries are in http.ts; blocks, and the cache of them, in cached-source.ts.

import { WeightsError } from '../../errors.ts'
import { bytesSource, expectRange, type Source, UnreachableError } from '../source.ts'
import { shownAddress } from './address.ts'
import {
  Absent,
  absence,
  expectSize,
  isOther,
  isPageAddress,
  pageError,
  partOf,
  readPart,
  readWhole,
  refused,
  versionOf,
} from './answers.ts'
import { exchange, type HttpAnswer, type HttpOptions, Patience, type Stated } from './http.ts'

/** Options of requests for files. */
export interface UrlOptions extends HttpOptions {
  /** A server that knows no ranges may send a file of at most this size whole; 64 MiB by default. */
  readonly maxWholeBytes?: number | undefined
}

/** The facts that a server tells about a file. */
export interface Remote {
  /** The address that was asked for, parameters included: messages show shownAddress of it. */
  readonly url: string
  /** Bytes of the whole file. */
  readonly size: number
  /** The ETag, else the date of the last change; undefined if the server tells, or lets this page see, neither. */
  readonly version: string | undefined
  /** Otherwise the server sends the file whole. */
  readonly hasRanges: boolean
  /** The whole file, if it has come already. */
  readonly body?: Uint8Array<ArrayBuffer>
  /** The hash of the whole file by the server, in hex. */
  readonly sha256?: string | undefined
}

/** Bytes asked for to learn a file's size: of one, 'bytes=0-0', sirv and with it Vite's server send the whole file. */
const PROBE = 2
/** Bytes that tell a page of HTML, or a pointer of Git LFS, from a file. */
const PAGE_BEGIN = 64
/** A pointer of Git LFS, which has three lines, is smaller. */
const MAX_POINTER = 1024
const POINTER = 'version https://git-lfs'
const MAX_WHOLE_BYTES = 64 * 2 ** 20
/**
 * Answers that a range may take: a server that sends 4 kB at a time is slow, one that sends a byte at a time is broken.
 */
const MAX_ANSWERS = 1024

/**
 * A file on a server. One that knows no ranges sends the file whole: kept when it is at most `maxWholeBytes`, refused
 * when it is larger.
 */
export async function urlSource(url: string | URL, options: UrlOptions = {}): Promise<Source> {
  const remote = await probe(String(url), options)
  if (remote instanceof Absent) throw remote.error
  return remoteSource(remote, options)
}

/** The same, undefined when the server has no such file, or none for us. */
export async function findUrl(url: string | URL, options: UrlOptions = {}): Promise<Source | undefined> {
  const remote = await probe(String(url), options)
  return remote instanceof Absent ? undefined : remoteSource(remote, options)
}

/**
 * Asks a server for the first bytes of a file. One that knows no ranges sends all: that is left aside if the file is
 * the one that we have.
 *
 * @param have what an earlier visit found: a file, or that there is none
 * @throws UnreachableError, WeightsError
 */
export async function probe(
  url: string,
  options: UrlOptions,
  have?: { readonly remote: Remote | undefined },
): Promise<Remote | Absent> {
  const name = shownAddress(url)
  const kept = have?.remote
  // The copy we have will do if the server is out of order: we don't wait for it
  const patience = new Patience(name, options, have ? 0 : undefined)
  const first = await patience.insist(() =>
    exchange({ url, range: [0, PROBE] }, options, async (answer) => {
      const absent = absence(answer, name)
      if (absent) return absent
      const { response } = answer
      const version = versionOf(answer)
      const { stated } = answer
      const sha256 = stated?.sha256
      switch (response.status) {
        case 200: {
          const isKept = kept?.version !== undefined && version === kept.version
          if (isKept) return { url, size: kept.size, version, hasRanges: false, sha256 }
          const body = await readWhole(answer, name, limitOf(options))
          return { url, size: body.length, version, hasRanges: false, body, sha256, stated }
        }
        case 206: {
          const part = partOf(answer, name, [0, PROBE])
          const begin = new Uint8Array(PROBE)
          await readPart(answer, name, part?.length ?? PROBE, begin)
          return { url, size: part?.total, version, hasRanges: true, begin, sha256, stated }
        }
        case 416: {
          // an empty file has no byte 0
          const total = /^bytes \*\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1] ?? '0'
          if (Number(total) !== 0) throw refused(answer, name)
          return { url, size: 0, version, hasRanges: false, body: new Uint8Array() }
        }
        default:
          throw refused(answer, name)
      }
    }),
  )
  const remote = first instanceof Absent ? first : await completed(first, name, options)
  // A captive portal answers for everybody: the file that we have is as good as before
  if (remote instanceof Absent && remote.why === 'page' && kept) {
    throw new UnreachableError(remote.error.message)
  }
  return remote
}

interface FirstAnswer extends Omit<Remote, 'size'> {
  readonly size: number | undefined
  /** Its first bytes, if it is read by ranges. */
  readonly begin?: Uint8Array
  readonly stated?: Stated | undefined
}

/** Asks for what the first answer left open: the size, and whether this is something else in place of the file. */
async function completed(
  { begin, stated, ...remote }: FirstAnswer,
  name: string,
  options: UrlOptions,
): Promise<Remote | Absent> {
  const { url, body } = remote
  const size = remote.size ?? stated?.size ?? (await sizeByHead(url, name, options))
  if (isPageAddress(url)) return { ...remote, size }
  let text = body?.subarray(0, PAGE_BEGIN)
  // One more request, in the rare case that it may be one
  if (begin && isDoubtful(begin, size)) {
    const length = Math.min(size, PAGE_BEGIN)
    text = await rangeSource({ ...remote, size }, options).read(0, length, options.signal)
  }
  if (text && size <= MAX_POINTER && new TextDecoder().decode(text).startsWith(POINTER)) {
    throw new WeightsError(
      `${name}: the server sends the pointer that Git LFS keeps in a repository, ${size} bytes, instead of the file. ` +
        'Give the address of the file itself: with "/resolve/" in place of "/raw/" on Hugging Face, for instance. ' +
        'On a server of your own, run "git lfs pull" there.',
    )
  }
  expectSize(name, size, stated)
  if (text && /^\s*<(!doctype html|html|head|body)\b/i.test(new TextDecoder().decode(text)))
    return new Absent('page', pageError(name))
  const isZipped = (text ?? begin)?.[0] === 0x1f && (text ?? begin)?.[1] === 0x8b
  if (isZipped && new URL(url).pathname.endsWith('.json')) {
    throw new WeightsError(
      `${name} is stored compressed (gzip), and the server does not say so. Store it as it is.`,
    )
  }
  return { ...remote, size }
}

/** True if a file may be a page ('<', the byte order mark, white space) or a pointer ('ve'), by its first two bytes. */
function isDoubtful([first = 0, second]: Uint8Array, size: number): boolean {
  const isText = first === 0x3c || first === 0xef || (first <= 0x20 && first > 8)
  return isText || (first === 0x76 && second === 0x65 && size <= MAX_POINTER)
}

// ---------------------------------------------------------------------------------------------------------
// Reading

/** A source that tells while it reads, how many bytes more have come. */
export interface RemoteSource extends Source {
  /** @param received called with the number of bytes whenever more of the range have come, if they come by range */
  read(
    offset: number,
    length: number,
    signal?: AbortSignal,
    received?: (bytes: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>>
}

/** A file's bytes by range, or all of them at once from a server that knows no ranges. */
export function remoteSource(remote: Remote, options: UrlOptions = {}): RemoteSource {
  return remote.hasRanges ? rangeSource(remote, options) : wholeSource(remote, options)
}

function rangeSource({ url, size, version }: Remote, options: UrlOptions): RemoteSource {
  const name = shownAddress(url)
  const source: RemoteSource = {
    name,
    size,
    async read(offset, length, signal = options.signal, received) {
      expectRange(source, offset, length)
      const bytes = new Uint8Array(length)
      /** Bytes that are here, and the answers that they came in. */
      const got = { bytes: 0, answers: 0 }
      // Past the browser's HTTP cache, from which Chromium 147 once answered a second range with an empty body
      const how: UrlOptions = { ...options, signal, httpCache: 'no-store' }
      const patience = new Patience(name, how)
      const take = (count: number): void => {
        got.bytes += count
        patience.progressed()
        received?.(count)
      }
      const next = async (answer: HttpAnswer): Promise<void> => {
        const { response } = answer
        const rest = [offset + got.bytes, length - got.bytes] as const
        if (response.status === 206) {
          const part = partOf(answer, name, rest)
          if ((part?.total ?? size) !== size || isOther(answer, version)) {
            throw changedMeanwhile(name, size, part?.total)
          }
          return readPart(answer, name, part?.length ?? rest[1], bytes.subarray(got.bytes), take)
        }
        if (response.status === 416) {
          const total = /^bytes \*\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
          if (total !== undefined && Number(total) !== size) throw changedMeanwhile(name, size, Number(total))
        }
        const absent = absence(answer, name)
        if (absent && absent.why === 'page') throw absent.error
        if (response.status !== 200) throw refused(answer, name)
        // It knew ranges before. Servers behind one name may differ: of a small file we take what we need
        if (isOther(answer, version)) throw changedMeanwhile(name, size, undefined)
        const whole = await readWhole(answer, name, Math.min(size, limitOf(options)))
        if (whole.length !== size) throw changedMeanwhile(name, size, whole.length)
        bytes.set(whole.subarray(rest[0], rest[0] + rest[1]), got.bytes)
        take(rest[1])
      }
      await patience.insist(async () => {
        while (got.bytes < length) {
          const before = got.bytes
          if (got.answers++ === MAX_ANSWERS) throw tooSmall(name, offset, length, got.bytes)
          await exchange({ url, range: [offset + got.bytes, length - got.bytes] }, how, next)
          if (got.bytes === before) throw new Error('the answer had no bytes')
        }
      })
      return bytes
    },
    async close() {},
  }
  return source
}

/** A source that requests the whole file once, when the first byte is read. */
function wholeSource({ url, size, version, body }: Remote, options: UrlOptions): RemoteSource {
  const name = shownAddress(url)
  let whole = body && Promise.resolve(bytesSource(body, name))
  const get = async (signal: AbortSignal | undefined): Promise<Source> => {
    const now = await probe(url, { ...options, signal: signal ?? options.signal })
    if (now instanceof Absent) throw now.error
    if (now.size !== size || now.version !== version || !now.body)
      throw changedMeanwhile(name, size, now.size)
    return bytesSource(now.body, name)
  }
  const source: RemoteSource = {
    name,
    size,
    async read(offset, length, signal) {
      expectRange(source, offset, length)
      whole ??= get(signal)
      const asked = whole
      try {
        return await (await asked).read(offset, length, signal)
      } catch (error) {
        if (whole === asked && !body) whole = undefined
        throw error
      }
    },
    async close() {},
  }
  return source
}

function changedMeanwhile(name: string, size: number, total: number | undefined): WeightsError {
  return new WeightsError(
    `${name} changed on the server while it was being read (${size} bytes at first, now ` +
      `${total === undefined || total === size ? 'other contents' : total}). Start again.`,
  )
}

function tooSmall(name: string, offset: number, length: number, have: number): WeightsError {
  return new WeightsError(
    `${name}: after ${MAX_ANSWERS} requests the server has sent ${have} of the bytes ${offset} to ${offset + length}. ` +
      `Use a server that answers with whole ranges, or download the file and open it from disk.`,
  )
}

function limitOf({ maxWholeBytes = MAX_WHOLE_BYTES }: UrlOptions): number {
  return maxWholeBytes
}

/**
 * Bytes of the file by a HEAD request, for servers whose answer to a range lacks the total, or hides it from pages
 * (CORS).
 */
async function sizeByHead(url: string, name: string, options: UrlOptions): Promise<number> {
  const patience = new Patience(name, options)
  return patience.insist(() =>
    exchange({ url, method: 'HEAD' }, options, async ({ response }) => {
      const length = response.headers.get('content-length') ?? ''
      if (!response.ok || !/^\d+$/.test(length) || response.headers.get('content-encoding')) {
        throw new WeightsError(
          `${name}: the server doesn't say how large the file is. It must send "Content-Range" with a total and, ` +
            `to a page of another origin, expose it ("Access-Control-Expose-Headers: Content-Range").`,
        )
      }
      return Number(length)
    }),
  )
}
