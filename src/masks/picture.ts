// Pictures of answers: a mask drawn over its image, boxes, and small pictures from large ones.

import { describe, expectFinite } from '../check.ts'
import { ImageError, MaskError, UsageError } from '../errors.ts'
import type { Image } from '../io/image/image.ts'
import { expectOptions, FLAG, type OptionKinds } from '../options.ts'
import { viewOf } from '../view.ts'
import { expectMask, expectPixels, type Mask, type MaskPixels } from './mask.ts'

/** Red, green and blue, from 0 to 255. */
export type Rgb = readonly [number, number, number]

/** A rectangle in pixels, [x0, y0, x1, y1) with y down: x1 and y1 are just outside. */
export type Box = readonly [number, number, number, number]

const WHITE: Rgb = [255, 255, 255]

/** Colours to mark with; the one least like the object is taken. */
const MARKERS: readonly Rgb[] = [
  [255, 0, 110],
  [0, 180, 255],
  [255, 190, 0],
  [60, 220, 60],
]

const TINT = 0.4

/**
 * A copy of the image with the object tinted and outlined: `colour` inside of its edge, white outside.
 *
 * @param mask   as large as the image
 * @param colour by default the one of four that differs most from the object's mean colour
 */
export function overlay(image: Image, mask: Mask, colour?: Rgb): Image {
  expectDrawing('overlay', image, mask, colour)
  const picture = copy(image)
  const marker = colour ?? markerFor(image, mask)
  tint(picture, mask, marker, TINT)
  outline(picture, mask, marker)
  return picture
}

/** A copy with pixels of its own. */
export function copy({ width, height, rgb }: Image): Image {
  return { width, height, rgb: rgb.slice() }
}

/** Mixes a colour into the masked pixels, in place. @param share from 0, the pixel stays as it is, to 1 */
export function tint(image: Image, mask: Mask, colour: Rgb, share: number): void {
  expectDrawing('tint', image, mask, colour)
  expectFinite('tint', 'the share', share, 0)
  if (share > 1) throw new UsageError(`tint: the share is ${share}, expected at most 1.`)
  const pixels = viewOf(image.rgb)
  const mixed = (at: number, level: number): number =>
    Math.round(pixels.getUint8(at) * (1 - share) + level * share)
  const [r, g, b] = colour
  const { data } = mask
  for (let i = 0; i < data.length; i++) {
    if (!data[i]) continue
    const at = 3 * i
    image.rgb[at] = mixed(at, r)
    image.rgb[at + 1] = mixed(at + 1, g)
    image.rgb[at + 2] = mixed(at + 2, b)
  }
}

/**
 * Draws two lines along the edge of the mask, in place: `colour` inside and `around` outside, so that one of them shows
 * on any background. Each is a pixel wide, and one more per 800 pixels of the image's longer side.
 */
export function outline(picture: Image, mask: Mask, colour: Rgb, around: Rgb = WHITE): void {
  expectDrawing('outline', picture, mask, colour)
  expectColour('outline', around)
  const { width, height, data } = mask
  const thickness = Math.max(1, Math.round(Math.max(width, height) / 800))
  const inside = edge(data, width, height, 1, thickness)
  const outside = edge(data, width, height, 0, thickness)
  for (const i of inside) picture.rgb.set(colour, 3 * i)
  for (const i of outside) picture.rgb.set(around, 3 * i)
}

/** Pixels of one side of the mask that lie within `thickness` of the other. The image's border is no edge. */
function edge(data: Uint8Array, width: number, height: number, side: 0 | 1, thickness: number): number[] {
  const isOther = (i: number): boolean => data[i] !== side
  let ring: number[] = []
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (isOther(i)) continue
      const besides = (x > 0 && isOther(i - 1)) || (x < width - 1 && isOther(i + 1))
      if (besides || (y > 0 && isOther(i - width)) || (y < height - 1 && isOther(i + width))) ring.push(i)
    }
  }
  const edge = new Set(ring)
  for (let step = 1; step < thickness; step++) {
    const next: number[] = []
    for (const i of ring) {
      const x = i % width
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          // Every other ring takes corners along, which makes them nearly round
          if (step % 2 === 0 && dx !== 0 && dy !== 0) continue
          const j = i + dy * width + dx
          if (x + dx < 0 || x + dx >= width || data[j] !== side || edge.has(j)) continue
          edge.add(j)
          next.push(j)
        }
      }
    }
    ring = next
  }
  return [...edge]
}

/** The marker colour that differs most from what is inside of the mask. */
function markerFor(image: Image, mask: Mask): Rgb {
  const [r, g, b] = meanInside(image, mask)
  const distance = ([red, green, blue]: Rgb): number => Math.hypot(red - r, green - g, blue - b)
  return MARKERS.reduce((best, colour) => (distance(colour) > distance(best) ? colour : best))
}

function meanInside({ rgb }: Image, { data, area }: Mask): Rgb {
  const pixels = viewOf(rgb)
  let [r, g, b] = [0, 0, 0]
  for (let i = 0; i < data.length; i++) {
    if (!data[i]) continue
    r += pixels.getUint8(3 * i) / area
    g += pixels.getUint8(3 * i + 1) / area
    b += pixels.getUint8(3 * i + 2) / area
  }
  return [r, g, b]
}

