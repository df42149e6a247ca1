// The choice of the next token among all of the vocabulary, on the host, where it isn't to be the likeliest one.
//
// In the order of transformers: the temperature divides the logits, then the most likely `topK` are kept, then as many
// of these as together have the probability `topP`, at least one; and one of them is drawn by its probability.

/** Options of drawing the next token. Without a temperature the likeliest one is taken. */
export interface SamplingOptions {
  /** Divides the logits: below 1 likely words become likelier. 0, the default, takes the likeliest word each time. */
  readonly temperature?: number | undefined
  /** Draw only from the likeliest words that together have this probability. */
  readonly topP?: number | undefined
  /** Draw only from so many of the likeliest words. */
  readonly topK?: number | undefined
  /** The same seed draws the same words; 0 by default. */
  readonly seed?: number | undefined
}

/** Draws token ids. */
export class Sampler {
  readonly #options: { readonly [Name in keyof SamplingOptions]-?: number }
  #drawn = 0

  constructor({ temperature = 1, topP = 1, topK = Infinity, seed = 0 }: SamplingOptions) {
    this.#options = { temperature, topP, topK, seed }
  }

  /** @param logits finite, of every id */
  draw(logits: Float32Array): number {
    const { temperature, topP, topK } = this.#options
    let most = -Infinity
    for (const logit of logits) most = Math.max(most, logit)
    const weights = Float64Array.from(logits, (logit) => Math.exp((logit - most) / temperature))

    const isCut = topK < weights.length || topP < 1
    const order = isCut ? likeliest(weights, topK, topP) : Uint32Array.from(weights, (_, id) => id)
    const kept = order.subarray(0, Math.min(topK, order.length))
    const weightOf = (id: number): number => weights[id] ?? 0
    let total = 0
    if (topK < weights.length) for (const id of kept) total += weightOf(id)
    else for (const weight of weights) total += weight

    let nucleus = 0
    let sum = 0
    while (nucleus < kept.length && (nucleus === 0 || sum < topP * total))
      sum += weightOf(kept[nucleus++] ?? 0)

    let left = this.#uniform() * sum
    for (const id of kept.subarray(0, nucleus)) {
      left -= weightOf(id)
      if (left < 0) return id
    }
    return kept[nucleus - 1] ?? 0
  }

  /** A number in [0, 1) by the seed and a count, the same in every runtime (lowbias32; Wellons 2018). */
  #uniform(): number {
    return mix(mix(this.#options.seed ^ 0x51ed270b) ^ mix(Math.imul(++this.#drawn, 0x9e3779b9))) / 2 ** 32
  }
}

/** Shares of the largest weight: sorting all of a vocabulary would take as long as many a token. */
const FLOORS = [1e-2, 1e-4, 1e-8, 0]

/** The likeliest ids, the lower one of equals first: at least `topK`, or as many as have the share `topP` of all. */
function likeliest(weights: Float64Array, topK: number, topP: number): Uint32Array {
  const weightOf = (id: number): number => weights[id] ?? 0
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  let ids: number[] = []
  for (const floor of FLOORS) {
    ids = []
    let sum = 0
    for (const [id, weight] of weights.entries()) {
      if (weight < floor) continue
      ids.push(id)
      sum += weight
    }
    if (topK < weights.length ? ids.length >= topK : sum >= topP * all) break
  }
  return Uint32Array.from(ids).sort((a, b) => weightOf(b) - weightOf(a) || a - b)
}

function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}
