// Whatever a server answers, what is read is the file's bytes, or an error names what is wrong with the answer: at
// once, without taking memory for what it claims, and without asking again where that can't help.

import { createServer as createRawServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { type Folder, openFolder, readJson } from '../../../src/io/folder.ts'
import { findUrl, urlSource } from '../../../src/io/http/url-source.ts'
import { openSafetensors } from '../../../src/io/safetensors.ts'
import { FastClock } from './fast-clock.ts'
import { type Handler, inOrder, rangeOf, Server, serving } from './misbehaving.ts'

const bytes = Uint8Array.from({ length: 4000 }, (_, i) => (i * 7) & 255)
const server = new Server()
let clock = new FastClock()

beforeAll(() => server.listen())
afterAll(() => server.close())
beforeEach(() => {
  clock = new FastClock()
  server.requests.length = 0
})
afterEach(() => expect(clock.pending).toBe(0))

const url = (name = 'w.safetensors') => `${server.origin}/${name}`
const open = (name?: string, more = {}) => urlSource(url(name), { clock, ...more })
const answering =
  (status: number, headers: Record<string, string | number> = {}, body: string | Uint8Array = ''): Handler =>
  (_, response) =>
    response.writeHead(status, headers).end(body)
/** A 206 whose Content-Range a test writes itself. */
const part = (range: string, body: string | Uint8Array = bytes.subarray(0, 2), headers = {}): Handler =>
  answering(206, { 'content-range': range, etag: '"1"', ...headers }, body)
const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

const HUGE = 2 ** 53 - 1
const PAGE = '<!DOCTYPE html><html><body>Log in</body></html>'

/** First answers: each ends the opening of a file, for whoever can do without it as well. */
const first: [string, Handler, RegExp][] = [
  ['a size of 2^53 - 1', part(`bytes 0-1/${HUGE}`), /claims that the file has 9007199254740991 bytes/],
  ['a size past 2^53', part('bytes 0-1/99999999999999999999'), /claims that the file has 1\d+ bytes/],
  [
    'a size of 2^53 - 1 in full',
    answering(200, { 'content-length': HUGE }, 'abc'),
    /sends the whole file \(9007199254740991 bytes\)/,
  ],
  ['a negative size', part('bytes 0-1/-5'), /Content-Range "bytes 0-1\/-5", so that nobody knows/],
  ['a size that is no number', part('bytes 0-1/NaN'), /Content-Range "bytes 0-1\/NaN"/],
  ['a size below the range', part('bytes 0-1/1'), /Content-Range "bytes 0-1\/1"/],
  ['a range backwards', part('bytes 1-0/4000'), /Content-Range "bytes 1-0\/4000"/],
  ['other units', part('lines 0-1/4000'), /Content-Range "lines 0-1\/4000"/],
  ['a Content-Range that forges lines', part('bytes \u009b31m'), /Content-Range "bytes \\x9b31m"/],
  ['another range', part('bytes 2-3/4000'), /asked for bytes from 0 on, the server sent them from 2 on/],
  [
    'more than was asked for',
    part('bytes 0-9/4000'),
    /asked for the bytes 0 to 2, the server sent more, up to 10/,
  ],
  ['more than it announces', part('bytes 0-1/4000', 'abc'), /more bytes than the 2 of the range/],
  [
    'several ranges',
    part('bytes 0-1/4000', '--x', { 'content-type': 'multipart/byteranges; boundary=x' }),
    /with several \(multipart\/byteranges/,
  ],
  [
    'a compressed range',
    part('bytes 0-1/4000', gzipSync('ab').subarray(0, 2), { 'content-encoding': 'gzip' }),
    /compressed file \(Content-Encoding "gzip"\)/,
  ],
  [
    'a range compressed with Brotli',
    part('bytes 0-1/4000', 'ab', { 'content-encoding': 'br' }),
    /compressed file \(Content-Encoding "br"\)/,
  ],
  ['nothing, with 204', answering(204), /answers 204 No Content/],
  ['nothing, with 205', answering(205), /answers 205 Reset Content/],
  ['"not modified" to a request without a condition', answering(304), /answers 304 Not Modified/],
  ['an error of ours', answering(400), /answers 400 Bad Request/],
  [
    '"too far" for the first bytes of a file that has some',
    answering(416, { 'content-range': 'bytes */4000' }),
    /answers 416/,
  ],
  ['an error of its own', answering(500), /answers 500 Internal Server Error/],
]

describe('a first answer', () => {
  test.each(first)('with %s', async (_, handler, message) => {
    server.handler = handler
    const folder = openFolder(server.origin, { clock, cache: 'none' })
    for (const opening of [open, () => findUrl(url(), { clock }), () => folder.find('w.safetensors')]) {
      const error = await caught(opening())
      expect(error).toBeInstanceOf(WeightsError)
      expect(String(error)).toMatch(message)
      expect(String(error)).toContain(url())
    }
    // Asked again only where that may help
    expect(server.requests).toHaveLength(String(message).includes('500') ? 12 : 3)
  })

  test('of a server that does not know the size, whose HEAD claims 2^53 - 1 bytes', async () => {
    server.handler = (request, response) =>
      request.method === 'HEAD'
        ? response.writeHead(200, { 'content-length': HUGE }).end()
        : part('bytes 0-1/*')(request, response)
    await expect(open()).rejects.toThrow('claims that the file has 9007199254740991 bytes')
  })

  test('that is whole and too large is not taken from the network', async () => {
    server.handler = answering(200, { 'content-length': 5000 }, 'x'.repeat(5000))
    await expect(open('w', { maxWholeBytes: 4999 })).rejects.toThrow('only files of up to 4999 bytes')
    expect((await open('w', { maxWholeBytes: 5000 })).size).toBe(5000)
  })

  test('that is whole, compressed on its way, and without a length', async () => {
    server.handler = answering(200, { 'content-encoding': 'gzip' }, gzipSync('{"a": 1}'))
    const source = await open('a.json')
    expect(new TextDecoder().decode(await source.read(0, source.size))).toBe('{"a": 1}')
  })

  test('that claims to be compressed, and is not', async () => {
    server.handler = answering(200, { 'content-encoding': 'gzip' }, 'plain text')
    await expect(open('a.json')).rejects.toThrow(
      /compresses it, and the result is damaged \(incorrect header check\)/,
    )
    expect(server.requests).toHaveLength(1)
  })

  test('a claim of 1 TiB takes no memory, and the file is refused for what it holds', async () => {
    server.handler = (request, response) => {
      const [from, to] = rangeOf(request)
      part(`bytes ${from}-${to}/${2 ** 40}`, new Uint8Array(to - from + 1))(request, response)
    }
    const before = process.memoryUsage().rss
    const folder = openFolder(server.origin, { clock, cache: 'none' })
    await expect(openSafetensors(folder)).rejects.toThrow(WeightsError)
    await expect(readJson(folder, 'config.json')).rejects.toThrow('1099511627776 bytes; such a file may have')
    expect(process.memoryUsage().rss - before).toBeLessThan(300e6)
  })
})

describe('a range', () => {
  const opened = async () => {
    server.handler = serving(bytes)
    const source = await open()
    server.requests.length = 0
    return source
  }
  const short =
    (most: number): Handler =>
    (request, response) => {
      const [from, to] = rangeOf(request)
      const end = Math.min(to, from + most - 1)
      part(`bytes ${from}-${end}/4000`, bytes.subarray(from, end + 1))(request, response)
    }

  test('that is short: the rest is asked for', async () => {
    const source = await opened()
    server.handler = short(700)
    expect(await source.read(100, 2000)).toEqual(bytes.slice(100, 2100))
    expect(server.requests).toEqual([
      'GET /w.safetensors 100-2099',
      'GET /w.safetensors 800-2099',
      'GET /w.safetensors 1500-2099',
    ])
    expect(clock.waits).toEqual([]) // and without a pause
  })

  test('of a byte at a time, for ever, is not asked for for ever', async () => {
    const source = await opened()
    server.handler = short(1)
    expect(await source.read(0, 50)).toEqual(bytes.slice(0, 50))
    await expect(source.read(0, 2000)).rejects.toThrow(
      'after 1024 requests the server has sent 1024 of the bytes 0 to 2000',
    )
  })

  test('whose body is shorter than it says, without a length, as servers of HTTP/1.0 end it', async () => {
    const raw = createRawServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (request) => {
        const [, from, to] = /bytes=(\d+)-(\d+)/.exec(String(request)) ?? []
        const end = Math.min(Number(to) + 1, Number(from) + 900)
        socket.write(`HTTP/1.0 206 Partial Content\r\nContent-Range: bytes ${from}-${to}/4000\r\n\r\n`)
        socket.end(bytes.subarray(Number(from), end))
      })
    })
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve))
    const address = raw.address()
    const source = await urlSource(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/w`, {
      clock,
    })
    expect(await source.read(0, 4000)).toEqual(bytes)
    await new Promise((resolve) => raw.close(resolve))
  })

  test('without a byte is asked for a few times', async () => {
    const source = await opened()
    server.handler = part('bytes 0-99/4000', '')
    await expect(source.read(0, 100)).rejects.toThrow("can't be reached: the answer had no bytes")
    expect(server.requests).toHaveLength(4)
  })

  test.each([
    ['another size', part('bytes 0-99/5000', bytes.subarray(0, 100)), /4000 bytes at first, now 5000/],
    [
      'another ETag',
      part('bytes 0-99/4000', bytes.subarray(0, 100), { etag: '"2"' }),
      /changed on the server/,
    ],
    [
      'a file that became shorter',
      answering(416, { 'content-range': 'bytes */50' }),
      /4000 bytes at first, now 50/,
    ],
    ['a file that is gone', answering(404), /answers 404 Not Found. It was there before/],
    ['a permission that ended', answering(403), /answers 403 Forbidden. Access needs permission/],
    ['a page to log in', answering(200, { 'content-type': 'text/html' }, PAGE), /a page of HTML instead/],
    ['a compressed range', part('bytes 0-99/4000', 'x', { 'content-encoding': 'gzip' }), /compressed file/],
    ['another range', part('bytes 100-199/4000', bytes.subarray(100, 200)), /sent them from 100 on/],
    ['too many bytes', part('bytes 0-99/4000', bytes.subarray(0, 101)), /more bytes than the 100/],
    ['the whole of another file', answering(200, { etag: '"2"' }, bytes), /changed on the server/],
    [
      'the whole, cut short',
      answering(200, { etag: '"1"' }, bytes.subarray(0, 3000)),
      /4000 bytes at first, now 3000/,
    ],
    [
      'another size of 2^53 - 1',
      part(`bytes 0-99/${HUGE}`, bytes.subarray(0, 100)),
      /claims that the file has/,
    ],
  ] as [string, Handler, RegExp][])('answered with %s', async (_, handler, message) => {
    const source = await opened()
    server.handler = handler
    const error = await caught(source.read(0, 100))
    expect(error).toBeInstanceOf(WeightsError)
    expect(String(error)).toMatch(message)
    expect(server.requests).toHaveLength(1)
  })

  test('whose rest, after a break, is of another version', async () => {
    const source = await opened()
    server.handler = inOrder(short(50), part('bytes 50-99/4000', bytes.subarray(50, 100), { etag: '"2"' }))
    await expect(source.read(0, 100)).rejects.toThrow('changed on the server')
  })

  test('answered with the whole file, by one server of several: what is needed is taken', async () => {
    const source = await opened()
    server.handler = inOrder(answering(200, { etag: '"1"' }, bytes), serving(bytes))
    expect(await source.read(1000, 100)).toEqual(bytes.slice(1000, 1100))
    expect(await source.read(2000, 100)).toEqual(bytes.slice(2000, 2100))
  })

  const DATE = 'Fri, 27 Nov 2026 07:00:00 GMT'
  test.each([
    ['its date', { 'last-modified': DATE }, { 'last-modified': 'Fri, 27 Nov 2026 07:00:01 GMT' }],
    ['a weak ETag', { etag: 'W/"1"' }, { etag: 'W/"2"' }],
    [
      'an ETag without quotes, and a date',
      { etag: 'abc', 'last-modified': DATE },
      { etag: 'abd', 'last-modified': DATE },
    ],
    [
      'an empty ETag, and a date',
      { etag: '""', 'last-modified': DATE },
      { etag: '""', 'last-modified': 'Mon' },
    ],
  ] as [string, Record<string, string>, Record<string, string>][])(
    'of a file that is known by %s',
    async (_, one, two) => {
      server.handler = serving(bytes, one)
      const source = await open()
      expect(await source.read(5, 5)).toEqual(bytes.slice(5, 10))
      server.handler = serving(bytes, {}) // an answer may lack it
      expect(await source.read(5, 5)).toEqual(bytes.slice(5, 10))
      server.handler = serving(bytes, two)
      await expect(source.read(5, 5)).rejects.toThrow('changed on the server')
    },
  )

  test('of a file whose ETag is weak at times is the same file', async () => {
    server.handler = serving(bytes, { etag: 'W/"1"' })
    const source = await open()
    server.handler = serving(bytes, { etag: '"1"' })
    expect(await source.read(5, 5)).toEqual(bytes.slice(5, 10))
  })
})

describe('a file that can be done without', () => {
  const folder = (): Folder => openFolder(`${server.origin}/m`, { clock, cache: 'none' })
  const pages: [string, Handler, RegExp][] = [
    [
      'as HTML',
      answering(200, { 'content-type': 'text/html; charset=utf-8' }, PAGE),
      /page of HTML instead of the file/,
    ],
    ['as HTML in capitals', answering(200, { 'content-type': 'Text/HTML' }, PAGE), /page of HTML/],
    ['as bytes', answering(200, { 'content-type': 'application/octet-stream' }, PAGE), /page of HTML/],
    ['without a type, after an empty line', answering(200, {}, `\r\n${PAGE}`), /page of HTML/],
    [
      'by ranges',
      serving(new TextEncoder().encode(PAGE), { 'content-type': 'application/json' }),
      /page of HTML/,
    ],
  ]
  const refusals: [string, Handler, RegExp][] = [
    ['401', answering(401), /401 Unauthorized. Access needs permission: accept the licence, or pass/],
    [
      '403',
      answering(403),
      /403 Forbidden. Access needs permission.* check the address: some servers answer so/,
    ],
  ]

  test.each([
    ...pages.map(([how, ...rest]) => [`a page of HTML ${how}`, ...rest] as const),
    ...refusals,
    ['404', answering(404), /There is no a.json in http:/] as const,
    ['410', answering(410), /There is no a.json in http:/] as const,
  ])('is not there if the answer is %s; whoever needs it is told so', async (_, handler, message) => {
    server.handler = handler
    const from = folder()
    expect(await from.find('a.json')).toBeUndefined()
    const error = await caught(from.open('a.json'))
    expect(error).toBeInstanceOf(WeightsError)
    expect(String(error)).toMatch(message)
  })

  test('is not taken as absent while the server is out of order', async () => {
    for (const [handler, message] of [
      [answering(500), '500 Internal Server Error'],
      [answering(503, { 'retry-after': '100' }), 'asks to wait 100 seconds'],
      [(request) => request.socket.destroy(), "can't be reached"],
    ] as [Handler, string][]) {
      server.handler = handler
      await expect(folder().find('a.json')).rejects.toThrow(message)
    }
  })

  test('if it is the weights, which a server may refuse: that is told rather than "not there"', async () => {
    server.handler = answering(403)
    await expect(openSafetensors(folder())).rejects.toThrow(/m\/model.safetensors: .* 403 Forbidden/)
    server.handler = answering(200, {}, PAGE)
    await expect(openSafetensors(folder())).rejects.toThrow(/m\/model.safetensors: .* page of HTML/)
    server.handler = (request, response) =>
      answering(request.url!.endsWith('index.json') ? 403 : 404)(request, response)
    await expect(openSafetensors(folder())).rejects.toThrow(/index.json: .* 403 Forbidden/)
    server.handler = answering(404)
    await expect(openSafetensors(folder())).rejects.toThrow('There is neither model.safetensors nor')
  })
})

test('JSON that was stored compressed is named', async () => {
  for (const handler of [answering(200, {}, gzipSync('{}')), serving(gzipSync('{}'))]) {
    server.handler = handler
    await expect(open('config.json')).rejects.toThrow('is stored compressed (gzip)')
  }
})

test('a file may begin like a page', async () => {
  const like = Uint8Array.from({ length: 100 }, (_, i) => (i === 0 ? 0x3c : i === 1 ? 0x21 : i))
  server.handler = serving(like)
  expect((await open()).size).toBe(100)
  server.handler = answering(200, { 'content-type': 'text/html' }, PAGE)
  expect((await open('page.html')).size).toBe(PAGE.length) // asked for by name
})

test('places that are no folders on a server', async () => {
  server.handler = answering(404)
  await expect(openFolder(url('m/config.json'), { cache: 'none' }).open('config.json')).rejects.toThrow(
    /There is no config.json in .*Give the address of the folder/,
  )
  for (const place of [
    'ftp://host/m',
    'data:,x',
    'blob:http://host/1',
    's3://bucket/m',
    new URL('ftp://me:secret@host/m'),
  ]) {
    expect(() => openFolder(place)).toThrow(/files are not read by (ftp|data|blob|s3)/)
  }
  expect(() => openFolder('http://')).toThrow('"http://" is not an address')
  expect(() => openFolder('http://[1')).toThrow('is not an address')
  expect(() => openFolder('http://host', { cache: 'cookie' as 'none' })).toThrow(
    "cache is \"cookie\", expected 'disk' or 'none'",
  )
  const [withQuery, withSlash] = [`${server.origin}/m?key=1#part`, `${server.origin}/m/`]
  for (const [place, wanted] of [
    [withQuery, '/m/a.json?key=1'],
    [withSlash, '/m/a.json'],
  ] as const) {
    server.requests.length = 0
    await openFolder(place, { cache: 'none' }).find('a.json')
    expect(server.requests).toEqual([`GET ${wanted} 0-1`])
  }
})
