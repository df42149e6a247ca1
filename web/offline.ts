// Without a network the studio opens as before, once it has been opened with one.

import { byId } from './dom.ts'

export function goOffline(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return
  const state = byId('offline-state')
  navigator.serviceWorker
    .register(new URL('./sw.js', document.baseURI))
    .then(() => navigator.serviceWorker.ready)
    .then(() => {
      state.textContent = 'It works offline from now on.'
    })
    .catch(() => {
      // Private windows and plain http have none: the page works all the same
    })
}
