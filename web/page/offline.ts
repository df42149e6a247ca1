// Visits without a network, once the service worker has kept every file; and the offer of a newer version. A page is
// never reloaded without a click.

import type { Kept, ToKeeper } from '../sw.ts'
import { byId, make } from './dom.ts'

const state = byId('offline-state')
const isPossible = import.meta.env.PROD && 'serviceWorker' in navigator

/** Registers the service worker, and says on the page whether every file is kept. */
export async function goOffline(): Promise<void> {
  if (!isPossible) return
  try {
    const address = new URL('./sw.js', document.baseURI)
    const registration = await navigator.serviceWorker.register(address, { updateViaCache: 'none' })
    watch(registration)
    await installed(registration)
    const keeper = registration.active ?? registration.waiting
    if (!keeper) return tell(['this version'])
    const { missing } = await ask<Kept>(keeper, { type: 'keep' })
    tell(missing)
  } catch {
    // Private windows and plain http have none: the page works all the same
  }
}

/** Offers a newer version to returning visitors, even if no model can be loaded. */
export async function watchForUpdates(): Promise<void> {
  if (!isPossible) return
  const registration = await navigator.serviceWorker.getRegistration().catch(() => undefined)
  if (registration) watch(registration)
}

function tell(missing: readonly string[]): void {
  state.textContent =
    missing.length === 0
      ? 'It works offline from now on.'
      : 'It needs the network: this browser could not keep all of its files, perhaps for lack of room.'
}

// ---- Newer versions

let watched: ServiceWorkerRegistration | undefined

function watch(registration: ServiceWorkerRegistration): void {
  if (watched === registration) return
  watched = registration
  const look = (): void => {
    // Without an active worker this is the first version
    if (registration.waiting && registration.active) void offer(registration.waiting)
  }
  look()
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', look)
  })
  // Tabs may stay open for days; check when one is shown again
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') void registration.update().catch(() => undefined)
  })
}

async function offer(version: ServiceWorker): Promise<void> {
  // A page loaded past the service worker may already be of the waiting version
  if (await ask<boolean>(version, { type: 'has', url: import.meta.url })) return takeOver(version)
  const box = byId('update')
  const reload = make('button', { type: 'button' }, 'Reload')
  const later = make('button', { type: 'button', className: 'plain' }, 'Later')
  reload.addEventListener('click', () => {
    const done = (): void => {
      if (version.state === 'activated' || version.state === 'redundant') location.reload()
    }
    version.addEventListener('statechange', done)
    done() // another tab may have asked for it meanwhile
    takeOver(version)
  })
  later.addEventListener('click', () => {
    box.hidden = true
    byId('main').focus({ preventScroll: true }) // the button that had it is gone
  })
  box.hidden = false
  box.replaceChildren(make('p', {}, 'A new version is ready.'), reload, later)
}

function takeOver(version: ServiceWorker): void {
  version.postMessage({ type: 'take-over' } satisfies ToKeeper, [])
}

// ---- Messages to the service worker

/** Resolves when the installation has succeeded or failed. */
async function installed({ installing }: ServiceWorkerRegistration): Promise<void> {
  if (!installing) return
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (installing.state === 'activated' || installing.state === 'redundant') resolve()
      // It stays in this state while an older version is active
      if (installing.state === 'installed' && watched?.active) resolve()
    }
    installing.addEventListener('statechange', look)
    look()
  })
}

function ask<Answer>(worker: ServiceWorker, message: ToKeeper): Promise<Answer> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.addEventListener('message', ({ data }: MessageEvent<Answer>) => resolve(data), { once: true })
    port1.start()
    worker.postMessage(message, [port2])
  })
}
