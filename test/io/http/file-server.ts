// A server of files in memory, whose manners a test chooses. It counts what it is asked for.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

export interface Served {
  bytes: Uint8Array
  etag?: string | undefined
  lastModified?: string | undefined
  type?: string
}

export class FileServer {
  /** By path, '/a/model.safetensors' for instance. */
  readonly files = new Map<string, Served>()
  /** 'model.safetensors 4096-8191', or 'whole'; the two bytes that ask for the size are told as 'probe'. */
  readonly requests: string[] = []
  hasRanges = true
  /** Bytes per write, and the pause before each. */
  slow: { bytes: number; ms: number } | undefined
  /** Instead of the file. @returns whether it answered */
  answer: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** Answers under way at once, at most. */
  most = 0
  /** Bytes of bodies. */
  sent = 0
  origin = ''
  #now = 0
  readonly #server = createServer((request, response) => void this.#serve(request, response))

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    this.origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  /** The requests for more than a file's size since the last call, in order. */
  taken(): string[] {
    const taken = this.requests.splice(0).filter((request) => !request.endsWith('probe'))
    return taken.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '', 'http://host').pathname
    const name = path.split('/').at(-1)
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')
    const [from, to] = [Number(range?.[1]), Number(range?.[2])]
    const isProbe = this.hasRanges && from === 0 && to === 1
    this.requests.push(`${name} ${isProbe ? 'probe' : range && this.hasRanges ? `${from}-${to}` : 'whole'}`)
    if (this.answer?.(request, response)) return
    const file = this.files.get(path)
    if (!file) return void response.writeHead(404).end()
    const { bytes, etag, lastModified, type } = file
    const ranged = this.hasRanges && range !== null
    const body = ranged ? bytes.subarray(from, to + 1) : bytes
    const status = ranged ? (bytes.length === 0 ? 416 : 206) : 200
    response.writeHead(status, {
      'content-length': body.length,
      ...(ranged && { 'content-range': `bytes ${from}-${Math.min(to, bytes.length - 1)}/${bytes.length}` }),
      ...(etag && { etag }),
      ...(lastModified && { 'last-modified': lastModified }),
      ...(type && { 'content-type': type }),
    })
    if (!isProbe) this.most = Math.max(this.most, ++this.#now)
    const { bytes: step, ms } = (!isProbe && this.slow) || { bytes: body.length || 1, ms: 0 }
    for (let at = 0; at < body.length && !response.destroyed; at += step) {
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
      response.write(body.subarray(at, at + step))
      this.sent += Math.min(step, body.length - at)
    }
    if (!isProbe) this.#now--
    response.end()
  }
}
