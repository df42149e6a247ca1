// A server with a bad manner at each address, for clients in every runtime; and a second one, to which it redirects.

import { randomBytes } from 'node:crypto'
import { type Handler, rangeOf, Server, serving } from './misbehaving.ts'

const file = Uint8Array.from({ length: 4000 }, (_, i) => (i * 7) & 255)
const well = serving(file)

/** By path. `count` is how often this client has asked for this address, this time included. */
const MANNERS: Readonly<Record<string, (count: number, other: string) => Handler>> = {
  '/well': () => well,
  '/busy': (count) => (count % 2 === 1 ? answering(429, { 'retry-after': '5' }) : well),
  '/busy-for-long': () => answering(503, { 'retry-after': '3600' }),
  '/mute': (count) => (count === 1 ? () => undefined : well),
  '/falls-silent': (count) => (count === 2 ? begun(1000, () => undefined) : well),
  // The connection ends some time behind what was sent: an end may overtake it
  '/breaks': () => begun(300, (response) => setTimeout(() => response.socket?.end(), 20)),
  '/short': () => begun(700, (response) => response.end(), true),
  '/whole-later': (count) => (count === 1 ? well : answering(200, { etag: '"1"' }, file)),
  '/changes': (count) => serving(file, { etag: `"${count}"` }),
  '/huge': () => answering(206, { 'content-range': `bytes 0-1/${2 ** 53 - 1}` }, 'ab'),
  '/negative': () => answering(206, { 'content-range': 'bytes 0-1/-1' }, 'ab'),
  '/too-much': () => answering(206, { 'content-range': 'bytes 0-1/4000' }, 'abc'),
  '/elsewhere': () => answering(206, { 'content-range': 'bytes 7-8/4000' }, 'ab'),
  '/several': () =>
    answering(
      206,
      { 'content-range': 'bytes 0-1/4000', 'content-type': 'multipart/byteranges; boundary=x' },
      'ab',
    ),
  '/compressed': () =>
    answering(206, { 'content-range': 'bytes 0-1/4000', 'content-encoding': 'br' }, randomBytes(2)),
  '/page': () => answering(200, { 'content-type': 'text/html' }, '<!doctype html>'),
  '/page-as-bytes': () => answering(200, {}, '<!doctype html><p>Please log in'),
  '/empty': () => answering(204),
  '/secret': () => answering(403),
  '/gone': () => answering(404),
  '/moved': (_, other) => answering(302, { location: `${other}/open` }),
  '/nowhere': () => answering(302),
}

/** @returns the origins of both */
export async function serveManners(): Promise<string> {
  const [server, other] = await Promise.all([new Server().listen(), new Server().listen()])
  const asked = new Map<string, number>()
  server.handler = (request, response) => {
    if (allow(request, response)) return
    const { pathname, search } = new URL(request.url!, server.origin)
    const count = (asked.get(pathname + search) ?? 0) + 1
    asked.set(pathname + search, count)
    ;(MANNERS[pathname]?.(count, other.origin) ?? answering(404))(request, response)
  }
  // Whoever brings a stranger's key is turned away
  other.handler = (request, response) => {
    if (allow(request, response)) return
    ;(request.headers.authorization ? answering(400) : well)(request, response)
  }
  return server.origin
}

/** To pages of other origins. @returns whether that was all they wanted to know */
function allow(...[request, response]: Parameters<Handler>): boolean {
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-allow-headers', 'authorization, range, x-api-key')
  response.setHeader(
    'access-control-expose-headers',
    'content-range, content-encoding, content-type, etag, retry-after, date',
  )
  if (request.method !== 'OPTIONS') return false
  response.writeHead(204).end()
  return true
}

function answering(
  status: number,
  headers: Record<string, string> = {},
  body: string | Uint8Array = '',
): Handler {
  return (_, response) => response.writeHead(status, headers).end(body)
}

/** At most so many bytes of a range, and then something else. @param honest it says so in its headers */
function begun(most: number, then: (response: Parameters<Handler>[1]) => unknown, honest = false): Handler {
  return (request, response) => {
    const [from, to] = rangeOf(request)
    const end = Math.min(to + 1, from + most)
    const last = honest ? end - 1 : to
    response.writeHead(206, { etag: '"1"', 'content-range': `bytes ${from}-${last}/${file.length}` })
    response.write(file.subarray(from, end), () => (end > to ? response.end() : then(response)))
  }
}
