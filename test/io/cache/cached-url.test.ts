// A folder on a server, read in blocks that are kept: a second visit downloads nothing, an interrupted one goes on
// where it stopped, and whatever happens to the server, the storage or the bytes, what is read is what was served.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { cachedWeights, clearCachedWeights } from '../../../src/io/cache/block-cache.ts'
import { BlockSource } from '../../../src/io/cache/cached-source.ts'
import { type Folder, type FolderOptions, openFolder } from '../../../src/io/folder.ts'
import { Absent } from '../../../src/io/http/answers.ts'
import { Download } from '../../../src/io/http/download.ts'
import { probe, remoteSource } from '../../../src/io/http/url-source.ts'
import { bytesSource, DamagedError, type Source } from '../../../src/io/source.ts'
import type { Progress } from '../../../src/progress.ts'
import { FileServer } from '../http/file-server.ts'
import { browser, damage, storedFiles } from './opfs.ts'

const BLOCK = 1000
const bytes = Uint8Array.from({ length: 10 * BLOCK + 500 }, (_, i) => (i * i) >> 4)
const server = new FileServer()
const options: FolderOptions = { blockBytes: BLOCK, retryMs: 1 }
const open = (more: FolderOptions = {}): Folder => openFolder(`${server.origin}/m`, { ...options, ...more })
const blocks = (...indices: number[]) =>
  indices.map((i) => `w.bin ${i * BLOCK}-${Math.min(bytes.length, (i + 1) * BLOCK) - 1}`)
const ALL = blocks(...Array.from({ length: 11 }, (_, i) => i))

async function readAll(folder: Folder, file = 'w.bin', signal?: AbortSignal): Promise<Uint8Array> {
  const source = await folder.open(file, signal)
  try {
    return await source.read(0, source.size, signal)
  } finally {
    await source.close()
  }
}

beforeAll(() => server.listen())
afterAll(() => server.close())
beforeEach(async () => {
  await browser()
  Object.assign(server, { hasRanges: true, slow: undefined, answer: undefined, most: 0, sent: 0 })
  server.files.clear()
  server.files.set('/m/w.bin', { bytes, etag: '"1"' })
  server.taken()
})
afterEach(() => {
  vi.unstubAllGlobals()
})

