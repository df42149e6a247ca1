// A server that has no time is waited for as it asks, up to a minute; one that says nothing is asked again; and a
// caller's headers reach no server but the one that they were given for.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { UsageError, WeightsError } from '../../../src/errors.ts'
import { openFolder } from '../../../src/io/folder.ts'
import { Download } from '../../../src/io/http/download.ts'
import { urlSource } from '../../../src/io/http/url-source.ts'
import { UnreachableError } from '../../../src/io/source.ts'
import type { Progress, Waiting } from '../../../src/progress.ts'
import { FastClock } from './fast-clock.ts'
import { type Handler, inOrder, rangeOf, Server, serving } from './misbehaving.ts'

const bytes = Uint8Array.from({ length: 4000 }, (_, i) => (i * 7) & 255)
const server = new Server()
const other = new Server()
let clock = new FastClock()
let waits: Waiting[] = []

beforeAll(() => Promise.all([server.listen(), other.listen()]))
afterAll(() => Promise.all([server.close(), other.close()]))
beforeEach(() => {
  clock = new FastClock()
  waits = []
  server.requests.length = other.requests.length = 0
})
afterEach(() => {
  vi.unstubAllGlobals()
  expect(clock.pending).toBe(0) // or a process that is done would be kept alive
})

const open = (path = '/a', more = {}) =>
  urlSource(`${server.origin}${path}`, { clock, onWait: (waiting) => waits.push(waiting), ...more })
const answering =
  (status: number, headers: Record<string, string> = {}, body = ''): Handler =>
  (_, response) =>
    response.writeHead(status, headers).end(body)
