// A hub like Hugging Face's, in memory: repositories with commits, branches and tags, small files that it sends itself
// by way of its cache, large ones that a content server of another origin has, under addresses that are signed and
// expire. That one turns away whoever brings a token along, and lets pages see none of its headers.

import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Server } from '../misbehaving.ts'

export type Files = Readonly<Record<string, Uint8Array>>

export interface Repository {
  /** Files by commit. */
  readonly commits: Map<string, Files>
  /** Commits by branch or tag. */
  readonly revisions: Map<string, string>
  /** The tokens that may read it; everybody may if undefined. */
  readers?: readonly string[]
  isGated?: boolean
  isClosed?: boolean
  /** Of why it is closed. */
  says?: string
}

/** The headers that a page of another origin may see, as on the hub. */
const EXPOSED =
  'X-Repo-Commit, X-Request-Id, X-Error-Code, X-Error-Message, ETag, Link, Accept-Ranges, Content-Range, X-Linked-Size, X-Linked-ETag, Retry-After, RateLimit'

export class LocalHub {
  readonly repositories = new Map<string, Repository>()
  /** Old names, and where they lead. */
  readonly renamed = new Map<string, string>()
  /** Tokens that are known. */
  readonly tokens: string[] = ['hf_mine', 'hf_other']
  /** Files of this extension are large ones. */
  isLarge: (path: string) => boolean = (path) => /\.(safetensors|bin)$/.test(path)
  /** The number of requests that a signed address is valid for. */
  signatureLasts = Infinity
  /** Large files come as the pointers that Git LFS keeps. */
  sendsPointers = false
  /** So many answers are 429, with these headers. */
  busy: { count: number; readonly headers: Record<string, string> } | undefined
  /** Called before a request is answered. */
  beforeAnswer: ((path: string, repository: string) => void) | undefined
  /** Bytes per second, of contents; 0 is no limit. */
  rate = 0
  /** Instead of what is in a folder. */
  listing: string | undefined
  /** Nobody answers. */
  isDown = false
  /** Says which commit it is. */
  namesCommits = true
  /** 'nano/config.json main', of the hub. */
  readonly asked: string[] = []
  /** Ranges that the content server sent: 'model.safetensors 0-99'. */
  readonly contents: string[] = []
  /** Authorization that came to the content server. */
  readonly leaks: string[] = []
  /** The Authorization headers that came to the hub. */
  readonly authorizations: (string | undefined)[] = []
  readonly #hub = new Server()
  readonly #content = new Server()
  /** Addresses that are good for some requests more. */
  readonly signed = new Map<string, { readonly bytes: Uint8Array; readonly name: string; left: number }>()
  /** A change that the content server makes to a file. */
  contentOf: ((bytes: Uint8Array) => Uint8Array) | undefined

  get endpoint(): string {
    return this.#hub.origin
  }

  get contentOrigin(): string {
    return this.#content.origin
  }

