// The bytes that are read are those that were served: damaged blocks are dropped and downloaded again, and a file has
// the hash that is asked for.

import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { cachedWeights } from '../../../src/io/cache/block-cache.ts'
import { BlockSource } from '../../../src/io/cache/cached-source.ts'
import { bytesSource, DamagedError, type Source } from '../../../src/io/source.ts'
import { damage, storedFiles } from './opfs.ts'
import { ALL, blocks, bytes, open, readAll, serveFolder, server } from './served-folder.ts'

serveFolder()

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
