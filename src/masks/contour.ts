// The outline of a mask as polygons: d3-contour's marching squares, simplified.
//
// Marching squares draw the line through the middles between a pixel that is inside and its neighbours that aren't. No
// centre of a pixel is nearer to it than sqrt(2) / 4 = 0.3536 pixels, the distance from the lines that cut corners. A
// line that is moved by less passes no centre, so polygons that are simplified by the default tolerance are the mask
// again, bit for bit, when they are filled by the centres of pixels.
//
// d3-contour looks for the polygon of a hole among all polygons. Masks of noise have so many of both that it takes
// minutes per megapixel; these are cut into tiles, and their polygons end at the edges of those.

import { contours } from 'd3-contour'
import { expectOptions, SECONDS as NOT_NEGATIVE, type OptionKinds } from '../options.ts'
import { expectMask, type MaskPixels, type Size } from './mask.ts'
import type { Point, Polygon } from './polygon.ts'
import { simplifyRing } from './simplify.ts'

/** Options of {@link polygonsOf}. */
export interface PolygonOptions {
  /**
   * The farthest that simplifying may move the line, in pixels. Up to 0.35, the default, polygons are exact: filled
   * again, they are the same mask. 1 or 2 leave fewer points; 0 leaves every corner.
   */
  readonly tolerance?: number | undefined
}

const POLYGON_KINDS: OptionKinds<PolygonOptions> = { tolerance: NOT_NEGATIVE }

/**
 * The tolerance in pixels that keeps a mask exact: below sqrt(2) / 4 by more than the rounding of coordinates to a
 * 500th of a pixel.
 */
export const EXACT_TOLERANCE: number = 0.35

/** Corners of holes times edges of pixels: what the search for a hole's polygon may cost, a second or so. */
const MOST_WORK = 2e8
const TILE = 64

/**
 * The mask's outlines, in pixels: a polygon for each part, with its holes. Rings don't repeat their first point.
 *
 * @throws ImageError or UsageError
 */
export function polygonsOf(mask: MaskPixels, options: PolygonOptions = {}): Polygon[] {
  const size = expectMask('polygonsOf', mask)
  expectOptions('polygonsOf', options, POLYGON_KINDS)
  const { tolerance = EXACT_TOLERANCE } = options
  const polygons: Polygon[] = []
  for (const { pixels, x, y } of isNoise(mask)
    ? tilesOf(mask)
    : [{ pixels: { ...size, data: mask.data }, x: 0, y: 0 }]) {
    for (const rings of contoursOf(pixels)) {
      polygons.push(
        rings.map((ring) => {
          const points = ring.slice(0, -1).map((point): Point => [(point[0] ?? 0) + x, (point[1] ?? 0) + y])
          return simplifyRing(points, tolerance)
        }),
      )
    }
  }
  return polygons
}

/** d3-contour's polygons, whose rings repeat their first point. */
function contoursOf({ width, height, data }: MaskPixels): number[][][][] {
  // It takes any list of numbers; smoothing would move the line if some of them were 1 and others 255
  const values = data as ArrayLike<number> as number[]
  return contours().size([width, height]).smooth(false).contour(values, 0.5).coordinates
}

function isNoise({ width, height, data }: MaskPixels): boolean {
  let [edges, corners] = [0, 0]
  for (let y = 1, i = width; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const [isIn, above] = [data[i] !== 0, data[i - width] !== 0]
      const left = x > 0 && data[i - 1] !== 0
      edges += Number(isIn !== above) + Number(isIn !== left)
      corners += Number(!isIn && above && left)
    }
  }
  return edges * corners > MOST_WORK
}

interface Tile {
  readonly pixels: MaskPixels
  /** The place of its first pixel. */
  readonly x: number
  readonly y: number
}

function* tilesOf({ width, height, data }: MaskPixels): Generator<Tile> {
  for (let y = 0; y < height; y += TILE) {
    for (let x = 0; x < width; x += TILE) {
      const size: Size = { width: Math.min(TILE, width - x), height: Math.min(TILE, height - y) }
      const tile = new Uint8Array(size.width * size.height)
      for (let row = 0; row < size.height; row++) {
        const begin = (y + row) * width + x
        tile.set(data.subarray(begin, begin + size.width), row * size.width)
      }
      yield { pixels: { ...size, data: tile }, x, y }
    }
  }
}
