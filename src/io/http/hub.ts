// Hugging Face's hub as a server of files.
//
// A file of a repository is at <endpoint>/<owner>/<name>/resolve/<revision>/<path>. The hub sends small files itself.
// For large ones it redirects to a content server of another origin, by an address that is signed for an hour or so.
// Beyond HTTP it says which commit a revision is (X-Repo-Commit), the size and the SHA-256 of large files
// (X-Linked-Size, X-Linked-ETag; browsers hide these, but a folder's listing has them), and why it refuses
// (X-Error-Code). This turns all of it into what url-source.ts understands:
//
//   one commit     the first answer names it, and all that follows is asked of it: files of one load belong together
//   few requests   the signed address is used until it expires, as the hub limits how often it may be asked
//   one token      goes to the hub alone, never to where it redirects to (http.ts)
//   refusals       become errors that say what to do

import { isObject, lastOf } from '../../check.ts'
import { UsageError, WeightsError } from '../../errors.ts'
import { hasFiles } from '../../has-files.ts'
import { printable, quoted } from '../../printable.ts'
import { shownAddress } from './address.ts'
import { readWhole } from './answers.ts'
import {
  exchange,
  type HttpOptions,
  type HttpRequest,
  type Reply,
  type Resolver,
  type Stated,
} from './http.ts'
import { describeHubPlace, type HubPlace, parseHubPlace } from './hub-place.ts'

/** Options for places on Hugging Face's hub only. */
export interface HubOptions {
  /**
   * A token of the user's account, for repositories that are private or gated. It is sent to the hub alone, and not
   * kept. In Node, Deno and Bun it is HF_TOKEN by default.
   */
  readonly token?: string | undefined
  /**
   * The address of a mirror of the hub. In Node, Deno and Bun it is HF_ENDPOINT by default, and else
   * https://huggingface.co.
   */
  readonly endpoint?: string | undefined
}

/** An entry of a folder's listing. */
interface Entry {
  /** In the repository. */
  readonly path: string
  readonly isFolder: boolean
  readonly size: number | undefined
  /** The SHA-256 of a large file, git's hash of a small one. */
  readonly tag: string | undefined
}

type Send = (question: HttpRequest) => Promise<Reply>

/** The known facts of a file. */
interface HubFile extends Stated {
  /** The address of the content server that sent the file last; it expires. */
  readonly content?: string | undefined
}

const HUB = 'https://huggingface.co'
const COMMIT = /^[0-9a-f]{40}$/i
/** Statuses of the content server for an address that has expired, or leads nowhere any more. */
const EXPIRED: readonly number[] = [400, 401, 403, 404, 410]
const REFUSALS: readonly number[] = [401, 403, 404, 410, 451]
/** Bytes of a listing at most; the hub sends the first thousand names of a folder. */
const MAX_LIST_BYTES = 4 * 2 ** 20
const TOKENS = 'https://huggingface.co/settings/tokens'

/** A folder or a file of a repository on the hub, as a resolver of the requests for it. */
export class Hub implements Resolver {
  /** The place as users write it, for messages. */
  readonly describe: string
  /** The address of the folder or the file, at the revision that the user named. */
  readonly address: string
  /** The caller's, and the token: for the hub alone. */
  readonly headers: Readonly<Record<string, string>>
  /** The remedy when a file is missing. */
  readonly remedy: string
  readonly #place: HubPlace
  readonly #endpoint: string
  readonly #repository: string
  readonly #hasToken: boolean
  readonly #options: HttpOptions
  readonly #files = new Map<string, HubFile>()
  #entries: Promise<ReadonlyMap<string, Entry> | undefined> | undefined
  #commit: string | undefined
  /** True once the hub has answered, so that the commit is known if the hub names one. */
  #isSettled: boolean
  /** The first request. Until its answer has come, the others wait. */
  #first: Promise<void> | undefined

