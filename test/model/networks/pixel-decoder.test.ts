// The pixel decoder returns what transformers' does: the projected levels, each deformable layer and the mask
// features, on square and on oblong maps.
//
// At true width it is 100 GFLOP, a minute or more on a software adapter: it runs when the environment has
// FLOWSEG_SLOW.

import { test } from 'vitest'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import type { Config } from '../../../src/model/checkpoint/config.ts'
import { sineEmbedding } from '../../../src/model/checkpoint/sine.ts'
import { pixelDecoder } from '../../../src/model/networks/pixel-decoder.ts'
import { concatRows } from '../../../src/ops/layout/layout.ts'
import { expectGolden, type Golden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { onlyInNode, thorough } from '../../runtime.ts'
import { adapters, anyGpu, type HostTensor } from '../../support.ts'
import { compute, goldenWeights, realConfig, smallConfig } from './networks.ts'

const PREFIX = 'segmentor.pixel_decoder.'
const MAPS = ['f32', 'f16', 'f8'] // coarse to fine

/** P0 | P1 | P2 of a decoder with this many layers, and its mask features. */
async function decoded(gpu: Gpu, golden: Golden, config: Config, pixelLayers: number) {
  const { weights, release } = await goldenWeights(gpu, golden.weights, config, PREFIX)
  const head = { ...config.head, pixelLayers }
  const inputs = MAPS.map((name, l): [string, HostTensor][] => {
    const { shape } = golden.inputs[name]!
    const [H = 0, W = 0] = shape
    const sine = { data: sineEmbedding(H, W, head.hidden), shape: [H * W, head.hidden] }
    return [
      [name, { data: goldenInput(golden, name), shape }],
      [`sine ${l}`, sine],
    ]
  })
  const y = await compute(gpu, Object.fromEntries(inputs.flat()), (t) => {
    const maps = MAPS.map((name) => t[name]!)
    const sines = MAPS.map((_, l) => t[`sine ${l}`]!)
    const { levels, maskFeatures } = pixelDecoder(maps, sines, weights.scope(PREFIX), head)
    return { levels: concatRows(...levels), maskFeatures }
  })
  release()
  return { levels: y['levels'], maskFeatures: y['maskFeatures'] }
}

/** With none of its layers the decoder returns the projected levels, with one the first layer's output, ... */
async function expectLayers(
  gpu: Gpu,
  name: string,
  config: Config,
  depths: readonly number[],
): Promise<void> {
  const golden = loadGolden(name)
  for (const depth of depths) {
    const { levels, maskFeatures } = await decoded(gpu, golden, config, depth)
    expectGolden(depth === 0 ? 'projected' : `layer.${depth}`, levels, golden, 1e-5)
    if (depth === config.head.pixelLayers) expectGolden('maskFeatures', maskFeatures, golden, 1e-5)
  }
}

for (const gpu of await adapters()) {
  test.each(['pixel-decoder-small', 'pixel-decoder-wide'])(`%s on ${gpu.name}`, (name) =>
    expectLayers(gpu, name, smallConfig(), [0, 1, 2]),
  )
}

const slow = onlyInNode || (thorough ? '' : ' (set FLOWSEG_SLOW to run it)')
test.skipIf(slow)(
  `two layers of 21,504 x 256${slow}`,
  async () => {
    const { head, ...rest } = realConfig('flowseg-qwen3-4b')
    const config = { ...rest, head: { ...head, pixelLayers: 2 } }
    await expectLayers(await anyGpu(), 'pixel-decoder-true', config, [2])
  },
  1_200_000,
)
