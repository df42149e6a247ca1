// Polygons and how they become masks again.
//
// Coordinates are pixels, with y down; [0, 0] is the corner of the image, and the first pixel's centre is [0.5, 0.5].
// A polygon is a list of rings, the outer one first and then its holes, as in GeoJSON; a ring may repeat its first
// point at its end. Within a polygon rings are combined by the even-odd rule; a mask is the union of its polygons.
//
// Two rules say which pixels a polygon has:
//
// 'centres'  those whose centre is inside. A centre on an edge counts as inside if the inside is to its right, or below
//            where the edge is horizontal, so that polygons which share an edge share no pixel.
// 'coco'     pycocotools' rule, for annotations that are compared with others' numbers: corners are rounded to fifths
//            of a pixel, and a column of pixels is cut where the line passes from its middle fifth to the next.

import { describe } from '../check.ts'
import { MaskError, UsageError } from '../errors.ts'
import { expectOptions, type OptionKinds, oneOf, POSITIVE } from '../options.ts'
import { viewOf } from '../view.ts'
import { expectSize, type Mask, maskOf, type PixelLimit, type Size } from './mask.ts'

/** A place in an image: x to the right, y down, in pixels. */
export type Point = readonly [x: number, y: number]

/** A closed line; the last point is joined to the first. */
export type Ring = readonly Point[]

/** An outer ring, and rings of holes. */
export type Polygon = readonly Ring[]

/** Options of {@link rasterizePolygons}. */
export interface RasterOptions extends PixelLimit {
  /** The pixels that are inside: those whose 'centres' are, by default, or those that 'coco' takes. */
  readonly rule?: 'centres' | 'coco' | undefined
}

const RASTER_KINDS: OptionKinds<RasterOptions> = { rule: oneOf('centres', 'coco'), maxPixels: POSITIVE }

/** Beyond these, fifths of a pixel are no 32-bit integers any more. */
const FARTHEST = 2 ** 31 / 5 - 1

/**
 * The mask of all pixels that are inside of a polygon.
 *
 * @param polygons may reach beyond the image, and overlap
 * @throws MaskError if a coordinate isn't finite, or a ring has fewer than three points
 */
export function rasterizePolygons(
  polygons: readonly Polygon[],
  width: number,
  height: number,
  options: RasterOptions = {},
): Mask {
  const call = 'rasterizePolygons'
  expectOptions(call, options, RASTER_KINDS)
  const size = expectSize(call, width, height, options.maxPixels)
  expectPolygons(call, polygons)
  const data = new Uint8Array(width * height)
  const isCoco = options.rule === 'coco'
  for (const polygon of polygons) {
    if (isCoco) fillColumns(polygon, size, data)
    else fillRows(polygon, size, data)
  }
  return maskOf(width, height, data)
}

/**
 * Polygons, by which a function of `call` is given a list of lists of rings.
 *
 * @throws UsageError or MaskError naming what is wrong
 */
export function expectPolygons(call: string, polygons: unknown): asserts polygons is readonly Polygon[] {
  expectList(call, 'the polygons', polygons, 'a list of polygons, each of them a list of rings')
  for (const [p, polygon] of polygons.entries()) {
    expectList(call, `polygon ${p}`, polygon, 'a list of rings, each of them a list of points [x, y]')
    for (const [r, ring] of polygon.entries()) expectRing(call, `ring ${r} of polygon ${p}`, ring)
  }
}

function expectRing(call: string, name: string, ring: unknown): void {
  expectList(call, name, ring, 'a list of points [x, y]')
  for (const [i, point] of ring.entries()) {
    expectList(call, `point ${i} of ${name}`, point, '[x, y]')
    if (point.length === 2 && point.every(isPlace)) continue
    throw new MaskError(
      `${call}: point ${i} of ${name} is ${describe(point)}, expected [x, y], two finite numbers of pixels below ${FARTHEST}.`,
    )
  }
  if (ring.length < 3) {
    throw new MaskError(
      `${call}: ${name} has ${ring.length} points, expected three or more. Leave rings that enclose nothing out.`,
    )
  }
}

/** True if a value can be a coordinate. */
export function isPlace(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) < FARTHEST
}

function expectList(
  call: string,
  name: string,
  value: unknown,
  wanted: string,
): asserts value is readonly unknown[] {
  if (!Array.isArray(value))
    throw new UsageError(`${call}: ${name} is ${describe(value)}, expected ${wanted}.`)
}

// ---------------------------------------------------------------------------------------------------------
// Both rules mark the places where a line of pixels goes from outside to inside or back, and then walk along it

/** Edges of all rings; those from a point to itself enclose nothing and are left out. */
function* edgesOf(polygon: Polygon): Generator<readonly [from: Point, to: Point]> {
  for (const ring of polygon) {
    let from = ring.at(-1)
    for (const to of ring) {
      if (from && (from[0] !== to[0] || from[1] !== to[1])) yield [from, to]
      from = to
    }
  }
}

/** A range of pixels from `begin` up to, without, `end`. */
interface PixelSpan {
  readonly begin: number
  readonly end: number
}

