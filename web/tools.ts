// Below the stage and from the keyboard: how its image is seen.

import { byId } from './dom.ts'
import { chosenOpacity } from './saving.ts'
import type { Mode, Stage } from './stage.ts'

/** A press of a button. */
const ZOOM = 1.5

/** @param back called when Escape has led back to the answer */
export function listenToTools(stage: Stage, back: () => void): void {
  const radios = [...document.querySelectorAll<HTMLInputElement>('[name=mode]')]
  const read = (): void => {
    const mode = radios.find((radio) => radio.checked)?.value ?? 'overlay'
    stage.setMode(mode as Mode)
    stage.setOpacity(chosenOpacity())
  }
  for (const radio of radios) radio.addEventListener('change', read)
  byId('opacity').addEventListener('input', read)
  // Browsers bring back what was chosen before somebody went elsewhere and came back
  globalThis.addEventListener('pageshow', read)
  read()

  byId('zoom-in').addEventListener('click', () => stage.zoom(ZOOM))
  byId('zoom-out').addEventListener('click', () => stage.zoom(1 / ZOOM))
  byId('zoom-fit').addEventListener('click', () => stage.fit())
  document.addEventListener('keydown', (event) => {
    // Dialogs close with it, and words that are being composed end
    if (event.key !== 'Escape' || event.isComposing || document.querySelector('dialog[open]')) return
    if (stage.letGo()) back()
  })
}
