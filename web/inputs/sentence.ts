// The sentence field. Typed text is never overwritten: an event that arrives later may fill the field only if nobody
// typed since.

import { byId } from '../page/dom.ts'
import { say } from '../page/progress.ts'
import { listenToKnows, markWords } from './knows.ts'

const field = byId('sentence', HTMLInputElement)
const error = byId('sentence-error')

/** Number of edits by hand. Text that the browser restored from an earlier visit counts as one. */
let edits = field.value === '' ? 0 : 1
const isRestored = edits > 0

/** Called after every change, by hand or by the page. */
let onChange: () => void = () => undefined
/** Called as soon as a sentence that the page offers is in the field. */
let onAsk: () => void = () => undefined

/** Listens to the field of the sentence and its form. */
export function listenToSentence(listeners: { readonly change: () => void; readonly ask: () => void }): void {
  onChange = listeners.change
  onAsk = listeners.ask
  listenToKnows(askFor)
  field.addEventListener('input', () => {
    edits++
    onChange()
  })
  // Composed text (IME) reaches the field later
  field.addEventListener('compositionstart', () => edits++)
  byId('ask').addEventListener('submit', (event) => {
    event.preventDefault()
    listeners.ask()
  })
}

/** The sentence as it stands in the field, trimmed. */
export function text(): string {
  return field.value.trim()
}

/** Sets a chosen suggestion or a sample's sentence. In a focused field it is selected, so that typing replaces it. */
export function setText(sentence: string): void {
  field.value = sentence
  if (document.activeElement === field) field.select()
  complain('')
  markWords()
  onChange()
}

/** Asks a sentence that the page offers. */
export function askFor(sentence: string): void {
  setText(sentence)
  onAsk()
}

/** @returns a function that tells whether nobody typed since this call; with isStart, nor before it */
export function untouched(isStart = false): () => boolean {
  const before = edits
  return () => edits === before && !(isStart && isRestored)
}

/** @returns a function that focuses and selects the field, unless somebody typed or moved the focus since this call */
export function inviting(): () => void {
  const isUntouched = untouched()
  const focus = document.activeElement
  return () => {
    const now = document.activeElement
    // Somebody who is in the field already may be about to type on
    if (!isUntouched() || focus === field || (now !== focus && now !== document.body)) return
    field.focus()
    field.select()
  }
}

/** Shows what is wrong with the sentence; '' removes the message. */
export function complain(what: string): void {
  error.textContent = what
  field.setAttribute('aria-invalid', String(what !== ''))
  if (what) say(what)
}
