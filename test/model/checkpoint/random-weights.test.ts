// Random weights have the names, shapes and types that a part of the model reads, are never zero, and the same again.

import { expect, test } from 'vitest'
import { noise, randomWeights } from '../../../src/model/checkpoint/random-weights.ts'
import { siglipLayer } from '../../../src/model/networks/siglip.ts'
import { anyGpu, random } from '../../support.ts'
import { compute, smallConfig } from '../networks/networks.ts'

test('noise: around its centre, within its scale, never zero, the same for the same seed', () => {
  const values = noise(100_000, 7, 0.5)
  expect(noise(100_000, 7, 0.5)).toEqual(values)
  expect(noise(100_000, 8, 0.5)).not.toEqual(values)
  expect(values.includes(0)).toBe(false)
  expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(0.5)
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length
  const square = values.reduce((sum, v) => sum + v * v, 0) / values.length
  expect(Math.abs(mean)).toBeLessThan(0.005)
  expect(square).toBeCloseTo(0.25 / 3, 2) // uniform
  expect(Math.min(...noise(1000, 1, 0.1, 1))).toBeGreaterThanOrEqual(0.9)
})

test.each(['f32', 'bf16'] as const)(
  'a layer on random weights of %s keeps the size of what it gets',
  async (dtype) => {
    const gpu = await anyGpu()
    const config = smallConfig()
    const LAYER = 'vision_encoder.vision_model.encoder.layers.0.'
    const before = gpu.memory().bytes
    const { weights, release } = await randomWeights(gpu, config, [LAYER], dtype)
    const w = weights.scope(LAYER)
    expect(w.tensor('mlp.fc1.weight').dtype).toBe(dtype)
    expect(w.tensor('mlp.fc1.bias').dtype).toBe('f32')
    expect(weights.has('vision_encoder.vision_model.encoder.layers.1.mlp.fc1.bias')).toBe(false)

    const x = random([9, config.siglip.hidden])
    const { y } = await compute(gpu, { x }, (t) => ({ y: siglipLayer(t['x'], w, config.siglip) }))
    const size = Math.hypot(...y) / Math.hypot(...x.data)
    expect(size).toBeGreaterThan(0.5)
    expect(size).toBeLessThan(10)
    release()
    expect(gpu.memory().bytes).toBe(before)
  },
)
