// Fewer points for a ring (Douglas & Peucker 1973): a point is left out if the line without it stays within a tolerance
// of all points that are left out.
//
// The search for the farthest point takes the square of a stretch's length at worst, such as for the teeth of a comb.
// So a ring is cut into stretches of at most 256 points first, whose ends stay.

import { entryOf } from '../check.ts'
import type { Point, Ring } from './polygon.ts'

const STRETCH = 256

/**
 * The ring with fewer points; never fewer than three.
 *
 * @param ring      without a repeated first point, and not all on one line
 * @param tolerance in pixels; at 0 only points on a straight line are left out
 */
export function simplifyRing(ring: Ring, tolerance: number): Ring {
  const corners = ring.filter(
    (point, i) =>
      !isBetween(point, entryOf(ring, (i || ring.length) - 1), entryOf(ring, (i + 1) % ring.length)),
  )
  const first = entryOf(corners, 0)
  const opposite = farthest(corners, 1, corners.length, (point) => squared(point, first)).at
  const points = [...corners, first]
  const kept = new Set([0, opposite])
  for (const [begin, end] of [
    [0, opposite],
    [opposite, corners.length],
  ] as const) {
    for (let at = begin; at < end; at += STRETCH) {
      kept.add(at)
      keepFarthest(points, at, Math.min(at + STRETCH, end), tolerance * tolerance, kept)
    }
  }
  if (kept.size < 3) {
    // Both sides are within the tolerance of one line: the ring is thin, and stays
    for (const [begin, end] of [
      [0, opposite],
      [opposite, corners.length],
    ] as const) {
      if (end - begin > 1) kept.add(farthestFromLine(points, begin, end).at)
    }
  }
  return corners.filter((_, i) => kept.has(i))
}

/** Adds the points that are needed between two that are kept. */
function keepFarthest(points: Ring, begin: number, end: number, limit: number, kept: Set<number>): void {
  const stretches: [number, number][] = [[begin, end]]
  for (let next = stretches.pop(); next; next = stretches.pop()) {
    const [from, to] = next
    if (to - from < 2) continue
    const { at, distance } = farthestFromLine(points, from, to)
    if (distance <= limit) continue
    kept.add(at)
    stretches.push([from, at], [at, to])
  }
}

interface Farthest {
  readonly at: number
  readonly distance: number
}

function farthestFromLine(points: Ring, begin: number, end: number): Farthest {
  const [a, b] = [entryOf(points, begin), entryOf(points, end)]
  return farthest(points, begin + 1, end, (point) => fromSegment(point, a, b))
}

function farthest(points: Ring, begin: number, end: number, distanceOf: (point: Point) => number): Farthest {
  let best = { at: begin, distance: -1 }
  for (let at = begin; at < end; at++) {
    const distance = distanceOf(entryOf(points, at))
    if (distance > best.distance) best = { at, distance }
  }
  return best
}

function squared([x0, y0]: Point, [x1, y1]: Point): number {
  return (x1 - x0) ** 2 + (y1 - y0) ** 2
}

/** The squared distance from a stretch of a line, its ends included. */
function fromSegment(point: Point, a: Point, b: Point): number {
  const length = squared(a, b)
  if (length === 0) return squared(point, a)
  const along = ((point[0] - a[0]) * (b[0] - a[0]) + (point[1] - a[1]) * (b[1] - a[1])) / length
  const share = Math.min(1, Math.max(0, along))
  return squared(point, [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])])
}

/** True if a point lies on the straight segment between two others. */
function isBetween([x, y]: Point, [x0, y0]: Point, [x1, y1]: Point): boolean {
  return (x - x0) * (y1 - y) === (x1 - x) * (y - y0) && (x - x0) * (x1 - x) + (y - y0) * (y1 - y) > 0
}
