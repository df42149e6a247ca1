// The controls below the stage (view, opacity, zoom), and the Escape key.

import { byId } from './dom.ts'
import { chosenOpacity } from './saving.ts'
import type { Mode, Stage } from './stage.ts'

/** Factor per press of a zoom button. */
const ZOOM = 1.5

/** @param back called after Escape has released a look */
export function listenToTools(stage: Stage, back: () => void): void {
  const radios = [...document.querySelectorAll<HTMLInputElement>('[name=mode]')]
  const read = (): void => {
    const mode = radios.find((radio) => radio.checked)?.value ?? 'overlay'
    stage.setMode(mode as Mode)
    stage.setOpacity(chosenOpacity())
  }
  for (const radio of radios) radio.addEventListener('change', read)
  byId('opacity').addEventListener('input', read)
  // Browsers restore form controls when somebody navigates back
  globalThis.addEventListener('pageshow', read)
  read()

  byId('zoom-in').addEventListener('click', () => stage.zoom(ZOOM))
  byId('zoom-out').addEventListener('click', () => stage.zoom(1 / ZOOM))
  byId('zoom-fit').addEventListener('click', () => stage.fit())
  document.addEventListener('keydown', (event) => {
    // Escape also closes dialogs and ends a composition (IME)
    if (event.key !== 'Escape' || event.isComposing || document.querySelector('dialog[open]')) return
    if (stage.letGo()) back()
  })
}