  /**
   * @param place hf:owner/name[/path][@revision]
   * @param options of requests; `headers` are the caller's own, and go before the token
   * @throws UsageError if the place is misspelt, or an option is no token or no address
   */
  constructor(place: string, { token, endpoint, headers, ...options }: HubOptions & HttpOptions = {}) {
    this.#options = options
    this.#place = parseHubPlace(place)
    const { owner, name, path, revision } = this.#place
    this.describe = describeHubPlace(this.#place)
    this.#endpoint = endpointOf(endpoint)
    this.#repository = `${this.#endpoint}/${owner}/${name}`
    const below = path.split('/').map(encodeURIComponent).join('/')
    this.address = this.#resolved(revision) + below
    const hasOwn = Object.keys(headers ?? {}).some((header) => header.toLowerCase() === 'authorization')
    const authorization = hasOwn ? undefined : authorizationOf(token)
    this.#hasToken = hasOwn || authorization !== undefined
    this.headers = { ...headers, ...(authorization !== undefined && { authorization }) }
    this.#isSettled = COMMIT.test(revision)
    const page = `${this.#repository}/tree/${encodeURIComponent(revision)}${below && `/${below}`}`
    this.remedy = ` Its files are listed at ${shownAddress(page)}.`
  }

  /**
   * Names of what is in the folder, those of folders with a slash at their end.
   *
   * @returns undefined where the hub doesn't tell
   */
  async list(): Promise<string[] | undefined> {
    const entries = await this.#list()
    return entries && [...entries].map(([name, { isFolder }]) => (isFolder ? `${name}/` : name))
  }

  /**
   * Paths of the files in the folder and below it, of the first thousand entries.
   *
   * @returns undefined where the hub doesn't tell
   */
  async listBelow(): Promise<string[] | undefined> {
    const { path } = this.#place
    const entries = await this.#requestList('?recursive=true')
    return entries?.flatMap((json) => {
      const [entry] = entryIn(json)
      if (!entry || entry[1].isFolder) return []
      return [entry[1].path.slice(path === '' ? 0 : path.length + 1)]
    })
  }

  /** The folder's listing, which is requested once. */
  #list(): Promise<ReadonlyMap<string, Entry> | undefined> {
    this.#entries ??= this.#requestList('').then((entries) => entries && new Map(entries.flatMap(entryIn)))
    return this.#entries
  }

  async #requestList(query: string): Promise<unknown[] | undefined> {
    const { owner, name, path, revision } = this.#place
    const parts = [this.#commit ?? revision, ...path.split('/')].filter((part) => part !== '')
    const folder = parts.map(encodeURIComponent).join('/')
    const url = `${this.#endpoint}/api/models/${owner}/${name}/tree/${folder}${query}`
    const options = { ...this.#options, headers: this.headers }
    return exchange({ url }, options, async (answer) => {
      if (!answer.response.ok) return undefined
      const text = new TextDecoder().decode(await readWhole(answer, url, MAX_LIST_BYTES))
      const entries: unknown = JSON.parse(text)
      return Array.isArray(entries) ? entries : undefined
    }).catch(() => undefined) // all can be done without it
  }

  /** Asks for a range at the address that the hub signed before, while that is valid; else asks the hub. */
  async ask(question: HttpRequest, send: Send): Promise<Reply> {
    const content = question.range && this.#files.get(question.url)?.content
    const again = content === undefined ? undefined : await this.#askContent(content, question, send)
    if (again) return again

    const reply = await this.#askHub(question, send)
    const refusal = this.#refusalIn(reply)
    if (refusal) {
      await reply.response.body?.cancel()
      throw refusal
    }
    return reply.response.ok ? { ...reply, stated: await this.#learn(question.url, reply) } : reply
  }

  /** Asks at the address that the hub signed before. @returns undefined if it has expired */
  async #askContent(content: string, question: HttpRequest, send: Send): Promise<Reply | undefined> {
    const { url } = question
    const forget = (): void => {
      this.#files.set(url, { ...this.#files.get(url), content: undefined })
    }
    try {
      const reply = await send({ ...question, url: content, isForeign: true })
      const { status, body } = reply.response
      if (status !== 206) forget()
      if (!EXPIRED.includes(status)) return { ...reply, stated: this.#files.get(url) }
      await body?.cancel()
      return undefined
    } catch (error) {
      forget()
      throw error
    }
  }

  async #askHub(question: HttpRequest, send: Send): Promise<Reply> {
    while (!this.#isSettled && this.#first) await this.#first
    if (this.#isSettled) return send({ ...question, url: this.#pinned(question.url) })
    let leave: () => void = () => undefined
    this.#first = new Promise((resolve) => {
      leave = resolve
    })
    try {
      const reply = await send(question)
      this.#commit = commitIn(reply)
      this.#isSettled = this.#commit !== undefined || reply.response.ok
      return reply
    } finally {
      this.#first = undefined
      leave()
    }
  }

  #resolved(revision: string): string {
    return `${this.#repository}/resolve/${encodeURIComponent(revision)}/`
  }

