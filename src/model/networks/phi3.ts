// Phi-3: one projection makes queries, keys and values, one makes gate and up; no norms on heads. A query sees the last
// 2,047 keys (`window` in config.ts), which only long prompts come to.
//
// Source: Abdin et al. 2024, section 2; Phi3ForCausalLM.

import { rope } from '../../ops/attention/rope.ts'
import { swiglu } from '../../ops/elementwise/elementwise.ts'
import { gatedLinear, linear } from '../../ops/matmul/matmul.ts'
import { columns, viewRows } from '../../tensor/tensor.ts'
import type { LlmFamily } from './llm.ts'

/** Phi-3's attention heads and MLP. */
export const phi3: LlmFamily = {
  heads(x, w, { heads, kvHeads, headDim: d, ropeTheta: theta }, position) {
    const qkv = linear(x, w.tensor('self_attn.qkv_proj.weight')) //     [T, (heads + 2 kvHeads) * d]
    const [q, kv] = [heads * d, kvHeads * d]
    return {
      query: rope(columns(qkv, 0, q), { heads, theta, position }),
      key: rope(columns(qkv, q, kv), { heads: kvHeads, theta, position }),
      value: columns(qkv, q + kv, kv),
    }
  },

  gated(x, w, { mlp }) {
    const weight = w.tensor('mlp.gate_up_proj.weight')
    const [gate, up] = [viewRows(weight, 0, mlp), viewRows(weight, mlp, mlp)]
    if (gate && up) return gatedLinear(x, gate, up)
    const both = linear(x, weight) //                                   [T, 2I]
    return swiglu(columns(both, 0, mlp), columns(both, mlp, mlp))
  },
}