describe('a second visit', () => {
  test('downloads nothing', async () => {
    expect(await readAll(open())).toEqual(bytes)
    expect(server.taken()).toEqual(ALL)
    expect(await readAll(open())).toEqual(bytes)
    expect(server.requests).toEqual(['w.bin probe'])
  })

  test('nor from a server without ranges, or one that tells a date only', async () => {
    for (const served of [{ etag: '"1"' }, { lastModified: 'Fri, 27 Nov 2026 07:00:00 GMT' }]) {
      for (const hasRanges of [true, false]) {
        server.hasRanges = hasRanges
        server.files.set('/m/w.bin', { bytes, ...served })
        await clearCachedWeights()
        await readAll(open())
        server.slow = { bytes: 100, ms: 2 }
        server.sent = 0
        expect(await readAll(open())).toEqual(bytes)
        expect(server.sent).toBeLessThan(bytes.length / 2) // the body isn't taken
        server.slow = undefined
      }
    }
  })

  test('downloads all if the file changed, and drops what was kept', async () => {
    await readAll(open())
    const other = bytes.map((byte) => byte ^ 1)
    server.files.set('/m/w.bin', { bytes: other, etag: '"2"' })
    server.taken()
    expect(await readAll(open())).toEqual(other)
    expect(server.taken()).toEqual(ALL)
    expect(await cachedWeights()).toEqual([
      { url: `${server.origin}/m/w.bin`, bytes: bytes.length, size: bytes.length },
    ])
  })

  test('with cache: none, or where there is no storage, downloads all again', async () => {
    await readAll(open())
    server.taken()
    await readAll(open({ cache: 'none' }))
    expect(server.taken()).toEqual(ALL)
    for (const navigator of [
      undefined,
      {},
      { storage: { getDirectory: () => Promise.reject(new Error()) } },
    ]) {
      vi.stubGlobal('navigator', navigator)
      vi.stubGlobal('process', { ...process, versions: {} }) // Node has files instead: disk-store.test.ts
      const folder = open()
      expect(await readAll(folder)).toEqual(bytes)
      expect(server.taken()).toEqual(ALL)
      expect(folder.notes).toEqual([])
      expect(await cachedWeights()).toEqual([])
      expect(await clearCachedWeights()).toBe(0)
    }
  })

  test('is not trusted without an ETag or a date', async () => {
    server.files.set('/m/w.bin', { bytes })
    const folder = open()
    await readAll(folder)
    server.taken()
    expect(await readAll(open())).toEqual(bytes)
    expect(server.taken()).toEqual(ALL)
    expect(folder.notes).toEqual([expect.stringContaining('neither an ETag nor a Last-Modified')])
  })

  test('needs no server', async () => {
    await readAll(open())
    expect(await open().find('none.json')).toBeUndefined()
    server.answer = (request) => !!request.socket.destroy()
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(await folder.find('none.json')).toBeUndefined()
    expect(folder.notes).toEqual([expect.stringContaining('can not be reached: the weights are those')])
    await expect(folder.find('other.json')).rejects.toThrow("can't be reached")
    server.requests.length = 0
    Object.assign(navigator, { onLine: false })
    expect(await readAll(open())).toEqual(bytes)
    expect(server.requests).toEqual([])
    server.answer = (_, response) => !!response.writeHead(503).end()
    Object.assign(navigator, { onLine: true })
    expect(await readAll(open())).toEqual(bytes)
  })
})

describe('an interrupted download', () => {
  /** Reads until some blocks have come. */
  async function interrupted(how: (count: number, controller: AbortController) => void): Promise<unknown> {
    const controller = new AbortController()
    let count = 0
    server.answer = () => {
      how(++count, controller)
      return false
    }
    try {
      await readAll(open(), 'w.bin', controller.signal)
    } catch (error) {
      return error
    } finally {
      server.answer = undefined
    }
    return undefined
  }
  /** Blocks that are kept, once requests that were given up have arrived at the server. */
  const kept = async () => {
    await new Promise((resolve) => setTimeout(resolve, 50))
    return [...(await storedFiles()).keys()].flatMap((path) => /\/(\d+)$/.exec(path)?.[1] ?? []).map(Number)
  }

  test('goes on where it stopped: exactly the missing blocks are asked for', async () => {
    const reason = new Error('enough')
    expect(await interrupted((count, controller) => count === 7 && controller.abort(reason))).toBe(reason)
    const have = await kept()
    expect(have.length).toBeGreaterThan(1)
    expect(have.length).toBeLessThan(8)
    server.taken()
    expect(await readAll(open())).toEqual(bytes)
    expect(server.taken()).toEqual(ALL.filter((_, i) => !have.includes(i)))
  })

  test('the same after a failure, with holes in the middle', async () => {
    server.answer = (request, response) =>
      request.headers.range === 'bytes=5000-5999' && !!response.writeHead(404).end()
    await expect(readAll(open())).rejects.toThrow('404')
    server.answer = undefined
    const have = await kept()
    expect(have).not.toContain(5)
    server.taken()
    expect(await readAll(open())).toEqual(bytes)
    expect(server.taken()).toEqual(ALL.filter((_, i) => !have.includes(i)))
  })

  test('ends at once, in the middle of a slow body', async () => {
    server.slow = { bytes: 10, ms: 20 } // 2 s a block
    const controller = new AbortController()
    const begun = performance.now()
    setTimeout(() => controller.abort(), 60)
    await expect(readAll(open(), 'w.bin', controller.signal)).rejects.toHaveProperty('name', 'AbortError')
    expect(performance.now() - begun).toBeLessThan(1000)
  })

  test('that ends within a body goes on from there', async () => {
    let faults = 1
    server.answer = (request, response) => {
      if (request.headers.range !== 'bytes=2000-2999' || faults-- <= 0) return false
      response.writeHead(206, { 'content-length': 1000, 'content-range': `bytes 2000-2999/${bytes.length}` })
      // The end may overtake bytes that a busy client hasn't read
      response.write(bytes.subarray(2000, 2300), () => setTimeout(() => request.socket.end(), 100))
      return true
    }
    const events: Progress[] = []
    const download = new Download((event) => events.push(event))
    const source = await open({ download }).open('w.bin')
    download.begin('m')
    expect(await source.read(0, source.size)).toEqual(bytes)
    // Of the block that broke off, what was missing
    expect(server.taken().filter((request) => !ALL.includes(request))).toEqual(['w.bin 2300-2999'])
    expect(events.at(-1)).toMatchObject({ loaded: bytes.length, from: { cache: 0, network: bytes.length } })
    await source.close()
  })
})

