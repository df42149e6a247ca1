// Long runs: several submissions, with progress between them, and an end where they are aborted.

import { expect, test } from 'vitest'
import { Gpu } from '../../../src/gpu/gpu.ts'
import { add } from '../../../src/ops/elementwise/elementwise.ts'
import { softmax } from '../../../src/ops/reduce/reduce.ts'
import type { Progress } from '../../../src/progress.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { release } from '../../../src/tensor/tensor.ts'
import { anyGpu, expectSameBits, uniform } from '../../support.ts'
import { believe, rawDevice, sluggish, watch } from '../devices.ts'
import { double } from './double.ts'

test('a long run is several submissions: progress between them, and an abort is honoured', async () => {
  const { device, free } = await rawDevice()
  const watched = watch(device)
  const gpu = await Gpu.open({ device: watched.device })
  believe(gpu)
  const ready = await plan(gpu, 'long', ({ input }) => {
    let x = input('x', [4, 8])
    for (let i = 0; i < 5; i++) x = double(x)
    return { read: { x }, keep: { kept: softmax(x) } }
  })
  expect(ready.info.dispatches.length).toBe(21)
  const inputs = { x: uniform(32) }

  const events: Progress[] = []
  const start = watched.submissions()
  const { read, kept } = await ready.run({ inputs, onProgress: (event) => events.push(event) })
  expect(watched.submissions() - start).toBe(21)
  expect(events.length).toBe(21)
  expect(
    events.every(
      ({ phase, what, total }) => phase === 'run' && what === 'long' && total === ready.info.flops,
    ),
  ).toBe(true)
  expect(events.map((e) => e.loaded)).toEqual(events.map((e) => e.loaded).toSorted((a, b) => a - b))
  expect(events.at(-1)!.loaded).toBeCloseTo(ready.info.flops)
  release(gpu, kept.kept)

  // After the third event no more work is submitted, and nothing is left behind
  const bytes = gpu.memory().bytes
  const controller = new AbortController()
  believe(gpu) // it has learned better meanwhile
  const reason = new Error('changed my mind')
  let seen = 0
  const aborted = ready.run({
    inputs,
    signal: controller.signal,
    onProgress: () => ++seen === 3 && controller.abort(reason),
  })
  await expect(aborted).rejects.toBe(reason)
  expect(watched.submissions() - start).toBe(21 + 3)
  expect(gpu.memory().bytes).toBe(bytes)

  // The plan is as good as before
  const again = await ready.run({ inputs })
  expectSameBits(again.read.x, read.x)
  free()
})

test('of many short dispatches the device begins with the first, while the others are encoded', async () => {
  const { device, free } = await rawDevice()
  const watched = watch(device)
  const gpu = await Gpu.open({ device: watched.device })
  for (const [count, submissions] of [
    [32, 1],
    [40, 2],
  ] as const) {
    const ready = await plan(gpu, 'short', ({ input }) => {
      let x = input('x', [4, 8])
      for (let i = 0; i < count; i++) x = add(x, x)
      return { read: { x } }
    })
    expect(ready.info.dispatches.length).toBe(count)
    const start = watched.submissions()
    const { read } = await ready.run({ inputs: { x: uniform(32) } })
    expect(watched.submissions() - start).toBe(submissions)
    expect(read.x).toEqual(uniform(32).map((value) => value * 2 ** count))
    ready.release()
  }
  free()
})

test('an abort while the plan is made leaves nothing behind', async () => {
  const gpu = await anyGpu()
  const bytes = gpu.memory().bytes
  const signal = AbortSignal.abort(new Error('not today'))
  await expect(
    plan(gpu, 'never', ({ input }) => ({ read: { y: softmax(input('x', [3])) } }), { signal }),
  ).rejects.toThrow('not today')
  expect(gpu.memory().bytes).toBe(bytes)
})

test('the measured speed is of work that is done, not of work that is submitted', async () => {
  const { device, free } = await rawDevice()
  const gpu = await Gpu.open({ device: sluggish(device, 30, 300) })
  const ready = await plan(gpu, 'late', ({ input }) => ({ read: { x: double(input('x', [2, 8])) } }))
  const before = gpu.rate.flopsPerSecond
  await ready.run({ inputs: { x: uniform(16) } })
  const learned = (gpu.rate.flopsPerSecond - 0.7 * before) / 0.3
  expect(learned).toBeGreaterThan(0)
  expect(learned).toBeLessThan((ready.info.flops + ready.info.bytes) / 0.3)
  free()
})
