// An answer in words: its text as it is written, and then its phrases as buttons that light up their masks.

import { printable } from '../../src/index.ts'
import { milliseconds } from '../common/format.ts'
import type { ObjectFacts, ObjectsAnswer } from '../common/protocol.ts'
import { unknownLine } from '../inputs/knows.ts'
import { byId, make } from '../page/dom.ts'
import { connectObject, type ObjectsPlace } from './objects.ts'

/** A text that is being written. */
export interface Writing {
  readonly add: (text: string) => void
  /** It was given up: what was written stays. */
  readonly stop: () => void
}

/** Makes room for an answer in words. @param asked the question, as it stands above the answer */
export function beginWords(asked: string): Writing {
  const text = make('p', { className: 'words', dir: 'auto', 'aria-busy': 'true' })
  const note = make('p', { className: 'faint' }, 'Writing')
  byId('answer').replaceChildren(
    make('div', {}, make('p', { className: 'asked' }, printable(asked, Infinity)), text, note),
  )
  return {
    add: (more) => text.append(more),
    stop: () => {
      text.removeAttribute('aria-busy')
      note.textContent = 'Stopped before its end: nothing of it has a mask.'
    },
  }
}

/**
 * Shows the whole answer. Phrases that the question has, and not the answer, are only in the list of objects.
 *
 * @returns the answer for screen readers
 */
export function showWords(asked: string, answer: ObjectsAnswer, place: ObjectsPlace): string {
  const { words, objects, ms } = answer
  if (!words) throw new Error('An answer without words.')
  const parts = words.parts.map(({ text, phrase }) => {
    const facts = phrase === undefined ? undefined : objects[phrase]
    return facts && phrase !== undefined ? phraseButton(text, phrase, facts, place) : text
  })
  const isSilent = words.text.trim() === ''
  const unknown = unknownLine(answer.unknownWords)
  byId('answer').replaceChildren(
    make(
      'div',
      {},
      make('p', { className: 'asked' }, printable(asked, Infinity)),
      make('p', { className: 'words', dir: 'auto' }, ...(isSilent ? ['No words came.'] : parts)),
      unknown.length > 0 ? make('p', { className: 'unknown' }, ...unknown) : undefined,
      make('p', { className: 'faint' }, noteOf(answer)),
      make('p', { className: 'faint' }, `${words.tokens} tokens in ${milliseconds(ms)}`),
    ),
  )
  const found = objects.filter((object) => object.found).length
  const masks = objects.length === 0 ? '' : ` ${found} of ${objects.length} phrases were found in the image.`
  return `${isSilent ? 'No words came.' : printable(words.text, Infinity)}${masks}`
}

/** What there is to say of an answer that the model didn't end. */
const END_NOTES = {
  stop: '',
  length: 'It was cut off: the answer may have no more tokens. ',
  repeat: 'The model repeated itself, so it was ended. ',
} as const

function noteOf({ words, objects, found }: ObjectsAnswer): string {
  const cut = words ? END_NOTES[words.end] : ''
  if (objects.length === 0) return `${cut}It points at nothing in the image.`
  return found
    ? `${cut}Point at a phrase to see its mask.`
    : `${cut}Not found: none of its phrases is in the image.`
}

function phraseButton(text: string, phrase: number, facts: ObjectFacts, place: ObjectsPlace): HTMLElement {
  if (!facts.found) return make('span', { className: 'phrase not-found', title: 'Not found' }, text)
  const button = make('button', { type: 'button', className: 'phrase', 'aria-pressed': 'false' }, text)
  button.style.textDecorationColor = `rgb(${facts.colour.join(' ')})`
  connectObject(button, phrase, facts, place)
  return button
}
