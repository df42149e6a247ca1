// A client's visit to a server with bad manners (manners.ts), in any runtime.

import { openFolder } from '../../../src/io/folder.ts'
import { urlSource } from '../../../src/io/http/url-source.ts'
import { FastClock } from './fast-clock.ts'

/** 'read' if all of the file came, else what the error says. */
const EXPECTED: Readonly<Record<string, string | RegExp>> = {
  '/well': 'read',
  '/busy': 'read',
  '/busy-for-long': /answers 503 .*asks to wait 3600 seconds.*Try again in 3600 seconds, at 2/,
  '/mute': 'read',
  '/falls-silent': 'read',
  '/breaks': 'read',
  '/short': 'read',
  '/whole-later': 'read',
  '/changes': /changed on the server while it was being read/,
  '/huge': /claims that the file has 9007199254740991 bytes/,
  '/negative': /Content-Range "bytes 0-1\/-1", so that nobody knows/,
  '/too-much': /more bytes than the 2 of the range/,
  '/elsewhere': /asked for bytes from 0 on, the server sent them from 7 on/,
  '/several': /with several \(multipart\/byteranges/,
  '/compressed': /compressed file \(Content-Encoding "br"\)|can't be reached: Failed to fetch/,
  '/page': /page of HTML instead of the file/,
  '/page-as-bytes': /page of HTML instead of the file/,
  '/empty': /answers 204/,
  '/secret': /answers 403.*Access needs permission/,
  '/gone': /There is no file .*404/,
  '/moved': 'read',
  '/nowhere': /302/,
}

/** Of those that need not be there. */
const OPTIONAL: readonly string[] = ['/secret', '/gone', '/page', '/page-as-bytes']

/** @returns for each address what came of it */
export async function visitManners(origin: string): Promise<Record<string, string>> {
  const visits = Object.keys(EXPECTED).map(async (path) => [path, await visit(`${origin}${path}`)] as const)
  const folder = openFolder(origin, { cache: 'none' })
  const optional = OPTIONAL.map(async (path) => {
    const source = await folder.find(path.slice(1))
    return [`optional ${path}`, source ? 'found' : 'not there'] as const
  })
  return Object.fromEntries(await Promise.all([...visits, ...optional]))
}

/** @returns what came of something else than is expected: nothing, if all is well */
export function surprisesIn(results: Readonly<Record<string, string>>): string[] {
  const optional = OPTIONAL.map((path) => [`optional ${path}`, 'not there'] as const)
  return [...Object.entries(EXPECTED), ...optional].flatMap(([path, expected]) => {
    const result = results[path] ?? 'nothing'
    const isExpected = typeof expected === 'string' ? result === expected : expected.test(result)
    return isExpected ? [] : [`${path}: ${result}`]
  })
}

async function visit(url: string): Promise<string> {
  const clock = new FastClock()
  try {
    const headers = url.endsWith('/moved') ? { authorization: 'Bearer secret' } : {}
    const source = await urlSource(`${url}?visit=${Math.random()}`, { clock, headers })
    const bytes = await source.read(0, source.size)
    const isWhole = bytes.length === 4000 && bytes.every((byte, i) => byte === ((i * 7) & 255))
    return clock.pending === 0 && isWhole ? 'read' : `wrong: ${bytes.length} bytes, ${clock.pending} timers`
  } catch (error) {
    return String(error)
  }
}
