// The runtime of the tests, and what differs between runtimes: access to the repository's files, and variables.

/// <reference types="vite/client" />

export const runtime: 'node' | 'deno' | 'browser' =
  'Deno' in globalThis ? 'deno' : 'document' in globalThis ? 'browser' : 'node'

/**
 * For the title of a test that says nothing new elsewhere, such as a layer at its true width: why it is skipped there.
 */
export const onlyInNode: string = runtime === 'node' ? '' : ' (run in Node only)'

/**
 * Of a kernel's many shapes, those for every runtime: each third. Node takes them all; what another compiler of WGSL
 * may get wrong is a kernel, not the size of an edge.
 */
export function some<T>(cases: readonly T[]): readonly T[] {
  return runtime === 'node' ? cases : cases.filter((_, i) => i % 3 === 0)
}

/** FLOWSEG_SLOW=1: nothing is left out because it takes long; FLOWSEG_SLOW=node, as .ci/run sets it: in Node alone. */
export const thorough: boolean = ['1', runtime].includes(variable('FLOWSEG_SLOW'))

/** Of cases that take long and seldom say something new, each third; all of them where the tests are thorough. */
export function sample<T>(cases: readonly T[]): readonly T[] {
  return thorough ? cases : cases.filter((_, i) => i % 3 === 0)
}

const fs = runtime === 'browser' ? undefined : await import('node:fs')
const root = runtime === 'browser' ? new URL(location.origin) : new URL('../', import.meta.url)

/** A file or folder of the repository, for whoever opens paths and URLs: a path, or its URL on this page's server. */
export function placeOf(path: string): string {
  const url = new URL(path, root)
  return url.protocol === 'file:' ? decodeURIComponent(url.pathname) : url.href
}

/** The text of a file of the repository; at once, as golden values are wanted while tests are being declared. */
export function readText(path: string): string {
  if (fs) return fs.readFileSync(placeOf(path), 'utf8')
  const request = new XMLHttpRequest()
  request.open('GET', placeOf(path), false)
  request.send()
  if (request.status !== 200) throw new Error(`${placeOf(path)}: the server answers ${request.status}`)
  return request.responseText
}

/** The bytes of a file of the repository. */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  if (fs) return new Uint8Array(fs.readFileSync(placeOf(path)))
  const response = await fetch(placeOf(path))
  if (!response.ok) throw new Error(`${placeOf(path)}: the server answers ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

/** FLOWSEG_SEED and its like; '' where it isn't set. Browsers get those that vitest.config.ts lists. */
export function variable(name: string): string {
  return (import.meta.env as Record<string, string | undefined>)[name] ?? ''
}

/** Collects all garbage. Undefined where the runtime has no way to ask for it: outside of Node. */
export const collect: (() => void) | undefined = await collector()

async function collector(): Promise<(() => void) | undefined> {
  if (runtime !== 'node' || 'Bun' in globalThis) return undefined // Bun imports this file as well
  const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([
    import('node:v8'),
    import('node:vm'),
  ])
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
