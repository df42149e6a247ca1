// Folders on disk, in Node, Deno and Bun.

import { existsSync, mkdirSync, rmdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** True if a path is a folder, or a link to one. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

/**
 * Makes a folder and those that it is in. (Node's own `recursive` never returns where a file system makes no folders,
 * such as /proc.)
 *
 * @param mode of those that are made; by default what the process's umask leaves
 * @returns those that were made, each in the one before
 * @throws the system's own error; none of them stays then
 */
export function makeFolders(path: string, mode?: number): string[] {
  if (isFolder(path)) return []
  const missing = [path]
  for (let at = dirname(path); !existsSync(at) && at !== dirname(at); at = dirname(at)) missing.unshift(at)
  const added: string[] = []
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode })
      added.push(folder)
    } catch (error) {
      if (isFolder(folder)) continue // another process was quicker
      removeEmpty(added)
      throw error
    }
  }
  return added
}

/** Removes folders that makeFolders made. One that isn't empty was filled by somebody else, and stays. */
export function removeEmpty(folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder)
    } catch {
      return
    }
  }
}
