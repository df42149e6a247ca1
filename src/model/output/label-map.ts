// Maps of labels on the host: the areas, boxes and masks of their values.

import { expectDefined } from '../../check.ts'
import type { Mask } from '../../masks/mask.ts'
import type { Box } from '../../masks/picture.ts'

/** Labels of an image's pixels, row-major. */
export interface Labels {
  /** Width in pixels. */
  readonly width: number
  /** Height in pixels. */
  readonly height: number
  /** A value per pixel. */
  readonly labels: Uint16Array
}

/** The pixels of one label. */
export interface Extent {
  /** Pixels; 0 if none has the label. */
  readonly area: number
  /** The smallest box around them, [left, top, right, bottom); null if there are none. */
  readonly box: Box | null
}

/** The extent of each of the labels below `count`. */
export function extentsOf({ width, height, labels }: Labels, count: number): Extent[] {
  const area = new Uint32Array(count)
  const box = new Uint32Array(4 * count) // x0, y0, x1, y1 of each
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const label = labels[i] as number
      const at = 4 * label
      if (area[label] === 0) box.set([x, y, x + 1, y + 1], at)
      else {
        if (x < (box[at] as number)) box[at] = x
        if (x >= (box[at + 2] as number)) box[at + 2] = x + 1
        box[at + 3] = y + 1
      }
      area[label] = (area[label] as number) + 1
    }
  }
  return Array.from(area, (pixels, label): Extent => {
    const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = box.subarray(4 * label, 4 * label + 4)
    return { area: pixels, box: pixels > 0 ? [x0, y0, x1, y1] : null }
  })
}

/** The pixels of one label as a mask. */
export function maskOfLabel({ width, height, labels }: Labels, label: number): Mask {
  const data = new Uint8Array(labels.length)
  let area = 0
  labels.forEach((value, i) => {
    if (value !== label) return
    data[i] = 1
    area++
  })
  return { width, height, data, area }
}

/** Two labels per word, as kernels leave them. */
export function unpackLabels(words: Uint32Array, pixels: number): Uint16Array {
  return new Uint16Array(words.buffer, words.byteOffset, pixels)
}

/** Labels that are the numbers of masks, from 1 on, painted from the last to the first: earlier ones lie on top. */
export function paintMasks(masks: readonly { readonly bits: Uint32Array }[], pixels: number): Uint16Array {
  const labels = new Uint16Array(pixels)
  for (let m = masks.length; m > 0; m--) {
    const { bits } = expectDefined(masks[m - 1], 'a mask to paint')
    bits.forEach((word, w) => {
      for (let left = word; left !== 0; left &= left - 1) {
        labels[32 * w + 31 - Math.clz32(left & -left)] = m
      }
    })
  }
  return labels
}
