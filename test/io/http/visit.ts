// One visit to a page that loads a file from its server: what it read, what it asked the server for, and what it was
// told. It runs in a window and, by visit-worker.ts, in a worker.

import { openFolder } from '../../../src/io/folder.ts'
import { Sha256 } from '../../../src/io/sha256.ts'

export interface VisitOptions {
  /** Of the folder. */
  readonly url: string
  readonly file: string
  readonly blockBytes: number
  readonly cache?: 'none' | undefined
  /** The visitor leaves when the server is asked for the next range but so many. */
  readonly leavesAfter?: number | undefined
}

export interface Visit {
  /** Of all bytes, as they were read; the empty string for who left before. */
  readonly sha256: string
  /** '4096-8191', in order; the two bytes that ask for a file's size don't count. */
  readonly ranges: readonly string[]
  readonly notes: readonly string[]
  readonly error: string
}

export function hashOf(bytes: Uint8Array): string {
  return new Sha256().update(bytes).digest()
}

export async function visit({ url, file, blockBytes, cache, leavesAfter }: VisitOptions): Promise<Visit> {
  const ranges: string[] = []
  const leaving = new AbortController()
  const { fetch } = globalThis
  globalThis.fetch = async (input, init) => {
    const [, range = 'whole'] = /^bytes=(.*)$/.exec(new Headers(init?.headers).get('range') ?? '') ?? []
    if (range !== '0-1') {
      if (ranges.length === leavesAfter) leaving.abort(new Error('the visitor left'))
      else ranges.push(range)
    }
    return fetch(input, init)
  }
  const folder = openFolder(url, { blockBytes, cache, maxRequests: 1, retryMs: 1 })
  let [sha256, error] = ['', '']
  try {
    const source = await folder.open(file)
    try {
      sha256 = hashOf(await source.read(0, source.size, leaving.signal))
      await source.verify?.() // waits until it is kept
    } finally {
      await source.close()
    }
  } catch (thrown) {
    error = String(thrown)
  } finally {
    globalThis.fetch = fetch
  }
  const begin = (range: string): number => Number.parseInt(range)
  return { sha256, ranges: ranges.sort((a, b) => begin(a) - begin(b)), notes: folder.notes ?? [], error }
}
