// Marks the answer as stale: when the sentence was edited, or another image or other weights are loading. A stale
// answer stays on the page, dimmed and with the reason, until there is a new one.

import { byId } from '../page/dom.ts'

/** The page shows the first reason that applies. */
const REASONS = {
  image: 'Another image is being opened. This is about the one before.',
  model: 'Other weights were asked for. This is from those before.',
  sentence: 'The sentence was changed since. Press Find to ask it.',
} as const

/** A reason for which the answer does not fit what is on the page. */
export type Reason = keyof typeof REASONS

const holding = new Set<Reason>()
const note = byId('stale')

/** Notes or withdraws a reason. While there is one, the answer is shown as stale. */
export function setStale(reason: Reason, isStale: boolean): void {
  if (isStale) holding.add(reason)
  else holding.delete(reason)
  const first = (Object.keys(REASONS) as Reason[]).find((other) => holding.has(other))
  note.textContent = first ? REASONS[first] : ''
  document.body.classList.toggle('stale', first !== undefined)
}
