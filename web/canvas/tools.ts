// The controls below the canvas (view, opacity, zoom), and the Escape key.

import { byId } from '../page/dom.ts'
import type { ImageCanvas, Mode } from './image-canvas.ts'
import { chosenOpacity } from './saving.ts'

/** Factor per press of a zoom button. */
const ZOOM = 1.5

/** @param back called after Escape has released a look */
export function listenToTools(canvas: ImageCanvas, back: () => void): void {
  const radios = [...document.querySelectorAll<HTMLInputElement>('[name=mode]')]
  const read = (): void => {
    const mode = radios.find((radio) => radio.checked)?.value ?? 'overlay'
    canvas.setMode(mode as Mode)
    canvas.setOpacity(chosenOpacity())
  }
  for (const radio of radios) radio.addEventListener('change', read)
  byId('opacity').addEventListener('input', read)
  // Browsers restore form controls when somebody navigates back
  globalThis.addEventListener('pageshow', read)
  read()

  byId('zoom-in').addEventListener('click', () => canvas.zoom(ZOOM))
  byId('zoom-out').addEventListener('click', () => canvas.zoom(1 / ZOOM))
  byId('zoom-fit').addEventListener('click', () => canvas.fit())
  document.addEventListener('keydown', (event) => {
    // Escape also closes dialogs and ends a composition (IME)
    if (event.key !== 'Escape' || event.isComposing || document.querySelector('dialog[open]')) return
    if (canvas.letGo()) back()
  })
}
