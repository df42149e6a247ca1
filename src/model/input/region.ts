// A region is what a user points at: a click, a box, a line drawn over an object, or its pixels. The gestures are
// checked here, and become the rows of pixels that they cover (spec of the tasks, 4.1).
//
// X-SAM was trained on regions of drawn masks: a point is a disc of radius 10, a scribble a line of radius 5, in images
// whose longer side is about 640 pixels. In images of other sizes the radii grow along, so that they are always the
// same on the model's canvas.

import { describe, expectNames, namesOf, tagOf } from '../../check.ts'
import { UsageError } from '../../errors.ts'
import type { Size } from '../../io/image/image-kind.ts'
import type { Point } from '../../masks/polygon.ts'

/** The pixels of a region: those that aren't 0. A Mask of an answer is one. */
export interface RegionMask {
  /** Width in pixels, which must be the image's. */
  readonly width: number
  /** Height in pixels, which must be the image's. */
  readonly height: number
  /** [height, width], row-major. */
  readonly data: Uint8Array | Uint8ClampedArray
}

/** The region that a user pointed at. Several gestures make one region, which is all that they cover. */
export interface Region {
  /** A click on the object, or several clicks on it. */
  readonly point?: Point | readonly Point[] | undefined
  /** A rectangle around the object, [left, top, right, bottom], as `boxOf` has it. */
  readonly box?: readonly [number, number, number, number] | undefined
  /** A line drawn over the object, by the points that it goes through. */
  readonly scribble?: readonly Point[] | undefined
  /** The object's pixels, in a mask of the image's size. */
  readonly mask?: RegionMask | undefined
}

/** A gesture as a shape that covers pixels of the image. */
export interface GestureShape {
  /** Its pixels in a row of the image: from column `begin` on, `end` not included; undefined if there are none. */
  readonly rowSpan?: (y: number) => readonly [begin: number, end: number] | undefined
  /** A mask, instead of a shape. */
  readonly mask?: RegionMask
  /** Its middle, in the image's coordinates. */
  readonly centre: Point
}

/** A region that was checked. */
export interface Gestures {
  /** One or more; their union is the region. */
  readonly gestures: readonly GestureShape[]
  /** The pixels that were clicked, [x, y]. */
  readonly clicks: readonly Point[]
}

const NAMES = namesOf<Region>({ point: true, box: true, scribble: true, mask: true })
/** The longer side of the images that X-SAM was trained on, in pixels, and the radii of its gestures there. */
const TRAINED_SIDE = 640
const POINT_RADIUS = 10
const SCRIBBLE_RADIUS = 5
/** Points of a gesture, at most: an hour of drawing. */
const MOST_POINTS = 10_000

/**
 * Checks a region and takes what it needs of it: nothing that the caller changes later matters.
 *
 * @param what for messages: 'segmentRegion', or 'segmentRegion: region 3'
 * @throws UsageError naming the gesture and what is wrong with it
 */
export function gesturesOf(what: string, region: Region, image: Size): Gestures {
  expectNames(what, region, NAMES)
  const { point, box, scribble, mask } = region
  const unit = Math.max(image.width, image.height) / TRAINED_SIDE
  const clicks = point === undefined ? [] : clicksOf(`${what}: point`, point, image)
  const gestures: GestureShape[] = clicks.map(([x, y]) =>
    disc([x, y], Math.max(1, POINT_RADIUS * unit), image),
  )
  if (box !== undefined) gestures.push(rectangle(`${what}: box`, box, image))
  if (scribble !== undefined) {
    gestures.push(...strokes(`${what}: scribble`, scribble, Math.max(1, SCRIBBLE_RADIUS * unit), image))
  }
  if (mask !== undefined) gestures.push(pixelsOf(`${what}: mask`, mask, image))
  if (gestures.length === 0) {
    throw new UsageError(
      `${what}: the region is empty. Give a point: [x, y], a box: [left, top, right, bottom], ` +
        'a scribble: [[x, y], ...] or a mask.',
    )
  }
  return { gestures, clicks }
}

