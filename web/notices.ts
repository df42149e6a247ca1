// What went wrong, in a sentence or two, and buttons that lead on.

import { byId, make } from './dom.ts'
import { type Advice, adviceOn, WAYS, type WayOn } from './failures.ts'
import type { Failure, LoadRequest } from './protocol.ts'

const place = byId('notices')

/** Tells of a failure until it is closed or another one comes. */
export function tell(failure: Failure, wanted: LoadRequest, go: (way: WayOn) => void): void {
  show(adviceOn(failure, { hasWebGpu: 'gpu' in navigator, wanted }), go, failure.code)
}

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
          byId('main').focus({ preventScroll: true }) // the button that had it is gone
          go(way)
        })
        return button
      }),
      closer(),
    ),
  )
  notice.dataset['code'] = code
  place.replaceChildren(notice)
}

export function clear(): void {
  place.replaceChildren()
}

function closer(): HTMLButtonElement {
  const button = make('button', { type: 'button', className: 'plain' }, 'Close')
  button.addEventListener('click', clear)
  return button
}
