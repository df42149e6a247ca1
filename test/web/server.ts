// A host as plain as they come: files in a folder of its own, byte ranges, and a strict content security policy. It can be
// slow, and it counts what it sends.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { join, normalize } from 'node:path'
import { pipeline } from 'node:stream/promises'

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript',
  css: 'text/css',
  json: 'application/json',
  png: 'image/png',
  svg: 'image/svg+xml',
}

/** No inline scripts or styles, no eval, nobody else's servers. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "media-src 'self' blob:",
  "connect-src 'self'",
  "base-uri 'none'",
].join('; ')

export interface Host {
  readonly url: string
  /** What was sent, by path. */
  readonly sent: Map<string, number>
  /** Requests that are being answered. */
  readonly busy: number
  /** Bytes a second for weights; 0 is no limit. */
  rate: number
  close(): Promise<void>
}

/** @param folders what is served, by the first part of the path: '/some/where/' for instance */
export async function serve(folders: Readonly<Record<string, string>>): Promise<Host> {
  const sent = new Map<string, number>()
  let busy = 0
  const server = createServer((request, response) => {
    busy++
    void answer(request.url ?? '/', request.headers.range, response)
      .catch(() => response.destroy())
      .finally(() => busy--)
  })

  const answer = async (
    address: string,
    range: string | undefined,
    response: ServerResponse,
  ): Promise<void> => {
    const path = decodeURIComponent(new URL(address, 'http://host').pathname)
    const mount = Object.keys(folders).find((name) => path.startsWith(name))
    const inside = mount && normalize(path.slice(mount.length) || 'index.html')
    const file = mount && inside && !inside.startsWith('..') ? join(folders[mount]!, inside) : undefined
    const size = file
      ? await stat(file).then(
          (found) => (found.isFile() ? found.size : -1),
          () => -1,
        )
      : -1
    if (!file || size < 0) {
      response.writeHead(404).end()
      return
    }
    const isWeights = path.endsWith('.safetensors')
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? []
    const begin = from === undefined ? 0 : Number(from)
    const end = Math.min(size, to ? Number(to) + 1 : size)
    response.writeHead(from === undefined ? 200 : 206, {
      'content-type': TYPES[file.slice(file.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
      'content-length': end - begin,
      'accept-ranges': 'bytes',
      etag: `"${size}"`,
      'cache-control': 'no-cache',
      'content-security-policy': POLICY,
      ...(from === undefined ? {} : { 'content-range': `bytes ${begin}-${end - 1}/${size}` }),
    })
    await pipeline(
      createReadStream(file, { start: begin, end: end - 1, highWaterMark: 128 * 1024 }),
      async function* (pieces: AsyncIterable<Buffer>) {
        for await (const piece of pieces) {
          if (isWeights && host.rate > 0) await pause((1000 * piece.length) / host.rate)
          sent.set(path, (sent.get(path) ?? 0) + piece.length)
          yield piece
        }
      },
      response,
    )
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host: Host = {
    url: addressOf(server),
    sent,
    get busy() {
      return busy
    },
    rate: 0,
    close: () => close(server),
  }
  return host
}

function addressOf(server: Server): string {
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('the server has no port')
  return `http://localhost:${address.port}`
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise<void>((resolve) => server.close(() => resolve()))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
