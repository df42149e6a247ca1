// Files on servers, by HTTP ranges.
//
// One request of two bytes tells a file's size and version. Then each range is asked for until all of it is here: what
// a short answer or a broken connection leaves out is asked for again from there on. An answer counts only if its
// headers say that these are the bytes that were asked for. A server that knows no ranges may send a small file whole.
// How patiently a server is asked is in http.ts; blocks, and those that are kept, are in cached-source.ts.

import { WeightsError } from '../../errors.ts'
import { printable, quoted } from '../../printable.ts'
import { bytesSource, expectRange, type Source, UnreachableError } from '../source.ts'
import { shownAddress } from './address.ts'
import { type Answer, exchange, type HttpOptions, isBrowser, Patience, statusOf } from './http.ts'

export interface UrlOptions extends HttpOptions {
  /** A server that knows no ranges may send a file of at most this size whole; 64 MiB by default. */
  readonly maxWholeBytes?: number | undefined
}

/** The facts that a server tells about a file. */
export interface Remote {
  readonly url: string
  readonly size: number
  /** The ETag, else the date of the last change; undefined if the server tells, or lets this page see, neither. */
  readonly version: string | undefined
  /** Otherwise the server sends the file whole. */
  readonly hasRanges: boolean
  /** The whole file, if it has come already. */
  readonly body?: Uint8Array<ArrayBuffer>
}

/** A server's answer that amounts to "there is no such file", for whoever can do without it. */
export class Absent {
  /**
   * By 404 or 410; by 401 or 403, as S3 and CloudFront answer for what isn't there; or with a page of HTML in its
   * place.
   */
  readonly why: 'gone' | 'refused' | 'page'
  /** For whoever can't do without. */
  readonly error: WeightsError

  constructor(why: Absent['why'], error: WeightsError) {
    this.why = why
    this.error = error
  }
}

