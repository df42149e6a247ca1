// The logits of an answer that is there already: the question and the answer in one pass after the image.

import type { Gpu } from '../../../src/gpu/gpu.ts'
import { frameQuestion } from '../../../src/model/input/prompt.ts'
import type { LoadedModel } from '../../../src/model/load.ts'
import type { SceneState } from '../../../src/model/look.ts'
import { llm } from '../../../src/model/networks/llm.ts'
import { boundCache } from '../../../src/model/plans.ts'
import { linear } from '../../../src/ops/matmul/matmul.ts'
import { runOnce } from '../checkpoint/parts.ts'

/**
 * @param tokens of the answer
 * @param head   [vocab, H]
 * @returns a row of logits per token: those that it was chosen by
 */
export async function logitsInOnePass(
  gpu: Gpu,
  { parts, tokenizer, embeddings }: LoadedModel,
  { cache, capacity }: SceneState,
  question: string,
  tokens: readonly number[],
  head: Float32Array,
): Promise<Float32Array[]> {
  const { after } = frameQuestion(tokenizer, parts.config, question)
  const ids = [...after, ...tokens.slice(0, -1)]
  const { hidden: H, vocab } = parts.config.llm
  const { read } = await runOnce(
    gpu,
    ({ input, bound }) => {
      const x = input('x', [ids.length, H])
      const kept = boundCache(bound, { ...parts, capacity })
      const states = llm(x, parts.weights.scope('llm.'), parts.config.llm, kept, parts.prefix)
      return { read: { logits: linear(states, input('head', [vocab, H])) } }
    },
    { inputs: { x: await embeddings.rows(ids), head }, bound: cache },
  )
  const logits = read.logits as Float32Array
  return tokens.map((_, i) => {
    const row = after.length - 1 + i
    return logits.subarray(row * vocab, (row + 1) * vocab)
  })
}
