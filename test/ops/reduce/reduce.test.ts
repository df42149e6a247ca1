// Reductions equal their formulas on every adapter, bit for bit the same each time.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { recordFor } from '../../../src/gpu/recorder.ts'
import { mul } from '../../../src/ops/elementwise/elementwise.ts'
import { argmax, maxLast, meanRows, normalizeRows, softmax } from '../../../src/ops/reduce/reduce.ts'
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
  planOf,
  random,
} from '../../support.ts'

for (const gpu of await adapters()) {
  test(`every reduction equals its formula on ${gpu.name}`, async () => {
    await expectRight(gpu, { families: ['reduce'], count: 4 })
  })
}

for (const { gpu, name } of await machines(
  ['softmax', 'reduce', 'argmax', 'normalizeRows'],
  ['thread', 'shared'],
)) {
  test(`softmax in place on ${name}`, async () => {
    const x = random([5, 40], 1, 3)
    const one: HostTensor = { shape: [1], data: new Float32Array([1]) }
    const apart = await evaluate(gpu, { x }, (t) => softmax(t['x']))
    const { plan: ready, run } = await planOf(gpu, { x, one }, (t) => ({
      y: mul(softmax(mul(t['x'], t['one'])), t['one']),
    }))
    expect(ready.info.dispatches.map((d) => d.inPlace)).toEqual([false, true, false])
    expectSameBits((await run())['y'], apart)
    expectSameBits((await run())['y'], apart)
    ready.release()
  })

  test(`maxima of the lowest numbers, and argmax of a vector, on ${name}`, async () => {
    const low: HostTensor = { shape: [2, 6], data: new Float32Array(12).fill(-3.2e38) }
    expectSameBits(
      await evaluate(gpu, { low }, (t) => maxLast(t['low'])),
      Float32Array.from([-3.2e38, -3.2e38]),
    )
    const vector: HostTensor = {
      shape: [200],
      data: Float32Array.from({ length: 200 }, (_, i) => -Math.abs(i - 123)),
    }
    expect([...(await evaluate(gpu, { vector }, (t) => argmax(t['vector'])))]).toEqual([123])
  })

  test(`normalizeRows of zeros, and softmax of the lowest number there is, on ${name}`, async () => {
    const zero: HostTensor = { shape: [2, 3], data: new Float32Array(6) }
    expectSameBits(await evaluate(gpu, { zero }, (t) => normalizeRows(t['zero'])), new Float32Array(6))
    for (const shape of [
      [70, 8],
      [3, 67],
    ]) {
      const low = { shape, data: new Float32Array(shape[0]! * shape[1]!).fill(-3.4028234663852886e38) }
      const y = await evaluate(gpu, { low }, (t) => softmax(t['low']))
      expectClose(
        y,
        low.data.map(() => 1 / shape[1]!),
      )
    }
  })
}

for (const gpu of await adapters()) {
  test(`a row as long as a vocabulary, as on a GPU, on ${gpu.name}`, async () => {
    const asGpu = { ...gpu.adapter, software: false }
    for (const [V, at] of [
      [32_014, 32_013],
      [20_000, 7],
      [18_001, 4_097],
    ] as const) {
      const x: HostTensor = { shape: [1, V], data: random([V]).data }
      x.data[at] = 3
      x.data[V - 1] = 3 // the lowest of equals
      const { plan: ready, run } = await planOf(gpu, { x }, (t) => ({
        y: recordFor(asGpu, () => argmax(t.x)),
        most: recordFor(asGpu, () => maxLast(t.x)),
      }))
      expect(ready.info.dispatches[0]?.kernel).toContain('256')
      const { y, most } = await run()
      expect([y[0], most[0]]).toEqual([at, 3])
      ready.release()
    }
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  await expect(
    plan(gpu, 'test', ({ input }) => ({ read: { y: meanRows(input('x', [3])) } })),
  ).rejects.toThrow(new ShapeError('meanRows: x is [3], expected [?, ?].'))
  await expect(
    plan(gpu, 'test', ({ input }) => ({ read: { y: softmax(input('x', [3, 2], 'u32')) } })),
  ).rejects.toThrow('softmax: x is u32, expected f32.')
})