/** Bytes asked for to learn a file's size: of one, 'bytes=0-0', sirv and with it Vite's server send the whole file. */
const PROBE = 2
/** Bytes that tell a page of HTML from a file. */
const PAGE_BEGIN = 64
const MAX_WHOLE_BYTES = 64 * 2 ** 20
/** No file of weights is that large: whoever claims more is wrong, and planning for it would take memory. */
const MAX_FILE_BYTES = 2 ** 40
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
      const version = versionOf(response)
      switch (response.status) {
        case 200: {
          const isKept = kept?.version !== undefined && version === kept.version
          if (isKept) return { url, size: kept.size, version, hasRanges: false }
          const body = await readWhole(answer, name, options)
          return { url, size: body.length, version, hasRanges: false, body }
        }
        case 206: {
          const part = partOf(answer, name, [0, PROBE])
          const begin = new Uint8Array(PROBE)
          await readPart(answer, name, part?.length ?? PROBE, begin)
          return { url, size: part?.total, version, hasRanges: true, begin }
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
  const found = first instanceof Absent ? first : await completed(first, name, options)
  // A captive portal answers for everybody: the file that we have is as good as before
  if (found instanceof Absent && found.why === 'page' && kept) {
    throw new UnreachableError(found.error.message)
  }
  return found
}

interface FirstAnswer extends Omit<Remote, 'size'> {
  readonly size: number | undefined
  /** Its first bytes, if it is read by ranges. */
  readonly begin?: Uint8Array
}

/** Asks for what the first answer left open: the size, and whether this is a page in place of the file. */
async function completed(
  { begin, ...remote }: FirstAnswer,
  name: string,
  options: UrlOptions,
): Promise<Remote | Absent> {
  const { url, body } = remote
  const size = remote.size ?? (await sizeByHead(url, name, options))
  expectSize(name, size)
  if (isPageAddress(url)) return { ...remote, size }
  let text = body?.subarray(0, PAGE_BEGIN)
  // One more request, in the rare case that it may be one: '<', the byte order mark, or white space
  if (begin && (begin[0] === 0x3c || begin[0] === 0xef || (begin[0]! <= 0x20 && begin[0]! > 8))) {
    const length = Math.min(size, PAGE_BEGIN)
    text = await rangeSource({ ...remote, size }, options).read(0, length, options.signal)
  }
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

function isPageAddress(url: string): boolean {
  return /\.html?$/i.test(new URL(url).pathname)
}

function absence(answer: Answer, name: string): Absent | undefined {
  const { response, url } = answer
  const { status } = response
  if (status === 404 || status === 410) {
    const error = `There is no file ${name} (the server answers ${status}). Check the address.`
    return new Absent('gone', new WeightsError(error))
  }
  if (status === 401 || status === 403) return new Absent('refused', refused(answer, name))
  const isHtml = response.headers.get('content-type')?.trimStart().toLowerCase().startsWith('text/html')
  // A development server answers an unknown path with its start page
  if (response.ok && isHtml && !isPageAddress(url)) return new Absent('page', pageError(name, url))
  return undefined
}

function pageError(name: string, url: string = name): WeightsError {
  const from = shownAddress(url) === name ? '' : ` from ${shownAddress(url)}`
  return new WeightsError(
    `${name}: the server answers with a page of HTML${from} instead of the file. It may be a start page in place of a ` +
      `file that isn't there, a page to log in, or that of a network which wants to be asked first: open the address in ` +
      `a browser.`,
  )
}

function refused({ response, leftHeaders, url }: Answer, name: string): WeightsError {
  const { status } = response
  const left = leftHeaders
    ? ` Your headers were not sent to ${shownAddress(new URL(url).origin)}, where the server redirects to.`
    : ''
  const remedy =
    status === 401 || status === 403
      ? 'Access needs permission: accept the licence, or pass { headers: { authorization } }. If the file should ' +
        "be there for everybody, check the address: some servers answer so for a file that isn't."
      : status === 404 || status === 410
        ? 'It was there before: start again.'
        : 'Try again later, or download the file and open it from disk.'
  return new WeightsError(`${name}: the server answers ${statusOf(response)}.${left} ${remedy}`)
}

/**
 * An ETag in its quotes, which some servers leave out, and else the date. A weak one counts like a strong one: servers
 * that compress send both for the same file.
 */
function versionOf({ headers }: Response): string | undefined {
  const tag = /^\s*(?:W\/)?"?([^"]*)"?\s*$/i.exec(headers.get('etag') ?? '')?.[1]
  return tag ? `"${tag}"` : (headers.get('last-modified') ?? undefined)
}

/** Answers may lack what others had. */
function isOther(response: Response, version: string | undefined): boolean {
  const now = version?.startsWith('"') ? versionOf(response) : response.headers.get('last-modified')
  const isSameKind = now?.startsWith('"') === version?.startsWith('"')
  return version !== undefined && Boolean(now) && isSameKind && now !== version
}

function expectSize(name: string, size: number): void {
  if (size <= MAX_FILE_BYTES) return
  throw new WeightsError(
    `${name}: the server claims that the file has ${size} bytes; at most ${MAX_FILE_BYTES} (1 TiB) are believed. ` +
      `Check the address and the server.`,
  )
}

// ---------------------------------------------------------------------------------------------------------
// Reading

