// Deformable attention equals its formula in float64 on every adapter of this machine, with points inside, on and far
// outside of the maps; and check 6 of the spec, section 14.

import { describe, expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { type DeformableOptions, deformableAttention } from '../../../src/ops/attention/deformable.ts'
import { deformableReference } from '../../../src/selftest/references/attention.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, expectClose, type HostTensor, planOf, random } from '../../support.ts'

type Host = Record<'value' | 'offsets' | 'weights', HostTensor & { data: Float32Array }>

function inputsOf(d: number, { heads, points, levels }: DeformableOptions, reach: number): Host {
  const T = levels.reduce((sum, [H, W]) => sum + H * W, 0)
  const LP = levels.length * points
  return {
    value: random([T, heads * d], 1),
    offsets: random([T, heads * LP * 2], 2, reach),
    weights: random([T, heads * LP], 3, 3),
  }
}

for (const gpu of await adapters()) {
  describe(gpu.name, () => {
    const run = (host: Host, options: DeformableOptions) =>
      evaluate(gpu, host, (t) => deformableAttention(t['value'], t['offsets'], t['weights'], options))

    test('deformableAttention', async () => {
      await expectRight(gpu, { ops: ['deformableAttention'], count: 8 })
    })

    test('points far outside of the maps, and far from their origin', async () => {
      for (const [d, options, reach] of [
        [
          8,
          {
            heads: 1,
            points: 2,
            levels: [
              [2, 300],
              [3, 77],
            ],
          },
          1,
        ],
        [8, { heads: 2, points: 2, levels: [[6, 5]] }, 1e9], // nearly all outside
      ] as const) {
        const host = inputsOf(d, options, reach)
        const { value, offsets, weights } = host
        const expected = deformableReference(
          { value: value.data, offsets: offsets.data, weights: weights.data },
          d,
          options,
        )
        expectClose(await run(host, options), expected, 2e-6, JSON.stringify(options))
      }
    })

    test('without offsets and with one point each, the value is read at the reference point (check 6)', async () => {
      const options = {
        heads: 1,
        points: 4,
        levels: [
          [4, 6],
          [8, 12],
        ],
      } as const
      const host = inputsOf(4, options, 1)
      host.offsets.data.fill(0)
      // All weight on level 0: its own tokens read themselves, exactly
      host.weights.data.forEach((_, i) => {
        host.weights.data[i] = i % 8 === 2 ? 200 : -200
      })
      const y = await run(host, options)
      expect(y.subarray(0, 24 * 4)).toEqual(host.value.data.subarray(0, 24 * 4))
      // A token of level 1 sits a quarter of a pixel off: row 3, column 3 is at (1.25, 1.25) of level 0
      const at = (row: number, column: number): number => host.value.data[(row * 6 + column) * 4]!
      const mixed = 0.75 * (0.75 * at(1, 1) + 0.25 * at(1, 2)) + 0.25 * (0.75 * at(2, 1) + 0.25 * at(2, 2))
      expect(y[(24 + 3 * 12 + 3) * 4]).toBeCloseTo(mixed, 6)
    })
  })
}

test('shapes that do not fit are refused', async () => {
  const gpu = await anyGpu()
  const options = { heads: 2, points: 2, levels: [[2, 3]] } as const
  const host = inputsOf(8, options, 1)
  const wrong = async (changed: Partial<Host>, other: Partial<DeformableOptions> = {}) => {
    const build = planOf(gpu, { ...host, ...changed }, (t) => ({
      y: deformableAttention(t['value'], t['offsets'], t['weights'], { ...options, ...other }),
    }))
    await expect(build).rejects.toThrow(ShapeError)
  }
  await wrong({ value: random([7, 16]) })
  await wrong({ value: random([6, 12]) }) // heads of 6
  await wrong({ offsets: random([6, 9]) })
  await wrong({ weights: random([6, 5]) })
  await wrong({}, { levels: [] })
  await wrong(
    {},
    {
      levels: [
        [1, 1],
        [1, 1],
        [1, 1],
        [1, 1],
        [1, 2],
      ],
    },
  )
})
