// The plan that writes words: the language model over new rows, after those that are in the cache, and the head over
// the last of them. The prompt's text is one run of it. Each token is a run of the same plan for one row, whose
// position is a parameter, so that nothing is built or allocated from token to token.

import { gather } from '../../ops/layout/gather.ts'
import { linear } from '../../ops/matmul/matmul.ts'
import { argmax } from '../../ops/reduce/reduce.ts'
import type { Inputs, Outputs } from '../../tensor/plan.ts'
import { param, scope, type Tensor } from '../../tensor/tensor.ts'
import { llm } from '../networks/llm.ts'
import { boundCache, type Parts } from '../plans.ts'
import { watched } from '../stages.ts'

/** The sizes of a plan that writes words. */
export interface WordsSizes {
  /** New rows: those of a prompt's text, padding included, or one. */
  readonly T: number
  /** Rows of the KV cache. */
  readonly capacity: number
  /** All logits are read, for the host to choose among them; by default only the id of the largest is. */
  readonly sampled: boolean
}

/**
 * In: embedded rows `x` [T, H] and, if there are several, the number of the `last` that counts, [1]; bound: the cache;
 * params: the `position` of the first row. Read: the rows' `states` [T, H] after the final norm, and either the `id` of
 * the largest logit [1], the lowest of equals, or all `logits` [1, V].
 */
export function wordsPlan(
  { input, bound }: Inputs,
  { T, capacity, sampled }: WordsSizes,
  parts: Parts,
  head: Tensor,
): Outputs {
  const { config, weights: w } = parts
  const x = input('x', [T, config.llm.hidden])
  const cache = boundCache(bound, { ...parts, capacity })
  const states = scope('llm', () => llm(x, w.scope('llm.'), config.llm, cache, param('position')))
  const last = T === 1 ? states : gather(states, input('last', [1], 'u32'))
  const logits = scope('lm head', () => linear(last, head)) // [1, V]
  const choice = sampled ? { logits } : { id: argmax(logits) }
  return { read: { states, ...watched('words', logits), ...choice } }
}