/** The smallest box around the mask, or null when it is empty. */
export function boxOf(mask: MaskPixels): Box | null {
  expectMask('boxOf', mask)
  const { width, height, data } = mask
  let [x0, y0, x1, y1] = [width, height, 0, 0]
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!data[y * width + x]) continue
      if (x < x0) x0 = x
      if (x >= x1) x1 = x + 1
      if (y < y0) y0 = y
      y1 = y + 1
    }
  }
  return x1 > 0 ? [x0, y0, x1, y1] : null
}

/** Options of {@link cutOut}. */
export interface CutOutOptions {
  /** Crop the picture to the mask's box (true, the default), or keep the image's size (false). */
  readonly crop?: boolean | undefined
}

const CUT_OUT_KINDS: OptionKinds<CutOutOptions> = { crop: FLAG }

/** The pixels inside of a mask, on a transparent ground. */
export interface CutOut {
  /** Width in pixels. */
  readonly width: number
  /** Height in pixels. */
  readonly height: number
  /** [height, width, 4]; transparent pixels are black. */
  readonly rgba: Uint8Array
  /** The part of the image that it shows. */
  readonly box: Box
}

/**
 * Cuts an object out: a picture for encodePng.
 *
 * @param mask as large as the image
 * @throws MaskError if the mask is empty and the picture would be cropped to it
 */
export function cutOut(image: Image, mask: MaskPixels, options: CutOutOptions = {}): CutOut {
  expectDrawing('cutOut', image, mask, undefined)
  expectOptions('cutOut', options, CUT_OUT_KINDS)
  const box = options.crop === false ? ([0, 0, image.width, image.height] as const) : boxOf(mask)
  if (box === null) {
    throw new MaskError(
      'cutOut: the mask is empty: there is nothing to cut out. Ask with { crop: false }, or not at all.',
    )
  }
  const [x0, y0, x1, y1] = box
  const [width, height] = [x1 - x0, y1 - y0]
  const pixels = viewOf(image.rgb)
  const rgba = new Uint8Array(width * height * 4)
  for (let y = y0, to = 0; y < y1; y++) {
    for (let x = x0; x < x1; x++, to += 4) {
      const i = y * image.width + x
      if (!mask.data[i]) continue
      for (let c = 0; c < 3; c++) rgba[to + c] = pixels.getUint8(3 * i + c)
      rgba[to + 3] = 255
    }
  }
  return { width, height, rgba, box }
}

/** Another size: every pixel is the mean of the source pixels under it. */
export function scale(image: Image, width: number, height: number): Image {
  if (width === image.width && height === image.height) return image
  const source = viewOf(image.rgb)
  const rgb = new Uint8Array(width * height * 3)
  const [stepX, stepY] = [image.width / width, image.height / height]
  for (let y = 0; y < height; y++) {
    const [top, bottom] = span(y, stepY)
    for (let x = 0; x < width; x++) {
      const [left, right] = span(x, stepX)
      let [r, g, b] = [0, 0, 0]
      for (let v = top; v < bottom; v++) {
        for (let u = left; u < right; u++) {
          const at = 3 * (v * image.width + u)
          r += source.getUint8(at)
          g += source.getUint8(at + 1)
          b += source.getUint8(at + 2)
        }
      }
      const pixels = (bottom - top) * (right - left)
      const at = 3 * (y * width + x)
      rgb[at] = Math.round(r / pixels)
      rgb[at + 1] = Math.round(g / pixels)
      rgb[at + 2] = Math.round(b / pixels)
    }
  }
  return { width, height, rgb }
}

function span(at: number, step: number): [begin: number, end: number] {
  const begin = Math.floor(at * step)
  return [begin, Math.max(begin + 1, Math.floor((at + 1) * step))]
}

/** The largest size of the same shape within a box; never larger than the image, unless asked for. */
export function fit(
  { width, height }: { readonly width: number; readonly height: number },
  most: readonly [width: number, height: number],
  mayGrow = false,
): { width: number; height: number } {
  const factor = Math.min(most[0] / width, most[1] / height, mayGrow ? Number.POSITIVE_INFINITY : 1)
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) }
}

// ---------------------------------------------------------------------------------------------------------
// Arguments, which callers in JavaScript may have put together by hand

function expectDrawing(call: string, image: unknown, mask: unknown, colour: unknown): void {
  const { width, height } = expectPixels(call, 'the image', image, 'rgb', 3)
  const of = expectMask(call, mask)
  if (of.width !== width || of.height !== height) {
    throw new ImageError(
      `${call}: the image is ${width} x ${height} pixels, the mask ${of.width} x ${of.height}: they must be of one size.`,
    )
  }
  if (colour !== undefined) expectColour(call, colour)
}

function expectColour(call: string, colour: unknown): void {
  const isByte = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= 255
  if (Array.isArray(colour) && colour.length === 3 && colour.every(isByte)) return
  throw new UsageError(
    `${call}: the colour is ${describe(colour)}, expected [red, green, blue], each from 0 to 255.`,
  )
}
