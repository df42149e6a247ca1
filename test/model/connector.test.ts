// The connector is three rows of convolutions and norms without activations, and two shuffles whose orders
// are not each other's inverse.

import { expect, test } from 'vitest'
import { connector } from '../../src/model/connector.ts'
import { weightTensor } from '../fixtures/random.ts'
import { adapters, expectClose, random } from '../support.ts'
import { compute, goldenWeights, smallConfig } from './networks.ts'

interface Map {
  readonly shape: readonly [H: number, W: number, C: number]
  readonly data: Float64Array
}

/** A convolution that keeps the size, weight [O, I, side, side]. */
function conv({ shape: [H, W, C], data }: Map, weight: Float32Array, O: number, side: number): Map {
  const out = new Float64Array(H * W * O)
  const reach = (side - 1) / 2
  for (let i = 0; i < out.length; i++) {
    const [y, x, o] = [Math.floor(i / (W * O)), Math.floor(i / O) % W, i % O]
    for (let r = Math.max(0, y - reach); r <= Math.min(H - 1, y + reach); r++) {
      for (let c = Math.max(0, x - reach); c <= Math.min(W - 1, x + reach); c++) {
        for (let k = 0; k < C; k++) {
          const tap = ((o * C + k) * side + (r - y + reach)) * side + (c - x + reach)
          out[i]! += data[(r * W + c) * C + k]! * weight[tap]!
        }
      }
    }
  }
  return { shape: [H, W, O], data: out }
}

function channelNorm({ shape, data }: Map, weight: Float32Array, bias: Float32Array): Map {
  const C = shape[2]
  const out = data.slice()
  for (let start = 0; start < data.length; start += C) {
    const pixel = data.subarray(start, start + C)
    const mean = pixel.reduce((a, b) => a + b, 0) / C
    const variance = pixel.reduce((a, b) => a + (b - mean) ** 2, 0) / C
    for (let c = 0; c < C; c++)
      out[start + c] = ((pixel[c]! - mean) / Math.sqrt(variance + 1e-6)) * weight[c]! + bias[c]!
  }
  return { shape, data: out }
}

/** out[2y + dy, 2x + dx, c] = in[y, x, (dx 2 + dy) C' + c] */
function depthToSpace({ shape: [H, W, C], data }: Map): Map {
  const D = C / 4
  const out = new Float64Array(data.length)
  for (let i = 0; i < out.length; i++) {
    const [y, x, c] = [Math.floor(i / (2 * W * D)), Math.floor(i / D) % (2 * W), i % D]
    out[i] = data[((y >> 1) * W + (x >> 1)) * C + ((x & 1) * 2 + (y & 1)) * D + c]!
  }
  return { shape: [2 * H, 2 * W, D], data: out }
}

/** out[y, x, (dy 2 + dx) C + c] = in[2y + dy, 2x + dx, c] */
function spaceToDepth({ shape: [H, W, C], data }: Map): Map {
  const out = new Float64Array(data.length)
  for (let i = 0; i < out.length; i++) {
    const [y, x, k] = [Math.floor(i / (W * 2 * C)), Math.floor(i / (4 * C)) % (W / 2), i % (4 * C)]
    const part = Math.floor(k / C)
    out[i] = data[((2 * y + (part >> 1)) * W + 2 * x + (part & 1)) * C + (k % C)]!
  }
  return { shape: [H / 2, W / 2, 4 * C], data: out }
}

for (const gpu of await adapters()) {
  test(`connector on ${gpu.name}`, async () => {
    const config = smallConfig()
    const { hidden, channels } = config.connector
    const { weights, release } = await goldenWeights(gpu, 'f32', config, 'seg_connector.')
    const C = config.sam.hidden
    const taps = [random([8, 8, C], 1), random([8, 8, C], 2), random([8, 8, C], 3)] as const
    const y = await compute(gpu, { fine: taps[0], middle: taps[1], coarse: taps[2] }, (t) => {
      const maps = connector([t['fine']!, t['middle']!, t['coarse']!], weights.scope('seg_connector.'))
      expect(maps.map(({ shape }) => shape)).toEqual([
        [4, 4, 64],
        [8, 8, 32],
        [16, 16, 16],
      ])
      return { coarse: maps[0]!, middle: maps[1]!, fine: maps[2]! }
    })

    const shuffles = { fine: depthToSpace, middle: (x: Map) => x, coarse: spaceToDepth }
    Object.entries(shuffles).forEach(([name, shuffle], j) => {
      const weight = (layer: string, ...shape: number[]) =>
        weightTensor(`seg_connector.model.${j}.model.${layer}`, shape)
      const normed = (x: Map, layer: number) =>
        channelNorm(x, weight(`${layer}.weight`, x.shape[2]), weight(`${layer}.bias`, x.shape[2]))
      let x: Map = { shape: [8, 8, C], data: Float64Array.from(taps[j]!.data) }
      x = normed(conv(x, weight('0.weight', hidden, C, 1, 1), hidden, 1), 1)
      x = normed(conv(x, weight('2.weight', hidden, hidden, 3, 3), hidden, 3), 3)
      x = normed(conv(x, weight('4.weight', channels[j]!, hidden, 1, 1), channels[j]!, 1), 5)
      expectClose(y[name]!, shuffle(x).data, 1e-5, name)
    })
    release()
  })
}