test('what was read is kept once it is verified', async () => {
  await browser({ writeMs: 50 })
  const source = await open().open('w.bin')
  await source.read(0, source.size)
  await source.verify?.()
  expect([...(await storedFiles()).keys()]).toHaveLength(ALL.length + 1)
  await source.close()
})

describe('requests', () => {
  test('are a few at a time, over all files', async () => {
    server.files.set('/m/v.bin', { bytes, etag: '"1"' })
    server.slow = { bytes: 500, ms: 5 }
    const folder = open({ maxRequests: 3 })
    await Promise.all([readAll(folder), readAll(folder, 'v.bin')])
    expect(server.most).toBe(3)
  })

  test('are for what will be read only, ahead of it', async () => {
    const source = await open().open('w.bin')
    source.willRead?.([
      [0, 10],
      [2500, 3500],
      [9999, 10_000],
    ])
    expect(await source.read(0, 10)).toEqual(bytes.slice(0, 10))
    await vi.waitFor(() => expect(server.requests).toHaveLength(5))
    expect(server.taken()).toEqual(blocks(0, 2, 3, 9))
    await source.close()
  })

  test('serve many readers of the same block', async () => {
    const source = await open().open('w.bin')
    const parts = await Promise.all(Array.from({ length: 50 }, (_, i) => source.read(i * 19, 19)))
    expect(parts.flatMap((part) => [...part])).toEqual([...bytes.subarray(0, 950)])
    expect(server.taken()).toEqual(blocks(0))
    await source.close()
  })
})