  #pinned(url: string): string {
    const begin = this.#resolved(this.#place.revision)
    if (this.#commit === undefined || !url.startsWith(begin)) return url
    return this.#resolved(this.#commit) + url.slice(begin.length)
  }

  async #learn(url: string, { response, url: arrived, heads }: Reply): Promise<Stated> {
    const isElsewhere = new URL(arrived).origin !== new URL(url).origin
    // A browser has hidden the redirect with its headers
    const isHidden = isElsewhere && heads.length === 1
    const linked = heads.find((head) => head.has('x-linked-etag') || head.has('x-linked-size'))
    const listed = isHidden
      ? (await this.#list())?.get(decodeURIComponent(lastOf(url.split('/'))))
      : undefined
    const tag = listed?.tag ?? /^\s*(?:W\/)?"?([^"\s]+)"?\s*$/i.exec(linked?.get('x-linked-etag') ?? '')?.[1]
    const size = /^\d+$/.exec(linked?.get('x-linked-size') ?? '')?.[0]
    const file: HubFile = {
      version: tag && `"${tag}"`,
      size: size === undefined ? listed?.size : Number(size),
      sha256: tag && /^[0-9a-f]{64}$/i.test(tag) ? tag.toLowerCase() : undefined,
      content: isElsewhere && response.status === 206 ? arrived : undefined,
    }
    this.#files.set(url, file)
    return file
  }

  /** Undefined for a file that isn't there, which the caller may do without. */
  #refusalIn({ response, url, leftHeaders }: Reply): WeightsError | undefined {
    const { status, headers } = response
    if (!REFUSALS.includes(status)) return undefined
    const code = headers.get('x-error-code') ?? ''
    const { origin } = new URL(url)
    const isElsewhere = origin !== new URL(this.#repository).origin
    if (isElsewhere && code === '') {
      return new WeightsError(
        `${this.describe}: the hub redirects to ${printable(origin)}, which answers ${status} to an address that was ` +
          "signed just now. Check this machine's clock and what stands between it and that server, or try again later.",
      )
    }
    if (code === 'EntryNotFound' || (code === '' && (status === 404 || status === 410))) return undefined
    const said = headers.get('x-error-message') ?? ''
    const who = isElsewhere ? `${printable(origin)}, where the hub redirects to, ` : 'the hub '
    const left = leftHeaders ? '; the token was not sent there' : ''
    const why = `${who}answers ${status}${said && ` (${printable(said)})`}${left}`
    return new WeightsError(`${this.describe}: ${this.#explain(status, code, why)}`)
  }

  #explain(status: number, code: string, why: string): string {
    const { owner, name, revision } = this.#place
    const repository = `${owner}/${name}`
    const page = shownAddress(this.#repository)
    const token = hasFiles() ? 'set HF_TOKEN to' : 'give'
    const withToken = `${token} a token of your account, which ${TOKENS} makes`
    switch (code) {
      case 'GatedRepo':
        return this.#hasToken
          ? `${repository} is gated, and the account of the token has not been let in: ${why}. Accept its conditions at ` +
              `${page}; where its authors decide, wait for them. A fine-grained token must be allowed to read gated repositories.`
          : `${repository} is gated: ${why}. Accept its conditions at ${page}, then ${withToken}.`
      case 'RevisionNotFound':
        return (
          `${repository} has no revision ${quoted(revision, 80)}: ${why}. Its branches and tags are listed at ${page}. ` +
          'The revision is what follows the last "@", behind the path.'
        )
      case 'DisabledRepo':
        return `the hub has closed ${repository}: ${why}. See ${page}.`
    }
    const isMissing = code === 'RepoNotFound' || status === 404
    if (this.#hasToken && status === 401) {
      return `the hub does not accept the token: ${why}. It may have expired: ${withToken}, or leave it out for what is public.`
    }
    if (this.#hasToken) {
      return isMissing
        ? `there is no repository ${repository}, or it is private and the account of the token may not read it: ${why}. Check the spelling.`
        : `the token may not read ${repository}: ${why}. Give it that permission at ${TOKENS}, and see ${page}.`
    }
    return isMissing
      ? `there is no repository ${repository}, or it is private: ${why}. Check the spelling; if it is private, ${withToken}.`
      : `${repository} is private or gated: ${why}. See ${page}; if you may read it, ${withToken}.`
  }
}

