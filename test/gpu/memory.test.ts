// The ledger of GPU memory says what exists, and what can't be allocated is named, with a way out.

import { expect, test } from 'vitest'
import { LimitError, OutOfMemoryError } from '../../src/errors.ts'
import { Gpu } from '../../src/gpu/gpu.ts'
import { formatBytes, Memory } from '../../src/gpu/memory.ts'
import { softmax } from '../../src/ops/reduce/reduce.ts'
import { plan } from '../../src/tensor/plan.ts'
import { allocate, release, scope, upload } from '../../src/tensor/tensor.ts'
import { anyGpu, uniform } from '../support.ts'
import { rawDevice, starving, watch, withLimits } from './devices.ts'

const MIB = 2 ** 20

test('the ledger is what was created and not destroyed', async () => {
  const { device, free } = await rawDevice()
  const watched = watch(device)
  const { buffers } = await Gpu.open({ device: watched.device })
  const usage = GPUBufferUsage.STORAGE
  const [a, b] = await buffers.allocate([
    { label: 'a', bytes: 100, usage, owner: 'weights' },
    { label: 'b', bytes: 7, usage, owner: 'scene' }, // rounded up to 8
  ])
  const [c] = await buffers.allocate([{ label: 'c', bytes: 0, usage, owner: 'weights' }]) // no buffer has 0 bytes
  expect(buffers.report()).toEqual({
    bytes: 112,
    peakBytes: 112,
    buffers: 3,
    byOwner: { weights: 104, scene: 8 },
  })
  expect(watched.liveBytes()).toBe(112)

  buffers.release(a!)
  buffers.release(a!)
  expect(buffers.report()).toEqual({
    bytes: 12,
    peakBytes: 112,
    buffers: 2,
    byOwner: { weights: 4, scene: 8 },
  })
  expect(watched.liveBytes()).toBe(12)
  buffers.releaseAll()
  expect(buffers.report()).toEqual({ bytes: 0, peakBytes: 112, buffers: 0, byOwner: {} })
  expect(watched.liveBytes()).toBe(0)
  for (const buffer of [b!, c!]) buffers.release(buffer)
  free()
})

test('tensors and plans of a whole session come and go without a trace', async () => {
  const { device, free } = await rawDevice()
  const watched = watch(device)
  const gpu = await Gpu.open({ device: watched.device })
  for (let session = 0; session < 5; session++) {
    const weight = await upload(gpu, uniform(30), [5, 6], 'f32', { owner: 'weights', label: 'w' })
    const made = await plan(gpu, 'step', () => ({
      read: { y: softmax(weight) },
      keep: { kept: softmax(softmax(weight)) },
    }))
    const { kept } = await made.run({ owner: 'scene' })
    const { byOwner } = gpu.memory()
    expect(byOwner).toEqual({ weights: 120, scene: 120, 'plan step': made.info.ownBytes })
    expect(watched.liveBytes()).toBe(240 + made.info.ownBytes)
    release(gpu, kept.kept)
    made.release()
    release(gpu, weight)
    expect(watched.liveBytes()).toBe(0)
  }
  gpu.close()
  free()
})

test('a buffer larger than the adapter allows is a LimitError before anything is created', async () => {
  const { device, free } = await rawDevice()
  const watched = watch(device)
  const gpu = await withLimits(watched.device, { maxBufferSize: MIB, maxStorageBufferBindingSize: 8 * MIB })
  await expect(allocate(gpu, [2 * MIB], 'f32', { label: 'llm.embed' })).rejects.toThrow(
    new LimitError(
      'llm.embed: needs a buffer of 8.0 MiB, this adapter allows 1.0 MiB. ' +
        'Use a smaller model or image, or an adapter with a larger maxBufferSize.',
    ),
  )
  const big = plan(gpu, 'look', ({ input }) => ({
    read: { y: scope('sam/layers.3', () => softmax(softmax(input('x', [1024, 1024])))) },
  }))
  await expect(big).rejects.toThrow(LimitError)
  await expect(big).rejects.toThrow(
    /^plan look: slot 0: needs a buffer of 4\.0 MiB.*Largest tensors of plan look: sam\/layers\.3: reduce\/softmax 4\.0 MiB\.$/,
  )
  expect(watched.calls.get('createBuffer')).toBeUndefined()
  expect(gpu.memory().bytes).toBe(0)
  free()
})

