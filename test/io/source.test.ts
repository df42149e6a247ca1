// A file, a Blob, an array and a server with ranges give the same bytes, never more than were asked for,
// and what goes wrong on the way is a WeightsError that says so; an abort comes through as it is.

import { createReadStream } from 'node:fs'
import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { WeightsError } from '../../src/errors.ts'
import { findUrl, urlSource } from '../../src/io/http/url-source.ts'
import { blobSource, bytesSource, fileSource, type Source } from '../../src/io/source.ts'

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) & 255)
let folder = ''
let path = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flowseg-'))
  path = join(folder, 'some.bin')
  await writeFile(path, bytes)
})
afterAll(() => rm(folder, { recursive: true }))

// A server whose manners each test chooses
type Handler = (request: IncomingMessage, response: ServerResponse) => void
let handler: Handler
let origin = ''
const requests: string[] = []
const server = createServer((request, response) => {
  requests.push(`${request.method} ${request.headers.range ?? 'whole'}`)
  handler(request, response)
})
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})
afterAll(() => new Promise((resolve) => server.close(resolve)))
afterEach(() => {
  requests.length = 0
})

const withRanges: Handler = (request, response) => {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
  const part = bytes.subarray(Number(from), Number(to) + 1)
  response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}`, etag: '"a"' }).end(part)
}
const answering =
  (status: number, headers: Record<string, string> = {}, body = ''): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end(body)

const kinds: [string, () => Promise<Source>][] = [
  ['an array', async () => bytesSource(bytes, 'some.bin')],
  ['a Blob', async () => blobSource(new File([bytes], 'some.bin'))],
  ['a file', () => fileSource(path)],
  [
    'a server with ranges',
    () => {
      handler = withRanges
      return urlSource(`${origin}/some.bin`)
    },
  ],
  [
    'a server without ranges',
    () => {
      handler = (_, response) => void response.writeHead(200).end(bytes)
      return urlSource(`${origin}/some.bin`)
    },
  ],
]

describe('more than 4 GiB', () => {
  const size = 2 ** 32 + 1000
  /** The last bytes are those of the others; what is before is zero, and takes nothing on disk. */
  const begin = size - bytes.length
  let large = ''
  beforeAll(async () => {
    large = join(folder, 'large.bin')
    await writeFile(large, '')
    await truncate(large, begin)
    await appendFile(large, bytes)
  })

  const sparse: Handler = (request, response) => {
    const [, from, to] = (/bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []).map(Number)
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${size}`, etag: '"a"' })
    createReadStream(large, { start: from ?? 0, end: to ?? 0 }).pipe(response)
  }

  const expectedAt = (offset: number, length: number): Uint8Array<ArrayBuffer> =>
    Uint8Array.from({ length }, (_, i) => bytes[offset + i - begin] ?? 0)

  /** As much of a Blob as is asked for; Node's openAsBlob counts in 32 bits (20.20). */
  const blob = (): Blob => {
    const slice = (from = 0, to = size): Blob => new Blob([expectedAt(from, to - from)])
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- no other member is read
    return { size, slice } as Blob
  }

  test.each<[string, () => Promise<Source>]>([
    ['a Blob', async () => blobSource(blob(), 'large.bin')],
    ['a file', () => fileSource(large)],
    [
      'a server with ranges',
      () => {
        handler = sparse
        return urlSource(`${origin}/large.bin`)
      },
    ],
  ])('%s gives the bytes on both sides, and behind', async (_, open) => {
    const source = await open()
    expect(source.size).toBe(size)
    for (const [offset, length] of [
      [2 ** 31 - 8, 16],
      [2 ** 32 - 100, 200],
      [2 ** 32, 10],
      [size - 1, 1],
    ] as const) {
      expect(await source.read(offset, length)).toEqual(expectedAt(offset, length))
    }
    await expect(source.read(size - 1, 2)).rejects.toThrow(`the file has ${size}`)
    await source.close()
  })
})

