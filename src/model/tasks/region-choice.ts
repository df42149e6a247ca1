// Which of the queries' masks are meant by regions (spec tasks.md, 2.4 and 4.5): scores, and overlaps with a prompt.

import { entryOf } from '../../check.ts'
import { viewOf } from '../../view.ts'
import type { Box } from '../picture.ts'

/** A query as the answer to one of several phrases or regions. */
export interface Pair {
  readonly query: number
  /** The phrase or region, counted from 0. */
  readonly column: number
  /** Softmax over all columns and the background, in [0, 1]. */
  readonly probability: number
}

/**
 * The N most probable pairs of N queries and their columns, best first; of equal ones that of the lower query first,
 * then that of the lower column.
 *
 * @param logits  [N, columns + 1], the background last
 */
export function likelyPairs(logits: ArrayLike<number>, columns: number): Pair[] {
  const values = Array.from(logits)
  const width = columns + 1
  const queries = values.length / width
  const pairs: Pair[] = []
  for (let query = 0; query < queries; query++) {
    const row = values.slice(query * width, (query + 1) * width)
    const largest = Math.max(...row)
    const powers = row.map((v) => Math.exp(v - largest))
    const total = powers.reduce((sum, p) => sum + p, 0)
    for (let column = 0; column < columns; column++) {
      pairs.push({ query, column, probability: entryOf(powers, column) / total })
    }
  }
  return pairs
    .sort((a, b) => b.probability - a.probability || a.query - b.query || a.column - b.column)
    .slice(0, queries)
}

/** A mask that may be what a region means. */
export interface Option {
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
export function chooseOption(
  options: readonly Option[],
  threshold: number,
  hit: boolean,
): Option | undefined {
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

/** Intersection over union of two masks of a byte per pixel, 0 or 1; 0 if both are empty. */
export function maskOverlap(a: Uint8Array, b: Uint8Array): number {
  const [x, y] = [viewOf(a), viewOf(b)]
  let [both, either] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    const [p, q] = [x.getUint8(i), y.getUint8(i)]
    both += p & q
    either += p | q
  }
  return either === 0 ? 0 : both / either
}