const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe('a busy server', () => {
  const later = (seconds: number): string => new Date(Date.now() + 1000 * seconds).toUTCString()

  test.each([
    ['seconds, with 429', 429, () => ({ 'retry-after': '5' }), 5000],
    ['seconds, with 503', 503, () => ({ 'retry-after': '7' }), 7000],
    [
      'a date by its own clock, an hour ahead',
      429,
      () => ({ 'retry-after': later(3609), date: later(3600) }),
      9000,
    ],
    ['seconds, with 408', 408, () => ({ 'retry-after': '3' }), 3000],
    ['a date in the past', 503, () => ({ 'retry-after': later(-60) }), 0],
  ] as const)('is waited for as Retry-After says: %s', async (_, status, headers, ms) => {
    server.handler = inOrder((...of) => answering(status, headers())(...of), serving(bytes))
    const source = await open()
    expect(source.size).toBe(bytes.length)
    expect(server.requests).toHaveLength(2)
    expect(clock.waits).toHaveLength(1)
    expect(clock.waits[0]).toBeGreaterThanOrEqual(ms)
    expect(clock.waits[0]).toBeLessThan(ms + 1001)
    const busyWaits = waits.filter(({ reason }) => reason === 'busy')
    expect(busyWaits).toEqual([{ reason: 'busy', seconds: expect.any(Number) }])
    if (ms > 0) expect(busyWaits[0]!.seconds).toBeGreaterThanOrEqual(ms / 1000)
  })

  test('that asks for more than a minute is not waited for: the error says when to try again', async () => {
    server.handler = answering(429, { 'retry-after': '3600' })
    const begun = Date.now()
    const error = await caught(open())
    expect(error).toBeInstanceOf(UnreachableError)
    expect(error).toBeInstanceOf(WeightsError)
    const { retryAt } = error as UnreachableError
    expect(retryAt!.getTime() - begun).toBeGreaterThanOrEqual(3_599_000)
    expect(retryAt!.getTime() - begun).toBeLessThan(3_660_000)
    expect(String(error)).toContain('asks to wait 3600 seconds')
    expect(String(error)).toContain(`Try again in 3600 seconds, at ${retryAt!.toISOString()}.`)
    expect([server.requests.length, clock.waits]).toEqual([1, []])
    server.handler = answering(503, { 'retry-after': '9'.repeat(400) })
    await expect(open()).rejects.toThrow('asks to wait Infinity seconds')
  })

  test('is waited for a minute in all', async () => {
    server.handler = answering(429, { 'retry-after': '25' })
    await expect(open()).rejects.toThrow(
      /429 Too Many Requests and asks to wait 25 seconds; .* 60 seconds in all/,
    )
    expect(clock.waits).toEqual([25_000, 25_000])
  })

  test('that does not say how long, twice as long each time', async () => {
    server.handler = answering(429)
    await expect(open()).rejects.toThrow(/429 Too Many Requests and does so still after \d+ seconds/)
    expect(clock.waits.length).toBeGreaterThan(5)
    expect(clock.waits.reduce((a, b) => a + b)).toBeLessThanOrEqual(60_000)
    for (const [i, ms] of clock.waits.entries()) {
      expect(ms).toBeGreaterThanOrEqual(150 * 2 ** i)
      expect(ms).toBeLessThanOrEqual(450 * 2 ** i)
    }
    expect(new Set(clock.waits.map((ms, i) => ms / 2 ** i)).size).toBeGreaterThan(1) // jitter
  })

  test.each(['nonsense', '-5', '1.5', ''])('whose Retry-After is %j is asked a few times', async (text) => {
    server.handler = answering(503, { 'retry-after': text })
    await expect(open()).rejects.toThrow('503 Service Unavailable. Try again later')
    expect(server.requests).toHaveLength(4)
  })

  test('is left at once when the caller gives up', async () => {
    server.handler = answering(429, { 'retry-after': '30' })
    const controller = new AbortController()
    const why = new Error('enough')
    const begun = performance.now()
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
    const before = timers()
    const opening = open('/a', { signal: controller.signal, clock: undefined })
    await vi.waitFor(() => expect(waits).toHaveLength(1))
    controller.abort(why)
    await expect(opening).rejects.toBe(why)
    expect(performance.now() - begun).toBeLessThan(5000)
    expect(timers()).toBeLessThanOrEqual(before) // or the process would live for half a minute more
  })

  test('in the middle of a file: progress says that it waits, and counts on', async () => {
    server.handler = serving(bytes)
    const events: Progress[] = []
    const download = new Download((event) => events.push(event))
    const folder = openFolder(server.origin, { clock, download, cache: 'none', blockBytes: 1000 })
    const source = await folder.open('w.bin')
    download.begin('m')
    server.handler = inOrder(serving(bytes), answering(429, { 'retry-after': '5' }), serving(bytes))
    expect(await source.read(0, bytes.length)).toEqual(bytes)
    expect(events.filter(({ waiting }) => waiting?.reason === 'busy')).toEqual([
      expect.objectContaining({
        phase: 'download',
        what: 'w.bin',
        total: bytes.length,
        waiting: { reason: 'busy', seconds: 5 },
      }),
    ])
    expect(events.at(-1)).toMatchObject({ loaded: bytes.length, total: bytes.length })
    expect(events.at(-1)).not.toHaveProperty('waiting')
    await source.close()
  })

  test('that is waited for before anything is known is told too, with a total of 0', async () => {
    server.handler = inOrder(answering(429, { 'retry-after': '5' }), serving(bytes))
    const events: Progress[] = []
    const download = new Download((event) => events.push(event))
    const folder = openFolder(`${server.origin}/m?key=secret`, { clock, download, cache: 'none' })
    await (await folder.open('w.bin')).close()
    expect(events.filter(({ waiting }) => waiting?.reason === 'busy')).toEqual([
      {
        phase: 'download',
        what: 'w.bin',
        loaded: 0,
        total: 0,
        from: { cache: 0, network: 0 },
        waiting: { reason: 'busy', seconds: 5 },
      },
    ])
  })
})