/** Enough of a device for Memory: refuses once more than `capacity` bytes are alive. */
function fakeDevice(capacity: number): { device: GPUDevice; alive: Set<object> } {
  const alive = new Set<{ size: number }>()
  const scopes: { filter: string; error: { message: string } | null }[] = []
  const device = {
    limits: { maxBufferSize: 2 ** 40 },
    pushErrorScope: (filter: string) => scopes.push({ filter, error: null }),
    popErrorScope: () => Promise.resolve(scopes.pop()!.error),
    createBuffer: ({ size }: { size: number }) => {
      const buffer = { size, destroy: () => alive.delete(buffer) }
      alive.add(buffer)
      const total = [...alive].reduce((sum, { size: bytes }) => sum + bytes, 0)
      const open = scopes.findLast((s) => s.filter === 'out-of-memory')
      if (total > capacity && open) open.error ??= { message: 'Allocation failed' }
      return buffer
    },
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as much of a device as Memory asks for
  return { device: device as unknown as GPUDevice, alive }
}

test('out of memory: all or nothing, naming the need and who holds what', async () => {
  const { device, alive } = fakeDevice(100 * MIB)
  const memory = new Memory(device)
  const request = (label: string, bytes: number, owner: string) => ({ label, bytes, owner, usage: 128 })
  await memory.allocate([request('w', 60 * MIB, 'weights'), request('x', MIB, 'scene')])
  const tooMuch = memory.allocate([
    request('plan look: slot 0', 30 * MIB, 'plan look'),
    request('y', 30 * MIB, 'plan look'),
  ])
  await expect(tooMuch).rejects.toThrow(
    new OutOfMemoryError(
      'The device could not allocate 60.0 MiB (plan look: slot 0): Allocation failed. ' +
        'In use: weights 60.0 MiB, scene 1.0 MiB. Close what is not needed or use a smaller model.',
    ),
  )
  // Nothing of the failed request stays, neither on the ledger nor on the device, and the peak is of what was had
  expect(memory.report()).toEqual({
    bytes: 61 * MIB,
    peakBytes: 61 * MIB,
    buffers: 2,
    byOwner: { weights: 60 * MIB, scene: MIB },
  })
  expect(alive.size).toBe(2)
  await memory.allocate([request('z', 30 * MIB, 'plan look')])
  expect(memory.report().bytes).toBe(91 * MIB)
})

test('a plan that does not fit names its largest tensors', async () => {
  const { device, free } = await rawDevice()
  const gpu = await Gpu.open({ device: starving(device) })
  const made = plan(gpu, 'look', ({ input }) => {
    const x = scope('sam', () => softmax(input('x', [10, 20])))
    return { read: { y: scope('llm', () => softmax(x)) } }
  })
  await expect(made).rejects.toThrow(OutOfMemoryError)
  await expect(made).rejects.toThrow(
    /could not allocate .*Largest tensors of plan look: sam: reduce\/softmax 800 B\.$/,
  )
  expect(gpu.memory().bytes).toBe(0)
  free()
})

test('a faulty request is an error as well, not a buffer that does not work', async () => {
  const gpu = await anyGpu()
  const before = gpu.memory()
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE // WebGPU forbids the two together
  await expect(gpu.buffers.allocate([{ label: 'odd', bytes: 4, usage, owner: 'test' }])).rejects.toThrow(
    '(odd)',
  )
  expect(gpu.memory()).toEqual(before)
  await gpu.check()
})

test('bytes for people', () => {
  expect([0, 1023, 1024, 1536, 100 * 1024, 742 * MIB, 3 * 2 ** 30, 5000 * 2 ** 40].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '100 KiB',
    '742 MiB',
    '3.0 GiB',
    '5000 TiB',
  ])
})

test('when the device goes while it is asked, nothing stays on the ledger, and no rejection is left alone', async () => {
  const destroyed: string[] = []
  const device = {
    limits: { maxBufferSize: 1000 },
    pushErrorScope: () => undefined,
    popErrorScope: async () => {
      throw new Error('the instance was dropped')
    },
    createBuffer: ({ label }: { label: string }) => ({ destroy: () => destroyed.push(label) }),
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as much of a device as Memory asks for
  const memory = new Memory(device as unknown as GPUDevice)
  const request = { bytes: 16, usage: 0, owner: 'mine' }
  const asked = memory.allocate([
    { ...request, label: 'a' },
    { ...request, label: 'b' },
  ])
  await expect(asked).rejects.toThrow('the instance was dropped')
  expect(memory.report()).toMatchObject({ bytes: 0, buffers: 0 })
  expect(destroyed).toEqual(['a', 'b'])
})
