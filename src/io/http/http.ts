// Requests that neither give up too early nor wait for ever.
//
// An `exchange` is one request and its answer. Redirects are followed by hand where the runtime allows it, so that the
// caller's headers stay at the origin that they were given for; a watchdog ends an exchange that brings no byte for 30
// seconds. `Patience` decides what follows a failure: a pause that doubles each time, the pause that the server asks
// for (Retry-After), or the end. The bytes are the business of url-source.ts.

import { describe, tagOf } from '../../check.ts'
import { UsageError, WeightsError } from '../../errors.ts'
import { hasFiles } from '../../has-files.ts'
import { printable, quoted } from '../../printable.ts'
import type { Waiting } from '../../progress.ts'
import { UnreachableError } from '../source.ts'
import { hideSecrets, shownAddress, withoutUser } from './address.ts'

/** Headers of requests, and their patience. */
export interface HttpOptions {
  /** Ends requests and waits; the rejection is the signal's own reason. */
  readonly signal?: AbortSignal | undefined
  /**
   * Sent with every request, `{ authorization: 'Bearer …' }` for instance, but never to another origin that a server
   * redirects to.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Pause before the first of three retries; it doubles with each. 300 by default. */
  readonly retryMs?: number | undefined
  /** Silence after which a connection is dropped and the request made again; 30,000 by default. */
  readonly silenceMs?: number | undefined
  /** The longest that a request waits for a busy server, all its pauses together; 60,000 by default. */
  readonly maxWaitMs?: number | undefined
  /** Told before each pause, and when a server has been silent for a while. */
  readonly onWait?: ((waiting: Waiting) => void) | undefined
  /** The mode in which fetch uses the browser's HTTP cache. */
  readonly httpCache?: RequestCache | undefined
  /** @internal Of a server that says more than HTTP does. */
  readonly resolver?: Resolver | undefined
  /** @internal For tests, which make time pass faster. */
  readonly clock?: Clock | undefined
}

/** Time, as requests use it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** @returns what cancels it */
  after(ms: number, task: () => void): () => void
}

const WALL_CLOCK: Clock = {
  now: () => Date.now(),
  after: (ms, task) => {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  },
}

/** One request. */
export interface HttpRequest {
  /** The absolute address; redirects are followed from it. */
  readonly url: string
  /** GET if undefined. */
  readonly method?: 'HEAD'
  /** First byte, and how many. */
  readonly range?: readonly [offset: number, length: number]
  /** The caller's headers were given for another origin: they are left out. */
  readonly isForeign?: boolean
}

/** The answer's head: its body is still to come. */
export interface Reply {
  /** Its body is read, or cancelled, by whoever has the reply. */
  readonly response: Response
  /** The address that answered, after all redirects. */
  readonly url: string
  /** The caller's headers were left out, as a redirect led to another origin. */
  readonly leftHeaders: boolean
  /** Headers of all answers, redirects first. Browsers show those of the last alone. */
  readonly heads: readonly Headers[]
  /** The server's facts of the whole file beyond HTTP's own headers. */
  readonly stated?: Stated | undefined
}

/** A server's facts of a whole file. */
export interface Stated {
  /** The version of its contents, in quotes like an ETag. */
  readonly version?: string | undefined
  /** Bytes; undefined if it doesn't say. */
  readonly size?: number | undefined
  /** The hash of the whole file, in hex. */
  readonly sha256?: string | undefined
}

/** The head of an answer, and its bytes as they come. */
export interface HttpAnswer extends Reply {
  /** The body, piece by piece; it can be read once. */
  readonly pieces: () => AsyncGenerator<Uint8Array, void, void>
}

/**
 * The rules of one kind of server beyond HTTP: the addresses that serve its files at present, and the meaning of its
 * answers.
 */
export interface Resolver {
  /**
   * Asks by `send`, at that address or at another.
   *
   * @throws WeightsError for an answer that amounts to a refusal, and whatever `send` throws
   */
  ask(question: HttpRequest, send: (question: HttpRequest) => Promise<Reply>): Promise<Reply>
}

const RETRIES = 3
const MAX_REDIRECTS = 10
/** Request timeout, too early, too many requests; and all from 500 on. */
const BUSY: readonly number[] = [408, 425, 429]
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308]
/** Silence is counted in ticks: a single timer would also run out while the process is held up by other work. */
const TICKS = 15
const TICKS_UNTOLD = 3

/** Browsers hide redirects and, across origins, most headers. */
export function isBrowser(): boolean {
  return !hasFiles()
}

