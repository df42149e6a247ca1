// Several objects on one picture: each in a colour of its own, and below the picture what the colours stand for.

import { entryOf } from '../../check.ts'
import type { Image } from '../../io/image/image.ts'
import { colourOf } from '../../masks/colours.ts'
import type { Mask } from '../../masks/mask.ts'
import { copy, outline, type Rgb, tint } from '../../masks/picture.ts'
import { LINE, textWidth, write } from './font.ts'

/** An object of a picture. */
export interface Labelled {
  /** In the size of the picture. */
  readonly mask: Mask
  /** A few words: 'person 0.93'. */
  readonly label: string
  /** The number of its colour; by default its place in the list. */
  readonly colour?: number
}

const TINT = 0.45
const PAPER: Rgb = [24, 24, 27]
const INK: Rgb = [244, 244, 245]
/** Pixels around the labels, and the side of a swatch. */
const MARGIN = 6
const SWATCH = 7
const GAP = 4
/** The longest label, in characters: what is longer is cut. */
const LONGEST = 40

/** The image with its objects tinted and outlined, the first on top, and a legend below. Without objects, a copy. */
export function legend(image: Image, objects: readonly Labelled[]): Image {
  const picture = copy(image)
  const colours = objects.map(({ colour }, k) => colourOf(colour ?? k))
  const fromBelow = [...objects.entries()].toReversed()
  for (const [k, { mask }] of fromBelow) tint(picture, mask, entryOf(colours, k), TINT)
  for (const [k, { mask }] of fromBelow) outline(picture, mask, entryOf(colours, k))
  if (objects.length === 0) return picture

  // As large as can be read beside the picture: the font has 7 pixels
  const zoom = Math.max(1, Math.round(Math.max(image.width, image.height) / 700))
  const strip = labels(objects, colours, Math.max(1, Math.ceil(image.width / zoom)))
  return under(picture, strip, zoom)
}

/** The labels in rows, each behind a swatch of its colour. An object with a label that was there already adds none. */
function labels(objects: readonly Labelled[], colours: readonly Rgb[], width: number): Image {
  const seen = new Set<string>()
  const placed: { label: string; colour: Rgb; x: number; y: number }[] = []
  let [x, y] = [MARGIN, MARGIN]
  for (const [k, { label }] of objects.entries()) {
    const colour = entryOf(colours, k)
    const shown = label.length > LONGEST ? `${label.slice(0, LONGEST - 2)}..` : label
    const key = `${shown} ${colour.join()}`
    if (seen.has(key)) continue
    seen.add(key)
    const wide = SWATCH + GAP + textWidth(shown)
    if (x > MARGIN && x + wide > width - MARGIN) [x, y] = [MARGIN, y + LINE]
    placed.push({ label: shown, colour, x, y })
    x += wide + 2 * MARGIN
  }
  const height = y + LINE + MARGIN - (LINE - SWATCH) / 2
  const strip = filled(width, Math.ceil(height), PAPER)
  for (const { label, colour, x, y } of placed) {
    for (let dy = 0; dy < SWATCH; dy++) {
      for (let dx = 0; dx < SWATCH && x + dx < width; dx++) {
        strip.rgb.set(colour, 3 * ((y + dy) * width + x + dx))
      }
    }
    const left = x + SWATCH + GAP
    if (left < width) write(strip, left, y, label, INK, width - left)
  }
  return strip
}

function filled(width: number, height: number, colour: Rgb): Image {
  const rgb = new Uint8Array(3 * width * height)
  for (let i = 0; i < rgb.length; i += 3) rgb.set(colour, i)
  return { width, height, rgb }
}

/** The strip, `zoom` times as large, below the picture and as wide as it is. */
function under({ width, height, rgb }: Image, strip: Image, zoom: number): Image {
  const more = strip.height * zoom
  const all = new Uint8Array(3 * width * (height + more))
  all.set(rgb)
  for (let y = 0; y < more; y++) {
    const row = strip.width * Math.floor(y / zoom)
    for (let x = 0; x < width; x++) {
      const at = 3 * (row + Math.min(strip.width - 1, Math.floor(x / zoom)))
      all.set(strip.rgb.subarray(at, at + 3), 3 * ((height + y) * width + x))
    }
  }
  return { width, height: height + more, rgb: all }
}
