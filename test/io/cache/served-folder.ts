// A folder on a server for tests of the cache: one file of ten and a half blocks, and a log of what was asked for.

import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest'
import { type Folder, type FolderOptions, openFolder } from '../../../src/io/folder.ts'
import { FileServer } from '../http/file-server.ts'
import { browser } from './opfs.ts'

export const BLOCK = 1000
export const bytes = Uint8Array.from({ length: 10 * BLOCK + 500 }, (_, i) => (i * i) >> 4)
export const server = new FileServer()
export const options: FolderOptions = { blockBytes: BLOCK, retryMs: 1 }
export const open = (more: FolderOptions = {}): Folder =>
  openFolder(`${server.origin}/m`, { ...options, ...more })
export const blocks = (...indices: number[]) =>
  indices.map((i) => `w.bin ${i * BLOCK}-${Math.min(bytes.length, (i + 1) * BLOCK) - 1}`)
export const ALL = blocks(...Array.from({ length: 11 }, (_, i) => i))

export async function readAll(folder: Folder, file = 'w.bin', signal?: AbortSignal): Promise<Uint8Array> {
  const source = await folder.open(file, signal)
  try {
    return await source.read(0, source.size, signal)
  } finally {
    await source.close()
  }
}

/** Serves the folder while a file's tests run, and forgets what they did to it after each. */
export function serveFolder(): void {
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
}