/**
 * One request, and what `use` makes of its answer; what `use` leaves unread is not taken from the network.
 *
 * @throws Busy          when the server has no time, or is out of order
 * @throws Silence       when no byte came for `silenceMs`
 * @throws WeightsError  when a redirect can't be followed
 * @throws the signal's own reason, and whatever `fetch` and `use` throw
 */
export async function exchange<T>(
  question: HttpRequest,
  options: HttpOptions,
  use: (answer: HttpAnswer) => Promise<T>,
): Promise<T> {
  const { signal } = options
  signal?.throwIfAborted()
  const stopping = new AbortController()
  const stop = (): void => stopping.abort(signal?.reason)
  signal?.addEventListener('abort', stop)
  const watchdog = new Watchdog(options, (silence) => stopping.abort(silence))
  try {
    const send = (asked: HttpRequest): Promise<Reply> => follow(asked, options, stopping.signal, watchdog)
    const { response, ...led } = await (options.resolver?.ask(question, send) ?? send(question))
    if (BUSY.includes(response.status) || response.status >= 500) throw new Busy(response, options)
    return await use({ response, ...led, pieces: () => piecesOf(response, watchdog) })
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw watchdog.silence ?? error
  } finally {
    watchdog.end()
    signal?.removeEventListener('abort', stop)
    stopping.abort()
  }
}

async function* piecesOf({ body }: Response, watchdog: Watchdog): AsyncGenerator<Uint8Array, void, void> {
  if (!body) return
  const reader = body.getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    watchdog.alive()
    yield next.value
  }
}

async function follow(
  { url, method, range, isForeign = false }: HttpRequest,
  { headers, httpCache }: HttpOptions,
  signal: AbortSignal,
  watchdog: Watchdog,
): Promise<Reply> {
  const name = shownAddress(url)
  const { url: begin, authorization } = withoutUser(url)
  const own = headersOf({ ...(authorization && { authorization }), ...headers })
  const hasOwn = [...own.keys()].length > 0
  // A browser drops only `authorization` on the way to another origin, so that others must not be redirected
  const isSafe = [...own.keys()].every((key) => key === 'authorization')
  const redirect = !isBrowser() || !isSafe ? 'manual' : 'follow'
  const seen = new Set<string>()
  const heads: Headers[] = []
  let leftHeaders = isForeign && hasOwn
  for (let at = begin; ; ) {
    seen.add(at.href)
    const sent = new Headers(leftHeaders ? undefined : own)
    if (range) sent.set('range', `bytes=${range[0]}-${range[0] + range[1] - 1}`)
    const response = await fetch(at, {
      headers: sent,
      redirect,
      signal,
      ...(method && { method }),
      ...(httpCache && { cache: httpCache }),
    })
    watchdog.alive()
    if (response.type === 'opaqueredirect') {
      throw new WeightsError(
        `${name}: the server redirects. In a browser only "authorization" may go along, as the other headers ` +
          `(${printable([...own.keys()].join(', '))}) could reach another server. Give the address that it leads to.`,
      )
    }
    const arrived = response.url || at.href
    heads.push(response.headers)
    if (redirect !== 'manual' || !REDIRECTS.includes(response.status)) {
      const isElsewhere = leftHeaders || (hasOwn && new URL(arrived).origin !== begin.origin)
      return { response, url: arrived, leftHeaders: isElsewhere, heads }
    }
    await response.body?.cancel()
    const next = nextOf(response, at, name)
    if (seen.has(next.href) || seen.size > MAX_REDIRECTS) {
      const how = seen.has(next.href) ? 'redirects in a circle' : `redirects more than ${MAX_REDIRECTS} times`
      throw new WeightsError(`${name}: the server ${how}, last to ${shownAddress(next)}. Check the address.`)
    }
    if (next.origin !== begin.origin) leftHeaders = hasOwn
    at = next
  }
}

function nextOf({ status, headers }: Response, at: URL, name: string): URL {
  const location = headers.get('location')
  const next = location === null ? undefined : parseUrl(location, at)
  if (!next) {
    const where =
      location === null ? 'without saying where to' : `to ${quoted(location)}, which is no address`
    throw new WeightsError(`${name}: the server redirects (${status}) ${where}. Check the address.`)
  }
  const isDowngrade = at.protocol === 'https:' && next.protocol === 'http:'
  if (isDowngrade || !/^https?:$/.test(next.protocol)) {
    throw new WeightsError(
      `${name}: the server redirects to ${printable(next.protocol)} (${shownAddress(next)}), which is not followed. ` +
        `Give an address that ${isDowngrade ? 'stays with https:' : 'leads to http: or https:'}.`,
    )
  }
  // A user named by the server is none of ours
  next.username = next.password = next.hash = ''
  return next
}

