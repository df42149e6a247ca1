// A region on the model's canvas, where it is sampled, and back (spec of the tasks, 4.2, 4.3 and 4.5). Masks go there
// as Pillow resizes them, to the nearest pixel; as that only picks pixels, gestures are drawn where they arrive.

import { entryOf } from '../../check.ts'
import type { Size } from '../../io/image/image-kind.ts'
import { viewOf } from '../../view.ts'
import type { RegionConfig } from '../checkpoint/task-config.ts'
import { shuffled } from './categories.ts'
import type { GestureShape } from './region.ts'

/** A region on the part of the canvas that holds the image. */
export interface FramedRegion {
  /** [height, width] of that part. */
  readonly scaled: readonly [height: number, width: number]
  /** [height, width]: 1 inside, 0 outside. */
  readonly inside: Uint8Array
}

/**
 * Draws a region on the canvas. A small one that no pixel of the canvas picks gets the pixel that its middle is in.
 *
 * @param scaled [height, width] of the part of the canvas that holds the image
 */
export function frameRegion(
  gestures: readonly GestureShape[],
  image: Size,
  scaled: readonly [height: number, width: number],
): FramedRegion {
  const [height, width] = scaled
  const rows = nearestPixels(image.height, height)
  const columns = nearestPixels(image.width, width)
  const inside = new Uint8Array(height * width)
  const firstColumn = firstPicks(columns, image.width)
  for (const { rowSpan, mask } of gestures) {
    for (const [i, y] of rows.entries()) {
      const span = rowSpan?.(y)
      if (span)
        inside.fill(1, i * width + entryOf(firstColumn, span[0]), i * width + entryOf(firstColumn, span[1]))
      if (!mask) continue
      for (const [j, x] of columns.entries()) {
        if (mask.data[y * image.width + x] !== 0) inside[i * width + j] = 1
      }
    }
  }
  if (!inside.includes(1)) inside[middleOf(gestures, image, scaled)] = 1
  return { scaled, inside }
}

/** The first pick that is not before each pixel of the image's axis, and before its end. */
function firstPicks(picked: readonly number[], count: number): number[] {
  let j = 0
  return Array.from({ length: count + 1 }, (_, x) => {
    while (j < picked.length && entryOf(picked, j) < x) j++
    return j
  })
}

/** The pixel of the canvas that the mean of the gestures' middles is in. */
function middleOf(
  gestures: readonly GestureShape[],
  image: Size,
  [height, width]: readonly [number, number],
): number {
  const mean = (axis: 0 | 1): number =>
    gestures.reduce((sum, { centre }) => sum + centre[axis], 0) / gestures.length
  const column = Math.min(width - 1, Math.floor((mean(0) / image.width) * width))
  const row = Math.min(height - 1, Math.floor((mean(1) / image.height) * height))
  return row * width + column
}

/**
 * The pixels that Pillow's NEAREST picks when it resizes an axis of `from` pixels to `to`. Places are a running sum, as
 * there: the formula (i + 0.5) * from / to gives others, by rounding.
 */
export function nearestPixels(from: number, to: number): number[] {
  const step = from / to
  let place = step / 2
  return Array.from({ length: to }, () => {
    const pixel = Math.min(Math.trunc(place), from - 1)
    place += step
    return pixel
  })
}

/** The pixels that PyTorch's nearest picks, where the factor and the product are float32. */
export function nearestPixelsBack(from: number, to: number): number[] {
  const factor = Math.fround(from / to)
  return Array.from({ length: to }, (_, i) => Math.min(Math.floor(Math.fround(i * factor)), from - 1))
}

/** A region brought back to the image's own pixels: 1 inside, 0 outside, [height, width]. */
export function regionPixels({ scaled, inside }: FramedRegion, image: Size): Uint8Array {
  const [height, width] = scaled
  const rows = nearestPixelsBack(height, image.height)
  const columns = nearestPixelsBack(width, image.width)
  const source = viewOf(inside)
  const pixels = new Uint8Array(image.height * image.width)
  let at = 0
  for (const row of rows) {
    const start = row * width
    for (const column of columns) pixels[at++] = source.getUint8(start + column)
  }
  return pixels
}

/**
 * The points where a region is sampled: [points, 2] as (x, y) in cells of the map of SAM's tokens, corner to corner.
 *
 * X-SAM draws them at random from the region's pixels; here they are spread evenly, in the order of the rows: of n
 * pixels the i-th point is number floor((i + 0.5) n / points), or i modulo n where there are fewer pixels than points.
 * A maximum over all of so few pixels is exactly X-SAM's.
 *
 * @param canvas its side in pixels
 * @param side   of the map, in cells
 * @param seed   draws them at random instead, each pixel once as far as there are enough
 */
export function samplePoints(
  { scaled, inside }: FramedRegion,
  { points }: Pick<RegionConfig, 'points'>,
  canvas: number,
  side: number,
  seed?: number,
): Float32Array<ArrayBuffer> {
  const [, width] = scaled
  const pixels: number[] = []
  for (let at = inside.indexOf(1); at >= 0; at = inside.indexOf(1, at + 1)) pixels.push(at)
  const n = pixels.length
  const isSpread = seed === undefined && n > points
  const order = seed === undefined ? pixels : shuffled(pixels, seed)
  const places = new Float32Array(2 * points)
  for (let i = 0; i < points; i++) {
    const pixel = entryOf(order, isSpread ? Math.floor(((i + 0.5) * n) / points) : i % n)
    places[2 * i] = ((pixel % width) / canvas) * (side - 1)
    places[2 * i + 1] = (Math.floor(pixel / width) / canvas) * (side - 1)
  }
  return places
}
