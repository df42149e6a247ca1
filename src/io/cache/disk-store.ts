// Blocks in the cache folder of the user, `~/.cache/flowseg/weights` or below XDG_CACHE_HOME: Node, Deno and Bun.
//
// The folder is ours alone (mode 0700), names in it are hashes and numbers, and no link is followed below it. Processes
// that load the same weights at the same time see each block whole or not at all; the later one replaces it by the same
// bytes.

import { reasonOf } from '../../printable.ts'
import { type BlockStore, StoreError } from './block-store.ts'

const FOLDER = 'weights'
/** A draft that is older was left by a process that ended. */
const STALE_MS = 24 * 3600 * 1000

/** @returns undefined if nothing has been kept; the reason why nothing can be */
export async function openDiskStore(create: boolean): Promise<BlockStore | string | undefined> {
  const { lstat, open, readdir, rm } = await import('node:fs/promises')
  const { constants } = await import('node:fs')
  const paths = await import('node:path')
  const caches = await import('../../cache-folder.ts')
  const { makeFolders } = await import('../../make-folders.ts')
  const { DRAFT, writeWhole } = await import('../../write-whole.ts')
  const join = (...parts: string[]): string => paths.join(...parts)
  let root: string
  try {
    root = join(caches.userCache({ create }), FOLDER)
    if (create) makeFolders(root, 0o700)
    caches.expectOurs(root)
  } catch (error) {
    return create ? reasonOf(error) : undefined
  }
  const folderOf = async (folder: string): Promise<string> => {
    const path = join(root, folder)
    if (!(await lstat(path)).isDirectory()) throw new Error(`${path} is not a folder`)
    return path
  }
  const listed = async (path: string, isFolder: boolean): Promise<string[]> => {
    const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
    return entries.filter((e) => (isFolder ? e.isDirectory() : e.isFile())).map(({ name }) => name)
  }
  const sweep = async (path: string): Promise<void> => {
    for (const name of await listed(path, false)) {
      if (!name.startsWith(DRAFT)) continue
      const { mtimeMs } = await lstat(join(path, name)).catch(() => ({ mtimeMs: Date.now() }))
      if (Date.now() - mtimeMs > STALE_MS) await rm(join(path, name), { force: true })
    }
  }
  return {
    name: `The cache folder ${root}`,
    folders: () => listed(root, true),
    files: async (folder) =>
      (await listed(join(root, folder), false)).filter((name) => !name.startsWith('.')),
    async read(folder, name, maxBytes) {
      try {
        // Neither a link nor a pipe
        const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
        const file = await open(join(await folderOf(folder), name), flags)
        try {
          const stat = await file.stat()
          return stat.isFile() && stat.size <= maxBytes ? new Uint8Array(await file.readFile()) : undefined
        } finally {
          await file.close()
        }
      } catch {
        return undefined
      }
    },
    makeFolder: (folder) =>
      telling(async () => {
        makeFolders(join(root, folder), 0o700)
        await sweep(await folderOf(folder))
      }),
    write: (folder, name, parts) =>
      telling(async () => {
        await writeWhole(join(await folderOf(folder), name), parts, 0o600)
      }),
    removeFile: (folder, name) => rm(join(root, folder, name), { force: true }).catch(() => undefined),
    removeFolder: (folder) =>
      telling(async () => rm(await folderOf(folder), { recursive: true, maxRetries: 3, retryDelay: 20 })),
    describeFull: async () => `There is no space left for ${root}`,
    persist: async () => true, // nobody evicts files of a user
  }
}

const WHY: Readonly<Record<string, StoreError['why']>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EFBIG: 'full',
  ENOENT: 'elsewhere',
  EBUSY: 'taken',
}

async function telling<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    // Windows lets nobody replace a file that somebody reads
    if (code === 'EPERM' && process.platform === 'win32')
      throw new StoreError('taken', reasonOf(error), error)
    throw new StoreError(WHY[code] ?? 'other', reasonOf(error), error)
  }
}
