// What ceilings are measured with computes what it says, so no driver leaves any of it out; and what they say is
// a possible speed.

import { expect, test } from 'vitest'
import { plan } from '../../src/tensor/plan.ts'
import { allocate, release, upload } from '../../src/tensor/tensor.ts'
import { copyChunks, measureCeilings, multiplyAdds } from '../../src/tuning/ceilings.ts'
import { adapters, expectClose, expectSameBits, random } from '../support.ts'

for (const gpu of await adapters()) {
  test.each([1, 10, 24])(`%i chains of multiply-adds on ${gpu.name}`, async (chains) => {
    const [threads, steps] = [192, 5]
    const y = await allocate(gpu, [threads], 'f32')
    const made = await plan(gpu, 'test', () => {
      multiplyAdds(y, threads, chains)
      return { read: { y } }
    })
    const run = async () => (await made.run({ params: { steps } })).read.y
    const first = await run()
    const expected = Float64Array.from({ length: threads }, (_, t) => {
      let sum = 0
      for (let a = 0; a < chains; a++) {
        let s = t + a
        for (let i = 0; i < 8 * steps; i++) s = s * 0.999 + 0.001
        sum += s
      }
      return sum
    })
    expectClose(first, expected, 1e-5) // 40 rounded steps
    expectSameBits(await run(), first)
    made.release()
    release(gpu, y)
  })

  test(`copied chunks on ${gpu.name}`, async () => {
    const x = await upload(gpu, random([6144]).data, [6144], 'f32')
    const y = await allocate(gpu, [6144], 'f32')
    const made = await plan(gpu, 'test', () => {
      copyChunks(x, y, 2 * 8192)
      return { read: { x, y } }
    })
    const { read } = await made.run()
    expectSameBits(read.y.slice(0, 4096), read.x.slice(0, 4096))
    expect(Math.max(...read.y.slice(4096))).toBe(0)
    made.release()
    for (const one of [x, y]) release(gpu, one)
  })
}

for (const gpu of await adapters()) {
  test(`ceilings of ${gpu.name}`, async () => {
    const before = gpu.memory().bytes
    const { flopsPerSecond, bytesPerSecond, dispatchSeconds } = await measureCeilings(gpu)
    // Nothing that this runs on does less than an old processor's core, or more than a data centre's GPU
    expect(flopsPerSecond).toBeGreaterThan(1e8)
    expect(flopsPerSecond).toBeLessThan(1e15)
    expect(bytesPerSecond).toBeGreaterThan(1e7)
    expect(bytesPerSecond).toBeLessThan(1e14)
    expect(dispatchSeconds).toBeGreaterThan(0)
    expect(dispatchSeconds).toBeLessThan(0.1)
    expect(gpu.memory().bytes).toBe(before)
  }, 60_000)
}