describe('a silent server', () => {
  const silent: Handler = () => undefined
  /** Some bytes of the range, and then nothing. */
  const stopping =
    (count: number): Handler =>
    (request, response) => {
      const [from, to] = rangeOf(request)
      const headers = { etag: '"1"', 'content-length': to - from + 1 }
      response.writeHead(206, { ...headers, 'content-range': `bytes ${from}-${to}/${bytes.length}` })
      response.write(bytes.subarray(from, from + count))
    }

  test('before its headers: asked again after 30 seconds, and told', async () => {
    server.handler = inOrder(silent, serving(bytes))
    expect((await open()).size).toBe(bytes.length)
    expect(server.requests).toHaveLength(2)
    expect(waits.length).toBeGreaterThan(5)
    expect(waits[0]).toEqual({ reason: 'silent', seconds: 24 })
    expect(waits.every(({ reason }) => reason === 'silent')).toBe(true)
  })

  test('after 1,000 bytes: asked for the rest', async () => {
    server.handler = serving(bytes)
    const source = await open()
    server.handler = inOrder(stopping(1000), serving(bytes))
    expect(await source.read(0, 3000)).toEqual(bytes.slice(0, 3000))
    expect(server.requests.slice(1)).toEqual(['GET /a 0-2999', 'GET /a 1000-2999'])
    expect(waits.some(({ reason }) => reason === 'silent')).toBe(true)
  })

  test('for ever: given up after four times', async () => {
    server.handler = silent
    await expect(open()).rejects.toThrow(/sent nothing for 30 seconds, 4 times/)
    expect(server.requests).toHaveLength(4)
    // Also in the middle, and if each time a few bytes come
    server.handler = serving(bytes)
    const source = await open()
    server.requests.length = 0
    server.handler = inOrder(stopping(10), stopping(10), silent)
    await expect(source.read(0, 3000)).rejects.toThrow(/sent nothing for 30 seconds, 4 times/)
    expect(server.requests.slice(2)).toEqual(Array.from({ length: 3 }, () => 'GET /a 20-2999'))
  })

  test('is not one that is slow: a few bytes every 20 seconds will do', async () => {
    server.handler = serving(bytes)
    const source = await open()
    server.handler = (request, response) => {
      const [from, to] = rangeOf(request)
      response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}` }).flushHeaders()
      let at = from
      const more = (): void => {
        if (at > to) return void response.end()
        response.write(bytes.subarray(at, Math.min(at + 10, to + 1)))
        at += 10
        setTimeout(more, 500)
      }
      setTimeout(more, 500)
    }
    expect(await source.read(0, 30)).toEqual(bytes.slice(0, 30))
    expect(server.requests).toHaveLength(2)
  })
})

describe('a connection', () => {
  test('that breaks, again and again, goes on where it broke', async () => {
    server.handler = serving(bytes)
    const source = await open()
    server.handler = (request, response) => {
      const [from, to] = rangeOf(request)
      const headers = {
        'content-length': to - from + 1,
        'content-range': `bytes ${from}-${to}/${bytes.length}`,
      }
      const part = bytes.subarray(from, Math.min(from + 300, to + 1))
      response.writeHead(206, headers)
      // The end may overtake bytes that a busy client hasn't read
      response.write(part, () => from + part.length <= to && setTimeout(() => request.socket.end(), 20))
      if (from + part.length > to) response.end()
    }
    expect(await source.read(0, 3000)).toEqual(bytes.slice(0, 3000))
    expect(server.requests.slice(1)).toEqual(Array.from({ length: 10 }, (_, i) => `GET /a ${i * 300}-2999`))
    expect(waits.filter(({ reason }) => reason === 'failed')).toHaveLength(9)
  })

  test('that speaks TLS to a port without, is not tried again', async () => {
    const error = await caught(
      urlSource(server.origin.replace('http:', 'https:'), {
        clock,
        onWait: (waiting) => waits.push(waiting),
      }),
    )
    expect(error).toBeInstanceOf(UnreachableError)
    expect(String(error)).toMatch(/can't be reached: .*Check the address, its port/)
    expect(waits).toEqual([])
  })

  test('that is refused tells why, and where', async () => {
    const gone = await new Server().listen()
    await gone.close()
    await expect(urlSource(`${gone.origin}/a?sig=secret`, { clock })).rejects.toThrow(
      new RegExp(
        `^${gone.origin}/a can't be reached: connect ECONNREFUSED 127.0.0.1:\\d+. Check the connection`,
      ),
    )
  })
})

