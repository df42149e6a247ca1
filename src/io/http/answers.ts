// A server's answers tell these facts: whether there is a file, which version of it, which bytes of it, and the bytes.

import { WeightsError } from '../../errors.ts'
import { printable, quoted } from '../../printable.ts'
import { shownAddress } from './address.ts'
import { type HttpAnswer, isBrowser, statusOf } from './http.ts'

/** No file of weights is that large: a server that claims more is wrong, and planning for it would take memory. */
const MAX_FILE_BYTES = 2 ** 40

/** A server's answer that amounts to "there is no such file", for callers that can do without it. */
export class Absent {
  /**
   * By 404 or 410; by 401 or 403, as S3 and CloudFront answer for what isn't there; or with a page of HTML in its
   * place.
   */
  readonly why: 'gone' | 'refused' | 'page'
  /** The error for callers that can't do without the file. */
  readonly error: WeightsError

  constructor(why: Absent['why'], error: WeightsError) {
    this.why = why
    this.error = error
  }
}

/** @returns why there is no file, if the answer amounts to that */
export function absence(answer: HttpAnswer, name: string): Absent | undefined {
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

/** @param url where the page came from */
export function pageError(name: string, url: string = name): WeightsError {
  const from = shownAddress(url) === name ? '' : ` from ${shownAddress(url)}`
  return new WeightsError(
    `${name}: the server answers with a page of HTML${from} instead of the file. It may be a start page in place of a ` +
      `file that isn't there, a page to log in, or that of a network which wants to be asked first: open the address in ` +
      `a browser.`,
  )
}

/** The error for a status that means neither the file nor its absence. */
export function refused({ response, leftHeaders, url }: HttpAnswer, name: string): WeightsError {
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
 * that compress send both for the same file. What the server states of the file itself goes before both.
 */
export function versionOf({ response: { headers }, stated }: HttpAnswer): string | undefined {
  if (stated?.version !== undefined) return stated.version
  const tag = /^\s*(?:W\/)?"?([^"]*)"?\s*$/i.exec(headers.get('etag') ?? '')?.[1]
  return tag ? `"${tag}"` : (headers.get('last-modified') ?? undefined)
}

/**
 * True if an answer is of another version of the file. An answer without a version that can be compared counts as the
 * same.
 */
export function isOther(answer: HttpAnswer, version: string | undefined): boolean {
  const now = version?.startsWith('"') ? versionOf(answer) : answer.response.headers.get('last-modified')
  const isSameKind = now?.startsWith('"') === version?.startsWith('"')
  return version !== undefined && Boolean(now) && isSameKind && now !== version
}

/** @throws WeightsError if no file has that many bytes, or this one is stated to have others */
export function expectSize(name: string, size: number, stated?: HttpAnswer['stated']): void {
  if (stated?.size !== undefined && stated.size !== size) {
    throw new WeightsError(
      `${name}: the file has ${stated.size} bytes by the server's own account, and ${size} bytes are sent for it. ` +
        'Try again later, or download the file and open it from disk.',
    )
  }
  if (size <= MAX_FILE_BYTES) return
  throw new WeightsError(
    `${name}: the server claims that the file has ${size} bytes; at most ${MAX_FILE_BYTES} (1 TiB) are believed. ` +
      `Check the address and the server.`,
  )
}

/** The range that a 206 says it has. */
export interface AnsweredRange {
  /** Bytes that the answer has; at most those that were asked for. */
  readonly length: number
  /** Bytes of the whole file; undefined if the server doesn't know. */
  readonly total: number | undefined
}

/**
 * Compares an answer's headers with what was asked for. It may have less, from the same byte on.
 *
 * @returns undefined where the page may not see the header (CORS)
 * @throws WeightsError
 */
export function partOf(
  { response: { headers } }: HttpAnswer,
  name: string,
  [offset, length]: readonly [number, number],
): AnsweredRange | undefined {
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
export async function readPart(
  answer: HttpAnswer,
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

/** All of an answer's bytes: not one byte more than `limit` is taken from the network. */
export async function readWhole(
  answer: HttpAnswer,
  name: string,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
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

/** True if the address is that of a web page, by its extension. */
export function isPageAddress(url: string): boolean {
  return /\.html?$/i.test(new URL(url).pathname)
}
