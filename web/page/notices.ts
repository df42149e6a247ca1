// Notices: the failure in a sentence or two, and buttons that lead on.

import { type Advice, adviceOn, WAYS, type WayOn } from '../common/failures.ts'
import type { Failure, LoadRequest } from '../common/protocol.ts'
import { byId, make } from './dom.ts'
import { say } from './progress.ts'

const place = byId('notices')
const notes = byId('notes')

/** Tells of a failure until it is closed or another one comes. */
export function tell(failure: Failure, wanted: LoadRequest, go: (way: WayOn) => void): void {
  show(adviceOn(failure, { hasWebGpu: 'gpu' in navigator, wanted }), go, failure.code)
}

/**
 * Shows a notice in place of the one before.
 *
 * @param go   called with the way whose button is pressed
 * @param code of the failure, for tests and bug reports
 */
export function show({ title, text, details, ways }: Advice, go: (way: WayOn) => void, code = ''): void {
  const notice = make(
    'div',
    { className: 'notice', role: 'alert' },
    make('h2', {}, title),
    make('p', {}, text),
    details
      ? make('details', {}, make('summary', {}, 'What the engine says'), make('p', {}, details))
      : undefined,
    make(
      'div',
      { className: 'row' },
      ...ways.map((way) => {
        const button = make('button', { type: 'button' }, WAYS[way])
        button.addEventListener('click', () => {
          clear()
          focusPage()
          go(way)
        })
        return button
      }),
      closer(clear),
    ),
  )
  notice.dataset['code'] = code
  place.replaceChildren(notice)
}

/** Removes the notice, if there is one. */
export function clear(): void {
  place.replaceChildren()
}

/** Shows a message that is not a failure, in place of the previous one; '' removes it. */
export function note(
  text: string,
  ways: readonly { readonly name: string; readonly act: () => void }[] = [],
): void {
  const row = make('div', { className: 'row' })
  for (const { name, act } of ways) {
    const button = make('button', { type: 'button' }, name)
    button.addEventListener('click', () => {
      focusPage()
      act()
    })
    row.append(button)
  }
  const close = (): void => notes.replaceChildren()
  if (text) say(text)
  row.append(closer(close))
  notes.replaceChildren(
    ...(text ? [make('div', { className: 'notice calm' }, make('p', {}, text), row)] : []),
  )
}

function closer(close: () => void): HTMLButtonElement {
  const button = make('button', { type: 'button', className: 'plain' }, 'Close')
  button.addEventListener('click', () => {
    close()
    focusPage()
  })
  return button
}

/** The button that had the focus is gone. */
function focusPage(): void {
  byId('main').focus({ preventScroll: true })
}
