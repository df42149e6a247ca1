// Layout ops put every element where the formula says, exactly, on every adapter.

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import {
  concatColumns,
  concatRows,
  depthToSpace,
  joinWindows,
  sliceRows,
  spaceToDepth,
  splitWindows,
  transpose,
} from '../../../src/ops/layout/layout.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { release, type Shape, type Tensor, upload } from '../../../src/tensor/tensor.ts'
import { expectRight } from '../../selftest/right.ts'
import { adapters, anyGpu, evaluate, type HostTensor } from '../../support.ts'

/** 1, 2, 3 ... so that every element says where it came from, and none is the zero of a padding. */
function counting(shape: readonly number[]): HostTensor & { data: Float32Array } {
  return { shape, data: Float32Array.from({ length: shape.reduce((n, m) => n * m, 1) }, (_, i) => i + 1) }
}

for (const gpu of await adapters()) {
  test(`spec 14, check 2: shuffles on counting tensors on ${gpu.name}`, async () => {
    // 4 x 4 x 3 -> 2 x 2 x 12: out[y, x, (dy 2 + dx) C + c] = in[2y + dy, 2x + dx, c]
    const deep = await evaluate(gpu, { x: counting([4, 4, 3]) }, (t) => spaceToDepth(t['x']))
    expect([...deep.subarray(0, 12)]).toEqual([1, 2, 3, 4, 5, 6, 13, 14, 15, 16, 17, 18])
    expect([...deep.subarray(36, 48)]).toEqual([31, 32, 33, 34, 35, 36, 43, 44, 45, 46, 47, 48])

    // 2 x 2 x 8 -> 4 x 4 x 2: out[0, 1, 0] is channel 4 of in[0, 0], out[1, 0, 0] is channel 2
    const x = counting([2, 2, 8])
    const wide = await evaluate(gpu, { x }, (t) => depthToSpace(t['x']))
    const at = (row: number, col: number, c: number) => wide[(row * 4 + col) * 2 + c]
    expect([at(0, 0, 0), at(0, 0, 1)]).toEqual([x.data[0], x.data[1]])
    expect(at(0, 1, 0)).toBe(x.data[4])
    expect(at(1, 0, 0)).toBe(x.data[2])
    expect(at(1, 1, 1)).toBe(x.data[7])
    expect(at(3, 2, 1)).toBe(x.data[3 * 8 + 3])
  })

  test(`every op moves every value where its formula says, on ${gpu.name}`, async () => {
    await expectRight(gpu, { families: ['layout'], count: 5 })
  })

  test(`slices of 16-bit weights on ${gpu.name}`, async () => {
    const data = Uint16Array.from({ length: 7 * 3 }, (_, i) => i + 1)
    const weight = await upload(gpu, data, [7, 3], 'bf16')
    const bits = await plan(gpu, 'test', () => {
      const slice = sliceRows(weight, 2, 3)
      return { read: { slice: { ...slice, dtype: 'u32', shape: [5], size: 5 } } }
    })
    const { read } = await bits.run()
    const halves = new Uint16Array(read['slice'].buffer)
    expect([...halves.subarray(0, 9)]).toEqual([...data.subarray(6, 15)])
    bits.release()
    await expect(plan(gpu, 'test', () => ({ read: { y: sliceRows(weight, 1, 2) } }))).rejects.toThrow(
      'sliceRows: row 1 of [7, 3] bf16 begins in the middle of a word.',
    )
    release(gpu, weight)
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  const failing = (shapes: readonly Shape[], build: (...xs: Tensor[]) => Tensor, message: string) =>
    expect(
      plan(gpu, 'test', ({ input }) => ({ read: { y: build(...shapes.map((s, i) => input(`x${i}`, s))) } })),
    ).rejects.toThrow(new ShapeError(message))
  await failing(
    [[3, 4, 1]],
    (x) => spaceToDepth(x),
    'spaceToDepth: x is [3, 4, 1], expected an even height and width.',
  )
  await failing(
    [[3, 4, 6]],
    (x) => depthToSpace(x),
    'depthToSpace: x is [3, 4, 6], expected a multiple of 4 channels.',
  )
  await failing([[3, 4]], (x) => splitWindows(x, 2), 'splitWindows: x is [3, 4], expected [?, ?, ?].')
  await failing(
    [[3, 4, 1]],
    (x) => splitWindows(x, 0),
    'splitWindows: window is 0, expected a whole number of at least 1.',
  )
  await failing(
    [[4, 9, 1]],
    (x) => joinWindows(x, 3, [4, 7]),
    'joinWindows: x is [4, 9, 1], expected [6, 9, ?].',
  )
  await failing(
    [
      [2, 3],
      [2, 4],
    ],
    (a, b) => concatRows(a, b),
    'concatRows: tensor 1 is [2, 4], expected [?, 3].',
  )
  await failing(
    [
      [2, 3],
      [3, 3],
    ],
    (a, b) => concatColumns(a, b),
    'concatColumns: b is [3, 3], expected [2, ?].',
  )
  await failing(
    [[4, 3]],
    (x) => sliceRows(x, 3, 2),
    'sliceRows: [3, 5) is outside of the first axis of [4, 3].',
  )
  await failing([[4]], (x) => transpose(x), 'transpose: x is [4], expected [?, ?, ?].')
})
