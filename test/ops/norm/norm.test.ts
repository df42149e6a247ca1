// Norms equal their formulas on every adapter of this machine, bit for bit the same each time, however far the
// values lie from zero.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { groupNorm, layerNorm, rmsNorm } from '../../../src/ops/norm/norm.ts'
import {
  groupNormReference,
  layerNormReference,
  rmsNormReference,
} from '../../../src/selftest/references/norm.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { expectRight } from '../../selftest/right.ts'
import {
  adapters,
  anyGpu,
  evaluate,
  expectClose,
  expectSameBits,
  type HostTensor,
  machines,
  random,
  uniform,
} from '../../support.ts'

/** The same values, moved: rounded to f32, so that the reference sees what the kernel sees. */
function moved(x: HostTensor, by: number): HostTensor {
  return { shape: x.shape, data: Float32Array.from(x.data, (v) => v + by) }
}

for (const gpu of await adapters()) {
  test(`every norm equals its formula on ${gpu.name}`, async () => {
    await expectRight(gpu, { families: ['norm'], count: 4 })
  })
}

for (const { gpu, name } of await machines(['layerNorm', 'rmsNorm'], ['thread', 'team'])) {
  test(`rmsNorm and layerNorm of the largest and the smallest numbers on ${name}`, async () => {
    for (const [rows, C] of [
      [70, 8],
      [70, 7],
      [3, 260],
    ] as const) {
      for (const size of [3.4e38, 1e30, 2e19, 1e18, 1e-30]) {
        const x = random([rows, C], 1, size)
        // One row among the others is of the usual size, one all but zero
        x.data.set(uniform(C, 5), C)
        x.data.fill(0, 2 * C, 3 * C - 1)
        const [weight, bias] = [random([C], 2), random([C], 3)]
        const rms = await evaluate(gpu, { x, weight }, (t) => rmsNorm(t['x'], t['weight'], 1e-6))
        const expected = rmsNormReference(x.data, C, weight.data, 1e-6)
        const layer = await evaluate(gpu, { x, weight, bias }, (t) =>
          layerNorm(t['x'], t['weight'], t['bias'], 1e-6),
        )
        const layers = layerNormReference(x.data, C, weight.data, bias.data, 1e-6)
        for (let r = 0; r < Math.min(rows, 5); r++) {
          const row = (y: Float32Array | Float64Array) => y.subarray(r * C, (r + 1) * C)
          const what = `[${rows}, ${C}] of ${size}, row ${r}`
          expectClose(row(rms as Float32Array), row(expected), 1e-5, `rmsNorm ${what}`)
          expectClose(row(layer as Float32Array), row(layers), 1e-5, `layerNorm ${what}`)
        }
      }
    }
  })

  test(`layerNorm far from zero, and with one channel far from the others, on ${name}`, async () => {
    const [rows, C] = [9, 1024]
    const weight = random([C], 2)
    const bias = random([C], 3)
    const x = moved(random([rows, C], 1), 1e5)
    const y = await evaluate(gpu, { x, weight, bias }, (t) => layerNorm(t['x'], t['weight'], t['bias'], 1e-6))
    // The shift by the row's first value is exact here: nothing is left of the offset
    expectClose(y, layerNormReference(x.data, C, weight.data, bias.data, 1e-6), 2e-6)

    // Vision transformers have channels hundreds of times larger than the rest; here it is also the shift
    for (const place of [0, 500]) {
      const spiky: HostTensor & { data: Float32Array } = random([rows, C], 1)
      for (let r = 0; r < rows; r++) spiky.data[r * C + place] = 3000
      const out = await evaluate(gpu, { x: spiky, weight, bias }, (t) =>
        layerNorm(t['x'], t['weight'], t['bias'], 1e-6),
      )
      // v - 3000 keeps 2.4e-4 of a value near 1, where the deviation is 94: 2.6e-6 of it
      expectClose(out, layerNormReference(spiky.data, C, weight.data, bias.data, 1e-6), 5e-6)
    }

    // All alike: the variance is nothing, and the result the bias, exactly
    const flat: HostTensor = { shape: [rows, C], data: new Float32Array(rows * C).fill(12345.678) }
    const plain = await evaluate(gpu, { x: flat, weight, bias }, (t) =>
      layerNorm(t['x'], t['weight'], t['bias'], 1e-6),
    )
    expectSameBits(
      plain,
      Float32Array.from(plain, (_, i) => bias.data[i % C]! + 0),
    )
  })

  test(`groupNorm far from zero on ${name}`, async () => {
    for (const [shape, groups] of [
      [[5, 7, 12], 3],
      [[40, 64], 32],
      [[10_007, 10], 5],
    ] as const) {
      const C = shape.at(-1)!
      const x = moved(random(shape, 1, 3), 1e4)
      const weight = random([C], 2)
      const bias = random([C], 3)
      const y = await evaluate(gpu, { x, weight, bias }, (t) =>
        groupNorm(t['x'], groups, t['weight'], t['bias'], 1e-5),
      )
      const expected = groupNormReference(x.data, C, groups, weight.data, bias.data, 1e-5)
      // 1e4 away, f32 means are good to half a ULP of 1e4, 5e-4, of a deviation of 1.7
      expectClose(y, expected, 4e-4, `[${shape.join()}] in ${groups} groups`)
    }
  })

  test(`groupNorm of the largest and the smallest numbers on ${name}`, async () => {
    // One chunk and several, of which only some overflow
    for (const [pixels, C, groups] of [
      [9, 6, 2],
      [600, 8, 2],
    ] as const) {
      for (const size of [3.4e38, 1e30, 2e19, 1e18, 1e-30]) {
        const x = random([pixels, C], 1, size)
        x.data.fill(1, 0, (x.data.length >> 2) + 1)
        const [weight, bias] = [random([C], 2), random([C], 3)]
        const y = await evaluate(gpu, { x, weight, bias }, (t) =>
          groupNorm(t['x'], groups, t['weight'], t['bias'], 1e-5),
        )
        const expected = groupNormReference(x.data, C, groups, weight.data, bias.data, 1e-5)
        expectClose(y, expected, 1e-5, `[${pixels}, ${C}] of ${size}`)
      }
    }
  })

  test(`groupNorm with an activation, in place, on ${name}`, async () => {
    const x = random([9, 5, 8], 1, 3)
    const weight = random([8], 2)
    const bias = random([8], 3)
    const y = await evaluate(gpu, { x, weight, bias }, (t) => {
      // The first norm's result is an intermediate: the second one overwrites it
      const first = groupNorm(t['x'], 4, t['weight'], t['bias'], 1e-5)
      return groupNorm(groupNorm(first, 2, t['weight'], t['bias'], 1e-5), 1, t['weight'], t['bias'], 1e-5, {
        activation: 'relu',
      })
    })
    const norm = (v: ArrayLike<number>, groups: number) =>
      groupNormReference(v, 8, groups, weight.data, bias.data, 1e-5)
    expectClose(
      y,
      norm(norm(norm(x.data, 4), 2), 1).map((v) => Math.max(v, 0)),
      1e-5,
    ) // three norms deep
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  const norm = (build: Parameters<typeof plan>[2]) => plan(gpu, 'test', build)
  await expect(
    norm(({ input }) => ({ read: { y: rmsNorm(input('x', [2, 8]), input('w', [4]), 1e-6) } })),
  ).rejects.toThrow(new ShapeError('rmsNorm: weight is [4], expected [8].'))
  await expect(
    norm(({ input }) => ({
      read: { y: layerNorm(input('x', [2, 8]), input('w', [8]), input('b', [1, 8]), 1e-6) },
    })),
  ).rejects.toThrow('layerNorm: bias is [1, 8], expected [8].')
  await expect(
    norm(({ input }) => ({
      read: { y: groupNorm(input('x', [2, 8]), 3, input('w', [8]), input('b', [8]), 1e-6) },
    })),
  ).rejects.toThrow("groupNorm: 3 groups don't divide 8 channels.")
  await expect(
    norm(({ input }) => ({ read: { y: rmsNorm(input('x', [2, 8], 'u32'), input('w', [8]), 1e-6) } })),
  ).rejects.toThrow('rmsNorm: x is u32, expected f32.')
})
