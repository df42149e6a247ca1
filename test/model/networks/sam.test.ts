// SAM's image encoder returns what transformers' does, layer by layer: windows whose padding takes part,
// relative positions, global layers, and the taps that FlowSeg takes.
//
// At true width the global layer is 173 GFLOP, a minute or more on a software adapter: it runs when the
// environment has FLOWSEG_SLOW.

import { expect, test } from 'vitest'
import { weightsFrom } from '../../../src/model/checkpoint/weights.ts'
import { samEncoder, samLayer, samPatches } from '../../../src/model/networks/sam.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { onlyInNode, thorough } from '../../runtime.ts'
import { adapters, anyGpu, expectClose, random } from '../../support.ts'
import { compute, goldenWeights, realConfig, smallConfig } from './networks.ts'

const ENCODER = 'segmentor.encoder.'

for (const gpu of await adapters()) {
  test(`sam on ${gpu.name}`, async () => {
    const golden = loadGolden('sam-small')
    const { sam: config, ...rest } = smallConfig()
    const { weights, release } = await goldenWeights(gpu, golden.weights, { sam: config, ...rest }, ENCODER)
    const w = weights.scope(ENCODER)
    const pixels = { data: goldenInput(golden, 'pixels'), shape: [128, 128, 3] }

    const { llm, ...steps } = await compute(gpu, { pixels }, (t) => {
      const embeddings = samPatches(t['pixels'], w, config)
      const first = samLayer(embeddings, w.scope('layers.0.'), config.window, config)
      const { taps, llm: forLanguage } = samEncoder(t['pixels'], w, config)
      const named = taps.map((x, i) => [`hidden.${config.connectorLayers[i]}`, x])
      return { embeddings, 'hidden.1': first, ...Object.fromEntries(named), llm: forLanguage }
    })
    expect(Object.keys(steps)).toEqual(['embeddings', 'hidden.1', 'hidden.2', 'hidden.3', 'hidden.4'])
    for (const [name, values] of Object.entries(steps)) expectGolden(name, values, golden, 1e-5)
    expectGolden(`hidden.${config.llmLayer}`, llm!, golden, 1e-5)
    release()
  })
}

test('padding of a window takes part as keys: their values are the bias', async () => {
  // Queries and keys are 0, values the normed tokens + 0.5, all projections after it the identity or 0. So
  // each token gets the mean over the 9 places of its window, of which the padded ones add nothing but 0.5.
  const gpu = await anyGpu()
  const config = smallConfig()
  const C = config.sam.hidden
  const identity = (row0: number, rows: number) =>
    Float32Array.from({ length: rows * C }, (_, i) => (Math.floor(i / C) - row0 === i % C ? 1 : 0))
  const filled = (length: number, value: number) => new Float32Array(length).fill(value)
  const LAYER = `${ENCODER}layers.0.`
  const tensors = {
    'layer_norm1.weight': { data: filled(C, 1), shape: [C] },
    'layer_norm1.bias': { data: filled(C, 0), shape: [C] },
    'layer_norm2.weight': { data: filled(C, 1), shape: [C] },
    'layer_norm2.bias': { data: filled(C, 0), shape: [C] },
    'attn.qkv.weight': { data: identity(2 * C, 3 * C), shape: [3 * C, C] },
    'attn.qkv.bias': {
      data: Float32Array.from({ length: 3 * C }, (_, i) => (i < 2 * C ? 0 : 0.5)),
      shape: [3 * C],
    },
    'attn.rel_pos_h': { data: filled(5 * 16, 0), shape: [5, 16] },
    'attn.rel_pos_w': { data: filled(5 * 16, 0), shape: [5, 16] },
    'attn.proj.weight': { data: identity(0, C), shape: [C, C] },
    'attn.proj.bias': { data: filled(C, 0), shape: [C] },
    'mlp.lin1.weight': { data: filled(4 * C * C, 0), shape: [4 * C, C] },
    'mlp.lin1.bias': { data: filled(4 * C, 0), shape: [4 * C] },
    'mlp.lin2.weight': { data: filled(4 * C * C, 0), shape: [C, 4 * C] },
    'mlp.lin2.bias': { data: filled(C, 0), shape: [C] },
  }
  const named = new Map(Object.entries(tensors).map(([name, x]) => [LAYER + name, x]))
  const { weights, release } = await weightsFrom(gpu, named, config)
  const x = random([8, 8, C])
  const { y } = await compute(gpu, { x }, (t) => ({
    y: samLayer(t['x'], weights.scope(LAYER), 3, config.sam),
  }))

  const expected = Float64Array.from(x.data)
  for (let row = 0; row < 8; row++) {
    for (let column = 0; column < 8; column++) {
      const token = x.data.subarray((row * 8 + column) * C, (row * 8 + column + 1) * C)
      const mean = token.reduce((a, b) => a + b, 0) / C
      const variance = token.reduce((a, b) => a + (b - mean) ** 2, 0) / C
      // To every real token of the same window
      for (let r = row - (row % 3); r < Math.min(row - (row % 3) + 3, 8); r++) {
        for (let c = column - (column % 3); c < Math.min(column - (column % 3) + 3, 8); c++) {
          token.forEach(
            (v, i) => (expected[(r * 8 + c) * C + i]! += (v - mean) / Math.sqrt(variance + 1e-6) / 9),
          )
        }
      }
    }
  }
  expectClose(
    y,
    expected.map((v) => v + 0.5),
    1e-6,
  )
  release()
})

const real = realConfig('flowseg-qwen3-4b')

/** One layer at true width; `window` 0 is global. */
async function trueLayer(i: number, window: number, entry: string): Promise<void> {
  const gpu = await anyGpu()
  const golden = loadGolden('sam-layers')
  const LAYER = `${ENCODER}layers.${i}.`
  const { weights, release } = await goldenWeights(gpu, golden.weights, real, LAYER)
  const x = { data: goldenInput(golden, 'x'), shape: [64, 64, 1024] }
  const { y } = await compute(gpu, { x }, (t) => ({
    y: samLayer(t['x'], weights.scope(LAYER), window, real.sam),
  }))
  expectGolden(entry, y, golden, 1e-5)
  release()
}

const slow = onlyInNode || (thorough ? '' : ' (set FLOWSEG_SLOW to run it)')
test.skipIf(slow)(`a windowed layer of 64 x 64 x 1024${slow}`, () => trueLayer(0, 14, 'windowed'), 900_000)
test.skipIf(slow)(`a global layer of 64 x 64 x 1024${slow}`, () => trueLayer(5, 0, 'global'), 900_000)
