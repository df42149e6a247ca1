// Bytes by range: a file, a Blob, a URL or an array, all read the same way.
//
// A checkpoint of eight gigabytes is never held whole: whoever reads it asks a Source for one range at
// a time, gets exactly those bytes in a buffer of their own, and uploads them. Named files side by side
// are a Folder (folder.ts); what the bytes mean is known to safetensors.ts.

import { WeightsError } from '../errors.ts'
import { printable } from '../printable.ts'
import { FileProblem, openRegular, readInto } from '../regular-file.ts'

export interface Source {
  /** For messages: a path, a URL or a file's name. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  /**
   * Exactly `length` bytes from `offset` on, at the start of a buffer of their own, so that any typed
   * array may view them.
   *
   * @throws WeightsError if the range is outside the source or the bytes can't be had
   * @throws the signal's own reason once it is aborted
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>
  /** Idempotent; reads after it fail. */
  close(): Promise<void>
  /** What will be read, and in this order, so that it can be fetched ahead; what isn't among it needn't be fetched. */
  willRead?(ranges: readonly ByteRange[]): void
  /**
   * Once all has been read that will be: waits until it is kept. Reads the rest of a file whose hash is known, and
   * compares.
   *
   * @throws DamagedError naming the file
   */
  verify?(signal?: AbortSignal): Promise<void>
  /**
   * Drops what is kept of these bytes, which turned out to be damaged.
   *
   * @returns whether any were kept from an earlier visit, so that opening the file again fetches others
   */
  forget?(range: ByteRange): Promise<boolean>
}

/** First byte, and one past the last. */
export type ByteRange = readonly [begin: number, end: number]

/** Bytes that are not those that were written. */
export class DamagedError extends WeightsError {
  /** They were kept from an earlier visit, and now are no more: opening the file again fetches others. */
  readonly wasKept: boolean

  constructor(message: string, wasKept = false) {
    super(message)
    this.wasKept = wasKept
  }
}

/** No answer, or none but that the server is out of order: what is kept of the file may be of use. */
export class UnreachableError extends WeightsError {}

export interface UrlOptions {
  readonly signal?: AbortSignal | undefined
  /** Sent with every request, `{ authorization: 'Bearer …' }` for instance. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A server that knows no ranges may send a file of at most this size whole; 64 MiB by default. */
  readonly maxWholeBytes?: number | undefined
  /** Pause before the first of three retries; it doubles with each. 300 by default. */
  readonly retryMs?: number | undefined
  /** What fetch takes from the browser's HTTP cache, and leaves there. */
  readonly httpCache?: RequestCache | undefined
}

const MIB = 2 ** 20
const RETRIES = 3

export function bytesSource(bytes: Uint8Array, name = 'bytes'): Source {
  const source: Source = {
    name,
    size: bytes.length,
    async read(offset, length, signal) {
      signal?.throwIfAborted()
      expectRange(source, offset, length)
      return new Uint8Array(bytes.subarray(offset, offset + length))
    },
    async close() {},
  }
  return source
}

/** A Blob, or a File from an input element or a drop. */
export function blobSource(blob: Blob, name: string = nameOf(blob)): Source {
  const source: Source = {
    name,
    size: blob.size,
    async read(offset, length, signal) {
      signal?.throwIfAborted()
      expectRange(source, offset, length)
      let bytes: ArrayBuffer
      try {
        bytes = await blob.slice(offset, offset + length).arrayBuffer()
      } catch (cause) {
        throw new WeightsError(
          `${name}: bytes ${span(offset, length)} can't be read: ${reason(cause)}. ` +
            `If the file changed on disk since it was chosen, choose it again.`,
          { cause },
        )
      }
      signal?.throwIfAborted()
      expectLength(source, offset, length, bytes.byteLength)
      return new Uint8Array(bytes)
    },
    async close() {},
  }
  return source
}

function nameOf(blob: Blob): string {
  return 'name' in blob && typeof blob.name === 'string' && blob.name !== '' ? blob.name : 'blob'
}

/** A file on disk, in Node, Deno and Bun. */
export async function fileSource(path: string): Promise<Source> {
  const source = await findFile(path)
  if (!source)
    throw new WeightsError(`There is no file ${printable(path)}. Check the path, or download the file.`)
  return source
}

/** The same, undefined when there is no such file. */
export async function findFile(path: string): Promise<Source | undefined> {
  const opened = await openRegular(path).catch((cause: unknown) => {
    if (!(cause instanceof FileProblem)) throw cause
    if (cause.kind === 'missing') return undefined
    throw new WeightsError(`${printable(path)} ${cause.message}.`, { cause })
  })
  if (!opened) return undefined
  const { file, size } = opened

  let closed: Promise<void> | undefined
  const source: Source = {
    name: path,
    size,
    async read(offset, length, signal) {
      signal?.throwIfAborted()
      expectRange(source, offset, length)
      const bytes = new Uint8Array(length)
      let have: number
      try {
        have = await readInto(file, bytes, offset, signal)
      } catch (cause) {
        signal?.throwIfAborted()
        throw new WeightsError(
          `${printable(path)}: bytes ${span(offset, length)} can't be read: ${reason(cause)}.`,
          { cause },
        )
      }
      expectLength(source, offset, length, have)
      return bytes
    },
    close() {
      closed ??= file.close()
      return closed
    },
  }
  return source
}

