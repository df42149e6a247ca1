// The projectors, Linear, GELU with erf, Linear, return what the reference does.

import { test } from 'vitest'
import { projector } from '../../../src/model/networks/projector.ts'
import { spaceToDepth } from '../../../src/ops/layout/layout.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { adapters } from '../../support.ts'
import { compute, goldenWeights, smallConfig } from './networks.ts'

for (const gpu of await adapters()) {
  test(`projectors on ${gpu.name}`, async () => {
    const golden = loadGolden('projectors')
    const { weights, release } = await goldenWeights(
      gpu,
      golden.weights,
      smallConfig(),
      'visual_projector.',
      'seg_projector.',
      'llm_projector.',
    )
    const inputs = Object.fromEntries(
      Object.entries(golden.inputs).map(([name, { shape }]) => [
        name,
        { data: goldenInput(golden, name), shape },
      ]),
    )
    const y = await compute(gpu, inputs, (t) => {
      const tokens = spaceToDepth(t['sam']!) // [4, 4, 128], a row of the sequence each
      return {
        visual: projector(t['siglip']!, weights.scope('visual_projector.')),
        tokens,
        seg: projector(tokens, weights.scope('seg_projector.')),
        llm: projector(t['states']!, weights.scope('llm_projector.')),
      }
    })
    for (const [name, values] of Object.entries(y)) expectGolden(name, values, golden, 1e-5)
    release()
  })
}
