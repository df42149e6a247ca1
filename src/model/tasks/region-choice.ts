// Chooses the query whose mask a region means (spec of the tasks, 4.5), by scores and by overlaps with the region.

import type { Box } from '../../masks/picture.ts'

/** A mask that a region may mean. */
export interface MeasuredMask {
  /** Its index; the lower one wins where all else is equal. */
  readonly query: number
  /** Its probability times the quality of its mask. */
  readonly score: number
  /** Its overlap with the region, in [0, 1]. */
  readonly overlap: number
  /** True if all clicks of the region are inside of the mask. */
  readonly isHit: boolean
}

/**
 * X-SAM's choice: of the options whose score is at least the threshold, or else the best one's, that with the largest
 * overlap; of equal overlaps the highest score, then the lower query. `hit`: of those that the clicks are inside of, if
 * there are any, the highest score.
 */
export function chooseMask<M extends MeasuredMask>(
  options: readonly M[],
  threshold: number,
  hit: boolean,
): M | undefined {
  const best = Math.max(...options.map(({ score }) => score))
  const kept = options.filter(({ score }) => score >= threshold || score === best)
  const hits = hit ? kept.filter(({ isHit }) => isHit) : []
  const [chosen] =
    hits.length > 0
      ? hits.toSorted((a, b) => b.score - a.score || a.query - b.query)
      : kept.toSorted((a, b) => b.overlap - a.overlap || b.score - a.score || a.query - b.query)
  return chosen
}

/** Intersection over union of two boxes; 0 where one is missing. */
export function boxOverlap(a: Box | null, b: Box | null): number {
  if (!a || !b) return 0
  const [ax0, ay0, ax1, ay1] = a
  const [bx0, by0, bx1, by1] = b
  const width = Math.max(0, Math.min(ax1, bx1) - Math.max(ax0, bx0))
  const height = Math.max(0, Math.min(ay1, by1) - Math.max(ay0, by0))
  const area = ([x0, y0, x1, y1]: Box): number => (x1 - x0) * (y1 - y0)
  const both = width * height
  return both / (area(a) + area(b) - both)
}
