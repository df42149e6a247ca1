// Qwen3: a norm over each head of queries and keys before they turn, several query heads to a key head, and
// heads that together may be wider than the stream.
//
// Source: Qwen3 technical report (2025), section 2; Qwen3ForCausalLM.

import { rope } from '../../ops/attention/rope.ts'
import { gatedLinear, linear } from '../../ops/matmul/matmul.ts'
import { rmsNorm } from '../../ops/norm/norm.ts'
import { reshape, type Tensor } from '../../tensor/tensor.ts'
import type { LlmFamily } from './llm.ts'

/** Qwen3's attention heads and MLP. */
export const qwen3: LlmFamily = {
  heads(x, w, { heads, kvHeads, ropeTheta: theta, eps }, position) {
    const query = perHead(
      linear(x, w.tensor('self_attn.q_proj.weight')),
      w.tensor('self_attn.q_norm.weight'),
      eps,
    )
    const key = perHead(
      linear(x, w.tensor('self_attn.k_proj.weight')),
      w.tensor('self_attn.k_norm.weight'),
      eps,
    )
    return {
      query: rope(query, { heads, theta, position }), //                [T, heads * d]
      key: rope(key, { heads: kvHeads, theta, position }), //           [T, kvHeads * d]
      value: linear(x, w.tensor('self_attn.v_proj.weight')),
    }
  },

  gated(x, w) {
    return gatedLinear(x, w.tensor('mlp.gate_proj.weight'), w.tensor('mlp.up_proj.weight'))
  },
}

/** RMS norm of every head on its own. x is [T, heads * d], the weight [d]. */
function perHead(x: Tensor, weight: Tensor, eps: number): Tensor {
  const d = weight.size
  return reshape(rmsNorm(reshape(x, [x.size / d, d]), weight, eps), x.shape)
}
