// The largest absolute value by its bits: of every number exactly, of infinities and NaNs of either sign, wherever they
// are.

import { expect, test } from 'vitest'
import { INFINITY_BITS, magnitude } from '../../../src/ops/reduce/magnitude.ts'
import { adapters, planOf, uniform } from '../../support.ts'

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!

for (const gpu of await adapters()) {
  // One Elem, less than a workgroup's threads, some workgroups, and many with a ragged last one
  test.each([1, 4, 7, 1024, 4099, 4 * 256 * 1024 + 40])(`of %i values on ${gpu.name}`, async (size) => {
    const x = { data: uniform(size, 3), shape: [size] }
    const words = new Uint32Array(x.data.buffer)
    const { plan, run } = await planOf(gpu, { x }, (t) => ({ y: magnitude(t['x']) }))
    const most = async (): Promise<number> => {
      const y = (await run())['y']
      expect(y.length).toBeLessThanOrEqual(1024)
      return Math.max(...y)
    }
    expect(await most()).toBe(bitsOf(x.data.reduce((a, b) => Math.max(a, Math.abs(b)), 0)))
    for (const place of new Set([0, size >> 1, size - 1])) {
      const own = words[place]!
      // The largest number, infinity, the NaN of x86 and the first of all
      for (const word of [0x7f7fffff, INFINITY_BITS, 0x7fc00000, 0x7f800001]) {
        for (const sign of [0, 0x80000000]) {
          words[place] = word + sign
          expect(await most(), `${word.toString(16)} at ${place}`).toBe(word)
        }
      }
      words[place] = own
    }
    plan.release()
  })
}
