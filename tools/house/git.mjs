// What git knows of this tree. A copy without git, or with a part of the history only, is counted as far as it goes.

import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** What git isn't asked for, in a copy without it: .gitignore, in short. */
const LEFT_OUT = new Set(['.git', 'node_modules', 'dist', 'out', '.cache', '__pycache__'])

/** The files that are or may be committed, by their paths below `root`. */
export function filesOf(root) {
  const listed = git(root, 'ls-files', '--cached', '--others', '--exclude-standard')
  return listed === undefined ? below(root, '') : listed.split('\n').filter(Boolean)
}

function below(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`
    if (LEFT_OUT.has(entry.name) || path === 'docs/api') return []
    return entry.isDirectory() ? below(root, `${path}/`) : [path]
  })
}

/**
 * Commits whose subjects are too long, merges left out, as 'abcd1234: subject'; none where git or the commit is
 * missing.
 *
 * @param since the commit after which the rule holds
 */
export function longSubjects(root, since, most = 60) {
  const log = git(root, 'log', '--no-merges', '--format=%h%x09%s', `${since}..HEAD`)
  return (log ?? '')
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(([, subject = '']) => Array.from(subject).length > most)
    .map(([hash, subject]) => `${hash}: ${subject}`)
}

function git(root, ...args) {
  try {
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}
