// Servers whose every answer a test writes itself.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

/** One on a port of its own, that is: an origin of its own. */
export class Server {
  handler: Handler = (_, response) => response.writeHead(404).end()
  /** 'GET /path 0-1', in order. */
  readonly requests: string[] = []
  origin = ''
  readonly #server = createServer((request, response) => {
    const range = /^bytes=(.*)$/.exec(request.headers.range ?? '')?.[1] ?? 'whole'
    this.requests.push(`${request.method} ${request.url} ${range}`)
    this.handler(request, response)
  })

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.#server.unref()
    this.origin = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return this
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }
}

/** First and last byte that a request asks for. */
export function rangeOf(request: IncomingMessage): [from: number, to: number] {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
  return [Number(from), Number(to)]
}

/** Serves ranges of a file as it should be done. */
export function serving(bytes: Uint8Array, headers: Record<string, string> = { etag: '"1"' }): Handler {
  return (request, response) => {
    const [from, to] = rangeOf(request)
    const part = bytes.subarray(from, to + 1)
    const range = `bytes ${from}-${from + part.length - 1}/${bytes.length}`
    response.writeHead(206, { ...headers, 'content-range': range, 'content-length': part.length }).end(part)
  }
}

/** The handlers one after the other, the last for all that follow. */
export function inOrder(...handlers: Handler[]): Handler {
  return (request, response) => (handlers.length > 1 ? handlers.shift()! : handlers[0]!)(request, response)
}