describe('progress', () => {
  async function told(folder: (download: Download) => Folder, files: string[]): Promise<Progress[]> {
    const events: Progress[] = []
    const download = new Download((event) => events.push(event))
    const from = folder(download)
    const sources = await Promise.all(files.map((file) => from.open(file)))
    download.begin('m')
    await Promise.all(sources.map((source) => source.read(0, source.size)))
    await Promise.all(sources.map((source) => source.close()))
    return events
  }

  test('has its total from the beginning, and tells the cache from the network', async () => {
    const large = Uint8Array.from({ length: 2 ** 20 }, (_, i) => i >> 3)
    server.files.set('/m/large.bin', { bytes: large, etag: '"1"' })
    const total = bytes.length + large.length
    const files = ['w.bin', 'large.bin']
    const open1 = (download: Download) => open({ download, blockBytes: 2 ** 18 })
    const events = await told(open1, files)
    expect(events.length).toBeGreaterThan(3)
    expect(events[0]).toEqual({
      phase: 'download',
      what: 'm',
      loaded: 0,
      total,
      from: { cache: 0, network: 0 },
    })
    expect(events.at(-1)).toMatchObject({ loaded: total, total, from: { cache: 0, network: total } })
    for (const [i, event] of events.entries()) {
      expect(event.total).toBe(total)
      if (i > 0) expect(event.loaded).toBeGreaterThan(events[i - 1]!.loaded)
    }
    // One block of four is lost
    const [path] = [...(await storedFiles()).keys()].filter((name) => name.endsWith('/2'))
    await damage((await storedFiles()).get(path!)!, 'flip')
    const again = await told(open1, files)
    expect(again.at(-1)).toMatchObject({
      loaded: total,
      total,
      from: { cache: total - 2 ** 18, network: 2 ** 18 },
    })
  })

  test('counts no byte twice: none after a break, and none of an answer that was refused', async () => {
    let faults = 2
    server.answer = (request, response) => {
      const isRest = request.headers.range === 'bytes=2005-2999'
      if ((request.headers.range !== 'bytes=2000-2999' && !isRest) || faults-- <= 0) return false
      if (isRest) return !!response.writeHead(403).end()
      response
        .writeHead(206, { 'content-range': `bytes 2000-2999/${bytes.length}` })
        .end(bytes.subarray(0, 5))
      return true
    }
    const events: Progress[] = []
    const download = new Download((event) => events.push(event))
    const source = await open({ download }).open('w.bin')
    download.begin('m')
    await expect(source.read(0, source.size)).rejects.toThrow('403 Forbidden')
    await source.read(0, source.size)
    expect(events.at(-1)).toMatchObject({ loaded: bytes.length, from: { network: bytes.length } })
    await source.close()

    const received: number[] = []
    faults = 1
    server.answer = (request, response) => {
      if (request.headers.range !== 'bytes=0-999' || faults-- <= 0) return false
      response.writeHead(206, { 'content-length': 1000, 'content-range': `bytes 0-999/${bytes.length}` })
      response.write(bytes.subarray(0, 300), () => request.socket.end())
      return true
    }
    const remote = await probe(`${server.origin}/m/w.bin`, { retryMs: 1 })
    if (remote instanceof Absent) throw remote.error
    await remoteSource(remote, { retryMs: 1 }).read(0, 1000, undefined, (n) => received.push(n))
    expect(server.taken()).toContain('w.bin 300-999') // what has come isn't asked for again
    expect(received.reduce((a, b) => a + b)).toBe(1000)
  })

  test('counts what nobody needs as loaded', async () => {
    const events: Progress[] = []
    const download = new Download((event) => events.push(event))
    const source = await open({ download }).open('w.bin')
    download.begin('m')
    source.willRead?.([[0, 2000]])
    await source.read(0, 2000)
    expect(events.at(-1)).toMatchObject({
      loaded: bytes.length,
      total: bytes.length,
      from: { cache: 0, network: 2000 },
    })
    await source.close()
  })
})

describe('damage', () => {
  test.each(['flip', 'cut'] as const)(
    'of a kept block is found, and the block fetched again: %s',
    async (how) => {
      await readAll(open())
      const files = await storedFiles()
      for (const [path, handle] of files) if (/\/(3|10)$/.test(path)) await damage(handle, how)
      server.taken()
      expect(await readAll(open())).toEqual(bytes)
      expect(server.taken()).toEqual(blocks(3, 10))
      expect(await readAll(open())).toEqual(bytes)
      expect(server.taken()).toEqual([])
    },
  )

  test('of what describes a kept file costs a download, not more', async () => {
    await readAll(open())
    const entry = [...(await storedFiles())].find(([path]) => path.endsWith('entry.json'))!
    await damage(entry[1], 'cut')
    expect(await readAll(open())).toEqual(bytes)
    expect(await readAll(open())).toEqual(bytes)
    expect(await cachedWeights()).toHaveLength(1)
  })

  test('on the server meanwhile is not mixed in', async () => {
    const source = await open().open('w.bin')
    await source.read(0, 10)
    server.files.set('/m/w.bin', { bytes: bytes.map((byte) => byte ^ 1), etag: '"2"' })
    await expect(source.read(5000, 10)).rejects.toThrow(/changed on the server/)
    await source.close()
  })
})

