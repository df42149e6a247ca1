// The image's place on the canvas: pan and zoom as one matrix, from the image's pixels to the canvas's CSS pixels.
//
// One camera serves all panes: side by side, both show the same part of the image.

import { type Mat3, mat3, vec2 } from 'wgpu-matrix'

/** A size, or a point, on the image or the canvas. */
export type Size = readonly [width: number, height: number]

/** A part of the canvas, in its CSS pixels. */
export interface PaneBox {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

const GAP = 8
/** CSS pixels around an image that fits. */
const MARGIN = 12
/** Closest: CSS pixels that a pixel of the image takes. */
const CLOSEST = 32
/** Farthest, by the scale that fits. */
const FARTHEST = 0.5

/** The parts of the canvas: one, or two beside each other (above each other where the canvas is tall). */
export function panesOf([width, height]: Size, split: boolean): [PaneBox, ...PaneBox[]] {
  const first = { x: 0, y: 0, width, height }
  if (!split) return [first]
  if (width >= height) {
    const half = (width - GAP) / 2
    return [
      { ...first, width: half },
      { ...first, x: half + GAP, width: half },
    ]
  }
  const half = (height - GAP) / 2
  return [
    { ...first, height: half },
    { ...first, y: half + GAP, height: half },
  ]
}

/** The part of the image that is seen, and how large. */
export class Camera {
  #image: Size = [1, 1]
  #pane: Size = [1, 1]
  #scale = 1
  /** The image's point in the middle of the pane. */
  #centre: Float32Array = vec2.create(0.5, 0.5)

  /** Another image, seen whole. */
  setImage(size: Size): void {
    this.#image = size
    this.fit()
  }

  /** The canvas was resized: what fitted fits again, and what was in the middle stays there. */
  setPane(size: Size): void {
    const fitted = this.isFitted
    this.#pane = size
    if (fitted) this.fit()
    else this.#restrain()
  }

  get scale(): number {
    return this.#scale
  }

  get isFitted(): boolean {
    return Math.abs(this.#scale / this.#fitScale - 1) < 1e-3
  }

  /** From the image's pixels to those of the pane. */
  get matrix(): Mat3 {
    const [x, y] = this.#pane
    const toMiddle = mat3.translation([x / 2, y / 2])
    return mat3.translate(
      mat3.uniformScale(toMiddle, this.#scale, toMiddle),
      vec2.negate(this.#centre),
      toMiddle,
    )
  }

  fit(): void {
    this.#scale = this.#fitScale
    this.#centre = vec2.create(this.#image[0] / 2, this.#image[1] / 2)
  }

  /** Moves the image by CSS pixels. */
  pan(dx: number, dy: number): void {
    this.#centre = vec2.addScaled(this.#centre, vec2.create(dx, dy), -1 / this.#scale)
    this.#restrain()
  }

  /** About a point of the pane, which stays where it is; the middle by default. */
  zoom(factor: number, about: Size = [this.#pane[0] / 2, this.#pane[1] / 2]): void {
    const target = vec2.create(...about)
    const before = vec2.transformMat3(target, mat3.inverse(this.matrix))
    const fit = this.#fitScale
    this.#scale = Math.min(Math.max(this.#scale * factor, FARTHEST * fit), Math.max(CLOSEST, fit))
    const after = vec2.transformMat3(target, mat3.inverse(this.matrix))
    this.#centre = vec2.add(this.#centre, vec2.subtract(before, after))
    this.#restrain()
  }

  get #fitScale(): number {
    const [width, height] = this.#pane
    return Math.max(
      1e-4,
      Math.min((width - 2 * MARGIN) / this.#image[0], (height - 2 * MARGIN) / this.#image[1]),
    )
  }

  /** An image smaller than the pane stays in its middle, a larger one reaches the pane's middle at least. */
  #restrain(): void {
    const reach = (size: number, pane: number): Size =>
      size * this.#scale <= pane ? [size / 2, size / 2] : [0, size]
    const [left, right] = reach(this.#image[0], this.#pane[0])
    const [top, bottom] = reach(this.#image[1], this.#pane[1])
    this.#centre = vec2.min(vec2.max(this.#centre, [left, top]), [right, bottom])
  }
}