function parseUrl(address: string, base: URL): URL | undefined {
  return URL.canParse(address, base) ? new URL(address, base) : undefined
}

/** @throws UsageError naming the header, and not what is in it */
export function headersOf(headers: Readonly<Record<string, string>> = {}): Headers {
  // Headers have no names of their own: they would be left out without a word
  if (tagOf(headers) !== 'Object') {
    throw new UsageError(
      `headers is ${describe(headers)}, expected an object of strings: { authorization: 'Bearer …' } for instance, or ` +
        'Object.fromEntries(headers).',
    )
  }
  const checked = new Headers()
  for (const [name, value] of Object.entries(headers)) {
    try {
      if (typeof value !== 'string') throw new TypeError('not a string')
      checked.set(name, value)
    } catch {
      throw new UsageError(
        `headers: ${quoted(name)} can't be sent. A name has letters, digits and dashes; a value is a string of ` +
          `Latin characters without line feeds.`,
      )
    }
  }
  checked.delete('range')
  return checked
}

// ---------------------------------------------------------------------------------------------------------
// Silence

/** No byte came for a while. */
export class Silence extends Error {
  /** How long no byte came: `silenceMs` of the options, in seconds. */
  readonly seconds: number

  constructor(seconds: number) {
    super(`the server sent nothing for ${seconds} seconds`)
    this.seconds = seconds
  }
}

class Watchdog {
  /** The silence that has ended the exchange, if one has. */
  silence: Silence | undefined
  readonly #options: HttpOptions
  readonly #bark: (silence: Silence) => void
  #ticks = 0
  #cancel: () => void = () => undefined

  constructor(options: HttpOptions, bark: (silence: Silence) => void) {
    this.#options = options
    this.#bark = bark
    this.#next()
  }

  /** A byte came. The tick under way counts for nothing, as it began before. */
  alive(): void {
    this.#ticks = -1
  }

  end(): void {
    this.#cancel()
  }

  #next(): void {
    const { silenceMs = 30_000, clock = WALL_CLOCK, onWait } = this.#options
    const seconds = silenceMs / 1000
    this.#cancel = clock.after(silenceMs / TICKS, () => {
      if (++this.#ticks < TICKS) {
        const left = Math.ceil((seconds * (TICKS - this.#ticks)) / TICKS)
        if (this.#ticks >= TICKS_UNTOLD) onWait?.({ reason: 'silent', seconds: left })
        return this.#next()
      }
      this.silence = new Silence(seconds)
      this.#bark(this.silence)
    })
  }
}

// ---------------------------------------------------------------------------------------------------------
// Failures, and what follows them

/** The server answers that it can't, now. */
export class Busy extends Error {
  /** The status with its text, printable: '503 Service Unavailable'. */
  readonly status: string
  /** It is asked to wait, rather than out of order. */
  readonly asksToWait: boolean
  /** The pause that the server's Retry-After asks for. */
  readonly retryAfterMs: number | undefined

  constructor({ status, statusText, headers }: Response, { clock = WALL_CLOCK }: HttpOptions) {
    super(`the server answers ${status}`)
    this.status = statusOf({ status, statusText })
    this.retryAfterMs = retryAfterMs(headers, clock.now())
    this.asksToWait = status === 429 || this.retryAfterMs !== undefined
  }
}

/** Seconds, or a date by the server's own clock, as ours may differ; else what a RateLimit header says. */
function retryAfterMs(headers: Headers, now: number): number | undefined {
  const text = headers.get('retry-after')?.trim() ?? ''
  if (/^\d+$/.test(text)) return 1000 * Number(text)
  // "resolvers";r=0;t=55: none are left, the next ones come in 55 seconds
  const [, reset] = /;\s*r=0\s*;\s*t=(\d+)/i.exec(headers.get('ratelimit') ?? '') ?? []
  if (text === '' && reset !== undefined) return 1000 * Number(reset)
  const at = /[a-z]{3}/i.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) return undefined
  const sent = Date.parse(headers.get('date') ?? '')
  return Math.max(0, at - (Number.isNaN(sent) ? now : sent))
}

/** '404 Not Found', for messages. */
export function statusOf({ status, statusText }: Pick<Response, 'status' | 'statusText'>): string {
  return `${status} ${printable(statusText)}`.trim()
}

/** The retries of one file's requests: their number, and the pauses between them. */
export class Patience {
  readonly #name: string
  readonly #options: HttpOptions
  readonly #retries: number
  #failures = 0
  #pauses = 0
  #waitedMs = 0

  /** @param retries 0 asks once, and waits for nobody */
  constructor(name: string, options: HttpOptions, retries: number = RETRIES) {
    this.#name = name
    this.#options = options
    this.#retries = retries
  }

