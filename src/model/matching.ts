// Matching finds the one of the N queries that the sentence means. Exactly one is chosen: no threshold, no merging.
// The class logits hold the phrase in column 0 and the background in column 1; where several phrases were asked for, a
// column each, and the background last.

import { entryOf } from '../check.ts'

/** A query with its score. */
export interface Match {
  /** The query's index, from 0 to N - 1. */
  readonly query: number
  /** Softmax over the phrases and the background, that of the best phrase, in [0, 1]. */
  readonly score: number
}

/**
 * All queries, best first; of equal scores the lower index first.
 *
 * @param logits  [N, phrases + 1], finite: expectFiniteStages (stages.ts) has seen to it
 * @param asXSam  scores that are equal in float32 are ties, as in X-SAM: from a margin of 17 on all are 1
 * @param phrases how many phrases the columns are of, and which one is looked for: by default each query's best
 */
export function rank(
  logits: ArrayLike<number>,
  asXSam = false,
  { phrases, phrase }: { readonly phrases: number; readonly phrase?: number } = { phrases: 1 },
): Match[] {
  const values = Array.from(logits)
  const columns = phrases + 1
  const margins = Array.from({ length: values.length / columns }, (_, query) => ({
    query,
    margin: marginOf(values.slice(query * columns, (query + 1) * columns), phrase),
  }))
  // By margin rather than score: a score saturates in float64 long before two margins are equal
  const key = ({ margin }: { readonly margin: number }): number =>
    asXSam ? Math.fround(score(margin)) : margin
  return margins
    .sort((a, b) => key(b) - key(a) || a.query - b.query)
    .map(({ query, margin }): Match => ({ query, score: score(margin) }))
}

/**
 * How sure it is that a query is what one of several phrases names, in [0, 1]: the softmax of that phrase and the
 * background, as if it had been asked for alone. Two phrases of a text may name one object, in the same words or in
 * others. Over all columns they would share its probability, and neither would seem to be there: in flowseg-nano's
 * descriptions of 24 scenes of test2, 79 of the 85 right phrases reach one half over all columns, and all 85 alone.
 *
 * @param logits [N, phrases + 1], finite
 */
export function presenceOf(
  logits: ArrayLike<number>,
  { phrases, phrase, query }: { readonly phrases: number; readonly phrase: number; readonly query: number },
): number {
  const at = (column: number): number => logits[query * (phrases + 1) + column] ?? Number.NaN
  return score(at(phrase) - at(phrases))
}

/** A phrase's logit, by default the best one's, less all others' together: log(sum(exp)), of one that one. */
function marginOf(row: readonly number[], phrase?: number): number {
  const best = phrase ?? row.slice(0, -1).reduce((top, v, k) => (v > entryOf(row, top) ? k : top), 0)
  const others = row.filter((_, k) => k !== best)
  const largest = Math.max(...others)
  const sum = others.reduce((total, v) => total + Math.exp(v - largest), 0)
  return entryOf(row, best) - (largest + Math.log(sum))
}

function score(margin: number): number {
  return 1 / (1 + Math.exp(-margin))
}
