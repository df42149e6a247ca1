// Small texts for the next time: files in the user's cache folder in Node and Deno, IndexedDB in
// browsers. They can be made again, so what can't be read is as good as not there.

import { FlowSegError } from '../../errors.ts'
import { hasFiles } from '../../has-files.ts'
import { printable, reasonOf } from '../../printable.ts'
import { readRegular } from '../../regular-file.ts'

/** A store of texts by name. */
export interface Store {
  /** The place of a text, for messages. */
  describe(name: string): string
  /** Undefined if there is none, or it can't be read. */
  read(name: string): Promise<string | undefined>
  /** Whole or not at all. @throws FlowSegError 'ERR_OUTPUT' */
  write(name: string, text: string): Promise<void>
  /** @returns whether there was one */
  remove(name: string): Promise<boolean>
}

/** The choices for one adapter take some kB. */
const MAX_BYTES = 16 * 2 ** 20

/** @param folder by default the cache folder */
export async function openStore(folder?: string): Promise<Store> {
  return hasFiles() ? fileStore(folder) : databaseStore()
}

async function fileStore(place?: string): Promise<Store> {
  const { rm } = await import('node:fs/promises')
  const paths = await import('node:path')
  const caches = await import('../../cache-folder.ts')
  const { makeFolders } = await import('../../make-folders.ts')
  const { writeWhole } = await import('../../write-whole.ts')
  const folders = place === undefined ? [caches.userCache, caches.temporaryCache] : [() => place]
  let [folder, refusal] = ['', '']
  for (const cache of folders) {
    try {
      folder ||= cache()
    } catch (error) {
      refusal = reasonOf(error)
    }
  }
  const path = (name: string): string => paths.join(folder, name)
  return {
    describe: path,
    read: async (name) => {
      if (!folder) return undefined
      const bytes = await readRegular(path(name), MAX_BYTES).catch(() => undefined)
      return bytes && new TextDecoder().decode(bytes)
    },
    write: async (name, text) => {
      try {
        if (!folder) throw new Error(refusal)
        makeFolders(folder)
        await writeWhole(path(name), [new TextEncoder().encode(text)])
      } catch (cause) {
        throw new FlowSegError(
          'ERR_OUTPUT',
          `${printable(path(name))} can't be written: ${reasonOf(cause)}.`,
          { cause },
        )
      }
    },
    remove: async (name) => {
      if (!folder) return false
      return rm(path(name)).then(
        () => true,
        () => false,
      )
    },
  }
}

const TABLE = 'texts'

async function databaseStore(): Promise<Store> {
  const done = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      request.addEventListener('success', () => resolve(request.result))
      request.addEventListener('error', () => reject(request.error ?? new Error('it refused')))
    })
  const open = async (): Promise<IDBDatabase> => {
    const request = indexedDB.open('flowseg', 1)
    request.addEventListener('upgradeneeded', () => request.result.createObjectStore(TABLE))
    return done(request)
  }
  // Private windows of some browsers have none
  const database = await open().catch((error: unknown) => String(error))
  const ask = async <T>(
    mode: IDBTransactionMode,
    question: (table: IDBObjectStore) => IDBRequest<T>,
  ): Promise<T> => {
    if (typeof database === 'string') throw new Error(database)
    return done(question(database.transaction(TABLE, mode).objectStore(TABLE)))
  }
  const read = async (name: string): Promise<string | undefined> => {
    const text: unknown = await ask('readonly', (table) => table.get(name)).catch(() => undefined)
    return typeof text === 'string' ? text : undefined
  }
  return {
    describe: (name) => `${name} in IndexedDB`,
    read,
    write: async (name, text) => {
      await ask('readwrite', (table) => table.put(text, name)).catch((cause: unknown) => {
        throw new FlowSegError('ERR_OUTPUT', `IndexedDB can't keep ${name}: ${reasonOf(cause)}.`, { cause })
      })
    },
    remove: async (name) => {
      const there = (await read(name)) !== undefined
      if (there) await ask('readwrite', (table) => table.delete(name)).catch(() => undefined)
      return there
    },
  }
}