// ---------------------------------------------------------------------------------------------------------
// Gestures

/** The pixels that were clicked. */
function clicksOf(what: string, point: Point | readonly Point[], image: Size): Point[] {
  const isList = Array.isArray(point) && (point.length === 0 || Array.isArray(point[0]))
  const points = pointsOf(what, isList ? point : [point])
  return points.map(([x, y]) => {
    if (isInside([x, y], image)) return [Math.floor(x), Math.floor(y)]
    throw new UsageError(
      `${what} is [${x}, ${y}], outside of the image: x is from 0 up to ${image.width}, y up to ${image.height}, ` +
        'in pixels of the image.',
    )
  })
}

/** All pixels whose distance to one of them is at most the radius. */
function disc([x, y]: Point, radius: number, image: Size): GestureShape {
  return { rowSpan: capsule([x, y], [x, y], radius, image), centre: [x + 0.5, y + 0.5] }
}

/** The pixels whose centres are inside; of a box between centres, the one that its middle is in. */
function rectangle(what: string, box: unknown, image: Size): GestureShape {
  if (!Array.isArray(box) || box.length !== 4) {
    throw new UsageError(`${what} is ${describe(box)}, expected [left, top, right, bottom].`)
  }
  if (!box.every(Number.isFinite)) {
    throw new UsageError(`${what} is ${describe(box)}, expected four finite numbers.`)
  }
  const [left, top, right, bottom] = box as [number, number, number, number]
  if (!(left < right && top < bottom)) {
    const isEmpty = left === right || top === bottom
    throw new UsageError(
      `${what} is [${box.join(', ')}], ${isEmpty ? 'without any area' : 'upside down'}: ` +
        'expected [left, top, right, bottom] with left < right and top < bottom.',
    )
  }
  const { width, height } = image
  if (left >= width || top >= height || right <= 0 || bottom <= 0) {
    throw new UsageError(
      `${what} is [${box.join(', ')}], outside of the image, which has ${width} x ${height} pixels.`,
    )
  }
  const [x0, x1] = centresIn(left, right, width)
  const [y0, y1] = centresIn(top, bottom, height)
  return {
    rowSpan: (y) => (y >= y0 && y < y1 ? [x0, x1] : undefined),
    centre: [(x0 + x1) / 2, (y0 + y1) / 2],
  }
}

/** The pixels, of the `count` of an axis, whose centres are from `low` on and before `high`; at least one. */
function centresIn(low: number, high: number, count: number): [begin: number, end: number] {
  const [from, to] = [Math.max(0, low), Math.min(count, high)]
  const [begin, end] = [Math.ceil(from - 0.5), Math.ceil(to - 0.5)]
  if (begin < end) return [begin, end]
  const middle = Math.min(count - 1, Math.floor((from + to) / 2))
  return [middle, middle + 1]
}

/** A thick line from each pixel of a scribble to the next. It may leave the image, but must touch it. */
function strokes(what: string, scribble: unknown, radius: number, image: Size): GestureShape[] {
  const points = pointsOf(what, scribble)
  if (!points.some((point) => isInside(point, image))) {
    throw new UsageError(
      `${what} has no point inside of the image, which has ${image.width} x ${image.height} pixels.`,
    )
  }
  const pixels = points.map(([x, y]): Point => [Math.floor(x), Math.floor(y)])
  const inside = points.filter((point) => isInside(point, image))
  const mean = (axis: 0 | 1): number => inside.reduce((sum, point) => sum + point[axis], 0) / inside.length
  const centre: Point = [mean(0), mean(1)]
  const [first = [0, 0]] = pixels
  const lines =
    pixels.length === 1
      ? [[first, first] as const]
      : pixels.slice(1).map((to, i) => [pixels[i] ?? to, to] as const)
  return lines.map(([from, to]) => ({ rowSpan: capsule(from, to, radius, image), centre }))
}

