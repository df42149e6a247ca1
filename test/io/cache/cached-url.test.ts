// A folder on a server, read in blocks that are kept: a second visit downloads nothing, an interrupted one goes on
// where it stopped, and whatever happens to the server, the storage or the bytes, what is read is what was served.

import { describe, expect, test, vi } from 'vitest'
import { cachedWeights, clearCachedWeights } from '../../../src/io/cache/block-cache.ts'
import type { Folder } from '../../../src/io/folder.ts'
import { Absent } from '../../../src/io/http/answers.ts'
import { Download } from '../../../src/io/http/download.ts'
import { probe, remoteSource } from '../../../src/io/http/url-source.ts'
import type { Progress } from '../../../src/progress.ts'
import { browser, damage, storedFiles } from './opfs.ts'
import { ALL, blocks, bytes, open, readAll, serveFolder, server } from './served-folder.ts'

serveFolder()

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
  async function progressOf(folder: (download: Download) => Folder, files: string[]): Promise<Progress[]> {
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
    const events = await progressOf(open1, files)
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
    const again = await progressOf(open1, files)
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
