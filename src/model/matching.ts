// Matching: which of the N queries is what the sentence means. Exactly one is chosen: no threshold, no
// merging. The class logits hold the phrase in column 0 and the background in column 1.

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
 * @param logits [N, 2], finite: expectFiniteStages (stages.ts) has seen to it
 */
export function rank(logits: ArrayLike<number>): Match[] {
  const matches = Array.from({ length: logits.length / 2 }, (_, query): Match => {
    const margin = logits[2 * query]! - logits[2 * query + 1]!
    return { query, score: 1 / (1 + Math.exp(-margin)) }
  })
  // By margin rather than score: a score saturates in float64 long before two margins are equal
  const margin = ({ query }: Match): number => logits[2 * query]! - logits[2 * query + 1]!
  return matches.sort((a, b) => margin(b) - margin(a) || a.query - b.query)
}