/** The pixels along an axis that a polygon can reach, and one before and after. */
function spanOf(polygon: Polygon, axis: 0 | 1, most: number): PixelSpan {
  let [least, greatest] = [Infinity, -Infinity]
  for (const ring of polygon) {
    for (const point of ring) {
      least = Math.min(least, point[axis])
      greatest = Math.max(greatest, point[axis])
    }
  }
  const begin = Math.max(0, Math.floor(least) - 1)
  return { begin, end: Math.max(begin, Math.min(most, Math.ceil(greatest) + 1)) }
}

/** Pixels whose centre is inside, row by row. */
function fillRows(polygon: Polygon, { width, height }: Size, data: Uint8Array): void {
  const columns = spanOf(polygon, 0, width)
  const rows = spanOf(polygon, 1, height)
  const stride = columns.end - columns.begin + 1
  const turns = new Uint8Array(stride * (rows.end - rows.begin))
  for (const [from, to] of edgesOf(polygon)) {
    const [above, below] = from[1] < to[1] ? [from, to] : [to, from]
    const end = Math.min(rows.end, Math.ceil(below[1] - 0.5))
    for (let y = Math.max(rows.begin, Math.ceil(above[1] - 0.5)); y < end; y++) {
      // Multiplied first: a line that passes a centre exactly is then seen to do so
      const aside = ((y + 0.5 - above[1]) * (below[0] - above[0])) / (below[1] - above[1])
      const x = Math.ceil(above[0] + aside - 0.5)
      turn(turns, (y - rows.begin) * stride + within(columns, x) - columns.begin)
    }
  }
  fill(turns, stride, (line, place) => {
    data[(rows.begin + line) * width + columns.begin + place] = 1
  })
}

const FIFTHS = 5
const MIDDLE = 2

/**
 * pycocotools' pixels, column by column. The line is a chain of points on a grid of fifths; a column turns at the row
 * where the chain steps from its middle fifth to the next, or back.
 */
function fillColumns(polygon: Polygon, { width, height }: Size, data: Uint8Array): void {
  const columns = spanOf(polygon, 0, width)
  const stride = height + 1
  const turns = new Uint8Array(stride * (columns.end - columns.begin))
  const fifths = (value: number): number => Math.trunc(FIFTHS * value + 0.5)
  for (const [[fromX, fromY], [toX, toY]] of edgesOf(polygon)) {
    const line = gridLine([fifths(fromX), fifths(fromY)], [fifths(toX), fifths(toY)])
    const { least, greatest } = line
    const first = Math.max(columns.begin, Math.ceil((least - MIDDLE) / FIFTHS))
    for (let x = first; x < columns.end && FIFTHS * x + MIDDLE < greatest; x++) {
      const [left, right] = line.stepFrom(FIFTHS * x + MIDDLE)
      const y = Math.ceil((Math.min(left, right) + 0.5) / FIFTHS - 0.5)
      turn(turns, (x - columns.begin) * stride + Math.min(height, Math.max(0, y)))
    }
  }
  fill(turns, stride, (line, place) => {
    data[place * width + columns.begin + line] = 1
  })
}

interface GridLine {
  /** The x of its ends. */
  readonly least: number
  readonly greatest: number
  /** The y of its two points between which x goes from this to the next whole number. */
  stepFrom(x: number): readonly [number, number]
}

/** A line between grid points, a point for each step along the longer axis. */
function gridLine(a: Point, b: Point): GridLine {
  const [dx, dy] = [Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])]
  const axis = dx >= dy ? 0 : 1
  const [[x0, y0], [x1, y1]] = a[axis] <= b[axis] ? [a, b] : [b, a]
  const ends = { least: Math.min(x0, x1), greatest: Math.max(x0, x1) }
  if (axis === 0) {
    const slope = (y1 - y0) / dx
    const at = (x: number): number => Math.trunc(y0 + slope * (x - x0) + 0.5)
    return { ...ends, stepFrom: (x) => [at(x), at(x + 1)] }
  }
  const slope = (x1 - x0) / dy
  const at = (t: number): number => Math.trunc(x0 + slope * t + 0.5)
  return {
    ...ends,
    stepFrom: (x) => {
      // x grows or falls with every t: the first t past the step, by halves
      const isPast = (t: number): boolean => (slope > 0 ? at(t) > x : at(t) <= x)
      let [before, past] = [0, dy]
      while (past - before > 1) {
        const middle = Math.floor((before + past) / 2)
        if (isPast(middle)) past = middle
        else before = middle
      }
      return [y0 + before, y0 + past]
    },
  }
}

function within({ begin, end }: PixelSpan, place: number): number {
  return Math.min(end, Math.max(begin, place))
}

function turn(turns: Uint8Array, place: number): void {
  turns[place] = 1 - (turns[place] ?? 0)
}

/** Calls `inside` for all places between an odd turn of a line and the next. */
function fill(turns: Uint8Array, stride: number, inside: (line: number, place: number) => void): void {
  const view = viewOf(turns)
  for (let at = 0, line = 0; at < turns.length; line++) {
    let isInside = 0
    for (let place = 0; place < stride; place++, at++) {
      isInside ^= view.getUint8(at)
      if (isInside) inside(line, place)
    }
  }
}
