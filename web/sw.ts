// The service worker: keeps the files of this build, and answers from what is kept. The weights are kept by the model's
// worker as it downloads them (worker/embedded.ts), so that nothing is downloaded twice; they are found here as well.
//
// Every visit is served from one build: page, scripts and samples come from one cache, which was filled past the HTTP
// cache and verified file by file. A newer build gets a cache of its own and waits until somebody asks for it, or until
// no tab shows the older one.

/** The part of a service worker's interface that is used here; the types of windows and workers don't go together. */
interface Extendable extends Event {
  waitUntil(work: Promise<unknown>): void
}
interface Fetching extends Extendable {
  readonly request: Request
  respondWith(response: Promise<Response>): void
}
interface Scope {
  addEventListener(type: 'install' | 'activate', listener: (event: Extendable) => void): void
  addEventListener(type: 'message', listener: (event: Extendable & MessageEvent<ToKeeper>) => void): void
  addEventListener(type: 'fetch', listener: (event: Fetching) => void): void
  skipWaiting(): Promise<void>
  readonly clients: { claim(): Promise<void> }
  readonly registration: { readonly scope: string }
}

/** Messages from the page; answers go to the port that comes with them. */
export type ToKeeper =
  /** Asks which of the files that the studio needs offline are not kept; answered with Kept. */
  | { readonly type: 'keep' }
  /** Asks whether a script is of this build; answered with a boolean. */
  | { readonly type: 'has'; readonly url: string }
  /** Activates this build: somebody asked for it. */
  | { readonly type: 'take-over' }

/** The service worker's answer: files that it could not keep. */
export interface Kept {
  readonly missing: readonly string[]
}

// The build fills these in: the files with their hashes as fetch's `integrity` takes them, and the files that the page
// refers to
const VERSION = '__VERSION__'
const FILES = '__FILES__' as unknown as Readonly<Record<string, string>>
const NAMED = '__NAMED__' as unknown as readonly string[]
/** Needed offline, but kept by worker/embedded.ts. */
const WEIGHTS = '__WEIGHTS__' as unknown as readonly string[]

const PREFIX = 'flowseg-studio-'
/** The name in worker/embedded.ts, which can't be imported: a service worker is one file. */
const WEIGHTS_CACHE = 'flowseg-weights'
const PAGE = 'index.html'
const scope = globalThis as unknown as Scope
const urlOf = (name: string): string => new URL(name, scope.registration.scope).href

scope.addEventListener('install', (event) => {
  event.waitUntil(
    keepAll().catch(async (error: unknown) => {
      await caches.delete(PREFIX + VERSION) // half of a build is of no use, and takes room
      throw error
    }),
  )
})

scope.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      // The previous build's cache stays: open tabs may still request its files
      const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX))
      const old = names.filter((name) => name !== PREFIX + VERSION)
      await Promise.all(old.slice(0, -1).map((name) => caches.delete(name)))
      await forgetOldWeights()
      await scope.clients.claim()
    })(),
  )
})

scope.addEventListener('message', (event) => {
  const { data, ports } = event
  const [port] = ports
  if (data.type === 'take-over') event.waitUntil(scope.skipWaiting())
  else if (data.type === 'has') port?.postMessage(Object.keys(FILES).some((name) => urlOf(name) === data.url))
  else {
    // Files that the browser has evicted are fetched again
    const reply = async (): Promise<void> => port?.postMessage({ missing: await missing() } satisfies Kept)
    event.waitUntil(
      keepAll()
        .catch(() => undefined)
        .then(reply),
    )
  }
})

scope.addEventListener('fetch', (event) => {
  const { request } = event
  const isOurs = request.url.startsWith(scope.registration.scope)
  // Ranges are for the engine's own cache
  if (request.method !== 'GET' || !isOurs || request.headers.has('range')) return
  event.respondWith(request.mode === 'navigate' ? page(request) : file(request))
})

/** Fetches the files of this build that aren't kept yet. Rejects unless all of them are kept afterwards. */
async function keepAll(): Promise<void> {
  const cache = await caches.open(PREFIX + VERSION)
  await Promise.all(
    Object.entries(FILES).map(async ([name, integrity]) => {
      const url = urlOf(name)
      if (await cache.match(url, { ignoreVary: true })) return
      await cache.put(url, await (name === PAGE ? freshPage(url) : freshFile(url, integrity)))
    }),
  )
}

/** A file with a hash in its name: revalidated with the server, and verified. */
async function freshFile(url: string, integrity: string): Promise<Response> {
  const response = await fetch(url, { cache: 'no-cache', integrity })
  if (!response.ok) throw new Error(`${url}: the server answers ${response.status}`)
  return storable(response)
}

/**
 * The page has the same name in every build: fetched past every cache, and refused unless it refers to this build's
 * files. A host may insert markup, so its hash isn't checked.
 */
async function freshPage(url: string): Promise<Response> {
  const response = await fetch(url, { cache: 'reload' })
  if (!response.ok) throw new Error(`${url}: the server answers ${response.status}`)
  const text = await response.clone().text()
  const other = NAMED.find((name) => !text.includes(name))
  if (other) throw new Error(`${url} is of another build: it doesn't name ${other}`)
  return storable(response)
}

/** A copy that caches and navigations accept: not marked as redirected, and without `Vary`. */
async function storable(response: Response): Promise<Response> {
  const headers = new Headers(response.headers)
  for (const name of ['vary', 'content-encoding', 'content-length']) headers.delete(name)
  return new Response(await response.blob(), { headers })
}

async function missing(): Promise<string[]> {
  const cache = await caches.open(PREFIX + VERSION)
  const weights = await caches.open(WEIGHTS_CACHE)
  const absent: string[] = []
  for (const [names, where] of [
    [Object.keys(FILES), cache],
    [WEIGHTS, weights],
  ] as const) {
    for (const name of names) if (!(await where.match(urlOf(name), { ignoreVary: true }))) absent.push(name)
  }
  return absent
}

async function forgetOldWeights(): Promise<void> {
  const ours = new Set([...Object.keys(FILES), ...WEIGHTS].map(urlOf))
  const cache = await caches.open(WEIGHTS_CACHE)
  for (const request of await cache.keys()) if (!ours.has(request.url)) await cache.delete(request)
}

async function page(request: Request): Promise<Response> {
  const { origin, pathname } = new URL(request.url)
  const url = urlOf(PAGE)
  const isPage = [url, scope.registration.scope].includes(origin + pathname)
  const cache = await caches.open(PREFIX + VERSION)
  return (isPage && (await cache.match(url))) || fetch(request)
}

async function file(request: Request): Promise<Response> {
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request)
}
