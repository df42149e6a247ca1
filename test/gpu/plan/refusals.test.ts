// Plans and runs that are refused: the error names what is wrong, and nothing is left behind.

import { expect, test } from 'vitest'
import { LimitError, ShapeError, UsageError } from '../../../src/errors.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { add } from '../../../src/ops/elementwise/elementwise.ts'
import { copyRows } from '../../../src/ops/layout/gather.ts'
import { softmax } from '../../../src/ops/reduce/reduce.ts'
import { plan } from '../../../src/tensor/plan.ts'
import { allocate, param, release, scope, type Tensor, tensor, upload } from '../../../src/tensor/tensor.ts'
import { adapterNames, anyGpu, expectSameBits, uniform } from '../../support.ts'
import { rawDevice, withLimits } from '../devices.ts'
import { double } from './double.ts'

const only = adapterNames()[0] ? { adapter: adapterNames()[0]! } : {}

test('what a run lacks, and what it gets wrong, is named', async () => {
  const gpu = await anyGpu()
  const ready = await plan(gpu, 'strict', ({ input, bound }) => {
    const cache = bound('cache', [4, 2])
    copyRows(input('x', [1, 2]), cache, param('at'))
    return { read: { cache } }
  })
  const cache = await allocate(gpu, [4, 2], 'f32')
  const good = { inputs: { x: uniform(2) }, bound: { cache }, params: { at: 0 } }
  await ready.run(good)
  await expect(ready.run({ ...good, inputs: {} })).rejects.toThrow(
    new UsageError("plan strict: input 'x' is missing from the run."),
  )
  await expect(ready.run({ ...good, inputs: { x: uniform(3) } })).rejects.toThrow(
    new ShapeError("plan strict: input 'x' has 3 elements, expected 2 for [1, 2] f32."),
  )
  await expect(ready.run({ ...good, bound: {} })).rejects.toThrow("bound tensor 'cache' is missing")
  await expect(ready.run({ ...good, bound: { ...good.bound, other: cache } })).rejects.toThrow(
    "no bound tensor 'other'",
  )
  await expect(ready.run({ ...good, params: {} })).rejects.toThrow("parameter 'at' is missing from the run")
  const wrong = await allocate(gpu, [2, 4], 'f32')
  await expect(ready.run({ ...good, bound: { cache: wrong } })).rejects.toThrow(
    'cache is [2, 4], expected [4, 2].',
  )
  await ready.run(good) // none of this broke it

  const running = ready.run(good)
  await expect(ready.run(good)).rejects.toThrow('Plan strict is running already: await the first run.')
  await running
  ready.release()
  ready.release()
  await expect(ready.run(good)).rejects.toThrow('Plan strict was released: build another with plan().')
  for (const t of [cache, wrong]) release(gpu, t)
})

test('a run that fails before it starts leaves nothing behind, and the next one is right', async () => {
  const gpu = await anyGpu()
  const resident = (seed: number) => upload(gpu, uniform(4, seed), [2, 2], 'f32')
  const [one, two, other] = [await resident(1), await resident(2), await resident(3)]
  const ready = await plan(gpu, 'careful', ({ input, bound }) => {
    const [a, b] = [bound('a', [2, 2]), bound('b', [2, 2])]
    copyRows(input('x', [1, 2]), b, param('at'))
    const sum = add(a, b)
    return { read: { sum }, keep: { doubled: add(sum, sum) } }
  })
  const good = { inputs: { x: uniform(2, 9) }, params: { at: 1 } }
  const sums = async (a: Tensor): Promise<Float32Array | Uint32Array> => {
    const { read, kept } = await ready.run({ ...good, bound: { a, b: two } })
    release(gpu, kept.doubled)
    return read.sum
  }
  const first = await sums(one)
  const { bytes } = gpu.memory()

  // A missing parameter: the kept output's buffer must not stay
  await expect(ready.run({ ...good, bound: { a: one, b: two }, params: {} })).rejects.toThrow(
    "parameter 'at' is missing",
  )
  expect(gpu.memory().bytes).toBe(bytes)

  // A missing tensor: the one that was given must still be bound the next time
  await expect(ready.run({ ...good, bound: { a: other } })).rejects.toThrow("bound tensor 'b' is missing")
  const second = await sums(other)
  const moved = uniform(4, 3).map((v, i) =>
    Math.fround(v + (i < 2 ? uniform(4, 2)[i]! : uniform(2, 9)[i - 2]!)),
  )
  expectSameBits(second, moved)
  expectSameBits(await sums(one), first)
  ready.release()
  for (const x of [one, two, other]) release(gpu, x)
})

test('reading what nothing wrote is an error', async () => {
  const gpu = await anyGpu()
  await expect(plan(gpu, 'unwritten', () => ({ read: { y: softmax(tensor([4])) } }))).rejects.toThrow(
    new UsageError(
      "Plan unwritten: kernel reduce/softmax reads 'x' before anything writes it. " +
        'What `tensor` makes is empty until a dispatch writes it.',
    ),
  )
  await expect(plan(gpu, 'unwritten', () => ({ read: { y: tensor([4]) } }))).rejects.toThrow(
    "Plan unwritten: nothing writes output 'y'.",
  )
})

test('a tensor larger than a binding, and a grid longer than the limit, are named', async () => {
  const small = await openGpu({
    ...only,
    bindingLimit: 4096,
  })
  await expect(
    plan(small, 'big', ({ input }) => ({ read: { y: scope('sam', () => softmax(input('x', [32, 64]))) } })),
  ).rejects.toThrow(
    new LimitError(
      "sam: 'x' of kernel reduce/softmax is 8.0 KiB, this adapter binds at most 4.0 KiB at once. " +
        'Use a smaller image or model, or another adapter.',
    ),
  )
  small.close()

  const { device, free } = await rawDevice()
  const narrow = await withLimits(device, { maxComputeWorkgroupsPerDimension: 10 })
  await expect(
    plan(narrow, 'tall', ({ input }) => ({ read: { y: double(input('x', [11, 8])) } })),
  ).rejects.toThrow('kernel test-double needs 1 x 11 x 1 workgroups, this adapter allows 10 along each axis.')
  free()
})
