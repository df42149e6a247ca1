// Kept blocks are found again, whole; a block that can't be read counts as missing.

import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { openStore } from '../../../src/io/cache/store.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowseg-store-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

test('files: written whole, read, replaced, removed', async () => {
  const store = await openStore(join(folder, 'not/yet/there'))
  expect(await store.read('a.json')).toBe(undefined)
  expect(await store.remove('a.json')).toBe(false)
  await store.write('a.json', 'one')
  await store.write('a.json', 'two')
  expect(store.describe('a.json')).toBe(join(folder, 'not/yet/there/a.json'))
  expect(await (await openStore(join(folder, 'not/yet/there'))).read('a.json')).toBe('two')
  expect(await readdir(join(folder, 'not/yet/there'))).toEqual(['a.json']) // no drafts
  expect(await store.remove('a.json')).toBe(true)
  expect(await store.read('a.json')).toBe(undefined)
})

test('by default in the cache folder of the user', async () => {
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'))
  expect((await openStore()).describe('x')).toBe(join(folder, 'cache/flowseg/x'))
  vi.unstubAllEnvs()
})

test('what is not a file is as good as not there, and says so when written', async () => {
  await mkdir(join(folder, 'a/b.json'), { recursive: true })
  await writeFile(join(folder, 'file'), '')
  const store = await openStore(join(folder, 'a'))
  expect(await store.read('b.json')).toBe(undefined)
  expect(await store.remove('b.json')).toBe(false)
  await expect(store.write('b.json', '')).rejects.toMatchObject({ code: 'ERR_OUTPUT' })
  expect(await readdir(join(folder, 'a'))).toEqual(['b.json'])
  const nowhere = await openStore(join(folder, 'file/below'))
  expect(await nowhere.read('c')).toBe(undefined)
  await expect(nowhere.write('c', '')).rejects.toThrow(join(folder, 'file/below/c'))
})

test.runIf(process.platform === 'linux')(
  'where no folders can be made, writing says so at once',
  async () => {
    const nowhere = await openStore('/proc/nowhere/deep')
    await expect(nowhere.write('c', '')).rejects.toMatchObject({ code: 'ERR_OUTPUT' })
    vi.stubEnv('XDG_CACHE_HOME', '/proc/nowhere/deep')
    expect((await openStore()).describe('x')).not.toContain('/proc')
    vi.unstubAllEnvs()
  },
)

test('writers of one text at the same time leave one of them, whole', async () => {
  const store = await openStore(join(folder, 'shared'))
  const texts = Array.from({ length: 8 }, (_, i) => String(i).repeat(1000 * (i + 1)))
  await Promise.all(texts.map((text) => store.write('d.json', text)))
  expect(texts).toContain(await store.read('d.json'))
  expect(await readdir(join(folder, 'shared'))).toEqual(['d.json'])
})

test('browsers: the same in IndexedDB; where there is none, nothing is kept', async () => {
  const tables = new Map<string, unknown>()
  /** As much of IndexedDB as the store uses. */
  const request = <T>(result: T, event = 'success') => {
    const target = Object.assign(new EventTarget(), { result, error: null })
    queueMicrotask(() => target.dispatchEvent(new Event(event)))
    return target
  }
  const table = {
    get: (name: string) => request(tables.get(name)),
    put: (text: string, name: string) => request(tables.set(name, text)),
    delete: (name: string) => request(tables.delete(name)),
  }
  const database = {
    createObjectStore: () => table,
    transaction: () => ({ objectStore: () => table }),
  }
  vi.stubGlobal('process', { ...process, versions: {} })
  try {
    vi.stubGlobal('indexedDB', { open: () => request(database) })
    const store = await openStore()
    expect(await store.read('a')).toBe(undefined)
    await store.write('a', 'one')
    expect(await (await openStore()).read('a')).toBe('one')
    expect([await store.remove('a'), await store.remove('a')]).toEqual([true, false])
    expect(store.describe('a')).toBe('a in IndexedDB')

    vi.stubGlobal('indexedDB', { open: () => request(undefined, 'error') })
    const none = await openStore()
    expect([await none.read('a'), await none.remove('a')]).toEqual([undefined, false])
    await expect(none.write('a', '')).rejects.toThrow("IndexedDB can't keep a: Error: it refused.")
  } finally {
    vi.unstubAllGlobals()
  }
})
