// Mask logits as grey maps: what the page draws, and small pictures of them. A byte above one half is inside; bytes are
// steep around the edge, so that interpolating them puts it where interpolating the logits would.

import type { Rgb } from '../src/cli/picture.ts'
import type { Image } from '../src/index.ts'
import { rgbaOf } from './decode.ts'
import type { Soft } from './protocol.ts'

/** Grey levels a logit; those beyond four are saturated. */
const STEEPNESS = 32

/** @param scale from the image's [0, 1] to the part of the map that holds it */
export function softLogits(
  logits: Float32Array,
  width: number,
  height: number,
  scale: Soft['scale'],
): Soft {
  const data = new Uint8Array(width * height)
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.min(255, Math.max(0, Math.round(127.5 + STEEPNESS * logits[i]!)))
  }
  return { width, height, data, scale }
}

/** Of zeros and ones. */
export function softBits(
  bits: ArrayLike<number>,
  width: number,
  height: number,
  scale: Soft['scale'] = [1, 1],
): Soft {
  const data = new Uint8Array(width * height)
  for (let i = 0; i < data.length; i++) data[i] = bits[i] ? 255 : 0
  return { width, height, data, scale }
}

/** A small picture: the image pale but for what the mask holds, and that in colour. */
export function softPicture(small: Image, soft: Soft, colour: Rgb): ImageBitmap {
  const { width, height } = small
  const rgba = rgbaOf(small.rgb)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) {
      const inside = sample(soft, (x + 0.5) / width, (y + 0.5) / height) > 127.5
      const grey = 0.3 * rgba[i]! + 0.6 * rgba[i + 1]! + 0.1 * rgba[i + 2]!
      for (let c = 0; c < 3; c++) {
        const value = rgba[i + c]!
        rgba[i + c] = inside ? 0.5 * value + 0.5 * colour[c]! : 150 + 0.35 * (0.3 * value + 0.7 * grey)
      }
    }
  }
  const canvas = new OffscreenCanvas(width, height)
  canvas.getContext('2d')!.putImageData(new ImageData(rgba, width, height), 0, 0)
  return canvas.transferToImageBitmap()
}

/** Bilinear, at a place in the image's [0, 1]. */
function sample({ width, height, data, scale }: Soft, u: number, v: number): number {
  const x = Math.min(Math.max(u * scale[0] * width - 0.5, 0), width - 1)
  const y = Math.min(Math.max(v * scale[1] * height - 0.5, 0), height - 1)
  const [left, top] = [Math.floor(x), Math.floor(y)]
  const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)]
  const at = (column: number, row: number): number => data[row * width + column]!
  const above = at(left, top) + (x - left) * (at(right, top) - at(left, top))
  const below = at(left, bottom) + (x - left) * (at(right, bottom) - at(left, bottom))
  return above + (y - top) * (below - above)
}

/** The image within `side` pixels a side, resized by the browser. */
export function smallImage(bitmap: ImageBitmap, side: number): Image {
  const factor = side / Math.max(bitmap.width, bitmap.height)
  const width = Math.max(1, Math.round(bitmap.width * factor))
  const height = Math.max(1, Math.round(bitmap.height * factor))
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d', { willReadFrequently: true })!
  context.imageSmoothingQuality = 'high'
  context.drawImage(bitmap, 0, 0, width, height)
  const { data } = context.getImageData(0, 0, width, height)
  const rgb = new Uint8Array(width * height * 3)
  for (let from = 0, to = 0; from < data.length; from += 4) {
    rgb[to++] = data[from]!
    rgb[to++] = data[from + 1]!
    rgb[to++] = data[from + 2]!
  }
  return { width, height, rgb }
}
