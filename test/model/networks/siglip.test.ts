// SigLIP's vision tower returns what transformers' does, layer by layer, and never looks at the pixels that
// its patches leave over.

import { expect, test } from 'vitest'
import { siglip, siglipLayer, siglipPatches } from '../../../src/model/networks/siglip.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { onlyInNode } from '../../runtime.ts'
import { adapters, anyGpu, expectSameBits, random } from '../../support.ts'
import { compute, goldenWeights, realConfig, smallConfig } from './networks.ts'

const TOWER = 'vision_encoder.vision_model.'
const real = realConfig('flowseg-qwen3-4b')

for (const gpu of await adapters()) {
  test(`siglip on ${gpu.name}`, async () => {
    const golden = loadGolden('siglip-small')
    const config = smallConfig()
    const { weights, release } = await goldenWeights(gpu, golden.weights, config, TOWER)
    const w = weights.scope(TOWER)
    const { image } = config.siglip
    const pixels = { data: goldenInput(golden, 'pixels'), shape: [image, image, 3] }

    const steps = await compute(gpu, { pixels }, (t) => {
      const embeddings = siglipPatches(t['pixels'], w.scope('embeddings.'), config.siglip)
      const first = siglipLayer(embeddings, w.scope('encoder.layers.0.'), config.siglip)
      return { embeddings, 'hidden.1': first, 'hidden.2': siglip(t['pixels'], w, config.siglip) }
    })
    for (const [name, values] of Object.entries(steps)) expectGolden(name, values, golden, 1e-5)
    release()
  })
}

test('the last 6 rows and columns of a 384 pixel image are unused', async () => {
  const gpu = await anyGpu()
  const { weights, release } = await goldenWeights(gpu, 'f32', real, `${TOWER}embeddings.`)
  const pixels = random([384, 384, 3])
  const patches = (change: (row: number, column: number) => boolean) => {
    const data = pixels.data.slice()
    for (let i = 0; i < data.length; i++)
      if (change(Math.floor(i / 1152), Math.floor(i / 3) % 384)) data[i] = 7
    return compute(gpu, { pixels: { ...pixels, data } }, (t) => ({
      y: siglipPatches(t['pixels'], weights.scope(`${TOWER}embeddings.`), real.siglip),
    }))
  }
  const whole = (await patches(() => false))['y']
  expectSameBits((await patches((row, column) => row >= 378 || column >= 378))['y'], whole)
  const seen = (await patches((row, column) => row === 377 && column === 377))['y']
  expect(seen.findIndex((value, i) => value !== whole[i])).toBeGreaterThanOrEqual(728 * 1152) // the last patch
  release()
})

test.skipIf(onlyInNode)(
  `a layer of 729 x 1152, 16 heads of 72${onlyInNode}`,
  async () => {
    const gpu = await anyGpu()
    const golden = loadGolden('siglip-layer')
    const LAYER = `${TOWER}encoder.layers.0.`
    const { weights, release } = await goldenWeights(gpu, golden.weights, real, LAYER)
    const x = { data: goldenInput(golden, 'x'), shape: [729, 1152] }
    const { y } = await compute(gpu, { x }, (t) => ({
      y: siglipLayer(t['x'], weights.scope(LAYER), real.siglip),
    }))
    expectGolden('y', y, golden, 1e-5)
    release()
  },
  600_000,
)
