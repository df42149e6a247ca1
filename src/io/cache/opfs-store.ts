// Blocks in the browser's origin private file system: `flowseg/` in navigator.storage.getDirectory().

import { reasonOf } from '../../printable.ts'
import { type BlockStore, StoreError } from './block-store.ts'

const FOLDER = 'flowseg'

/** @returns undefined where it is refused, as in pages without https and in private windows of some browsers */
export async function openOpfsStore(create: boolean): Promise<BlockStore | undefined> {
  let root: FileSystemDirectoryHandle
  try {
    root = await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create })
  } catch {
    return undefined
  }
  return {
    name: 'The browser',
    async folders() {
      const names: string[] = []
      try {
        for await (const [name, { kind }] of root.entries()) if (kind === 'directory') names.push(name)
      } catch {
        // Somebody cleared all of it
      }
      return names
    },
    async files(folder) {
      const names: string[] = []
      try {
        for await (const name of (await root.getDirectoryHandle(folder)).keys()) names.push(name)
      } catch {
        // The same
      }
      return names
    },
    async read(folder, name, maxBytes) {
      try {
        const handle = await (await root.getDirectoryHandle(folder)).getFileHandle(name)
        const file = await handle.getFile()
        return file.size <= maxBytes ? new Uint8Array(await file.arrayBuffer()) : undefined
      } catch {
        return undefined
      }
    },
    makeFolder: (folder) =>
      telling(async () => {
        await root.getDirectoryHandle(folder, { create: true })
      }),
    write: (folder, name, parts) =>
      telling(async () => writeFile(await root.getDirectoryHandle(folder), name, parts)),
    async removeFile(folder, name) {
      await root
        .getDirectoryHandle(folder)
        .then((handle) => handle.removeEntry(name))
        .catch(() => undefined)
    },
    removeFolder: (folder) => telling(() => root.removeEntry(folder, { recursive: true })),
    async describeFull() {
      const { usage, quota } = (await navigator.storage.estimate?.().catch(() => undefined)) ?? {}
      const numbers =
        usage !== undefined && quota ? ` (${megabytes(usage)} of ${megabytes(quota)} are in use)` : ''
      return `The browser's storage for this page is full${numbers}`
    },
    async persist() {
      return (await navigator.storage.persist?.().catch(() => false)) ?? false
    },
  }
}

const WHY: Readonly<Record<string, StoreError['why']>> = {
  QuotaExceededError: 'full',
  NoModificationAllowedError: 'taken',
  NotFoundError: 'elsewhere',
  NotSupportedError: 'unable',
}

async function telling<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (error) {
    throw new StoreError(WHY[nameOf(error)] ?? 'other', reasonOf(error), error)
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.name : ''
}

/** The synchronous access of workers. Its methods returned promises in the first browsers that had it. */
interface SyncAccessHandle {
  truncate(size: number): void | Promise<void>
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number
  flush(): void | Promise<void>
  close(): void | Promise<void>
}

/** Replaces a file. In a worker it may be left cut short, should the worker end. */
async function writeFile(
  folder: FileSystemDirectoryHandle,
  name: string,
  parts: readonly Uint8Array<ArrayBuffer>[],
): Promise<void> {
  const file: FileSystemFileHandle & { createSyncAccessHandle?: () => Promise<SyncAccessHandle> } =
    await folder.getFileHandle(name, { create: true })
  try {
    if (file.createSyncAccessHandle) {
      const handle = await file.createSyncAccessHandle()
      try {
        await handle.truncate(0)
        let at = 0
        for (const part of parts) {
          // Fewer where there is no space, or 2^32 - 8: Chromium's error as a count (147, storage in memory)
          if (handle.write(part, { at }) !== part.length)
            throw new DOMException('no space', 'QuotaExceededError')
          at += part.length
        }
        await handle.flush()
      } finally {
        await handle.close()
      }
    } else if ('createWritable' in file) {
      const stream = await file.createWritable()
      try {
        for (const part of parts) await stream.write(part)
        await stream.close()
      } catch (error) {
        await stream.abort().catch(() => undefined)
        throw error
      }
    } else {
      throw new DOMException('files can only be written in workers', 'NotSupportedError')
    }
  } catch (error) {
    // An empty or half a file is of no use, unless another tab is about to fill it
    if (nameOf(error) !== 'NoModificationAllowedError') await folder.removeEntry(name).catch(() => undefined)
    throw error
  }
}

function megabytes(bytes: number): string {
  return bytes < 1e10 ? `${Math.round(bytes / 1e6)} MB` : `${Math.round(bytes / 1e9)} GB`
}
