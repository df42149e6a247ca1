// What is under the pointer: the worker is asked for one place at a time, the latest, and the canvas outlines what it
// knows there. Nothing is outlined while a look is kept.

import type { ImageCanvas } from './image-canvas.ts'
import { markPointed } from './objects.ts'
import type { Under } from './protocol.ts'
import type { Size } from './view/camera.ts'

/** Follows the pointer. */
export class Pointed {
  readonly #canvas: ImageCanvas
  readonly #under: (place: Size) => Promise<Under | undefined>
  #place: Size | undefined
  #isAsking = false
  #isShown = false

  /** @param under what is at a place, if anything; never rejects */
  constructor(canvas: ImageCanvas, under: (place: Size) => Promise<Under | undefined>) {
    this.#canvas = canvas
    this.#under = under
  }

  /** The pointer is at a place of the image, or undefined: at none. */
  async at(place: Size | undefined): Promise<void> {
    this.#place = place
    if (!place) this.#show(undefined)
    if (this.#isAsking) return
    this.#isAsking = true
    while (this.#place) {
      const asked = this.#place
      const answer = this.#canvas.answer
      const under = this.#canvas.kept ? undefined : await this.#under(asked)
      // Another answer came meanwhile, or the pointer is gone
      const isLate = answer !== this.#canvas.answer || this.#canvas.kept !== undefined
      if (this.#place) this.#show(isLate ? undefined : under)
      if (this.#place === asked) break
    }
    this.#isAsking = false
  }

  #show(under: Under | undefined): void {
    markPointed(under?.kind === 'object' ? under.index : undefined)
    if (under?.kind === 'object') this.#canvas.preview({ maps: { colours: under.colours } })
    else if (under) this.#canvas.preview({ maps: { ...this.#canvas.answer, ghost: under.preview } })
    else if (this.#isShown) this.#canvas.endPreview()
    this.#isShown = under !== undefined
  }
}
