// The projector is Linear, GELU with erf, Linear.

import { test } from 'vitest'
import { projector } from '../../src/model/projector.ts'
import { weightTensor } from '../fixtures/random.ts'
import { adapters, expectClose, random } from '../support.ts'
import { compute, goldenWeights, smallConfig } from './networks.ts'

/** 2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (1 3 5 .. (2n+1)): all terms of one sign. */
function erf(x: number): number {
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > 1e-18; n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}

function linear(x: Float64Array, weight: Float32Array, bias: Float32Array): Float64Array {
  const N = bias.length
  const K = weight.length / N
  return Float64Array.from({ length: (x.length / K) * N }, (_, i) => {
    const row = Math.floor(i / N) * K
    let sum = bias[i % N]!
    for (let k = 0; k < K; k++) sum += x[row + k]! * weight[(i % N) * K + k]!
    return sum
  })
}

for (const gpu of await adapters()) {
  test(`projector on ${gpu.name}`, async () => {
    const config = smallConfig()
    for (const [name, from, to] of [
      ['visual_projector.', config.siglip.hidden, config.llm.hidden],
      ['seg_projector.', 4 * config.sam.hidden, config.llm.hidden],
      ['llm_projector.', config.llm.hidden, config.head.hidden],
    ] as const) {
      const { weights, release } = await goldenWeights(gpu, 'f32', config, name)
      const x = random([7, from], 3, 3)
      const { y } = await compute(gpu, { x }, (t) => ({ y: projector(t['x']!, weights.scope(name)) }))
      const weight = (layer: string, ...shape: number[]) => weightTensor(`${name}model.${layer}`, shape)
      const hidden = linear(Float64Array.from(x.data), weight('0.weight', to, from), weight('0.bias', to))
      const active = hidden.map((v) => 0.5 * v * (1 + erf(v / Math.SQRT2)))
      expectClose(y!, linear(active, weight('2.weight', to, to), weight('2.bias', to)), 1e-6, name)
      release()
    }
  })
}
