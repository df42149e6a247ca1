// Elements are gathered as a loop over all indices would, whatever the strides and however little is read at a time.

import { expect, test } from 'vitest'
import { DTYPE_BITS, type Dtype } from '../../../src/io/checkpoint/dtype.ts'
import { extentOf, gather, isContiguous, stridesOf } from '../../../src/io/checkpoint/strided.ts'
import { bytesSource } from '../../../src/io/source.ts'
import { Random } from '../../../tools/fuzz/random.ts'

/** Places in the file, in elements, in C order. */
function placesOf(shape: readonly number[], strides: readonly number[]): number[] {
  return shape.reduce<number[]>(
    (places, length, axis) =>
      places.flatMap((place) => Array.from({ length }, (_, i) => place + i * (strides[axis] ?? 0))),
    [0],
  )
}

const DTYPES: readonly Dtype[] = ['U8', 'BF16', 'F32', 'F64']

test('any shape, strides, part and window', async () => {
  const random = new Random('strided', 1)
  let gathered = 0
  for (let i = 0; i < 2000; i++) {
    const shape = Array.from({ length: random.below(5) }, () => random.of([1, 1, 2, 3, 5, 8, 0]))
    const strides = random.chance(0.5)
      ? permuted(random, shape)
      : shape.map(() => random.of([0, 1, 2, 3, 7, 20]))
    const places = placesOf(shape, strides)
    expect(extentOf(shape, strides)).toBe(places.length === 0 ? 0 : Math.max(...places) + 1)
    const inOrder = places.every((place, k) => place === k)
    // If no element tells them apart, both are right
    expect(isContiguous(shape, strides)).toBe(inOrder)

    const dtype = random.of(DTYPES)
    const width = DTYPE_BITS[dtype] / 8
    const begin = random.below(9)
    const file = Uint8Array.from({ length: begin + extentOf(shape, strides) * width }, () =>
      random.below(256),
    )
    const first = random.below(places.length + 1)
    const count = random.below(places.length - first + 1)
    const window = random.of([16, 32, 100, 4096])
    const reads: number[] = []
    const source = bytesSource(file)
    const watched: typeof source = {
      ...source,
      read: (offset, length) => {
        reads.push(length)
        return source.read(offset, length)
      },
    }
    const bytes = await gather(watched, { dtype, shape, strides, begin }, first, count, undefined, window)
    const expected = places.slice(first, first + count).flatMap((place) => {
      return [...file.subarray(begin + place * width, begin + (place + 1) * width)]
    })
    expect([...bytes], JSON.stringify({ shape, strides, dtype, first, count, window })).toEqual(expected)
    expect(Math.max(0, ...reads)).toBeLessThanOrEqual(window)
    gathered += count
  }
  expect(gathered).toBeGreaterThan(5000)
})

/** The strides of a contiguous tensor, its axes in another order. */
function permuted(random: Random, shape: readonly number[]): number[] {
  const order = shape.map((_, axis) => ({ axis, key: random.next() })).sort((a, b) => a.key - b.key)
  const steps = stridesOf(order.map(({ axis }) => shape[axis] ?? 0))
  const strides: number[] = []
  for (const [i, { axis }] of order.entries()) strides[axis] = steps[i] ?? 0
  return strides
}
