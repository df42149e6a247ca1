// Places on Hugging Face's hub, as users write them: hf:owner/name[/path][@revision].
//
// The path is that of a folder or of a file in the repository, with the names as they are, not as in an address:
// spaces and letters of any script need no escapes. The revision, a branch, a tag or a commit, is what follows the last
// "@", so that a path with an "@" in it needs "@main" behind it.

import { UsageError } from '../../errors.ts'
import { quoted } from '../../printable.ts'

/** A folder or a file of a repository. */
export interface HubPlace {
  /** A user or an organization. */
  readonly owner: string
  /** The repository's name, without its owner. */
  readonly name: string
  /** The path below the repository, without slashes at its ends; '' is the repository itself. */
  readonly path: string
  /** A branch, a tag or a commit. */
  readonly revision: string
}

const DEFAULT_REVISION = 'main'
const FORM = 'The form is hf:owner/name, hf:owner/name/folder or hf:owner/name/folder@revision.'
/** Kinds of repositories that have no weights; no owner can have these names. */
const OTHER_KINDS: readonly string[] = ['datasets', 'spaces', 'models', 'api', 'buckets']

/** True if a place begins with "hf:", and so means a repository on the hub. The rest of it may still be misspelt. */
export function isHubPlace(place: string): boolean {
  return /^hf:/i.test(place)
}

/** @throws UsageError naming what is wrong with it, and how it is written */
export function parseHubPlace(place: string): HubPlace {
  const refused = (why: string): UsageError => new UsageError(`${quoted(place)} ${why}`)
  const text = place.replace(/^hf:/i, '')
  const web = /^(?:https?:)?\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\/(.*)$/i.exec(text)?.[1]
  if (web !== undefined) throw refused(`is an address behind hf:. ${insteadOf(fromPage(web))}`)
  if (/^[a-z]+:/i.test(text)) throw refused(`has ${quoted(text.replace(/:.*/s, ':'))} behind hf:. ${FORM}`)
  if (text.startsWith('/')) throw refused(`has a slash behind hf:. ${insteadOf(text.replace(/^\/+/, ''))}`)

  const at = text.lastIndexOf('@')
  const revision = at < 0 ? DEFAULT_REVISION : text.slice(at + 1)
  const whole = at < 0 ? text : text.slice(0, at)
  const [owner = '', name = '', ...path] = whole.replace(/\/$/, '').split('/')
  if (OTHER_KINDS.includes(owner.toLowerCase())) {
    if (owner === 'models')
      throw refused(`names a kind of repository. ${insteadOf(text.slice('models/'.length))}`)
    throw refused(`is not a repository of models: weights are read from those alone. ${FORM}`)
  }
  if (owner === '' || name === '')
    throw refused(`lacks the ${owner === '' ? 'owner' : 'name'} of a repository. ${FORM}`)
  for (const part of [owner, name]) {
    const isName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$/.test(part) && !part.includes('..')
    if (!isName)
      throw refused(`has ${quoted(part, 80)}, which can't be the name of an owner or a repository. ${FORM}`)
  }
  for (const part of path) {
    const problem = problemOf(part)
    if (problem) throw refused(`${problem}. ${FORM}`)
  }
  if (revision === '')
    throw refused('has no revision behind its "@": give a branch, a tag or a commit, or leave it out.')
  if (!isRevision(revision)) {
    throw refused(
      `has ${quoted(revision, 80)} behind its last "@", which can't be a revision: give a branch, a tag or a commit. ` +
        'Where the "@" belongs to the path, put "@main" behind it.',
    )
  }
  return { owner, name, path: path.join('/'), revision }
}

/** The place as users write it, without the revision if that is the default. */
export function describeHubPlace({ owner, name, path, revision }: HubPlace): string {
  const below = path === '' ? '' : `/${path}`
  // A path with an "@" needs a revision behind it
  const isShort = revision === DEFAULT_REVISION && !path.includes('@')
  return `hf:${owner}/${name}${below}${isShort ? '' : `@${revision}`}`
}

/** The folder in which a file lies, and the file's name; the name of a repository itself is ''. */
export function splitHubPlace(place: string): { readonly folder: string; readonly name: string } {
  const parsed = parseHubPlace(place)
  const slash = parsed.path.lastIndexOf('/')
  const folder = describeHubPlace({ ...parsed, path: parsed.path.slice(0, Math.max(0, slash)) })
  return { folder, name: parsed.path.slice(slash + 1) }
}

function problemOf(part: string): string | undefined {
  if (part === '') return 'has two slashes side by side'
  if (part === '.' || part === '..')
    return `has ${quoted(part)} in its path, which must lead down from the repository`
  if (part.includes('\\')) return 'has a backslash: folders are parted by "/"'
  if (/\p{Cc}/u.test(part)) return 'has a control character in its path'
  return undefined
}

/** True if a text can be a revision by git's rules for names of branches and tags. */
function isRevision(revision: string): boolean {
  const isWritten = /^[^\s~^:?*[\\]{1,255}$/.test(revision) && !/\.\.|\/\/|@\{|\p{Cc}/u.test(revision)
  return isWritten && !/^[/.-]|[/.]$|\.lock$/.test(revision)
}

/** The place that a page of the hub's shows: owner/name/tree/main/folder. */
function fromPage(path: string): string {
  const [owner, name, view, revision, ...rest] = path
    .replace(/[?#].*/s, '')
    .replace(/\/+$/, '')
    .split('/')
  if (!view || !['tree', 'blob', 'resolve', 'raw'].includes(view)) return path.replace(/[?#].*/s, '')
  const end = revision === undefined || revision === DEFAULT_REVISION ? '' : `@${revision}`
  return `${[owner, name, ...rest].join('/')}${end}`
}

/** The place that was probably meant, if there is one. */
function insteadOf(text: string): string {
  try {
    return `Write ${quoted(describeHubPlace(parseHubPlace(`hf:${text}`)))}.`
  } catch {
    return FORM
  }
}
