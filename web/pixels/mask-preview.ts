// Mask logits as grey maps: what the page draws, and small pictures of them. A byte above one half is inside; bytes are
// steep around the edge, so that interpolating them puts it where interpolating the logits would.

import type { Image, Rgb } from '../../src/index.ts'
import type { MaskPreview } from '../common/protocol.ts'
import { contextOf } from './context.ts'
import { copyRgb, viewOf } from './pixels.ts'

/** Grey levels a logit; those beyond four are saturated. */
const STEEPNESS = 32

/**
 * A preview of logits, row-major.
 *
 * @param scale from the image's [0, 1] to the part of the map that holds it
 */
export function previewOfLogits(
  logits: Float32Array,
  width: number,
  height: number,
  scale: MaskPreview['scale'],
): MaskPreview {
  const values = viewOf(logits)
  const data = new Uint8Array(width * height)
  for (let i = 0; i < data.length; i++) {
    const logit = values.getFloat32(4 * i, true)
    data[i] = Math.min(255, Math.max(0, Math.round(127.5 + STEEPNESS * logit)))
  }
  return { width, height, data, scale }
}

/** A preview of a mask of zeros and ones. */
export function previewOfBits(
  bits: ArrayLike<number>,
  width: number,
  height: number,
  scale: MaskPreview['scale'] = [1, 1],
): MaskPreview {
  const data = new Uint8Array(width * height)
  for (let i = 0; i < data.length; i++) data[i] = bits[i] ? 255 : 0
  return { width, height, data, scale }
}

/** A small picture, as a file: the image pale but for what the mask holds, and that in colour. */
export function previewPicture(small: Image, preview: MaskPreview, colour: Rgb): Blob {
  const { width, height } = small
  const source = viewOf(small.rgb)
  const rgb = new Uint8Array(small.rgb.length)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const inside = insideOf(preview, (x + 0.5) / width, (y + 0.5) / height)
      const grey = 0.3 * source.getUint8(i) + 0.6 * source.getUint8(i + 1) + 0.1 * source.getUint8(i + 2)
      for (const [c, level] of colour.entries()) {
        const value = source.getUint8(i + c)
        rgb[i + c] = inside ? 0.5 * value + 0.5 * level : 100 + 0.45 * (0.4 * value + 0.6 * grey)
      }
    }
  }
  return bmp({ width, height, rgb })
}

/**
 * A BMP: nothing is compressed, so it costs nothing to write. Bitmaps would have to be drawn on canvases of the page,
 * and making a dozen of those waited 240 ms for the GPU's process (Chromium 147, two cores); it decodes images aside.
 */
function bmp({ width, height, rgb }: Image): Blob {
  const stride = Math.ceil((3 * width) / 4) * 4
  const bytes = new Uint8Array(54 + stride * height)
  const view = new DataView(bytes.buffer)
  bytes.set([0x42, 0x4d]) // BM
  view.setUint32(2, bytes.length, true)
  view.setUint32(10, 54, true) // where the pixels begin
  view.setUint32(14, 40, true) // of the header that follows
  view.setInt32(18, width, true)
  view.setInt32(22, -height, true) // rows from the top
  view.setUint16(26, 1, true)
  view.setUint16(28, 24, true)
  const pixels = viewOf(rgb)
  for (let y = 0, from = 0; y < height; y++) {
    let to = 54 + y * stride
    for (let x = 0; x < width; x++, from += 3) {
      bytes[to++] = pixels.getUint8(from + 2)
      bytes[to++] = pixels.getUint8(from + 1)
      bytes[to++] = pixels.getUint8(from)
    }
  }
  return new Blob([bytes], { type: 'image/bmp' })
}

/** True if the place (u, v) of the image, each in [0, 1], is inside of the mask. */
export function insideOf(preview: MaskPreview, u: number, v: number): boolean {
  return sample(preview, u, v) > 127.5
}

/** Bilinear, at a place in the image's [0, 1]. */
function sample({ width, height, data, scale }: MaskPreview, u: number, v: number): number {
  const x = Math.min(Math.max(u * scale[0] * width - 0.5, 0), width - 1)
  const y = Math.min(Math.max(v * scale[1] * height - 0.5, 0), height - 1)
  const [left, top] = [Math.floor(x), Math.floor(y)]
  const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)]
  const values = viewOf(data)
  const at = (column: number, row: number): number => values.getUint8(row * width + column)
  const above = at(left, top) + (x - left) * (at(right, top) - at(left, top))
  const below = at(left, bottom) + (x - left) * (at(right, bottom) - at(left, bottom))
  return above + (y - top) * (below - above)
}

/** The image within `side` pixels per side, resized by the browser. */
export function smallImage(bitmap: ImageBitmap, side: number): Image {
  const factor = side / Math.max(bitmap.width, bitmap.height)
  const width = Math.max(1, Math.round(bitmap.width * factor))
  const height = Math.max(1, Math.round(bitmap.height * factor))
  const canvas = new OffscreenCanvas(width, height)
  const context = contextOf(canvas, { willReadFrequently: true })
  context.imageSmoothingQuality = 'high'
  context.drawImage(bitmap, 0, 0, width, height)
  const rgb = new Uint8Array(width * height * 3)
  copyRgb(context.getImageData(0, 0, width, height).data, rgb, 0)
  return { width, height, rgb }
}
