// sampleRegions is the maximum, or the mean, of bilinear samples whose corners are those of the map (spec of the tasks,
// 4.3; its check 8 is here and in test/model/input/region-points.node.test.ts).

import { expect, test } from 'vitest'
import { sampleRegions } from '../../../src/ops/head/sample-regions.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, expectClose, random } from '../../support.ts'

for (const gpu of await adapters()) {
  test(`sampleRegions on ${gpu.name}`, async () => {
    await expectRight(gpu, { ops: ['sampleRegions'], count: 8 })
  })

  test(`a cell's own point, the far corner and a constant map are exact, on ${gpu.name}`, async () => {
    const [H, W, C] = [3, 4, 8]
    const map = random([H, W, C])
    const at = (points: readonly number[], pool: 'max' | 'mean' = 'max', data = map.data) =>
      evaluate(
        gpu,
        {
          map: { data, shape: [H, W, C] },
          points: { data: Float32Array.from(points), shape: [1, points.length / 2, 2] },
        },
        (t) => sampleRegions(t['map'], t['points'], { pool }),
      )
    expect(await at([0, 0])).toEqual(map.data.subarray(0, C))
    expect(await at([W - 1, H - 1])).toEqual(map.data.subarray(-C))
    expect(await at([1e9, 1e9])).toEqual(map.data.subarray(-C))
    const constant = new Float32Array(H * W * C).fill(0.7)
    const points = [0.3, 1.9, 2.5, 0.1, 1.1, 1.2]
    for (const pool of ['max', 'mean'] as const) {
      expectClose(await at(points, pool, constant), new Float32Array(C).fill(0.7), 1e-7)
    }
  })
}

test('shapes that do not fit are refused', async () => {
  const gpu = await anyGpu()
  const make = (map: readonly number[], points: readonly number[]) =>
    plan(gpu, 'test', ({ input }) => ({
      read: { y: sampleRegions(input('map', map), input('points', points), { pool: 'max' }) },
    }))
  await expect(make([4, 8], [1, 5, 2])).rejects.toThrow('sampleRegions: map is [4, 8], expected [?, ?, ?].')
  await expect(make([2, 2, 8], [5, 2])).rejects.toThrow(
    'sampleRegions: points is [5, 2], expected [?, ?, 2].',
  )
})