  /** Bytes came: what failed before counts no more. */
  progressed(): void {
    this.#failures = this.#pauses = 0
  }

  /**
   * Tries until it works, or there have been enough failures. @throws UnreachableError, and FlowSegErrors of the task
   */
  async insist<T>(task: () => Promise<T>): Promise<T> {
    for (;;) {
      const { signal } = this.#options
      try {
        return await task()
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        if (error instanceof WeightsError || error instanceof UsageError) throw error
        await this.#after(error)
      }
    }
  }

  async #after(failure: unknown): Promise<void> {
    const { retryMs = 300, maxWaitMs = 60_000, clock = WALL_CLOCK, signal, onWait } = this.#options
    const busy = failure instanceof Busy ? failure : undefined
    const waits = this.#retries > 0 && busy?.asksToWait
    if (!waits && (this.#failures++ >= this.#retries || isHopeless(failure))) throw this.#enough(failure)
    // Jitter, or all who were turned away at once come back at once
    const backoff = retryMs * 2 ** this.#pauses++ * (0.5 + Math.random())
    const ms = Math.max(busy?.retryAfterMs ?? 0, backoff)
    if (busy && waits && this.#waitedMs + ms > maxWaitMs) throw this.#tooLong(busy, ms)
    this.#waitedMs += ms
    const reason = busy ? 'busy' : failure instanceof Silence ? 'silent' : 'failed'
    onWait?.({ reason, seconds: Math.ceil(ms / 1000) })
    await pause(ms, clock, signal)
  }

  #tooLong({ status, retryAfterMs: asked }: Busy, ms: number): UnreachableError {
    const { maxWaitMs = 60_000, clock = WALL_CLOCK } = this.#options
    const at = new Date(Math.min(clock.now() + ms, 8.64e15))
    const seconds = Math.ceil(ms / 1000)
    const what =
      asked === undefined
        ? `does so still after ${Math.round(this.#waitedMs / 1000)} seconds`
        : `asks to wait ${seconds} seconds`
    return new UnreachableError(
      `${this.#name}: the server answers ${status} and ${what}; a request waits for at most ` +
        `${Math.round(maxWaitMs / 1000)} seconds in all. Try again in ${seconds} seconds, at ${at.toISOString()}.`,
      { retryAt: at },
    )
  }

  #enough(failure: unknown): UnreachableError {
    if (failure instanceof Busy) {
      return new UnreachableError(
        `${this.#name}: the server answers ${failure.status}. Try again later, or download the file and open it from disk.`,
      )
    }
    if (failure instanceof Silence) {
      const times = this.#failures === 1 ? '' : `, ${this.#failures} times`
      return new UnreachableError(
        `${this.#name}: ${failure.message}${times}. Check the connection, or try again later.`,
      )
    }
    const what = reasonOf(failure)
    if (codeOf(failure).startsWith('Z_')) {
      return new UnreachableError(
        `${this.#name}: the server compresses it, and the result is damaged (${what}). Switch compression off for this file.`,
      )
    }
    const remedy = isHopeless(failure)
      ? 'Check the address, its port, and whether this machine trusts the certificate of the server.'
      : `Check the connection; in a browser the server must also allow this page's origin (CORS).`
    // A cause is printed with its message, which may have the whole address
    const cause = what === plainReason(failure) ? { cause: failure } : {}
    return new UnreachableError(`${this.#name} can't be reached: ${what}. ${remedy}`, cause)
  }
}

/** Certificates and ports don't change while we wait. */
function isHopeless(failure: unknown): boolean {
  return (
    /CERT|SIGNED|SSL|TLS|EPROTO|^Z_/.test(codeOf(failure)) ||
    /certificate|bad port|blocked|InvalidContentType|UnknownIssuer/i.test(plainReason(failure))
  )
}

function causeOf(failure: unknown): unknown {
  return failure instanceof TypeError && failure.cause instanceof Error ? failure.cause : failure
}

function codeOf(failure: unknown): string {
  const cause = causeOf(failure)
  return cause instanceof Error && 'code' in cause ? String(cause.code) : ''
}

function plainReason(failure: unknown): string {
  const cause = causeOf(failure)
  if (!(cause instanceof Error)) return String(cause)
  // An AggregateError, of a host with several addresses, has a code and no message
  return cause.message || codeOf(failure) || cause.name
}

/** An error's message without the full stop and the secrets, to go inside a sentence of ours. */
function reasonOf(failure: unknown): string {
  return hideSecrets(plainReason(failure).trim().replace(/\.$/, ''))
}

function pause(ms: number, clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', stop)
      resolve()
    })
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
  })
}
