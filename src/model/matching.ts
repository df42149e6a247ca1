// Matching finds the one of the N queries that the sentence means. Exactly one is chosen: no threshold, no merging.
// The class logits hold the phrase in column 0 and the background in column 1.

import { entryOf } from '../check.ts'

/** A query and how sure the model is that it is the one. */
export interface Match {
  /** The query's index, from 0 to N - 1. */
  readonly query: number
  /** Softmax over phrase and background, in [0, 1]. */
  readonly score: number
}

/**
 * All queries, best first; of equal scores the lower index first.
 *
 * @param logits  [N, 2], finite: expectFiniteStages (stages.ts) has seen to it
 * @param asXSam  scores that are equal in float32 are ties, as in X-SAM: from a margin of 17 on all are 1
 */
export function rank(logits: ArrayLike<number>, asXSam = false): Match[] {
  const values = Array.from(logits)
  const margins = Array.from({ length: values.length / 2 }, (_, query) => ({
    query,
    margin: entryOf(values, 2 * query) - entryOf(values, 2 * query + 1),
  }))
  // By margin rather than score: a score saturates in float64 long before two margins are equal
  const key = ({ margin }: { readonly margin: number }): number =>
    asXSam ? Math.fround(score(margin)) : margin
  return margins
    .sort((a, b) => key(b) - key(a) || a.query - b.query)
    .map(({ query, margin }): Match => ({ query, score: score(margin) }))
}

function score(margin: number): number {
  return 1 / (1 + Math.exp(-margin))
}
