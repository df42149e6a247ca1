// A file that is there whole or not at all, in Node, Deno and Bun: it is written under a name of its own beside its
// place, and then renamed. Of several writers the last one's stays.

import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** The prefix of the names of unfinished files. One that is old was left by a process that ended. */
export const DRAFT = '.draft'

/** @throws the system's own error; no draft stays then */
export async function writeWhole(path: string, parts: readonly Uint8Array[], mode?: number): Promise<void> {
  const draft = join(dirname(path), `${DRAFT}-${crypto.randomUUID()}`)
  try {
    const file = await open(draft, 'wx', mode)
    try {
      for (const part of parts) {
        for (let written = 0; written < part.length; ) {
          written += (await file.write(part, written, part.length - written, null)).bytesWritten
        }
      }
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined)
    throw error
  }
}
