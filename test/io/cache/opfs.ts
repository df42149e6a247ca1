// A browser's storage for tests: its own where they run in one, elsewhere as much of the origin private file system
// and of Web Locks as we use, in memory.

import { vi } from 'vitest'

const fail = (name: string) => new DOMException(name, name)

interface FileNode {
  bytes: Uint8Array<ArrayBuffer>
  /** Open for writing in a worker: for nobody else. */
  locked: boolean
  gone: boolean
}
interface FolderNode {
  children: Map<string, FileNode | FolderNode>
  gone: boolean
}

export interface Options {
  /** Bytes that fit. */
  quota?: number
  /** Handles have createSyncAccessHandle, and no createWritable. */
  worker?: boolean
  /** Handles have neither, as in windows of Safari 15 to 18. */
  readonly?: boolean
  /** The time that closing a file takes, in milliseconds. */
  writeMs?: number
  /** The page may persist what it stores. */
  persist?: boolean
}

export class FakeStorage {
  readonly root: FolderNode = { children: new Map(), gone: false }
  readonly #options: Options
  persisted = 0

  constructor(options: Options) {
    this.#options = options
  }

  getDirectory = async () => this.#folder('', this.root)
  estimate = async () => ({ usage: usage(this.root), quota: this.#options.quota ?? 2 ** 40 })
  persist = async () => {
    this.persisted++
    return this.#options.persist ?? false
  }

  #folder(name: string, node: FolderNode): object {
    const here = (): FolderNode => {
      if (node.gone) throw fail('NotFoundError')
      return node
    }
    const child = <T extends FileNode | FolderNode>(
      key: string,
      create: boolean,
      kind: string,
      make: () => T,
    ) => {
      const entry = here().children.get(key)
      if (entry && 'children' in entry !== (kind === 'directory')) throw fail('TypeMismatchError')
      if (!entry && !create) throw fail('NotFoundError')
      const opened = (entry as T | undefined) ?? make()
      node.children.set(key, opened)
      return opened
    }
    const handle = (key: string, of: FileNode | FolderNode) =>
      'children' in of ? this.#folder(key, of) : this.#file(key, of)
    const entries = async function* (): AsyncGenerator<[string, object]> {
      for (const [key, of] of here().children) yield [key, handle(key, of)]
    }
    return {
      kind: 'directory',
      name,
      getDirectoryHandle: async (key: string, { create = false } = {}) =>
        this.#folder(
          key,
          child(key, create, 'directory', () => ({ children: new Map(), gone: false })),
        ),
      getFileHandle: async (key: string, { create = false } = {}) =>
        this.#file(
          key,
          child(key, create, 'file', () => ({ bytes: new Uint8Array(), locked: false, gone: false })),
        ),
      removeEntry: async (key: string, { recursive = false } = {}) => {
        const child = here().children.get(key)
        if (!child) throw fail('NotFoundError')
        if ('children' in child && child.children.size > 0 && !recursive)
          throw fail('InvalidModificationError')
        if (isLocked(child)) throw fail('NoModificationAllowedError')
        node.children.delete(key)
        remove(child)
      },
      entries,
      keys: async function* () {
        for await (const [key] of entries()) yield key
      },
      values: async function* () {
        for await (const [, of] of entries()) yield of
      },
    }
  }

  #file(name: string, node: FileNode): object {
    const replace = (bytes: Uint8Array<ArrayBuffer>) => {
      if (usage(this.root) - node.bytes.length + bytes.length > (this.#options.quota ?? Infinity))
        throw fail('QuotaExceededError')
      node.bytes = bytes
    }
    const createWritable = async () => {
      if (node.gone) throw fail('NotFoundError')
      if (node.locked) throw fail('NoModificationAllowedError')
      const parts: Uint8Array<ArrayBuffer>[] = []
      return {
        write: async (part: Uint8Array<ArrayBuffer>) => void parts.push(part.slice()),
        abort: async () => undefined,
        close: async () => {
          await new Promise((resolve) => setTimeout(resolve, this.#options.writeMs ?? 0))
          replace(joined(parts)) // all at once
        },
      }
    }
    const createSyncAccessHandle = async () => {
      if (node.gone) throw fail('NotFoundError')
      if (node.locked) throw fail('NoModificationAllowedError')
      node.locked = true
      return {
        truncate: (size: number) => replace(node.bytes.slice(0, size)),
        write: (part: Uint8Array<ArrayBuffer>, { at }: { at: number }) => {
          const free = (this.#options.quota ?? Infinity) - usage(this.root) + node.bytes.length - at
          replace(joined([node.bytes.slice(0, at), part.slice(0, free)]))
          return free < part.length ? 2 ** 32 - 8 : part.length // as Chromium says it
        },
        flush: () => undefined,
        close: () => void (node.locked = false),
      }
    }
    const { worker, readonly } = this.#options
    return {
      kind: 'file',
      name,
      getFile: async () => {
        if (node.gone) throw fail('NotFoundError')
        return new File([node.bytes], name)
      },
      ...(worker ? { createSyncAccessHandle } : readonly ? {} : { createWritable }),
    }
  }
}

/** Exclusive locks of a browser, over all of its tabs. */
export class FakeLocks {
  readonly #held = new Map<string, Promise<unknown>>()

  async request<T>(name: string, { signal }: { signal?: AbortSignal }, task: () => Promise<T>): Promise<T> {
    const before = this.#held.get(name)
    const mine = (async () => {
      await before?.catch(() => undefined)
      signal?.throwIfAborted()
      return task()
    })()
    this.#held.set(name, mine)
    return mine
  }
}

/** The storage of a browser, which is new where it can be; else what we kept in it is cleared. */
export async function browser(options: Options = {}): Promise<FakeStorage> {
  const storage = new FakeStorage(options)
  vi.stubGlobal('navigator', { storage, locks: new FakeLocks(), onLine: true })
  return storage
}

/** Files of the cache, by their paths. */
export async function storedFiles(): Promise<Map<string, FileSystemFileHandle>> {
  const files = new Map<string, FileSystemFileHandle>()
  const walk = async (folder: FileSystemDirectoryHandle, path: string): Promise<void> => {
    for await (const [name, handle] of folder.entries()) {
      if (handle.kind === 'directory') await walk(handle, `${path}${name}/`)
      else files.set(path + name, handle)
    }
  }
  await walk(await navigator.storage.getDirectory(), '')
  return files
}

/** Flips a bit of a stored file, or cuts it short. */
export async function damage(handle: FileSystemFileHandle, how: 'flip' | 'cut'): Promise<void> {
  const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer())
  bytes[bytes.length >> 1]! ^= 4
  const stream = await handle.createWritable()
  await stream.write(how === 'flip' ? bytes : bytes.slice(0, -1))
  await stream.close()
}

function usage(node: FileNode | FolderNode): number {
  if (!('children' in node)) return node.bytes.length
  return [...node.children.values()].reduce((sum, child) => sum + usage(child), 0)
}

function isLocked(node: FileNode | FolderNode): boolean {
  return 'children' in node ? [...node.children.values()].some(isLocked) : node.locked
}

function remove(node: FileNode | FolderNode): void {
  node.gone = true
  if ('children' in node) for (const child of node.children.values()) remove(child)
}

function joined(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