describe('hashes of a file', () => {
  const sha256 = '3a'.repeat(32)
  const opened = async (hash: string): Promise<Source> => {
    const source = await open().open('w.bin')
    if (source instanceof BlockSource) source.expectSha256(hash)
    return source
  }
  const hashOf = async (data: Uint8Array<ArrayBuffer>) =>
    Buffer.from(await crypto.subtle.digest('SHA-256', data)).toString('hex')

  test('that hold: nothing is hashed again at the next visit, unless something has to be fetched', async () => {
    const good = await hashOf(bytes)
    for (let visit = 0; visit < 3; visit++) {
      const source = await opened(good)
      source.willRead?.([[4000, 6000]])
      // In no order, and not all of it
      for (const at of [5000, 4000]) expect(await source.read(at, 1000)).toEqual(bytes.slice(at, at + 1000))
      await source.verify?.()
      await source.close()
      if (visit === 0) expect(server.taken()).toEqual(ALL)
      else expect(server.taken()).toEqual([])
    }
    const [path] = [...(await storedFiles()).keys()].filter((name) => name.endsWith('/4'))
    await damage((await storedFiles()).get(path!)!, 'flip')
    const other = bytes.slice()
    other[4500]! ^= 1
    server.files.set('/m/w.bin', { bytes: other, etag: '"1"' }) // the same, says the server
    const source = await opened(good)
    await source.read(0, source.size)
    await expect(source.verify?.()).rejects.toThrow(DamagedError)
    await source.close()
  })

  test('that do not: the file is refused by name, and asked for again at the next visit', async () => {
    const first = await opened(sha256)
    await first.read(0, first.size)
    const refused: unknown = await first.verify?.().catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(WeightsError)
    expect(refused).toMatchObject({ wasKept: false, code: 'ERR_WEIGHTS' })
    expect(String(refused)).toMatch(/w\.bin: its bytes are damaged \(SHA-256 .* manifest.json says 3a3a/)
    await first.close()
    server.taken()
    const second = await opened(sha256)
    await second.read(0, second.size)
    expect(server.taken()).toEqual(ALL)
    await second.close() // unchecked: they stay
    const third = await opened(sha256)
    await third.read(0, third.size)
    expect(server.taken()).toEqual([])
    await expect(third.verify?.()).rejects.toMatchObject({ wasKept: true })
    await third.close()
  })

  test('that do not, though blocks were read again from the cache meanwhile', async () => {
    const source = await opened(sha256)
    for (const at of [10_000, 0, 5000, 9000, 8000, 7000, 6000, 4000, 3000, 2000, 1000, 10_000])
      await source.read(at, 1)
    await expect(source.verify?.()).rejects.toMatchObject({ wasKept: false }) // or it would be tried for ever
    await source.close()
  })

  test('of any source', async () => {
    const source = new BlockSource(bytesSource(bytes, 'x'), { blockBytes: 64 })
    source.expectSha256(await hashOf(bytes))
    await source.read(9000, 100)
    await source.verify()
    source.expectSha256(sha256)
    await expect(source.verify()).rejects.toThrow('x: its bytes are damaged')
  })
})

describe('two tabs at once', () => {
  test('download every block once, and read the same', async () => {
    server.slow = { bytes: 250, ms: 3 }
    const both = await Promise.all([readAll(open()), readAll(open())])
    expect(both).toEqual([bytes, bytes])
    expect(server.taken()).toEqual(ALL)
  })

  test.each([false, true])('also without locks; in workers: %s', async (worker) => {
    await browser({ worker })
    Object.assign(navigator, { locks: undefined })
    server.slow = { bytes: 250, ms: 3 }
    const all = await Promise.all([readAll(open()), readAll(open()), readAll(open())])
    expect(all).toEqual([bytes, bytes, bytes])
    server.taken()
    expect(await readAll(open())).toEqual(bytes)
    expect(server.taken()).toEqual([])
  })

  test('that see different versions do not mix them', async () => {
    const first = await open().open('w.bin')
    await first.read(0, 3000)
    const other = bytes.map((byte) => byte ^ 1)
    server.files.set('/m/w.bin', { bytes: other, etag: '"2"' })
    const second = await open().open('w.bin') // drops what the first has kept
    await expect(first.read(5000, 10)).rejects.toThrow('changed on the server')
    server.files.set('/m/w.bin', { bytes, etag: '"1"' })
    await first.read(5000, 2000)
    await first.close()
    server.files.set('/m/w.bin', { bytes: other, etag: '"2"' })
    expect(await second.read(0, second.size)).toEqual(other)
    await second.close()
    expect(await readAll(open())).toEqual(other)
  })

  test('of which one gives up', async () => {
    server.slow = { bytes: 250, ms: 3 }
    const controller = new AbortController()
    const giving = readAll(open(), 'w.bin', controller.signal)
    const going = readAll(open())
    setTimeout(() => controller.abort(), 20)
    await expect(giving).rejects.toHaveProperty('name', 'AbortError')
    expect(await going).toEqual(bytes)
  })
})

describe('storage', () => {
  test.each([false, true])('that is full is a note, not a failure; in workers: %s', async (worker) => {
    await browser({ quota: 6500, worker })
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(folder.notes).toEqual([expect.stringMatching(/storage for this page is full.* from w.bin on/)])
    server.taken()
    // What fitted serves the next visit
    expect(await readAll(open())).toEqual(bytes)
    const missing = server.taken()
    expect(missing.length).toBeGreaterThan(3)
    expect(missing.length).toBeLessThan(8)
  })

  test('that is full from the start', async () => {
    await browser({ quota: 10 })
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(folder.notes).toHaveLength(1)
  })

  test('that this window can not write is none', async () => {
    await browser({ readonly: true })
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(folder.notes).toEqual([])
  })

  test('is asked to persist when told to', async () => {
    const storage = await browser({ persist: true })
    await readAll(open())
    expect(storage.persisted).toBe(0)
    await readAll(open({ persist: true }))
    expect(storage.persisted).toBe(1)
    await browser()
    const refused = open({ persist: true })
    await readAll(refused)
    expect(refused.notes).toEqual([expect.stringContaining('does not promise to keep')])
  })

  test('is listed, and cleared wholly or in part', async () => {
    server.files.set('/n/v.bin', { bytes: bytes.subarray(0, 10), etag: '"1"' })
    await readAll(open())
    await readAll(openFolder(`${server.origin}/n`, options), 'v.bin')
    const source = await open()
      .open('u.bin')
      .catch(() => undefined) // that it isn't there is no file
    expect(source).toBeUndefined()
    const listed = async () =>
      new Map((await cachedWeights()).map(({ url, bytes: kept }) => [new URL(url).pathname, kept]))
    expect(await listed()).toEqual(
      new Map([
        ['/m/w.bin', bytes.length],
        ['/n/v.bin', 10],
      ]),
    )
    expect(await clearCachedWeights(`${server.origin}/m`)).toBe(bytes.length)
    expect(await listed()).toEqual(new Map([['/n/v.bin', 10]]))
    server.taken()
    await readAll(open())
    expect(server.taken()).toEqual(ALL)
    expect(await clearCachedWeights()).toBe(bytes.length + 10)
    expect(await storedFiles()).toEqual(new Map())
  })

  test('that is cleared during a download hinders nobody', async () => {
    const source = await open().open('w.bin')
    await source.read(0, 1000)
    await clearCachedWeights()
    expect(await source.read(0, source.size)).toEqual(bytes)
    await source.close()
    expect(await readAll(open())).toEqual(bytes)
  })
})
