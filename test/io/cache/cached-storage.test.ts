// Whatever happens to the storage, reading goes on: two tabs at once, a full disk, a browser without it.

import { describe, expect, test } from 'vitest'
import { cachedWeights, clearCachedWeights } from '../../../src/io/cache/block-cache.ts'
import { openFolder } from '../../../src/io/folder.ts'
import { browser, storedFiles } from './opfs.ts'
import { ALL, bytes, open, options, readAll, serveFolder, server } from './served-folder.ts'

serveFolder()

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
    // The blocks that fitted serve the next visit
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
