// The files of a folder that are read in blocks, for their hashes or from a server, together hold a few of them in
// memory, however many files there are and in whatever order they are read; and hashing lets other work in.

import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, expect, test, vi } from 'vitest'
import { nextTask } from '../../../src/breathe.ts'
import { BlockSource, Shelf } from '../../../src/io/cache/cached-source.ts'
import { type Folder, folderWith, openFolder } from '../../../src/io/folder.ts'
import { withManifest } from '../../../src/io/manifest.ts'
import { bytesSource, type Source } from '../../../src/io/source.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const MIB = 2 ** 20

afterEach(() => void vi.restoreAllMocks())

/** A file whose bytes are made when they are read, and how many of those are still in memory. */
class Watched {
  readonly #made: WeakRef<ArrayBuffer>[] = []
  /** Offsets that were read. */
  readonly reads: number[] = []

  source(name: string, size: number): Source {
    return {
      ...bytesSource(new Uint8Array(), name),
      size,
      read: async (offset, length) => {
        const bytes = new Uint8Array(length).fill(offset / 1000)
        this.#made.push(new WeakRef(bytes.buffer))
        this.reads.push(offset)
        return bytes
      },
    }
  }

  async inMemory(): Promise<number> {
    // An object that the first collection finds marked goes with the second
    for (let i = 0; i < 2; i++) {
      await nextTask()
      collect()
    }
    return this.#made.reduce((sum, ref) => sum + (ref.deref()?.byteLength ?? 0), 0)
  }
}

const FILES = ['a', 'b', 'c', 'd', 'e']
const SIZE = 96 * MIB

/** Files of a folder on disk with a manifest that lists them. */
async function openFiles(watched: Watched): Promise<Source[]> {
  const facts = FILES.map((name) => [name, { sha256: '0'.repeat(64), size: SIZE }])
  const manifest = new TextEncoder().encode(JSON.stringify({ files: Object.fromEntries(facts) }))
  const find = async (name: string): Promise<Source> =>
    name === 'manifest.json' ? bytesSource(manifest, name) : watched.source(name, SIZE)
  const folder: Folder = await withManifest(folderWith(openFolder([]), find))
  return Promise.all(FILES.map((name) => folder.open(name)))
}

/** A clock that is later whenever somebody looks: hashing waits for a turn at every step. */
function hurryClock(): void {
  let clock = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => (clock += 10))
}

test.each(['four readers are far from each other', 'hashing takes long as well'])(
  'of a folder with a manifest, a few MiB are held, though %s',
  async (how) => {
    if (how.startsWith('hashing')) hurryClock()
    const watched = new Watched()
    const files = await openFiles(watched)
    let most = 0
    for (const file of files) {
      file.willRead?.([[0, SIZE]])
      for (let at = 0; at < SIZE / 4; at += 2 * MIB) {
        for (let reader = 0; reader < 4; reader++) await file.read((reader * SIZE) / 4 + at, 2 * MIB)
        if (at % (8 * MIB) === 0) most = Math.max(most, await watched.inMemory())
      }
    }
    // The blocks that were read last, those that came too early for a hash, and those that come next are held
    expect(most).toBeLessThanOrEqual((32 + 32 + 4) * MIB)
    await expect(files[0]?.verify?.()).rejects.toThrow('a: its bytes are damaged')
    for (const file of files) await file.close()
    expect(await watched.inMemory()).toBeLessThan(2 * MIB)
  },
)

test('the blocks that stay are those that were read last, of all files together', async () => {
  const shelf = new Shelf(3)
  const watched = new Watched()
  const sources = ['a', 'b'].map(
    (name) => new BlockSource(watched.source(name, 4000), { blockBytes: 1000, shelf }),
  )
  const [a, b] = sources as [BlockSource, BlockSource]
  const fetched = async (source: BlockSource, at: number): Promise<boolean> => {
    const before = watched.reads.length
    await source.read(at, 10)
    return watched.reads.length > before
  }
  for (const at of [0, 1000]) expect(await fetched(a, at)).toBe(true)
  for (const at of [0, 1000]) expect(await fetched(b, at)).toBe(true)
  for (const at of [0, 1000]) expect(await fetched(b, at)).toBe(false)
  expect(await fetched(a, 1000)).toBe(false)
  expect(await fetched(a, 0)).toBe(true)
  expect(await fetched(b, 0)).toBe(true)
})

test('a hash of the server is compared, however long hashing takes', async () => {
  const bytes = new Uint8Array(20 * MIB).fill(1) // more blocks than stay in memory
  const source = new BlockSource(bytesSource(bytes, 'x'), { blockBytes: MIB })
  source.expectSha256('0'.repeat(64), undefined, 'the server')
  hurryClock()
  await source.read(0, bytes.length)
  await expect(source.verify()).rejects.toThrow('x: its bytes are damaged')
})

test('a hash is right whatever the order, and takes a MiB between two turns', async () => {
  const size = 40 * MIB
  const bytes = new Uint8Array(size).map((_, i) => (i * i) >> 7)
  const source = new BlockSource(bytesSource(bytes, 'x'))
  source.expectSha256(createHash('sha256').update(bytes).digest('hex'))
  source.willRead([[0, size]])
  hurryClock()
  const state = { turns: 0, isOver: false }
  const others = (async () => {
    while (!state.isOver) {
      await nextTask()
      state.turns++
    }
  })()
  for (const at of [5, 4, 3, 2, 1, 0, 9, 6, 7, 8]) await source.read(at * 4 * MIB, MIB)
  await source.verify()
  state.isOver = true
  await others
  expect(state.turns).toBeGreaterThan(size / MIB)
})