/** A source that tells while it reads, how many bytes more have come. */
export interface RemoteSource extends Source {
  read(
    offset: number,
    length: number,
    signal?: AbortSignal,
    received?: (bytes: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>>
}

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
      const next = async (answer: Answer): Promise<void> => {
        const { response } = answer
        const rest = [offset + got.bytes, length - got.bytes] as const
        if (response.status === 206) {
          const part = partOf(answer, name, rest)
          if ((part?.total ?? size) !== size || isOther(response, version)) {
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
        if (isOther(response, version)) throw changedMeanwhile(name, size, undefined)
        const whole = await readWhole(answer, name, {
          ...options,
          maxWholeBytes: Math.min(size, limitOf(options)),
        })
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

/** Asked for once, when the first byte is read. */
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

// ---------------------------------------------------------------------------------------------------------
// Answers

/** The range that a 206 says it has. */
interface Part {
  readonly length: number
  /** Of the whole file; undefined if the server doesn't know. */
  readonly total: number | undefined
}

/**
 * Compares an answer's headers with what was asked for. It may have less, from the same byte on.
 *
 * @returns undefined where the page may not see the header (CORS)
 * @throws WeightsError
 */
function partOf(
  { response: { headers } }: Answer,
  name: string,
  [offset, length]: readonly [number, number],
): Part | undefined {
  expectPlain(headers, name)
  const type = headers.get('content-type') ?? ''
  if (/^\s*multipart\//i.test(type)) {
    throw new WeightsError(
      `${name}: asked for one range, the server answers with several (${printable(type)}). Use another server, or ` +
        `download the file and open it from disk.`,
    )
  }
  const range = headers.get('content-range')
  if (range === null && isBrowser()) return undefined
  const [, first, last, all] = /^\s*bytes\s+(\d+)-(\d+)\/(\d+|\*)\s*$/i.exec(range ?? '') ?? []
  const [begin, end, total] = [Number(first), Number(last), all === '*' ? undefined : Number(all)]
  if (first === undefined || end < begin || (total !== undefined && total <= end)) {
    throw new WeightsError(
      `${name}: the server answers 206 ${range === null ? 'without Content-Range' : `with Content-Range ${quoted(range)}`}, ` +
        `so that nobody knows which bytes these are. Use another server, or download the file and open it from disk.`,
    )
  }
  if (total !== undefined) expectSize(name, total)
  if (begin !== offset || end >= offset + length) {
    throw new WeightsError(
      begin === offset
        ? `${name}: asked for the bytes ${offset} to ${offset + length}, the server sent more, up to ${end + 1}.`
        : `${name}: asked for bytes from ${offset} on, the server sent them from ${begin} on.`,
    )
  }
  return { length: end - begin + 1, total }
}

function expectPlain(headers: Headers, name: string): void {
  const encoding = headers.get('content-encoding')?.trim()
  if (!encoding || encoding.toLowerCase() === 'identity') return
  throw new WeightsError(
    `${name}: the server answers with a range of a compressed file (Content-Encoding ${quoted(encoding)}), which can't ` +
      `be read from its middle. Switch compression off for this file.`,
  )
}

/** Into `bytes`, at most `length` of them: fewer, if the connection ends before. */
async function readPart(
  answer: Answer,
  name: string,
  length: number,
  bytes: Uint8Array,
  received?: (bytes: number) => void,
): Promise<void> {
  let have = 0
  for await (const piece of answer.pieces()) {
    if (have + piece.length > length) {
      throw new WeightsError(
        `${name}: the server sends more bytes than the ${length} of the range that it announced.`,
      )
    }
    bytes.set(piece, have)
    have += piece.length
    received?.(piece.length)
  }
}

function limitOf({ maxWholeBytes = MAX_WHOLE_BYTES }: UrlOptions): number {
  return maxWholeBytes
}

/** Not one byte more than are allowed is taken from the network. */
async function readWhole(
  answer: Answer,
  name: string,
  options: UrlOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const limit = limitOf(options)
  const { headers } = answer.response
  const sent = headers.get('content-encoding') ? undefined : (headers.get('content-length') ?? undefined)
  const tooLarge = (): WeightsError =>
    new WeightsError(
      `${name}: the server ignores ranges and sends the whole file${sent ? ` (${printable(sent)} bytes)` : ''}; only ` +
        `files of up to ${limit} bytes are taken so. Use a server that answers "Range" requests with 206, or download ` +
        `the file and open it from disk.`,
    )
  if (Number(sent ?? 0) > limit) throw tooLarge()
  const pieces: Uint8Array[] = []
  let have = 0
  for await (const piece of answer.pieces()) {
    have += piece.length
    if (have > limit) throw tooLarge()
    pieces.push(piece)
  }
  const bytes = new Uint8Array(have)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** Where the total is hidden (CORS), or the server doesn't tell it with a range. */
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