/**
 * A file on a server, by HTTP ranges. One request of two bytes gives the size. A server that knows no
 * ranges sends the file whole: kept when it is at most `maxWholeBytes`, refused when it is larger.
 */
export async function urlSource(url: string | URL, options: UrlOptions = {}): Promise<Source> {
  const source = await findUrl(url, options)
  if (!source) throw new WeightsError(`There is no file ${url} (the server answers 404). Check the address.`)
  return source
}

/** The same, undefined when the server has no such file. */
export async function findUrl(url: string | URL, options: UrlOptions = {}): Promise<Source | undefined> {
  const remote = await probe(String(url), options)
  return remote && remoteSource(remote, options)
}

/** What a server says about a file. */
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

/** Bytes asked for to learn a file's size: of one, 'bytes=0-0', sirv and with it Vite's server send the whole file. */
const PROBE = 2

/**
 * Asks a server for the first bytes of a file. One that knows no ranges sends all: that is left aside if the file is
 * the one that we have.
 *
 * @param have what an earlier visit found: a file, or that there is none
 * @returns undefined if there is no such file
 * @throws UnreachableError, WeightsError
 */
export async function probe(
  url: string,
  options: UrlOptions,
  have?: { readonly remote: Remote | undefined },
): Promise<Remote | undefined> {
  const kept = have?.remote
  const isKept = (response: Response) => kept?.version !== undefined && versionOf(response) === kept.version
  // What we have will do if the server is out of order: it isn't waited for
  const retries = have ? 0 : RETRIES
  const { response, body } = await request(url, [0, PROBE], options, { leaveAside: isKept, retries })
  // A development server answers an unknown path with its start page
  const isPage =
    response.headers.get('content-type')?.startsWith('text/html') && !/\.html?$/.test(new URL(url).pathname)
  if (response.status === 404 || response.status === 410 || (response.ok && isPage)) return undefined
  const version = versionOf(response)
  switch (response.status) {
    case 200:
      if (kept && isKept(response)) return { url, size: kept.size, version, hasRanges: false }
      return { url, size: body.length, version, hasRanges: false, body }
    case 206: {
      const size = totalOf(response) ?? (await sizeByHead(url, options))
      return { url, size, version, hasRanges: true }
    }
    case 416: // an empty file has no byte 0
      return { url, size: 0, version, hasRanges: false, body }
    default:
      throw refused(url, response)
  }
}

function versionOf({ headers }: Response): string | undefined {
  return headers.get('etag') ?? headers.get('last-modified') ?? undefined
}

/** Answers may lack what others had. */
function isOther({ headers }: Response, version: string | undefined): boolean {
  const now = headers.get(version?.endsWith('"') ? 'etag' : 'last-modified')
  return version !== undefined && now !== null && now !== version
}

/** A source that tells while it reads: how many bytes more have come; fewer than none, when it must begin again. */
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

function rangeSource({ url: name, size, version }: Remote, options: UrlOptions): RemoteSource {
  const source: RemoteSource = {
    name,
    size,
    async read(offset, length, signal, received) {
      expectRange(source, offset, length)
      if (length === 0) return new Uint8Array(0)
      // Past the browser's HTTP cache, from which Chromium 147 once answered a second range with an empty body
      const { response, body } = await request(
        name,
        [offset, length],
        { ...options, signal, httpCache: 'no-store' },
        { ...(received && { received }) },
      )
      if (response.status !== 206) throw refused(name, response)
      const total = totalOf(response)
      const changed = total !== undefined && total !== size
      if (changed || isOther(response, version)) throw changedMeanwhile(name, size, total)
      const begin = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1]
      if (begin !== undefined && Number(begin) !== offset) {
        throw new WeightsError(
          `${name}: asked for bytes from ${offset} on, the server sent them from ${begin} on.`,
        )
      }
      expectLength(source, offset, length, body.length)
      return body
    },
    async close() {},
  }
  return source
}

