// Whether the answer on the page still is one: the sentence may have been changed since, another image or other weights may be
// on their way. It stays, pale and with a word on why, until there is a newer one.

import { byId } from './dom.ts'

/** The first that holds is told. */
const REASONS = {
  image: 'Another image is being opened. This is about the one before.',
  model: 'Other weights were asked for. This is from those before.',
  sentence: 'The sentence was changed since. Press Find to ask it.',
} as const

export type Reason = keyof typeof REASONS

const holding = new Set<Reason>()
const note = byId('stale')

export function setStale(reason: Reason, isStale: boolean): void {
  if (isStale) holding.add(reason)
  else holding.delete(reason)
  const first = (Object.keys(REASONS) as Reason[]).find((other) => holding.has(other))
  note.textContent = first ? REASONS[first] : ''
  document.body.classList.toggle('stale', first !== undefined)
}
