// The objects of an answer, each with a mask and a colour: what the page lists, the map that it draws, and the object
// at a place. The masks stay in the worker.

import { colourOf, type Mask, type Rgb } from '../../src/index.ts'
import type { ColourMap, MaskPreview, ObjectFacts } from '../common/protocol.ts'
import { previewOfBits } from './mask-preview.ts'
import { viewOf } from './pixels.ts'

/** The longer side of a colour map in pixels, at most. */
const MOST_SIDE = 2048
/** Opacity of the objects beside the one that is highlighted, from 0 to 255. */
const PALE = 56

/** An object that an answer names. */
export interface Named {
  readonly name: string
  /** Absent where the answer has none. */
  readonly score?: number | undefined
  readonly found: boolean
  readonly mask: Mask
}

/** The objects of one answer. Where two overlap, the first is on top. */
export class Objects {
  readonly list: readonly Named[]
  readonly #size: { readonly width: number; readonly height: number }

  /** @param size of the image, in pixels */
  constructor(
    list: readonly Named[],
    { width, height }: { readonly width: number; readonly height: number },
  ) {
    this.list = list
    this.#size = { width, height }
  }

  /** The colour of object k. */
  static colour(k: number): Rgb {
    return colourOf(k)
  }

  facts(): ObjectFacts[] {
    return this.list.map(({ name, score, found, mask }, k) => ({
      name,
      score,
      found,
      colour: Objects.colour(k),
      area: mask.area,
      share: mask.area / (mask.width * mask.height),
    }))
  }

  /** The number of the object at a pixel of the image. */
  at(x: number, y: number): number | undefined {
    const { width, height } = this.#size
    const [column, row] = [Math.floor(x), Math.floor(y)]
    if (column < 0 || row < 0 || column >= width || row >= height) return undefined
    const k = this.list.findIndex(({ found, mask }) => found && mask.data[row * width + column])
    return k < 0 ? undefined : k
  }

  /** The mask of one object. */
  previewOf(k: number): MaskPreview | undefined {
    const mask = this.list[k]?.mask
    return mask && previewOfBits(mask.data, mask.width, mask.height)
  }

  /**
   * A colour for each object that was found. Colours are multiplied by their opacity.
   *
   * @param bright the object that is highlighted, which is on top of all others; all of them, if it is left out
   */
  colours(bright?: number): ColourMap {
    const { width: W, height: H } = this.#size
    const step = Math.max(1, Math.ceil(Math.max(W, H) / MOST_SIDE))
    const [width, height] = [Math.ceil(W / step), Math.ceil(H / step)]
    const data = new Uint8Array(4 * width * height)
    const order = [...this.list.entries()].filter(([k, { found }]) => found || k === bright)
    // The first to come keeps its pixels
    order.sort(([a], [b]) => Number(b === bright) - Number(a === bright))
    for (const [k, { mask }] of order) {
      const alpha = bright === undefined || k === bright ? 255 : PALE
      const rgba = [...Objects.colour(k).map((level) => Math.round((level * alpha) / 255)), alpha]
      const bits = viewOf(mask.data)
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const to = 4 * (y * width + x)
          if (data[to + 3] === 0 && bits.getUint8(y * step * W + x * step)) data.set(rgba, to)
        }
      }
    }
    return { width, height, data, scale: [W / (step * width), H / (step * height)] }
  }

  /** The pixels of all that was found, together. */
  union(): Mask {
    const { width, height } = this.#size
    const data = new Uint8Array(width * height)
    for (const { found, mask } of this.list) {
      if (!found) continue
      for (const [i, bit] of mask.data.entries()) if (bit) data[i] = 1
    }
    return { width, height, data, area: data.reduce((sum, bit) => sum + bit, 0) }
  }
}
