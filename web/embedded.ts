// The embedded checkpoint, downloaded once: its files stay in the browser's cache, where the service worker's are too, so
// that the studio opens without a network afterwards.
//
// The files go to the engine as Blobs, which browsers keep on disk: it reads slices, and never the whole.

import config from '../weights/flowseg-nano/config.json?url'
import weights from '../weights/flowseg-nano/model.safetensors?url'
import tokenizer from '../weights/flowseg-nano/tokenizer.json?url'
import tokenizerConfig from '../weights/flowseg-nano/tokenizer_config.json?url'
import { RequestError } from './failures.ts'
import type { Step } from './protocol.ts'

/** Addresses carry a hash of the contents: what is in the cache is what was asked for. */
const FILES: Readonly<Record<string, string>> = {
  'config.json': config,
  'tokenizer.json': tokenizer,
  'tokenizer_config.json': tokenizerConfig,
  'model.safetensors': weights,
}

/** Shared with the service worker, which answers from any cache. */
const CACHE = 'flowseg-weights'

export async function embeddedFiles(onProgress: (step: Step) => void, signal: AbortSignal): Promise<File[]> {
  // Private windows and plain http have no cache: then every visit downloads
  const cache = await globalThis.caches?.open(CACHE).catch(() => undefined)
  const files: File[] = []
  const urls = new Set<string>()
  for (const [name, address] of Object.entries(FILES)) {
    const url = new URL(address, globalThis.location.href).href
    const kept = await cache?.match(url)
    const blob = kept ? await kept.blob() : await download(url, cache, onProgress, signal)
    files.push(new File([blob], name))
    urls.add(url)
  }
  // Those of an earlier build
  for (const request of (await cache?.keys()) ?? []) if (!urls.has(request.url)) await cache?.delete(request)
  return files
}

async function download(
  url: string,
  cache: Cache | undefined,
  onProgress: (step: Step) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const response = await fetch(url, { signal }).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw new RequestError(
      'ERR_NETWORK',
      `${url} can't be reached: ${cause instanceof Error ? cause.message : String(cause)}.`,
    )
  })
  if (!response.ok || !response.body) {
    throw new RequestError('ERR_NETWORK', `${url}: the server answers ${response.status}.`)
  }
  const total = Number(response.headers.get('content-length')) || 0
  let loaded = 0
  const what = url.slice(url.lastIndexOf('/') + 1)
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      loaded += piece.length
      // A compressing server doesn't say how much will come
      onProgress({ phase: 'download', what, loaded, total: Math.max(total, loaded) })
      controller.enqueue(piece)
    },
  })
  const blob = await new Response(response.body.pipeThrough(counter, { signal })).blob()
  // A full disk is no reason to stop
  await cache?.put(url, new Response(blob)).catch(() => undefined)
  return blob
}