describe('redirects', () => {
  const headers = { authorization: 'Bearer secret', 'x-api-key': 'secret', cookie: 'session=secret' }
  const seen: Record<string, unknown>[] = []
  const noting =
    (next: Handler): Handler =>
    (request, response) => {
      seen.push(request.headers)
      next(request, response)
    }
  const to = (location: string, status = 302): Handler => answering(status, { location })
  beforeEach(() => {
    seen.length = 0
  })

  test.each([301, 302, 303, 307, 308])(
    '%i to another origin: the headers stay, at every request',
    async (status) => {
      server.handler = noting(to(`${other.origin}/b`, status))
      other.handler = noting(serving(bytes))
      const source = await open('/a', { headers })
      expect(await source.read(10, 20)).toEqual(bytes.slice(10, 30))
      expect(seen).toHaveLength(4)
      for (const i of [0, 2]) expect(seen[i]).toMatchObject(headers)
      for (const i of [1, 3]) {
        for (const name of Object.keys(headers)) expect(seen[i]).not.toHaveProperty(name)
        expect(seen[i]).toHaveProperty('range')
      }
      expect(source.name).toBe(`${server.origin}/a`)
    },
  )

  test('within the origin: the headers go along', async () => {
    server.handler = noting((request, response) =>
      (request.url === '/a' ? to('/b/../c?x=1') : serving(bytes))(request, response),
    )
    await open('/a', { headers })
    expect(server.requests).toEqual(['GET /a 0-1', 'GET /c?x=1 0-1'])
    for (const sent of seen) expect(sent).toMatchObject(headers)
  })

  test('out and back again: another server does not say where the headers go', async () => {
    server.handler = noting((request, response) =>
      (request.url === '/a' ? to(`${other.origin}/b`) : answering(401))(request, response),
    )
    other.handler = to(`${server.origin}/delete-everything`)
    const error = await caught(open('/a', { headers }))
    expect(String(error)).toContain(`401 Unauthorized. Your headers were not sent to ${server.origin}`)
    expect(seen[1]).not.toHaveProperty('authorization')
    expect(String(error)).not.toContain('secret')
  })

  test.each([
    ['in a circle', () => to('/a'), 'redirects in a circle'],
    ['for ever', () => (request, response) => to(`${request.url}x`)(request, response), 'more than 10 times'],
    ['to nowhere', () => answering(302), 'redirects (302) without saying where to'],
    ['to nonsense', () => to('http://['), 'redirects (302) to "http://[", which is no address'],
    [
      'to a file',
      () => to('file:///etc/passwd'),
      'redirects to file: (file:///etc/passwd), which is not followed',
    ],
    ['to data', () => to('data:text/plain,hello'), 'redirects to data: '],
    ['to FTP', () => to('ftp://host/x'), 'redirects to ftp: (ftp://host/x)'],
  ] as [string, () => Handler, string][])('%s', async (_, handler, message) => {
    server.handler = handler()
    const error = await caught(open())
    expect(error).toBeInstanceOf(WeightsError)
    expect(String(error)).toContain(message)
    expect(waits).toEqual([])
  })

  test('from https: to http: is not followed', async () => {
    const fetched = vi.fn(
      async () => new Response(null, { status: 302, headers: { location: 'http://host/b' } }),
    )
    vi.stubGlobal('fetch', fetched)
    await expect(urlSource('https://host/a')).rejects.toThrow(/redirects to http: .*stays with https:/)
    expect(fetched).toHaveBeenCalledTimes(1)
  })

  describe('in a browser, which follows them itself', () => {
    const fetched = vi.fn<typeof fetch>()
    beforeEach(() => {
      vi.stubGlobal('process', { ...process, versions: {} })
      vi.stubGlobal('fetch', fetched)
      fetched.mockReset()
    })
    const modes = () => fetched.mock.calls.map(([, init]) => init?.redirect)
    const range = { 'content-range': 'bytes 0-1/10' }

    test('they may lead anywhere with no headers, or authorization, which the browser drops', async () => {
      fetched.mockImplementation(async () => new Response('ab', { status: 206, headers: range }))
      await urlSource('https://host/a')
      await urlSource('https://host/a', { headers: { authorization: 'Bearer x' } })
      expect(modes()).toEqual(['follow', 'follow'])
    })

    test('other headers are not sent along: the error says so', async () => {
      const opaque = Object.defineProperty(Response.error(), 'type', { value: 'opaqueredirect' })
      fetched.mockImplementation(async () => opaque)
      await expect(urlSource('https://host/a', { headers: { 'x-api-key': 'secret' } })).rejects.toThrow(
        /In a browser only "authorization" may go along.*\(x-api-key\)/,
      )
      expect(modes()).toEqual(['manual'])
    })
  })
})

