// Boundary refinement is the reference's, and does no more than it may: nothing without alpha, nothing on a
// constant map, nothing outside of its band, and nowhere more than alpha.

import { describe, expect, test } from 'vitest'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { weightsFrom } from '../../../src/model/checkpoint/weights.ts'
import { compressFeatures, refineBoundary } from '../../../src/model/networks/boundary.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { adapters, expectSameBits } from '../../support.ts'
import { compute, smallConfig } from './networks.ts'

const REFINER = 'segmentor.boundary_refiner.'
const golden = loadGolden('boundary')
const [H, W, d] = [13, 19, 64]
const config = smallConfig()

async function refined(gpu: Gpu, logits: Float32Array, alpha?: number) {
  const entries = parameters(config)
    .filter(({ name }) => name.startsWith(REFINER))
    .map(({ name, shape }) => [name, { data: weightTensor(name, shape, golden.weights), shape }] as const)
  const tensors = new Map(entries)
  if (alpha !== undefined) tensors.set(`${REFINER}alpha`, { data: Float32Array.of(alpha), shape: [1] })
  const { weights, release } = await weightsFrom(gpu, tensors, config)
  const w = weights.scope(REFINER)
  const inputs = {
    maskFeatures: { data: goldenInput(golden, 'maskFeatures'), shape: [H, W, d] },
    logits: { data: logits, shape: [H, W] },
  }
  const y = await compute(gpu, inputs, (t) => ({
    ...refineBoundary(t['logits'], compressFeatures(t['maskFeatures'], w), w),
  }))
  release()
  return { logits: y['logits'], band: y['band'] }
}

/** 1 where a probability changes by more than 0.1 within three pixels, else 0; in float64. */
function bandReference(logits: Float32Array): Float32Array {
  return Float32Array.from(logits, (_, i) => {
    const around: number[] = []
    for (let r = Math.floor(i / W) - 1; r <= Math.floor(i / W) + 1; r++) {
      for (let c = (i % W) - 1; c <= (i % W) + 1; c++) {
        if (r >= 0 && r < H && c >= 0 && c < W) around.push(1 / (1 + Math.exp(-logits[r * W + c]!)))
      }
    }
    return Number(Math.max(...around) - Math.min(...around) > 0.1)
  })
}

for (const gpu of await adapters()) {
  describe(`boundary refinement on ${gpu.name}`, () => {
    test.each(['gentle', 'steep'])('%s logits', async (name) => {
      const input = goldenInput(golden, name)
      const { logits, band } = await refined(gpu, input)
      expectGolden(`${name}.refined`, logits, golden, 1e-5)
      expectGolden(`${name}.band`, band, golden, 1e-9)
      expectSameBits(band, bandReference(input))
    })

    test('moves logits inside of the band, by at most alpha', async () => {
      const input = goldenInput(golden, 'gentle')
      for (const alpha of [0.3, -2]) {
        const { logits, band } = await refined(gpu, input, alpha)
        const moved = logits.map((v, i) => v - input[i]!)
        moved.forEach((delta, i) => {
          if (band[i] === 0) expect(logits[i]).toBe(input[i])
          else expect(Math.abs(delta)).toBeLessThanOrEqual(Math.abs(alpha) + 1e-6) // the sum is rounded
        })
        expect(moved.filter((delta) => delta !== 0).length).toBeGreaterThan(H * W * 0.4)
      }
    })

    test('is the identity without alpha', async () => {
      const input = goldenInput(golden, 'steep')
      const { logits, band } = await refined(gpu, input, 0)
      expectSameBits(logits, input)
      expect(band.some((b) => b === 1)).toBe(true)
    })

    test.each([0, 3.25, -1e4, 1e4])('is the identity on a map of %d', async (value) => {
      const input = new Float32Array(H * W).fill(value)
      const { logits, band } = await refined(gpu, input)
      expectSameBits(logits, input)
      expectSameBits(band, new Float32Array(H * W))
    })

    test('leaves the frame alone: the image may end inside of an object', async () => {
      // Left half inside, right half outside: a band of two columns, none along the frame
      const input = Float32Array.from({ length: H * W }, (_, i) => (i % W < 9 ? 8 : -8))
      const { band } = await refined(gpu, input)
      band.forEach((b, i) => expect(b).toBe(i % W === 8 || i % W === 9 ? 1 : 0))
    })
  })
}
