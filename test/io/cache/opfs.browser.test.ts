// The claims of test/io/cache/cached-url.test.ts, which has an imitation, hold in Chromium's own storage: from a
// window, which writes files as streams, and from a worker, which opens them (createSyncAccessHandle). Server, quota
// and damage are real.

import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cdp } from 'vitest/browser'
import { cachedWeights, clearCachedWeights } from '../../../src/io/cache/block-cache.ts'
import { placeOf, readBytes } from '../../runtime.ts'
import { hashOf, type Visit, type VisitOptions, visit } from '../http/visit.ts'
import { damage, storedFiles } from './opfs.ts'

const FILE = 'tokenizer.json'
const url = placeOf('weights/flowseg-nano')
const blockBytes = 4096
const bytes = await readBytes(`weights/flowseg-nano/${FILE}`)
const sha256 = hashOf(bytes)
const ALL = Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, i) => {
  const end = Math.min(bytes.length, (i + 1) * blockBytes)
  return `${i * blockBytes}-${end - 1}`
})

async function inWorker(options: VisitOptions): Promise<Visit> {
  const worker = new Worker(new URL('../http/visit-worker.ts', import.meta.url), { type: 'module' })
  try {
    return await new Promise((resolve, reject) => {
      worker.addEventListener('message', ({ data }: MessageEvent<Visit>) => resolve(data))
      worker.addEventListener('error', ({ message }) => reject(new Error(message)))
      worker.postMessage(options, [])
    })
  } finally {
    worker.terminate()
  }
}

beforeEach(async () => {
  await clearCachedWeights()
})
afterAll(async () => {
  await clearCachedWeights()
})

/** Numbers of the blocks that are kept. */
async function kept(): Promise<number[]> {
  const numbers = [...(await storedFiles()).keys()].flatMap((path) => /\/(\d+)$/.exec(path)?.[1] ?? [])
  return numbers.map(Number).sort((a, b) => a - b)
}

describe.each([
  ['a window', visit],
  ['a worker', inWorker],
] as const)('from %s', (_, make) => {
  const load = (more: Partial<VisitOptions> = {}): Promise<Visit> =>
    make({ url, file: FILE, blockBytes, ...more })

  test('a second visit downloads nothing', async () => {
    expect(await load()).toEqual({ sha256, ranges: ALL, notes: [], error: '' })
    expect(await kept()).toEqual(ALL.map((_, i) => i))
    expect(await load()).toEqual({ sha256, ranges: [], notes: [], error: '' })
    expect(await cachedWeights()).toEqual([
      { url: `${url}/${FILE}`, bytes: bytes.length, size: bytes.length },
    ])
  })

  test('an interrupted download goes on where it stopped', async () => {
    const first = await load({ leavesAfter: 4 })
    expect(first).toEqual({
      sha256: '',
      ranges: ALL.slice(0, 4),
      notes: [],
      error: 'Error: the visitor left',
    })
    const have = await kept()
    expect(have).toEqual([0, 1, 2, 3])
    expect(await load()).toEqual({ sha256, ranges: ALL.slice(4), notes: [], error: '' })
    expect((await load()).ranges).toEqual([])
  })

  test.each(['flip', 'cut'] as const)(
    'a damaged block is found by its hash and fetched again: %s',
    async (how) => {
      await load()
      for (const [path, handle] of await storedFiles()) if (/\/(2|7)$/.test(path)) await damage(handle, how)
      expect(await load()).toEqual({ sha256, ranges: [ALL[2], ALL[7]], notes: [], error: '' })
      expect((await load()).ranges).toEqual([])
    },
  )

  test('with nothing kept, each visit asks for all ranges and gets them whole', async () => {
    // From its own HTTP cache, Chromium once answered a second visit's ranges with empty bodies
    for (let i = 0; i < 3; i++) {
      expect(await load({ cache: 'none' })).toEqual({ sha256, ranges: ALL, notes: [], error: '' })
    }
    expect(await kept()).toEqual([])
  })

  describe('of which the storage is full', () => {
    const setQuota = (more: { quotaSize?: number }): Promise<unknown> =>
      cdp().send('Storage.overrideQuotaForOrigin', { origin: location.origin, ...more })
    afterEach(() => setQuota({}))

    test('a visit is told so and reads all; the next downloads what did not fit', async () => {
      const { usage = 0 } = await navigator.storage.estimate()
      await setQuota({ quotaSize: usage + 5 * blockBytes })
      const full = await load()
      expect(full).toMatchObject({ sha256, ranges: ALL, error: '' })
      expect(full.notes).toEqual([
        expect.stringMatching(/^The browser's storage for this page is full .* from tokenizer\.json on/),
      ])
      const have = await kept()
      expect(have.length).toBeGreaterThan(0)
      expect(have.length).toBeLessThan(ALL.length)
      await setQuota({})
      expect(await load()).toEqual({
        sha256,
        ranges: ALL.filter((_, i) => !have.includes(i)),
        notes: [],
        error: '',
      })
    })
  })
})