/** { type: 'file', path: 'a/b', size: 3, oid: '…', lfs: { oid: '…' } }, of which large files alone have the last. */
function entryIn(json: unknown): (readonly [name: string, entry: Entry])[] {
  const { type, path, size, oid, lfs } = isObject(json) ? json : {}
  const tag = isObject(lfs) ? lfs['oid'] : oid
  if (typeof path !== 'string') return []
  const entry: Entry = {
    path,
    isFolder: type === 'directory',
    size: typeof size === 'number' ? size : undefined,
    tag: typeof tag === 'string' && /^[0-9a-f]+$/i.test(tag) ? tag : undefined,
  }
  return [[lastOf(path.split('/')), entry]]
}

/**
 * The commit of an answer, by its header, or by the address of the hub's own cache, which browsers show where they hide
 * the header.
 */
function commitIn({ heads, url }: Reply): string | undefined {
  for (const head of heads) {
    const commit = head.get('x-repo-commit')
    if (commit !== null && COMMIT.test(commit)) return commit
  }
  return /\/api\/resolve-cache\/models\/[^/]+\/[^/]+\/([0-9a-f]{40})\//i.exec(url)?.[1]
}

/** Variables can't be read everywhere: browsers have none, and Deno asks its user. */
function variable(name: 'HF_TOKEN' | 'HF_ENDPOINT'): string | undefined {
  try {
    return hasFiles() ? globalThis.process.env[name]?.trim() || undefined : undefined
  } catch {
    return undefined
  }
}

function endpointOf(option: string | undefined): string {
  const text = option ?? variable('HF_ENDPOINT') ?? HUB
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new UsageError(
      `${option === undefined ? 'HF_ENDPOINT' : 'endpoint'} is ${quoted(shownAddress(text))}, expected the address of a hub ` +
        `such as ${HUB}.`,
    )
  }
  return url.href.replace(/\/+$/, '')
}

/** @throws UsageError that doesn't show it */
function authorizationOf(option: string | undefined): string | undefined {
  const token = option?.trim() || (option === undefined ? variable('HF_TOKEN') : undefined)
  if (!token) return undefined
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new UsageError(
      `${option === undefined ? 'HF_TOKEN' : 'token'} has characters that no token has. Copy it again from ${TOKENS}.`,
    )
  }
  return `Bearer ${token}`
}