/** The pixels of a mask, which is copied. */
function pixelsOf(what: string, mask: unknown, image: Size): GestureShape {
  const wanted = 'an object with width, height and data, a Uint8Array of a byte per pixel'
  if (typeof mask !== 'object' || mask === null || !('data' in mask)) {
    throw new UsageError(`${what} is ${describe(mask)}, expected ${wanted}.`)
  }
  const { width, height, data } = mask as Record<string, unknown>
  if (!isBytes(data)) throw new UsageError(`${what}: data is ${describe(data)}, expected ${wanted}.`)
  if (width !== image.width || height !== image.height) {
    throw new UsageError(
      `${what} is ${describe(width)} x ${describe(height)} pixels, but the image is ${image.width} x ${image.height}: ` +
        'give a mask of the image, pixel by pixel.',
    )
  }
  if (data.length !== width * height) {
    throw new UsageError(
      `${what} has ${data.length} bytes, expected one per pixel: ${width} x ${height} = ${width * height}.`,
    )
  }
  let [count, sumX, sumY] = [0, 0, 0]
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (data[i] === 0) continue
      count++
      sumX += x
      sumY += y
    }
  }
  if (count === 0) throw new UsageError(`${what} is empty: all of its pixels are 0. Mark some of them.`)
  const copy = { width, height, data: new Uint8Array(data) }
  return { mask: copy, centre: [sumX / count + 0.5, sumY / count + 0.5] }
}

// ---------------------------------------------------------------------------------------------------------

/** Points that are finite; at least one. */
function pointsOf(what: string, points: unknown): Point[] {
  if (!Array.isArray(points) || points.length === 0) {
    throw new UsageError(`${what} is ${describe(points)}, expected points [x, y], at least one.`)
  }
  if (points.length > MOST_POINTS) {
    throw new UsageError(
      `${what} has ${points.length} points, expected at most ${MOST_POINTS}. Leave some out.`,
    )
  }
  return points.map((point: unknown): Point => {
    if (!Array.isArray(point) || point.length !== 2 || !point.every(Number.isFinite)) {
      throw new UsageError(`${what} is ${describe(point)}, expected [x, y], two finite numbers.`)
    }
    return [point[0], point[1]]
  })
}

function isInside([x, y]: Point, { width, height }: Size): boolean {
  return x >= 0 && y >= 0 && x < width && y < height
}

/** True of bytes of any realm. */
function isBytes(value: unknown): value is Uint8Array | Uint8ClampedArray {
  return ['Uint8Array', 'Uint8ClampedArray'].includes(tagOf(value))
}

/**
 * Pixels within a radius of the line between two pixels' centres, row by row. A capsule is convex, so that a row has
 * one run of them: it spans what the discs at both ends have there, and where the line's own sides are.
 */
function capsule(
  [x0, y0]: Point,
  [x1, y1]: Point,
  radius: number,
  { width }: Size,
): (y: number) => readonly [number, number] | undefined {
  const [dx, dy] = [x1 - x0, y1 - y0]
  const length = Math.hypot(dx, dy)
  return (y) => {
    if (y < Math.min(y0, y1) - radius || y > Math.max(y0, y1) + radius) return undefined
    let [low, high] = [Infinity, -Infinity]
    const reach = (x: number): void => {
      low = Math.min(low, x)
      high = Math.max(high, x)
    }
    for (const [x, centre] of [
      [x0, y0],
      [x1, y1],
    ] as const) {
      const half = radius ** 2 - (y - centre) ** 2
      if (half < 0) continue
      reach(x - Math.sqrt(half))
      reach(x + Math.sqrt(half))
    }
    // The sides of the strip between the ends, where this row meets them
    if (length > 0) {
      const [nx, ny] = [(-dy / length) * radius, (dx / length) * radius]
      for (const side of [1, -1]) {
        const along = dy === 0 ? Number.NaN : (y - y0 - side * ny) / dy
        if (along >= 0 && along <= 1) reach(x0 + side * nx + along * dx)
      }
    }
    const [begin, end] = [Math.max(0, Math.ceil(low)), Math.min(width, Math.floor(high) + 1)]
    return begin < end ? [begin, end] : undefined
  }
}
