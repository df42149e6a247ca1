// The folder for what can be made again: of this user's, else a temporary one that is ours alone. Node and Deno.

import { lstatSync, mkdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where $HOME isn't set, a user that the system doesn't list has no home; asking for it throws. */
export function homeFolder(): string | undefined {
  try {
    return homedir() || undefined
  } catch {
    return undefined
  }
}

/** The folder for what this user's programs can make again. @throws if there is none that can be written */
export function userCache(): string {
  const home = homeFolder()
  const cache = process.env['XDG_CACHE_HOME'] || (home && join(home, '.cache'))
  if (!cache) throw new Error('this user has no home folder')
  const folder = join(cache, 'flowseg')
  mkdirSync(folder, { recursive: true })
  return folder
}

/**
 * Where there is no home, or it is read-only as in many containers: a folder among the temporary ones. All users
 * share those, so it must be ours alone: we trust what is in it.
 */
export function temporaryCache(): string {
  const me = process.getuid?.()
  const folder = join(tmpdir(), `flowseg-${me}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const found = lstatSync(folder) // a link of somebody else's is not followed
  if (!found.isDirectory() || found.uid !== me || (found.mode & 0o022) !== 0) {
    throw new Error(`others can write to ${folder}`)
  }
  return folder
}
