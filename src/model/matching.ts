// Matching finds the one of the N queries that the sentence means. Exactly one is chosen: no threshold, no merging.
// The class logits hold the phrase in column 0 and the background in column 1; with several phrases, a column for each
// and the background in the last.

import { entryOf } from '../check.ts'

/** A query and how sure the model is that it is the one. */
export interface Match {
  /** The query's index, from 0 to N - 1. */
  readonly query: number
  /** Softmax over the phrases and the background, in [0, 1]. */
  readonly score: number
}

/**
 * All queries, best first; of equal scores the lower index first.
 *
 * @param logits  [N, P + 1], finite: expectFiniteStages (stages.ts) has seen to it
 * @param asXSam  scores that are equal in float32 are ties, as in X-SAM: from a margin of 17 on all are 1
 * @param column  of several phrases P, the one that is looked for; by default the best of them
 */
export function rank(
  logits: ArrayLike<number>,
  asXSam = false,
  { phrases, phrase }: { readonly phrases: number; readonly phrase?: number } = { phrases: 1, phrase: 0 },
): Match[] {
  const values = Array.from(logits)
  const columns = phrases + 1
  const margins = Array.from({ length: values.length / columns }, (_, query) => {
    const own = values.slice(columns * query, columns * (query + 1))
    const wanted = phrase ?? largest(own.slice(0, phrases))
    return { query, margin: entryOf(own, wanted) - logSumExp(own.filter((_, k) => k !== wanted)) }
  })
  // By margin rather than score: a score saturates in float64 long before two margins are equal
  const key = ({ margin }: { readonly margin: number }): number =>
    asXSam ? Math.fround(score(margin)) : margin
  return margins
    .sort((a, b) => key(b) - key(a) || a.query - b.query)
    .map(({ query, margin }): Match => ({ query, score: score(margin) }))
}

/** The first place of the largest. */
function largest(values: readonly number[]): number {
  return values.reduce((top, value, k) => (value > entryOf(values, top) ? k : top), 0)
}

/** log(sum(exp)): of one value exactly that. */
function logSumExp(values: readonly number[]): number {
  const most = Math.max(...values)
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0))
}

function score(margin: number): number {
  return 1 / (1 + Math.exp(-margin))
}