describe('secrets', () => {
  test('in an address: a user becomes a header, and neither he nor the query is in any message', async () => {
    const seen: (string | undefined)[] = []
    server.handler = (request, response) => {
      seen.push(request.headers.authorization)
      answering(403)(request, response)
    }
    const address = `${server.origin.replace('//', '//me:p%40ss@')}/m?X-Amz-Signature=abc123`
    for (const error of [
      await caught(urlSource(address, { clock })),
      await caught(openFolder(address, { cache: 'none' }).open('config.json')),
    ]) {
      expect(String(error)).toContain('403 Forbidden')
      expect(String(error)).not.toMatch(/me:|p@ss|p%40ss|abc123|Amz/)
    }
    expect(seen[0]).toBe(`Basic ${btoa('me:p@ss')}`)
    expect(server.requests[1]).toBe('GET /m/config.json?X-Amz-Signature=abc123 0-1')
    expect(openFolder(address).describe).toBe(`${server.origin}/m`)
  })

  test("in a runtime's message are taken out, with its error", async () => {
    const address = 'https://me:word@host/a?sig=abc123'
    vi.stubGlobal('fetch', async () => {
      throw new TypeError(`error sending request for url (${address}): no route`)
    })
    const error = await caught(urlSource(address, { retryMs: 0 }))
    expect(String(error)).toContain(
      "https://host/a can't be reached: error sending request for url (https://host/a): no route",
    )
    expect(error).not.toHaveProperty('cause')
  })

  test('in headers that can not be sent', async () => {
    for (const headers of [{ 'x-key': 'a\nsecret' }, { 'x key': 'secret' }, { 'x-key': '\u{1F511}secret' }]) {
      const error = await caught(open('/a', { headers }))
      expect(error).toBeInstanceOf(UsageError)
      expect(String(error)).toMatch(/headers: "x.key" can't be sent/)
      expect(String(error)).not.toContain('secret')
      expect(() => openFolder(server.origin, { headers })).toThrow(UsageError)
    }
    expect(server.requests).toEqual([])
  })

  test('in headers that have no names of their own', async () => {
    const pairs = [['authorization', 'Bearer secret']] as [string, string][]
    for (const headers of [new Headers(pairs), new Map(pairs), pairs, 'authorization: secret', null]) {
      const folder = () => openFolder(server.origin, { headers: headers as never })
      expect(folder).toThrow(UsageError)
      expect(folder).toThrow(/^headers is .*, expected an object of strings/)
    }
    expect(server.requests).toEqual([])
  })
})

test("a caller's range is not sent, in any spelling", async () => {
  server.handler = serving(bytes)
  const source = await open('/a', { headers: { Range: 'bytes=5-6' } })
  expect(await source.read(0, 4)).toEqual(bytes.slice(0, 4))
  expect(server.requests).toEqual(['GET /a 0-1', 'GET /a 0-3'])
})
