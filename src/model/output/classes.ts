// Turns class logits into classes of queries: probabilities of the classes, and the pairs of a query and a class that
// are worth a mask. N queries, K classes, and the background behind them.

import { entryOf } from '../../check.ts'

/**
 * softmax over the classes and the background, which is then left out: what is missing to 1 is the background's.
 *
 * @param logits [N, K + 1], the background last
 * @returns      [N, K]
 */
export function classProbabilities(logits: ArrayLike<number>, K: number): Float64Array {
  const values = Array.from(logits)
  const N = values.length / (K + 1)
  const result = new Float64Array(N * K)
  for (let q = 0; q < N; q++) {
    const row = values.slice(q * (K + 1), (q + 1) * (K + 1))
    const top = row.reduce((most, v) => Math.max(most, v), -Infinity)
    const powers = row.map((v) => Math.exp(v - top))
    const sum = powers.reduce((total, v) => total + v, 0)
    for (let k = 0; k < K; k++) result[q * K + k] = entryOf(powers, k) / sum
  }
  return result
}

/** A query as one of the classes. */
export interface Pair {
  /** The query, from 0 to N - 1. */
  readonly query: number
  /** The class, from 0 to K - 1. */
  readonly category: number
  /** Probability that the query is of this class, in [0, 1]. */
  readonly probability: number
}

/** Compares pairs by descending probability; of equals the lower query comes first, then the lower class. */
function byProbability(a: Pair, b: Pair): number {
  return b.probability - a.probability || a.query - b.query || a.category - b.category
}

/**
 * The N best of all pairs, of which those below the threshold are left out. A query may come back with several classes.
 *
 * A score is a probability times a quality of at most 1: pairs that are left out could not have reached the threshold.
 *
 * @param probabilities [N, K]
 */
export function bestPairs(probabilities: Float64Array, K: number, threshold: number): Pair[] {
  const N = probabilities.length / K
  return Array.from(
    probabilities,
    (probability, i): Pair => ({
      query: Math.floor(i / K),
      category: i % K,
      probability,
    }),
  )
    .sort(byProbability)
    .slice(0, N)
    .filter(({ probability }) => probability >= threshold)
}

/** The largest probability of each class, [K], and of each query, [N]. @param probabilities [N, K] */
export function surest(
  probabilities: Float64Array,
  K: number,
): { readonly ofClass: Float64Array; readonly ofQuery: Float64Array } {
  const [ofClass, ofQuery] = [new Float64Array(K), new Float64Array(probabilities.length / K)]
  for (const [i, p] of probabilities.entries()) {
    const [query, k] = [Math.floor(i / K), i % K]
    ofClass[k] = Math.max(ofClass[k] ?? 0, p)
    ofQuery[query] = Math.max(ofQuery[query] ?? 0, p)
  }
  return { ofClass, ofQuery }
}

/**
 * Each query as its best class, in the order of the queries, where that is more probable than the threshold. The
 * background doesn't take part: a query that is rather nothing may still be kept.
 */
export function likelyQueries(probabilities: Float64Array, K: number, threshold: number): Pair[] {
  const kept: Pair[] = []
  for (let first = 0; first < probabilities.length; first += K) {
    const row = Array.from(probabilities.subarray(first, first + K))
    const category = row.reduce((best, p, k) => (p > entryOf(row, best) ? k : best), 0)
    const probability = entryOf(row, category)
    if (probability > threshold) kept.push({ query: first / K, category, probability })
  }
  return kept
}