describe.each(kinds)('%s', (_, open) => {
  test('gives exactly the bytes of a range, in a buffer of their own', async () => {
    const source = await open()
    expect(source.size).toBe(1000)
    expect(source.name).toContain('some.bin')
    for (const [offset, length] of [
      [0, 1],
      [0, 1000],
      [17, 100],
      [999, 1],
      [1000, 0],
      [3, 0],
    ] as const) {
      const read = await source.read(offset, length)
      expect(read).toEqual(bytes.slice(offset, offset + length))
      expect(read.byteOffset).toBe(0)
      expect(read.buffer.byteLength).toBe(length)
    }
    await source.close()
    await source.close()
  })

  test('refuses a range outside', async () => {
    const source = await open()
    for (const [offset, length] of [
      [0, 1001],
      [1000, 1],
      [-1, 2],
      [0.5, 1],
      [0, -1],
      [2 ** 53, 1],
      [0, Number.NaN],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toThrow(WeightsError)
    }
    await expect(source.read(990, 11)).rejects.toThrow('bytes 990 to 1001 are asked for, the file has 1000')
    await source.close()
  })

  test('passes an abort on untouched', async () => {
    const source = await open()
    const why = new Error('enough')
    await expect(source.read(0, 10, AbortSignal.abort(why))).rejects.toBe(why)
    await expect(source.read(0, 10, AbortSignal.abort())).rejects.toHaveProperty('name', 'AbortError')
    await source.close()
  })
})

describe('files', () => {
  test('that are missing, or folders', async () => {
    await expect(fileSource(join(folder, 'none.bin'))).rejects.toThrow(
      /There is no file .*none.bin.*Check the path/,
    )
    await expect(fileSource(join(path, 'none.bin'))).rejects.toThrow('There is no file')
    await expect(fileSource(folder)).rejects.toThrow('is a folder; a file is needed')
  })

  test('that shrink while being read', async () => {
    const shrinking = join(folder, 'shrinking.bin')
    await writeFile(shrinking, bytes)
    const source = await fileSource(shrinking)
    await truncate(shrinking, 10)
    await expect(source.read(0, 100)).rejects.toThrow(/only 10 of the bytes 0 to 100 came.*cut short/)
    await source.close()
    await expect(source.read(0, 1)).rejects.toThrow(WeightsError)
  })

  test('a Blob that can no longer be read', async () => {
    const blob = new File([bytes], 'gone.bin')
    const part = new Blob()
    vi.spyOn(part, 'arrayBuffer').mockRejectedValue(new Error('NotReadable'))
    vi.spyOn(blob, 'slice').mockReturnValue(part)
    await expect(blobSource(blob).read(0, 1)).rejects.toThrow(/gone.bin.*NotReadable.*choose it again/)
  })
})

describe('servers', () => {
  test('are asked for two bytes, then for what is needed', async () => {
    handler = withRanges
    const source = await urlSource(`${origin}/some.bin`)
    await source.read(100, 50)
    expect(requests).toEqual(['GET bytes=0-1', 'GET bytes=100-149'])
  })

  test('are asked past the HTTP cache, of which an empty range may come back', async () => {
    handler = withRanges
    const fetched = vi.spyOn(globalThis, 'fetch')
    const source = await urlSource(`${origin}/some.bin`)
    await source.read(0, 50)
    await source.read(0, 50)
    expect(fetched.mock.calls.map(([, init]) => init?.cache)).toEqual([undefined, 'no-store', 'no-store'])
    fetched.mockRestore()
  })

  test('get the headers they need', async () => {
    let seen: string | undefined
    handler = (request, response) => {
      seen = request.headers.authorization
      withRanges(request, response)
    }
    const source = await urlSource(`${origin}/a`, { headers: { authorization: 'Bearer x' } })
    await source.read(0, 1)
    expect(seen).toBe('Bearer x')
  })

  test('may not know the total, if HEAD tells it', async () => {
    const part = { 'content-range': 'bytes 0-1/*' }
    handler = (request, response) => {
      if (request.method === 'HEAD') response.writeHead(200, { 'content-length': '1000' }).end()
      else response.writeHead(206, part).end(bytes.subarray(0, 2))
    }
    expect((await urlSource(`${origin}/a`)).size).toBe(1000)
    handler = (_, response) => void response.writeHead(206, part).end(bytes.subarray(0, 2))
    await expect(urlSource(`${origin}/a`)).rejects.toThrow(/doesn't say how large.*Expose-Headers/)
  })

  test('may hide Content-Range from a page of another origin, and from nobody else', async () => {
    handler = (request, response) => {
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
      if (request.method === 'HEAD') response.writeHead(200, { 'content-length': '1000' }).end()
      else response.writeHead(206).end(bytes.subarray(Number(from), Number(to) + 1))
    }
    await expect(urlSource(`${origin}/a`)).rejects.toThrow('206 without Content-Range')
    vi.stubGlobal('process', { ...process, versions: {} }) // as in a browser
    try {
      const source = await urlSource(`${origin}/a`)
      expect(await source.read(100, 50)).toEqual(bytes.slice(100, 150))
    } finally {
      vi.unstubAllGlobals()
    }
  })

  test('that ignore ranges may send small files only, and are cut off', async () => {
    let sent = 0
    handler = (_, response) => {
      response.writeHead(200)
      const block = new Uint8Array(65536)
      const more = () => {
        while (!response.destroyed && sent < 2 ** 28) {
          sent += block.length
          if (response.write(block)) continue
          response.once('drain', more)
          return
        }
        response.end()
      }
      more()
    }
    await expect(urlSource(`${origin}/big`, { maxWholeBytes: 100_000 })).rejects.toThrow(
      /ignores ranges and sends the whole file; only files of up to 100000 bytes.*206/,
    )
    expect(sent).toBeLessThan(2 ** 26)
  })

  test('that send more than the range', async () => {
    handler = (_, response) =>
      void response.writeHead(206, { 'content-range': 'bytes 0-0/1000' }).end('many bytes')
    await expect(urlSource(`${origin}/a`)).rejects.toThrow(
      'more bytes than the 1 of the range that it announced',
    )
  })

  test('that send another place, or another version', async () => {
    const served =
      (begin: number, count: number, total: number, etag: string): Handler =>
      (_, response) => {
        const range = `bytes ${begin}-${begin + count - 1}/${total}`
        response.writeHead(206, { 'content-range': range, etag }).end(bytes.subarray(begin, begin + count))
      }
    handler = withRanges
    const source = await urlSource(`${origin}/a`)
    handler = served(0, 20, 1000, '"a"')
    await expect(source.read(10, 20)).rejects.toThrow(
      'asked for bytes from 10 on, the server sent them from 0 on',
    )
    handler = served(10, 20, 2000, '"a"')
    await expect(source.read(10, 20)).rejects.toThrow(/changed on the server.*1000 bytes at first, now 2000/)
    handler = served(10, 20, 1000, '"b"')
    await expect(source.read(10, 20)).rejects.toThrow('changed on the server')
    handler = answering(200, {}, 'all of it')
    await expect(source.read(10, 20)).rejects.toThrow('changed on the server')
  })

  test('that have no such file', async () => {
    handler = answering(404)
    await expect(urlSource(`${origin}/a`)).rejects.toThrow(/There is no file http.*404/)
    expect(await findUrl(`${origin}/a`)).toBeUndefined()
    // Vite and its like answer every unknown address with their start page
    handler = answering(200, { 'content-type': 'text/html; charset=utf-8' }, '<!doctype html>')
    expect(await findUrl(`${origin}/a.safetensors`)).toBeUndefined()
  })

  test('that refuse', async () => {
    handler = answering(403)
    await expect(urlSource(`${origin}/a`)).rejects.toThrow(/403 Forbidden. Access needs permission/)
    expect(requests).toHaveLength(1)
  })

  test('an empty file', async () => {
    handler = answering(416, { 'content-range': 'bytes */0' })
    expect((await urlSource(`${origin}/a`)).size).toBe(0)
  })

  test('that fail for a moment are asked again, four times in all', async () => {
    let failures = 3
    handler = (request, response) => {
      if (failures-- <= 0) withRanges(request, response)
      else if (failures === 1) request.socket.destroy()
      else response.writeHead(503).end()
    }
    const source = await urlSource(`${origin}/a`, { retryMs: 1 })
    expect(await source.read(0, 4)).toEqual(bytes.slice(0, 4))

    requests.length = 0
    handler = answering(503)
    await expect(urlSource(`${origin}/a`, { retryMs: 1 })).rejects.toThrow('503 Service Unavailable')
    expect(requests).toHaveLength(4)

    handler = (request) => void request.socket.destroy()
    await expect(urlSource(`${origin}/a`, { retryMs: 1 })).rejects.toThrow(
      /can't be reached.*Check the connection/,
    )
  })

  test('an abort ends a read under way, and a pause', async () => {
    handler = withRanges
    const source = await urlSource(`${origin}/a`)
    handler = (_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-9/1000' }).write('x') // and never ends
    }
    const why = new Error('enough')
    const abortSoon = () => {
      const stop = new AbortController()
      setTimeout(() => stop.abort(why), 30)
      return stop.signal
    }
    await expect(source.read(0, 10, abortSoon())).rejects.toBe(why)

    handler = answering(503)
    await expect(urlSource(`${origin}/a`, { signal: abortSoon(), retryMs: 60_000 })).rejects.toBe(why)
    server.closeAllConnections()
  })
})
