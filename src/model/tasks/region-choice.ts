// Which of the queries' masks a region means (spec tasks.md, 4.5): by scores, and by overlaps with the region.

import type { Box } from '../../masks/picture.ts'

/** A mask that may be what a region means. */
export interface MeasuredMask {
  readonly query: number
  /** Its probability times the quality of its mask. */
  readonly score: number
  /** Its overlap with the region, in [0, 1]. */
  readonly overlap: number
  /** Whether all clicks of the region are inside of it. */
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
  const side = (low: 0 | 1): number =>
    Math.max(0, Math.min(a[low + 2] ?? 0, b[low + 2] ?? 0) - Math.max(a[low], b[low]))
  const area = ([x0, y0, x1, y1]: Box): number => (x1 - x0) * (y1 - y0)
  const both = side(0) * side(1)
  return both / (area(a) + area(b) - both)
}
