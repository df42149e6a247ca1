// A host as plain as they come: files in a folder of its own, byte ranges, and the content security policy of the
// README. It can be slow, break off, or be gone; it lets browsers keep files for a while, or other origins read them;
// and it counts what it sends, and what breaks the policy.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { join, normalize } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { POLICY } from '../../../web/policy.ts'

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript',
  css: 'text/css',
  json: 'application/json',
  png: 'image/png',
  svg: 'image/svg+xml',
}

/** The path that browsers send violations of the policy to. */
const REPORTS = '/reports'

export interface Host {
  readonly url: string
  /** The folders that are served, by the first part of the path: '/some/where/' for instance. */
  readonly folders: Record<string, string>
  /** Bytes that were sent, by path. */
  readonly sent: Map<string, number>
  /** Violations of the policy: the directive and what it forbids. */
  readonly reports: string[]
  /** Requests that are being answered. */
  readonly busy: number
  /** Bytes per second for weights; 0 is no limit. */
  rate: number
  /** Bytes of weights after which connections break off, and are refused from then on; 0 is never. */
  breakAfter: number
  /** Nobody answers any more. */
  isDown: boolean
  /** Seconds for which browsers may keep what they got; 0 is that they must ask again. */
  maxAge: number
  /** Awaited before a path is answered; where it rejects, nobody answers. */
  gate: ((path: string) => Promise<void> | undefined) | undefined
  /** Pages of other origins may read what it sends. */
  isOpen: boolean
  close(): Promise<void>
}

export async function serve(folders: Record<string, string>): Promise<Host> {
  const sent = new Map<string, number>()
  const reports: string[] = []
  let busy = 0
  const server = createServer((request, response) => {
    if (host.isDown) {
      request.socket.destroy()
      return
    }
    if (request.url === REPORTS) {
      const pieces: Buffer[] = []
      request.on('data', (piece: Buffer) => pieces.push(piece))
      request.on('end', () => {
        const { 'csp-report': report } = JSON.parse(Buffer.concat(pieces).toString()) as {
          'csp-report': Record<string, string>
        }
        reports.push(
          `${report['effective-directive']}: ${report['blocked-uri']} in ${report['document-uri']}`,
        )
        response.writeHead(204).end()
      })
      return
    }
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
    const sharing: Record<string, string> = host.isOpen
      ? { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'content-range' }
      : {}
    const path = decodeURIComponent(new URL(address, 'http://host').pathname)
    await host.gate?.(path)
    const mount = Object.keys(folders).find((name) => path.startsWith(name))
    const inside = mount && normalize(path.slice(mount.length) || 'index.html')
    const file = mount && inside && !inside.startsWith('..') ? join(folders[mount]!, inside) : undefined
    const size = file
      ? await stat(file).then(
          (stats) => (stats.isFile() ? stats.size : -1),
          () => -1,
        )
      : -1
    if (!file || size < 0) {
      response.writeHead(404, sharing).end()
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
      'cache-control': host.maxAge > 0 ? `max-age=${host.maxAge}` : 'no-cache',
      'content-security-policy': `${POLICY}; frame-ancestors 'self'; report-uri ${REPORTS}`,
      ...(from === undefined ? {} : { 'content-range': `bytes ${begin}-${end - 1}/${size}` }),
      ...sharing,
    })
    await pipeline(
      createReadStream(file, { start: begin, end: end - 1, highWaterMark: 128 * 1024 }),
      async function* (pieces: AsyncIterable<Buffer>) {
        for await (const piece of pieces) {
          if (isWeights && host.rate > 0) await pause((1000 * piece.length) / host.rate)
          const before = sent.get(path) ?? 0
          if (isWeights && host.breakAfter > 0 && before >= host.breakAfter) throw new Error('broken off')
          sent.set(path, before + piece.length)
          yield piece
        }
      },
      response,
    )
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host: Host = {
    url: addressOf(server),
    folders,
    sent,
    reports,
    get busy() {
      return busy
    },
    rate: 0,
    breakAfter: 0,
    isDown: false,
    maxAge: 0,
    gate: undefined,
    isOpen: false,
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
