// The place under the pointer: the worker is asked for one at a time, the latest, and the canvas outlines what it
// knows there. Nothing is outlined while a look is kept.

import type { ImageCanvas, Look } from '../canvas/image-canvas.ts'
import type { Under } from '../common/protocol.ts'
import type { Size } from '../view/camera.ts'
import type { Maps } from '../view/protocol.ts'
import { markPointed, type ObjectsPlace } from './objects.ts'

/** Follows the pointer. */
export class Pointed {
  readonly #canvas: ImageCanvas
  readonly #highlight: ObjectsPlace['highlight']
  readonly #under: (place: Size) => Promise<Under | undefined>
  #place: Size | undefined
  #isAsking = false
  /** The object or the query that the canvas shows as pointed at. */
  #shown: string | undefined
  /** The answer over which it is shown. */
  #over: Maps | undefined

  /** @param under what is at a place, if anything; never rejects */
  constructor({ canvas, highlight }: ObjectsPlace, under: (place: Size) => Promise<Under | undefined>) {
    this.#canvas = canvas
    this.#highlight = highlight
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
      const { answer } = this.#canvas
      const under = this.#canvas.kept ? undefined : await this.#under(asked)
      const look = under && (await this.#lookOf(under))
      // Another answer came meanwhile, or the pointer is gone
      const isLate = answer !== this.#canvas.answer || this.#canvas.kept !== undefined
      if (this.#place) this.#show(isLate ? undefined : under, look)
      if (this.#place === asked) break
    }
    this.#isAsking = false
  }

  /** Undefined where the canvas shows it already, or nothing can be had. */
  async #lookOf(under: Under): Promise<Look | undefined> {
    if (nameOf(under) === this.#shown && this.#over === this.#canvas.answer) return undefined
    if (under.kind === 'candidate') return { maps: { ...this.#canvas.answer, ghost: under.preview } }
    const colours = await this.#highlight(under.index)
    return colours && { maps: { colours } }
  }

  #show(under: Under | undefined, look?: Look): void {
    markPointed(under?.kind === 'object' ? under.index : undefined)
    if (look) this.#canvas.preview(look)
    else if (this.#shown !== undefined && !under) this.#canvas.endPreview()
    this.#shown = under && nameOf(under)
    this.#over = this.#canvas.answer
  }
}

function nameOf(under: Under): string {
  return under.kind === 'object' ? `object ${under.index}` : `query ${under.query}`
}
