// The sentence. What is typed belongs to who types it: whatever arrives later may fill an untouched field, and no other.

import { say } from './busy.ts'
import { byId, make } from './dom.ts'

const field = byId('sentence', HTMLInputElement)
const error = byId('sentence-error')

/** Changes by hand. What a browser has brought back from an earlier visit is one. */
let edits = field.value === '' ? 0 : 1
const isRestored = edits > 0

/** Called with every change, by hand or not. */
let onChange: () => void = () => undefined

export function listenToSentence(listeners: { readonly change: () => void; readonly ask: () => void }): void {
  onChange = listeners.change
  field.addEventListener('input', () => {
    edits++
    onChange()
  })
  // Letters that are still being composed are not in the field yet
  field.addEventListener('compositionstart', () => edits++)
  byId('ask').addEventListener('submit', (event) => {
    event.preventDefault()
    listeners.ask()
  })
}

export function text(): string {
  return field.value.trim()
}

/** By somebody's choice, of a suggestion or a sample. Who is in the field meanwhile writes over it, not behind it. */
export function setText(sentence: string): void {
  field.value = sentence
  if (document.activeElement === field) field.select()
  complain('')
  onChange()
}

/** @returns whether nobody has typed from now on; at the start, nor in an earlier visit */
export function untouched(isStart = false): () => boolean {
  const before = edits
  return () => edits === before && !(isStart && isRestored)
}

/** Puts the cursor there, with the text selected, unless somebody has typed or gone elsewhere since. */
export function inviting(): () => void {
  const isUntouched = untouched()
  const focus = document.activeElement
  return () => {
    const now = document.activeElement
    if (!isUntouched() || (now !== focus && now !== document.body)) return
    field.focus()
    field.select()
  }
}

/** Says what is wrong with the sentence; nothing, with ''. */
export function complain(what: string): void {
  error.textContent = what
  field.setAttribute('aria-invalid', String(what !== ''))
  if (what) say(what)
}

export function suggest(sentences: readonly string[], ask: () => void): void {
  byId('suggestions').replaceChildren(
    ...sentences.map((sentence) => {
      const button = make('button', { type: 'button' }, sentence)
      button.addEventListener('click', () => {
        setText(sentence)
        ask()
      })
      return make('li', {}, button)
    }),
  )
}