  async listen(): Promise<this> {
    await Promise.all([this.#hub.listen(), this.#content.listen()])
    const guarded =
      (exposed: string, answer: (request: IncomingMessage, response: ServerResponse) => void) =>
      (request: IncomingMessage, response: ServerResponse): void => {
        if (this.isDown) return void request.socket.destroy()
        const { origin } = request.headers
        if (origin !== undefined) response.setHeader('access-control-allow-origin', '*')
        response.setHeader('access-control-expose-headers', exposed)
        response.setHeader('access-control-allow-headers', 'authorization, range')
        if (request.method === 'OPTIONS') return void response.writeHead(204).end()
        answer(request, response)
      }
    this.#hub.handler = guarded(EXPOSED, (request, response) => this.#answer(request, response))
    this.#content.handler = guarded('', (request, response) => void this.#send(request, response))
    return this
  }

  async close(): Promise<void> {
    await Promise.all([this.#hub.close(), this.#content.close()])
  }

  /** A new commit on a branch. @returns its name */
  commit(repository: string, files: Files, branch = 'main'): string {
    const present = this.repositories.get(repository) ?? { commits: new Map(), revisions: new Map() }
    this.repositories.set(repository, present)
    const commit = createHash('sha1').update(`${repository} ${present.commits.size}`).digest('hex')
    present.commits.set(commit, files)
    present.revisions.set(branch, commit)
    return commit
  }

  /** The requests to the hub and the files sent since the last call. */
  taken(): { asked: string[]; contents: string[] } {
    return { asked: this.asked.splice(0), contents: this.contents.splice(0) }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '', this.endpoint)
    if (pathname === '/leaks') return void response.end(JSON.stringify(this.leaks))
    const fail = (status: number, code?: string, message?: string): void => {
      const why = { ...(code && { 'x-error-code': code }), ...(message && { 'x-error-message': message }) }
      response.writeHead(status, why).end(message)
    }
    const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)(?:\/(.+))?$/.exec(pathname)
    if (tree)
      return void (this.listing === undefined
        ? this.#list(tree, searchParams.get('recursive') === 'true', response)
        : response.end(this.listing))
    const cached = /^\/api\/resolve-cache\/models\/([^/]+\/[^/]+)\/([^/]+)\/(.*)$/.exec(pathname)
    const [, name = '', encoded = '', rest = ''] =
      cached ?? /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.*)$/.exec(pathname) ?? []
    const revision = decodeURIComponent(encoded)
    const path = decodeURIComponent(rest)
    if (!cached) this.asked.push(`${path} ${revision}`)
    this.beforeAnswer?.(path, name)

    const { authorization } = request.headers
    this.authorizations.push(authorization)
    const token = /^Bearer (.*)$/.exec(authorization ?? '')?.[1]
    if (authorization !== undefined && (token === undefined || !this.tokens.includes(token))) {
      return fail(401, undefined, 'Invalid credentials in Authorization header')
    }
    if (this.busy && this.busy.count-- > 0) return void response.writeHead(429, this.busy.headers).end()
    const now = this.renamed.get(name)
    if (now !== undefined) {
      response.writeHead(307, { location: `/${now}/resolve/${encoded}/${rest}` }).end()
      return
    }
    const repository = this.repositories.get(name)
    const mayRead = !repository?.readers || (token !== undefined && repository.readers.includes(token))
    if (!repository || (!mayRead && !repository.isGated)) {
      return fail(token === undefined ? 401 : 404, 'RepoNotFound', 'Repository not found')
    }
    if (repository.isClosed)
      return fail(403, 'DisabledRepo', repository.says ?? 'This repository is disabled.')
    const commit = repository.commits.has(revision) ? revision : repository.revisions.get(revision)
    if (commit === undefined) return fail(404, 'RevisionNotFound', `Invalid rev id: ${revision}`)
    if (this.namesCommits) response.setHeader('x-repo-commit', commit)
    if (!mayRead) {
      const why = `Access to model ${name} is restricted. You must have access to it and be authenticated to access it.`
      return fail(token === undefined ? 401 : 403, 'GatedRepo', why)
    }
    const bytes = repository.commits.get(commit)?.[path]
    if (!bytes) return fail(404, 'EntryNotFound', 'Entry not found')

    if (this.isLarge(path)) {
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      const linked = { 'x-linked-size': bytes.length, 'x-linked-etag': `"${sha256}"` }
      if (this.sendsPointers) {
        const text = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${bytes.length}\n`
        return sendRange(request, response, new TextEncoder().encode(text), '"pointer"')
      }
      const key = `${sha256}-${this.signed.size}`
      this.signed.set(key, { bytes, name: path.split('/').at(-1) ?? '', left: this.signatureLasts })
      const location = `${this.contentOrigin}/xet/${sha256}?X-Amz-Signature=${key}`
      response.writeHead(302, { ...linked, etag: `"${sha256}"`, location }).end()
      return
    }
    const etag = `"${createHash('sha1').update(bytes).digest('hex')}"`
    if (cached) return sendRange(request, response, bytes, etag)
    const linked = { 'x-linked-size': bytes.length, 'x-linked-etag': etag }
    const location = `/api/resolve-cache/models/${name}/${commit}/${rest}?etag=${encodeURIComponent(etag)}`
    response.writeHead(307, { ...linked, etag, location }).end()
  }

  #list(
    [, name = '', revision = '', folder = '']: RegExpExecArray,
    isRecursive: boolean,
    response: ServerResponse,
  ): void {
    const { commits, revisions } = this.repositories.get(name) ?? { commits: new Map<string, Files>() }
    const of = decodeURIComponent(revision)
    const below = folder === '' ? '' : `${decodeURIComponent(folder)}/`
    const entries = new Map<string, object>()
    for (const [path, bytes] of Object.entries(commits.get(revisions?.get(of) ?? of) ?? {})) {
      if (!path.startsWith(below)) continue
      const [first = '', ...rest] = path.slice(below.length).split('/')
      const oid = createHash('sha1').update(bytes).digest('hex')
      const size = bytes.length
      const lfs = { oid: createHash('sha256').update(bytes).digest('hex'), size, pointerSize: 130 }
      const file = { type: 'file', path, oid, size, ...(this.isLarge(path) && { lfs }) }
      if (rest.length > 0) entries.set(first, { type: 'directory', path: below + first, oid, size: 0 })
      if (rest.length === 0 || isRecursive) entries.set(path, file)
    }
    if (entries.size === 0) return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end('{}')
    response.end(JSON.stringify([...entries.values()]))
  }

  async #send(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authorization } = request.headers
    if (authorization !== undefined) {
      this.leaks.push(authorization)
      return void response.writeHead(400).end('Only one auth mechanism allowed')
    }
    const { searchParams } = new URL(request.url ?? '', this.contentOrigin)
    const file = this.signed.get(searchParams.get('X-Amz-Signature') ?? '')
    if (!file || file.left-- <= 0) return void response.writeHead(403).end('Request has expired')
    this.contents.push(`${file.name} ${/bytes=(.*)/.exec(request.headers.range ?? '')?.[1] ?? 'whole'}`)
    if (this.rate > 0) {
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
      await new Promise((resolve) =>
        setTimeout(resolve, (1000 * (Number(to) - Number(from) + 1)) / this.rate),
      )
    }
    // Its ETag is another than the hub's
    const etag = `"${createHash('md5').update(file.bytes).digest('hex')}-1"`
    sendRange(request, response, this.contentOf?.(file.bytes) ?? file.bytes, etag)
  }
}

function sendRange(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  etag: string,
): void {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
  if (from === undefined) {
    response
      .writeHead(200, { etag, 'content-length': bytes.length })
      .end(request.method === 'HEAD' ? undefined : bytes)
    return
  }
  const part = bytes.subarray(Number(from), Number(to) + 1)
  if (part.length === 0)
    return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
  const range = `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}`
  response.writeHead(206, { etag, 'content-range': range, 'content-length': part.length }).end(part)
}

/** A hub of its own for the visits of hub-visit.ts. @returns its address; /leaks below it lists what leaked */
export async function serveHub(): Promise<string> {
  const hub = await new LocalHub().listen()
  const text = (value: string): Uint8Array => new TextEncoder().encode(value)
  const weights = Uint8Array.from({ length: 4000 }, (_, i) => (i * 7) & 255)
  const revisions = { main: '"first"', 'refs/pr/1': '"branch"' }
  for (const [revision, config] of Object.entries(revisions)) {
    hub.commit('me/nano', { 'größe 1/config.json': text(config), 'größe 1/w.bin': weights }, revision)
  }
  hub.commit('me/moving', { 'config.json': text('"first"'), 'w.bin': weights })
  hub.commit('me/gated', { 'w.bin': weights })
  hub.commit('me/private', { 'config.json': text('"private"'), 'w.bin': weights })
  Object.assign(hub.repositories.get('me/gated') ?? {}, { readers: ['hf_other'], isGated: true })
  Object.assign(hub.repositories.get('me/private') ?? {}, { readers: ['hf_mine'] })
  hub.beforeAnswer = (path, repository) => {
    if (repository !== 'me/moving' || path !== 'w.bin') return
    hub.commit('me/moving', { 'config.json': text('"later"'), 'w.bin': weights.map((byte) => byte ^ 1) })
  }
  hub.commit('me/damaged', { 'config.json': text('"damaged"'), 'w.bin': weights.with(0, 99) })
  hub.contentOf = (bytes) => (bytes[0] === 99 ? bytes.with(3000, 1) : bytes)
  hub.signatureLasts = 3
  return hub.endpoint
}
