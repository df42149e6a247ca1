// A picture in the terminal: half blocks, two pixels per cell, in 24-bit colour.

import type { Image } from '../../io/image/image.ts'
import { fit, scale } from '../../masks/picture.ts'
import type { Output } from './terminal.ts'

const MAX_COLUMNS = 64
const MAX_ROWS = 24

/** Lines to print, or none where the terminal can't show them. */
export function preview(image: Image, output: Output): string[] {
  if (!output.isTTY || output.colourBits < 24) return []
  const most: [number, number] = [Math.min(MAX_COLUMNS, output.columns - 2), 2 * MAX_ROWS]
  const { width, height } = fit(image, most)
  const small = scale(image, width, height)
  const colour = (x: number, y: number): string => {
    const at = 3 * (y * width + x)
    return small.rgb.subarray(at, at + 3).join(';')
  }
  return Array.from({ length: Math.ceil(height / 2) }, (_, row) => {
    const cells = Array.from({ length: width }, (_, x) => {
      const below = 2 * row + 1 < height ? `\x1b[48;2;${colour(x, 2 * row + 1)}m` : ''
      return `\x1b[38;2;${colour(x, 2 * row)}m${below}▀`
    })
    return `${cells.join('')}\x1b[0m`
  })
}