/** Asked for once, when the first byte is read. */
function wholeSource({ url: name, size, version, body }: Remote, options: UrlOptions): RemoteSource {
  let whole = body && Promise.resolve(bytesSource(body, name))
  const get = async (signal: AbortSignal | undefined): Promise<Source> => {
    const now = await probe(name, { ...options, signal: signal ?? options.signal })
    if (now?.size !== size || now.version !== version || !now.body)
      throw changedMeanwhile(name, size, now?.size)
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

interface Answer {
  readonly response: Response
  /** Empty unless the status is 200 or 206. */
  readonly body: Uint8Array<ArrayBuffer>
}

interface RequestHooks {
  /** The bytes that have come, piece by piece; fewer than none, when they must be asked for again. */
  readonly received?: (bytes: number) => void
  /** Whether the body needn't be read, should it be the whole file. */
  readonly leaveAside?: (response: Response) => boolean
  readonly retries?: number
}

/** One range, tried again when the network or the server fails for the moment. */
async function request(
  url: string,
  [offset, length]: [number, number],
  options: UrlOptions,
  { received, leaveAside, retries = RETRIES }: RequestHooks = {},
): Promise<Answer> {
  const { signal, retryMs = 300, maxWholeBytes = 64 * MIB, httpCache } = options
  const headers = { ...options.headers, range: `bytes=${offset}-${offset + length - 1}` }
  const init = { headers, signal: signal ?? null, ...(httpCache && { cache: httpCache }) }
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted()
    let failure: unknown
    let come = 0
    try {
      const response = await fetch(url, init)
      const busy = response.status === 429 || response.status >= 500
      if (!busy || attempt === retries) {
        // A first request may be answered with the whole file; later ones are held to their range
        const mayBeWhole = response.status === 200 && offset === 0 && !leaveAside?.(response)
        const limit = response.status === 206 ? length : mayBeWhole ? maxWholeBytes : 0
        const count = (bytes: number): void => {
          come += bytes
          received?.(bytes)
        }
        return { response, body: await readBody(url, response, limit, count) }
      }
      await response.body?.cancel()
    } catch (cause) {
      received?.(-come)
      if (signal?.aborted) throw signal.reason
      if (cause instanceof WeightsError) throw cause
      failure = cause
    }
    if (attempt === retries) {
      throw new UnreachableError(
        `${url} can't be reached: ${reason(failure)}. Check the connection; in a browser the server must also ` +
          `allow this page's origin (CORS).`,
        { cause: failure },
      )
    }
    await pause(retryMs * 2 ** attempt, signal)
  }
}

/** At most `limit` bytes, and not one more is taken from the network. */
async function readBody(
  url: string,
  response: Response,
  limit: number,
  received: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  if (limit === 0 || !response.body) {
    await response.body?.cancel()
    return new Uint8Array(0)
  }
  const chunks: Uint8Array[] = []
  let have = 0
  const reader = response.body.getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    have += next.value.length
    if (have > limit) {
      await reader.cancel()
      const sent = response.headers.get('content-length')
      throw new WeightsError(
        response.status === 206
          ? `${url}: the server sends more bytes than the ${limit} that were asked for.`
          : `${url}: the server ignores ranges and sends the whole file` +
              `${sent ? ` (${sent} bytes)` : ''}; only files of up to ${limit} bytes are taken so. ` +
              `Use a server that answers "Range" requests with 206, or download the file and open it from disk.`,
      )
    }
    chunks.push(next.value)
    received(next.value.length)
  }
  const bytes = new Uint8Array(have)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** From "bytes 0-0/1234"; undefined when the header is hidden (CORS) or the server doesn't know. */
function totalOf(response: Response): number | undefined {
  const total = Number(
    /^bytes \d+-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1] ?? 'none',
  )
  return Number.isSafeInteger(total) ? total : undefined
}

async function sizeByHead(url: string, { signal, headers }: UrlOptions): Promise<number> {
  const response = await fetch(url, {
    method: 'HEAD',
    headers: { ...headers },
    signal: signal ?? null,
  }).catch((cause: unknown) => {
    if (signal?.aborted) throw signal.reason
    throw new WeightsError(`${url} can't be reached: ${reason(cause)}.`, { cause })
  })
  const length = response.headers.get('content-length') ?? ''
  if (!response.ok || !/^\d+$/.test(length) || response.headers.get('content-encoding')) {
    throw new WeightsError(
      `${url}: the server doesn't say how large the file is. It must send "Content-Range" with a total and, ` +
        `to a page of another origin, expose it ("Access-Control-Expose-Headers: Content-Range").`,
    )
  }
  return Number(length)
}

function refused(url: string, { status, statusText }: Response): WeightsError {
  const remedy =
    status === 401 || status === 403
      ? 'Access needs permission: accept the licence, or pass { headers: { authorization } }.'
      : status === 200
        ? 'It answered ranges before and now sends the whole file; start again.'
        : 'Try again later, or download the file and open it from disk.'
  const message = `${url}: the server answers ${`${status} ${statusText}`.trim()}. ${remedy}`
  return status >= 500 || status === 429 ? new UnreachableError(message) : new WeightsError(message)
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}

export function expectRange({ name, size }: Source, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length)
  if (!whole || offset < 0 || length < 0 || offset + length > size) {
    throw new WeightsError(`${name}: bytes ${span(offset, length)} are asked for, the file has ${size}.`)
  }
}

function expectLength({ name, size }: Source, offset: number, length: number, have: number): void {
  if (have === length) return
  throw new WeightsError(
    `${name}: only ${have} of the bytes ${span(offset, length)} came, though the file should have ${size}. ` +
      `It was cut short while being read: copy or download it again.`,
  )
}

function span(offset: number, length: number): string {
  return `${offset} to ${offset + length}`
}

/** An error's message without the full stop, to go inside a sentence of ours. */
function reason(error: unknown): string {
  const cause = error instanceof TypeError && error.cause instanceof Error ? error.cause : error
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '')
}
