// The connector returns what the reference does: three branches without activations, and two shuffles whose
// orders are not each other's inverse.

import { expect, test } from 'vitest'
import { connector } from '../../../src/model/networks/connector.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { adapters } from '../../support.ts'
import { compute, goldenWeights, smallConfig } from './networks.ts'

for (const gpu of await adapters()) {
  test(`connector on ${gpu.name}`, async () => {
    const golden = loadGolden('connector')
    const { weights, release } = await goldenWeights(gpu, golden.weights, smallConfig(), 'seg_connector.')
    const tap = (name: string) => ({ data: goldenInput(golden, name), shape: golden.inputs[name]!.shape })
    const inputs = { tap2: tap('tap2'), tap3: tap('tap3'), tap4: tap('tap4') }
    const y = await compute(gpu, inputs, (t) => {
      const maps = connector([t['tap2'], t['tap3'], t['tap4']], weights.scope('seg_connector.'))
      const names = ['f32', 'f16', 'f8'] as const // from coarse to fine
      names.forEach((name, l) => expect(maps[l]!.shape).toEqual(golden.entries[name]!.shape))
      return Object.fromEntries(names.map((name, l) => [name, maps[l]!]))
    })
    for (const [name, values] of Object.entries(y)) expectGolden(name, values, golden, 1e-5)
    release()
  })
}
