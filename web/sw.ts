// The service worker: keeps the files of this build, and answers from what is kept. The weights are kept by the model's
// worker as it downloads them (embedded.ts), so that nothing is downloaded twice; they are found here as well.
//
// The page itself is asked of the network first, so that a new build is seen at once; everything else has a hash of its
// contents in its name and never changes.

/** What of a service worker is used here; the types of windows and workers don't go together. */
interface Extendable extends Event {
  waitUntil(work: Promise<unknown>): void
}
interface Fetching extends Extendable {
  readonly request: Request
  respondWith(response: Promise<Response>): void
}
interface Scope {
  addEventListener(type: 'install' | 'activate', listener: (event: Extendable) => void): void
  addEventListener(type: 'fetch', listener: (event: Fetching) => void): void
  skipWaiting(): Promise<void>
  readonly clients: { claim(): Promise<void> }
  readonly registration: { readonly scope: string }
}

// Both are filled in by the build
const VERSION = '__VERSION__'
const FILES = '__FILES__' as unknown as readonly string[]

const PREFIX = 'flowseg-studio-'
const scope = globalThis as unknown as Scope

scope.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(PREFIX + VERSION)
      await cache.addAll(FILES)
      await scope.skipWaiting()
    })(),
  )
})

scope.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      const names = await caches.keys()
      const old = names.filter((name) => name.startsWith(PREFIX) && name !== PREFIX + VERSION)
      await Promise.all(old.map((name) => caches.delete(name)))
      await scope.clients.claim()
    })(),
  )
})

scope.addEventListener('fetch', (event) => {
  const { request } = event
  const isOurs = request.url.startsWith(scope.registration.scope)
  // Ranges are for the engine's own cache
  if (request.method !== 'GET' || !isOurs || request.headers.has('range')) return
  event.respondWith(request.mode === 'navigate' ? page(request) : file(request))
})

async function page(request: Request): Promise<Response> {
  try {
    return await fetch(request)
  } catch (error) {
    const kept = await caches.match(new URL('index.html', scope.registration.scope).href)
    // Hosts may redirect to the folder, and a browser takes no page that was
    if (kept) return kept.redirected ? new Response(kept.body, { headers: kept.headers }) : kept
    throw error
  }
}

async function file(request: Request): Promise<Response> {
  return (await caches.match(request)) ?? fetch(request)
}
