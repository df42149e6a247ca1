// The embedded checkpoint, downloaded once: its files stay in the browser's cache, where the service worker's are too,
// so that the studio opens without a network afterwards.
//
// The files go to the engine as Blobs, which browsers keep on disk: it reads slices, and never the whole. A download
// that breaks off resumes where it stopped: automatically while each attempt brings bytes, and otherwise on request.

import config from '../../weights/flowseg-nano/config.json?url'
import weights from '../../weights/flowseg-nano/model.safetensors?url'
import tokenizer from '../../weights/flowseg-nano/tokenizer.json?url'
import tokenizerConfig from '../../weights/flowseg-nano/tokenizer_config.json?url'
import { RequestError } from '../common/failures.ts'
import { megabytes } from '../common/format.ts'
import type { Step } from '../common/protocol.ts'

/** Addresses carry a hash of the contents: what is in the cache is what was asked for. */
const FILES: Readonly<Record<string, string>> = {
  'config.json': config,
  'tokenizer.json': tokenizer,
  'tokenizer_config.json': tokenizerConfig,
  'model.safetensors': weights,
}

/** Shared with the service worker, which answers from any cache. */
const CACHE = 'flowseg-weights'
/** A connection counts as broken after this long without a byte. */
const SILENCE_MS = 30_000
/** Pause before a download resumes automatically. */
const PAUSE_MS = 300

interface Task {
  readonly signal: AbortSignal
  readonly onProgress: (step: Step) => void
}

/** The bytes of a file that were received so far. */
interface Part {
  pieces: Uint8Array<ArrayBuffer>[]
  loaded: number
  /** The file's size as the server states it; 0 if it doesn't, and then the download can't resume. */
  total: number
}

/** Partial downloads, kept for the next attempt. */
const parts = new Map<string, Part>()

/** The files of the embedded model: out of the cache, or downloaded into it. */
export async function embeddedFiles(task: Task): Promise<File[]> {
  const cache = await openCache()
  const files: File[] = []
  for (const [name, url] of addresses()) {
    const kept = await cache?.match(url)
    const blob = kept ? await kept.blob() : await download(url, task)
    if (!kept) await keep(cache, url, blob)
    files.push(new File([blob], name))
  }
  return files
}

/** Deletes the kept files, so that damaged ones are downloaded again. */
export async function forgetEmbedded(): Promise<void> {
  const cache = await openCache()
  for (const [, url] of addresses()) await cache?.delete(url)
}

function addresses(): (readonly [name: string, url: string])[] {
  return Object.entries(FILES).map(([name, url]) => [name, new URL(url, globalThis.location.href).href])
}

/** Private windows and plain http have no cache; every visit downloads then. */
async function openCache(): Promise<Cache | undefined> {
  return globalThis.caches?.open(CACHE).catch(() => undefined)
}

/** A full disk is no reason to stop; the page asks the service worker whether everything is kept (page/offline.ts). */
async function keep(cache: Cache | undefined, url: string, blob: Blob): Promise<void> {
  const put = (): Promise<void> | undefined => cache?.put(url, new Response(blob))
  await put()?.catch(async () => {
    // Weights of an earlier build may take the space
    const ours = new Set(addresses().map(([, address]) => address))
    for (const { url: other } of (await cache?.keys()) ?? []) if (!ours.has(other)) await cache?.delete(other)
    await put()?.catch(() => undefined)
  })
}

async function download(url: string, task: Task): Promise<Blob> {
  const part = parts.get(url) ?? { pieces: [], loaded: 0, total: 0 }
  parts.set(url, part)
  for (;;) {
    const before = part.loaded
    try {
      await goOn(url, part, task)
      parts.delete(url)
      return new Blob(part.pieces)
    } catch (cause) {
      task.signal.throwIfAborted()
      if (cause instanceof RequestError) throw cause
      if (part.loaded <= before) throw brokenOff(url, part, cause)
      await pause(PAUSE_MS) // the connection is bad, not gone
    }
  }
}

/** Requests the rest of the file, or the whole file if the server ignores ranges. */
async function goOn(url: string, part: Part, { signal, onProgress }: Task): Promise<void> {
  const headers: HeadersInit = part.total > 0 ? { range: `bytes=${part.loaded}-` } : {}
  const response = await fetch(url, { signal, headers })
  if (!response.ok || !response.body) throw refused(url, `the server answers ${response.status}`)
  if (response.headers.get('content-type')?.startsWith('text/html')) {
    throw refused(url, 'a web page came in its place, perhaps that of a network which wants a login')
  }
  if (response.status !== 206) Object.assign(part, { pieces: [], loaded: 0 })
  const rest = response.headers.has('content-encoding') ? 0 : Number(response.headers.get('content-length'))
  part.total = rest > 0 ? part.loaded + rest : 0
  const what = url.slice(url.lastIndexOf('/') + 1)
  const reader = response.body.getReader()
  for (;;) {
    const { done, value } = await notSilent(reader)
    if (done) break
    part.pieces.push(value)
    part.loaded += value.length
    // A compressing server doesn't say how much will come
    onProgress({ phase: 'download', what, loaded: part.loaded, total: Math.max(part.total, part.loaded) })
  }
  if (part.loaded < part.total) throw new Error('the connection was closed early')
}

async function notSilent(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
): Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer>>> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no byte came for ${SILENCE_MS / 1000} seconds`))
      void reader.cancel().catch(() => undefined)
    }, SILENCE_MS)
  })
  try {
    return await Promise.race([reader.read(), silence])
  } finally {
    clearTimeout(timer)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function refused(url: string, why: string): RequestError {
  return new RequestError('ERR_NETWORK', `${url}: ${why}.`)
}

function brokenOff(url: string, { loaded, total }: Part, cause: unknown): RequestError {
  const why = cause instanceof Error ? cause.message : String(cause)
  if (loaded === 0) return new RequestError('ERR_NETWORK', `${url} can't be reached: ${why}.`)
  const come = total > 0 ? `${megabytes(loaded)} of ${megabytes(total)}` : megabytes(loaded)
  return new RequestError('ERR_BROKEN_OFF', `${come} have come, then the connection broke off: ${why}.`)
}
