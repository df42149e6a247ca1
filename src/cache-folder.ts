// The folder for what can be made again: of this user's, else a temporary one that is ours alone. Node and Deno.

import { lstatSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeFolders } from './make-folders.ts'

/**
 * The user's home folder; undefined if there is none. `homedir` throws if $HOME isn't set and the system doesn't list
 * the user.
 */
export function homeFolder(): string | undefined {
  try {
    return homedir() || undefined
  } catch {
    return undefined
  }
}

/**
 * The folder for what this user's programs can make again.
 *
 * @throws if there is none, or it can't be made
 */
export function userCache({ create = true }: { readonly create?: boolean } = {}): string {
  const home = homeFolder()
  const cache = process.env['XDG_CACHE_HOME'] || (home && join(home, '.cache'))
  if (!cache) throw new Error('this user has no home folder')
  const folder = join(cache, 'flowseg')
  if (create) makeFolders(folder)
  return folder
}

/**
 * A cache folder among the temporary files, for users without a home, or with a read-only one as in many containers.
 * All users share the folder above it, so this one must be writable by us alone: we trust its contents.
 *
 * @throws if it is not a folder of this user
 */
export function temporaryCache(): string {
  const folder = join(tmpdir(), `flowseg-${process.getuid?.()}`)
  makeFolders(folder, 0o700)
  expectOurs(folder)
  return folder
}

/** @throws unless it is a folder of this user, and no link, where nobody else can write */
export function expectOurs(folder: string): void {
  const status = lstatSync(folder) // a link of somebody else's is not followed
  const me = process.getuid?.()
  // Windows has no such modes: what is in a user's folders is his
  const isMine = me === undefined || (status.uid === me && (status.mode & 0o022) === 0)
  if (!status.isDirectory() || !isMine) throw new Error(`others can write to ${folder}`)
}
