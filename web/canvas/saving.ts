// The save buttons. They save the mask on the canvas: the answer's, or that of a kept layer.

import type { Requests, SaveKind, Shown } from '../common/protocol.ts'
import { byId, make } from '../page/dom.ts'

const buttons = document.querySelectorAll<HTMLButtonElement>('[data-save]')
const opacity = byId('opacity', HTMLInputElement)

/** Listens to the buttons that save the answer. */
export function listenToSaving(save: (kind: SaveKind) => void): void {
  for (const button of buttons) {
    button.addEventListener('click', () => save(button.dataset['save'] as SaveKind))
  }
}

/** Enables the buttons that save, or disables them. */
export function setSaving(isPossible: boolean): void {
  for (const button of buttons) button.disabled = !isPossible
}

/** Labels the buttons with the mask that they save. */
export function nameSaving(shown: Shown): void {
  const what = { answer: '', unrefined: ' before refinement', layer: '' }[shown.kind]
  const layer = shown.kind !== 'layer' ? '' : shown.layer === 0 ? ' before layer 1' : ` layer ${shown.layer}`
  byId('save-what').textContent = `Save${what}${layer}`
}

/** Opacity of the tint, 0 to 1. */
export function chosenOpacity(): number {
  return Number(opacity.value) / 100
}

/** Downloads a file that was made in the page. */
export function download({ blob, name }: Requests['save']['answer']): void {
  const url = URL.createObjectURL(blob)
  make('a', { href: url, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
