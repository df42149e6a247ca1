// Plans: what is recorded is what runs, in shared memory or not, whole or in pieces, as often as asked.

import { expect, test, vi } from 'vitest'
import { DISPOSE } from '../../../src/dispose.ts'
import { ShapeError } from '../../../src/errors.ts'
import { Gpu, openGpu } from '../../../src/gpu/gpu.ts'
import { activate, add, mul, sub } from '../../../src/ops/elementwise/elementwise.ts'
import { copyRows } from '../../../src/ops/layout/gather.ts'
import { concatRows, sliceRows } from '../../../src/ops/layout/layout.ts'
import { softmax } from '../../../src/ops/reduce/reduce.ts'
import { type Inputs, plan, precompile, type Tensors } from '../../../src/tensor/plan.ts'
import { allocate, param, release, reshape, scope, type Tensor, upload } from '../../../src/tensor/tensor.ts'
import { adapterNames, anyGpu, creations, expectSameBits, gpuNamed, uniform } from '../../support.ts'
import { believe, rawDevice, watch } from '../devices.ts'
import { double } from './double.ts'

/** A graph of elementwise ops and concatenations on three inputs, every tensor of it; the same for the same seed. */
function randomGraph({ input }: Inputs, seed: number): Tensor[] {
  let state = seed
  const roll = (n: number): number => {
    state = (Math.imul(state ^ (state >>> 13), 0x5bd1e995) + 0x9e3779b9) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
  const ready: Tensor[] = [input('a', [6, 8]), input('b', [6, 8]), input('c', [6, 8])]
  const all: Tensor[] = []
  for (let i = 0; i < 18; i++) {
    const pick = (): Tensor => ready[Math.max(0, ready.length - 1 - roll(6))]!
    const [x, y] = [pick(), pick()]
    const ops = [
      () => add(x, y),
      () => sub(x, y),
      () => mul(x, y),
      () => activate(x, 'tanh'),
      () => softmax(x),
      () => {
        const halves = [sliceRows(x, 3, 3), sliceRows(y, 0, 3)]
        all.push(...halves)
        return concatRows(...halves)
      },
    ]
    ready.push(ops[roll(ops.length)]!())
    all.push(ready.at(-1)!)
  }
  return all
}

for (const name of adapterNames()) {
  const gpu = await gpuNamed(name)
  const adapter = name ? { adapter: name } : {}

  test(`sharing memory changes nothing: 25 random graphs on ${gpu.name}`, async () => {
    const inputs = { a: uniform(48, 1), b: uniform(48, 2), c: uniform(48, 3) }
    let saved = 0
    let inPlace = 0
    for (let seed = 1; seed <= 25; seed++) {
      // Brute force: every tensor is an output, so each has a buffer of its own and nothing is in place
      const apart = await plan(gpu, 'apart', (i) => ({
        read: Object.fromEntries(randomGraph(i, seed).map((t, n) => [`${n}`, t])),
      }))
      const shared = await plan(gpu, 'shared', (i) => ({ read: { last: randomGraph(i, seed).at(-1)! } }))
      expect(apart.info.slotBytes).toBe(0)
      const all = Object.values((await apart.run({ inputs })).read)
      for (const _ of [1, 2]) expectSameBits((await shared.run({ inputs })).read.last, all.at(-1)!)
      saved += apart.info.ownBytes - shared.info.ownBytes
      inPlace += shared.info.dispatches.filter((d) => d.inPlace).length
      apart.release()
      shared.release()
    }
    expect(saved).toBeGreaterThan(0)
    expect(inPlace).toBeGreaterThan(10)
  })

  test(`a chain runs in place where it may on ${gpu.name}`, async () => {
    const ready = await plan(gpu, 'chain', ({ input }) => {
      const x = input('x', [64])
      const first = add(x, x) //              reads an input: not in place
      const second = activate(first, 'relu') // in place
      const third = mul(second, first) //     in place? no: `first` would be read after it was overwritten
      return { read: { y: sub(third, x) } } // writes an output: not in place
    })
    // `first` lives on until `third`, so `second` can't have its memory, but `third` may have `second`'s
    expect(ready.info.dispatches.map((d) => d.inPlace)).toEqual([false, false, true, false])
    expect(ready.info.slotBytes).toBe(2 * 64 * 4)
    const x = uniform(64)
    const { read } = await ready.run({ inputs: { x } })
    expectSameBits(
      read.y,
      x.map((v) => Math.fround(Math.fround(Math.fround(Math.max(2 * v, 0)) * Math.fround(2 * v)) - v)),
    )
    ready.release()
  })

  test(`a dispatch that is cut gives the same bits on ${gpu.name}`, async () => {
    const x = uniform(37 * 20)
    const build = ({ input }: Inputs) => ({ read: { y: double(double(input('x', [37, 20]))) } })
    // A Gpu of its own, which nothing has measured yet
    const fresh = await openGpu(adapter)
    const whole = await plan(fresh, 'whole', build)
    expect(whole.info.dispatches.length).toBe(2)
    const { read } = await whole.run({ inputs: { x } })
    expectSameBits(
      read.y,
      x.map((v) => 4 * v),
    )

    // As fine as it gets, and in pieces of five rows with two left over
    for (const [speed, rows] of [
      [0.01, 1],
      [1e8 / (8 * 0.2), 5],
    ] as const) {
      const slow = await openGpu(adapter)
      believe(slow, speed)
      const pieces = await plan(slow, 'pieces', build)
      const heights = Array.from({ length: Math.ceil(37 / rows) }, (_, i) => Math.min(rows, 37 - i * rows))
      expect(pieces.info.dispatches.map((d) => d.workgroups[1])).toEqual([...heights, ...heights])
      expect(pieces.info.flops).toBeCloseTo(whole.info.flops)
      expect(pieces.info.dispatches.reduce((sum, d) => sum + d.bytes, 0)).toBeCloseTo(whole.info.bytes)
      for (const _ of [1, 2]) expectSameBits((await pieces.run({ inputs: { x } })).read.y, read.y)
      slow.close()
    }
    fresh.close()
  })

  test(`timestamps on ${gpu.name}: a time for every dispatch, or a clear refusal`, async () => {
    const ready = await plan(gpu, 'timed', ({ input }) => ({
      read: { y: double(softmax(input('x', [300, 64]))) },
    }))
    const inputs = { x: uniform(300 * 64) }
    if (gpu.features.timestamps) {
      const before = gpu.memory().bytes
      const times = await ready.profile({ inputs })
      expect(times.length).toBe(ready.info.dispatches.length)
      for (const ms of times) {
        expect(Number.isNaN(ms) || (ms >= 0 && ms < 10_000)).toBe(true)
      }
      expect(times.some((ms) => ms > 0)).toBe(true)
      expect(gpu.memory().bytes).toBe(before)
    } else {
      await expect(ready.profile({ inputs })).rejects.toThrow('has no timestamp-query')
    }
    ready.release()

    const without = await openGpu({
      ...adapter,
      without: ['timestamp-query'],
    })
    const blind = await plan(without, 'timed', ({ input }) => ({ read: { y: softmax(input('x', [3, 4])) } }))
    await expect(blind.profile({ inputs: { x: uniform(12) } })).rejects.toThrow('has no timestamp-query')
    without.close()
  })
}

test('what the plan says it takes is what the ledger says and what was created', async () => {
  const { device, free } = await rawDevice()
  const watched = watch(device)
  const gpu = await Gpu.open({ device: watched.device })
  const ready = await plan(gpu, 'sum', ({ input }) => {
    const x = input('x', [5, 7])
    const y = softmax(add(x, x))
    return { read: { x, y, flat: reshape(y, [35]) } }
  })
  expect(gpu.memory().byOwner).toEqual({ 'plan sum': ready.info.ownBytes })
  expect(watched.liveBytes()).toBe(ready.info.ownBytes)
  await ready.run({ inputs: { x: uniform(35) } })
  expect(watched.liveBytes()).toBe(ready.info.ownBytes)
  ready.release()
  expect(watched.liveBytes()).toBe(0)
  expect(gpu.memory().bytes).toBe(0)
  expect(gpu.memory().peakBytes).toBe(ready.info.ownBytes)
  free()
})

test('running again makes nothing; new params and new bound tensors need no new plan', async () => {
  const { device, free } = await rawDevice()
  const watched = watch(device)
  const gpu = await Gpu.open({ device: watched.device })
  const cache = await allocate(gpu, [4, 2], 'f32')
  const [one, two] = await Promise.all([2, 3].map((seed) => upload(gpu, uniform(6, seed), [3, 2], 'f32')))
  const ready = await plan(gpu, 'replay', ({ input, bound }) => {
    const sum = add(input('x', [3, 2]), bound('other', [3, 2]))
    copyRows(sum, cache, param('at', 1))
    return { read: { sum, cache } }
  })
  const run = async (at: number, other: Tensor) =>
    (await ready.run({ inputs: { x: uniform(6, 1) }, bound: { other }, params: { at } })).read
  const sumWith = (seed: number) => uniform(6, 1).map((v, i) => v + uniform(6, seed)[i]!)

  const first = await run(-1, one!)
  expectSameBits(first['sum'], sumWith(2))
  expectSameBits(first['cache'].subarray(0, 6), sumWith(2))
  const creations = () =>
    [...watched.calls].filter(([name]) => name.startsWith('create') && name !== 'createCommandEncoder')
  const before = creations()
  const groups = watched.calls.get('createBindGroup')
  expect(groups).toBeGreaterThan(0)
  expect(await run(-1, one!)).toEqual(first)
  const later = await run(0, one!)
  expect(creations()).toEqual(before)
  expectSameBits(later['cache'], Float32Array.from([...sumWith(2).slice(0, 2), ...sumWith(2)]))

  // Another bound tensor: one new bind group, and its values
  expectSameBits((await run(0, two!))['sum'], sumWith(3))
  expect(watched.calls.get('createBindGroup')).toBe(groups! + 1)
  expectSameBits((await run(0, one!))['sum'], sumWith(2))
  free()
})

test("kept outputs are the caller's: they outlive the plan and feed others", async () => {
  const gpu = await anyGpu()
  const before = gpu.memory().bytes
  const x = uniform(12)
  const ready = await plan(gpu, 'keep', ({ input }) => {
    const t = input('x', [3, 4])
    const doubled = add(t, t)
    return { keep: { doubled }, read: { same: doubled } }
  })
  const first = await ready.run({ inputs: { x }, owner: 'scene' })
  const second = await ready.run({ inputs: { x: x.map((v) => -v) }, owner: 'scene' })
  expectSameBits(
    first.read.same,
    x.map((v) => 2 * v),
  )
  expect(gpu.memory().byOwner['scene']).toBe(2 * 48)
  ready.release()

  // The first run's tensor is not the second's
  const kept = [first.kept.doubled, second.kept.doubled]
  expect(kept[0]!.shape).toEqual([3, 4])
  const user = await plan(gpu, 'user', ({ bound }) => ({
    read: { y: add(bound('a', [3, 4]), bound('b', [3, 4])) },
  }))
  const { read } = await user.run({ bound: { a: kept[0]!, b: kept[0]! } })
  expectSameBits(
    read.y,
    x.map((v) => 4 * v),
  )
  const zero = await user.run({ bound: { a: kept[0]!, b: kept[1]! } })
  expectSameBits(zero.read.y, new Float32Array(12))
  user.release()
  for (const t of kept) release(gpu, t)
  expect(gpu.memory().bytes).toBe(before)

  await expect(
    plan(gpu, 'twice', ({ input }) => {
      const t = softmax(input('x', [3, 4]))
      return { keep: { a: t, b: reshape(t, [12]) } }
    }),
  ).rejects.toThrow('two kept outputs are one tensor')
  await expect(plan(gpu, 'input', ({ input }) => ({ keep: { x: input('x', [1]) } }))).rejects.toThrow(
    ShapeError,
  )
})

test('kept outputs of an earlier run may be overwritten: then a run creates nothing', async () => {
  const gpu = await anyGpu()
  const before = gpu.memory().bytes
  const ready = await plan(gpu, 'again', ({ input, bound }) => {
    const sum = add(input('x', [3, 4]), bound('y', [3, 4]))
    return { keep: { sum, twice: add(sum, sum) }, read: { same: sum } }
  })
  const y = await upload(gpu, uniform(12, 2), [3, 4], 'f32')
  const run = (seed: number, more: object = {}) =>
    ready.run({ inputs: { x: uniform(12, seed) }, bound: { y }, ...more })
  const first = await run(1)
  const expected = (await run(3, { into: first.kept })).read.same

  const created = creations(gpu)
  const again = await run(1, { into: first.kept })
  expect([...created]).toEqual([])
  expectSameBits(again.read.same, first.read.same)
  expect(again.kept).toEqual(first.kept)

  // One of them fresh, the other not
  const { sum } = first.kept
  const half = await run(3, { into: { sum } })
  expectSameBits(half.read.same, expected)
  expect(half.kept.sum.storage.buffer).toBe(sum.storage.buffer)
  expect(half.kept.twice.storage.buffer).not.toBe(first.kept.twice.storage.buffer)
  release(gpu, half.kept.twice)

  // A misfit is named, and leaves everything as it was
  const { bytes } = gpu.memory()
  await expect(run(1, { into: { other: sum } })).rejects.toThrow("there is no kept output 'other'")
  await expect(run(1, { into: { sum, twice: sum } })).rejects.toThrow(
    "for 'twice' has another part in this run",
  )
  await expect(run(1, { into: { sum: y } })).rejects.toThrow("for 'sum' has another part in this run")
  await expect(run(1, { into: { sum: reshape(sum, [12]) } })).rejects.toThrow('sum is [12], expected [3, 4]')
  const signal = AbortSignal.abort(new Error('not now'))
  await expect(run(1, { into: first.kept, signal })).rejects.toThrow('not now')
  expect(gpu.memory().bytes).toBe(bytes)
  expectSameBits((await run(3, { into: first.kept })).read.same, expected)

  for (const x of [y, ...Object.values(first.kept)]) release(gpu, x)
  ready.release()
  expect(gpu.memory().bytes).toBe(before)
  vi.restoreAllMocks()
})

test('precompiled kernels are there when the plan is made, which takes its memory then', async () => {
  const gpu = await anyGpu()
  const { bytes } = gpu.memory()
  const build = ({ input }: Inputs) => ({ read: { y: double(softmax(input('x', [17, 9]))) } })
  await precompile(gpu, 'early', build)
  expect(gpu.memory().bytes).toBe(bytes)
  const created = creations(gpu)
  const ready = await plan(gpu, 'early', build)
  expect([...created.keys()]).toEqual(['createBuffer'])
  ready.release()
  vi.restoreAllMocks()
})

test('inputs and residents can be read back, whatever they are called, with or without dispatches', async () => {
  const gpu = await anyGpu()
  const resident = await upload(gpu, uniform(4, 9), [4], 'f32')
  const names = ['sizes', 'readback', 'no tensor', 'slot 0']
  const ready = await plan(gpu, 'echo', ({ input }) => {
    const read: Tensors = { ...Object.fromEntries(names.map((name) => [name, input(name, [3])])), resident }
    return { read }
  })
  expect(ready.info.dispatches).toEqual([])
  const values = Object.fromEntries(names.map((name, i) => [name, uniform(3, i)]))
  const { read } = await ready.run({ inputs: values })
  for (const [i, name] of names.entries()) expectSameBits(read[name]!, uniform(3, i))
  expectSameBits(read.resident!, uniform(4, 9))
  ready.release()

  const named = await plan(gpu, 'named', ({ input }) => {
    const [a, b] = [input('sizes', [3]), input('readback', [3])]
    return { read: { 'no tensor': mul(add(a, b), b) } }
  })
  const sum = await named.run({ inputs: { sizes: uniform(3, 1), readback: uniform(3, 2) } })
  const [a, b] = [uniform(3, 1), uniform(3, 2)]
  expectSameBits(
    sum.read['no tensor'],
    a.map((v, i) => Math.fround(v + b[i]!) * b[i]!),
  )
  named.release()
  release(gpu, resident)
})

test('scopes say where in the model a dispatch is', async () => {
  const gpu = await anyGpu()
  const ready = await plan(gpu, 'scopes', ({ input }) => {
    const x = input('x', [8])
    const y = scope('sam', () => scope('layers.3', () => add(softmax(x), x)))
    return { read: { y: mul(y, y) } }
  })
  expect(ready.info.dispatches.map((d) => d.scope)).toEqual(['sam/layers.3', 'sam/layers.3', ''])
  expect(ready.info.dispatches.map((d) => d.kernel.split(' ')[0])).toEqual([
    'reduce/softmax',
    'elementwise/binary',
    'elementwise/binary',
  ])
  expect(ready.info.flops).toBe(80 + 8 + 8)
  expect(ready.info.kernels).toBe(3)
  ready.release()
})

test('a plan is released by `using`', async () => {
  const gpu = await anyGpu()
  const { bytes } = gpu.memory()
  const ready = await plan(gpu, 'used', ({ input }) => ({ read: { y: softmax(input('x', [4])) } }))
  expect(gpu.memory().bytes).toBeGreaterThan(bytes)
  ready[DISPOSE]()
  expect(gpu.memory().bytes).toBe(bytes)
  await expect(ready.run({ inputs: { x: uniform(4) } })).rejects.toThrow('Plan used was released')
})

test('a tensor that is bound twice counts once among the bytes that must move', async () => {
  const gpu = await anyGpu()
  const bytes = 64 * 4
  for (const [other, moved] of [
    ['a', 2 * bytes],
    ['b', 3 * bytes],
  ] as const) {
    const ready = await plan(gpu, 'sum', ({ input }) => {
      const x = { a: input('a', [64]), b: input('b', [64]) }
      return { read: { y: add(x.a, x[other]) } }
    })
    expect(ready.info.bytes).toBe(moved)
    ready.release()
  }
})
