// Uploads and readbacks: the bytes arrive as they were, in slices, in shards, at odd lengths.

import { expect, test } from 'vitest'
import { LimitError, ShapeError } from '../../src/errors.ts'
import { openGpu } from '../../src/gpu/gpu.ts'
import { readBack, Uploader } from '../../src/gpu/transfer.ts'
import { plan } from '../../src/tensor/plan.ts'
import {
  allocate,
  release,
  residentTensor,
  storagesOf,
  type Tensor,
  upload,
  viewRows,
} from '../../src/tensor/tensor.ts'
import { adapterNames, adapters, anyGpu, expectSameBits, uniform } from '../support.ts'

const only = adapterNames()[0] ? { adapter: adapterNames()[0]! } : {}

/** The bytes of a resident tensor, shard after shard. */
async function bytesOf(gpu: Awaited<ReturnType<typeof anyGpu>>, x: Tensor): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for (const { buffer, bytes } of storagesOf(x)) {
    const words = residentTensor(buffer!, [bytes / 4], 'u32')
    const copy = await plan(gpu, 'copy', () => ({ read: { words } }))
    parts.push(new Uint8Array((await copy.run()).read.words.buffer))
    copy.release()
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

for (const gpu of await adapters()) {
  test(`upload and read back on ${gpu.name}`, async () => {
    for (const length of [1, 2, 3, 1000, 65_537]) {
      const data = uniform(length)
      const x = await upload(gpu, data, [length], 'f32')
      expect(new Float32Array((await bytesOf(gpu, x)).buffer)).toEqual(data)
      release(gpu, x)

      // 16-bit types of odd length end in half a word, which is zero
      const halves = Uint16Array.from({ length }, (_, i) => i * 7)
      const h = await upload(gpu, halves, [length], 'bf16')
      const back = new Uint16Array((await bytesOf(gpu, h)).buffer)
      expect(back.subarray(0, length)).toEqual(halves)
      if (length % 2 === 1) expect(back[length]).toBe(0)
      release(gpu, h)
    }
  })

  test(`slices one after another on ${gpu.name}`, async () => {
    const bytes = Uint8Array.from({ length: 1022 }, (_, i) => i * 31)
    const x = await allocate(gpu, [256], 'u32')
    const uploader = new Uploader(gpu)
    const slice = new Uint8Array(100) // one staging array for all of it
    for (let at = 0; at < bytes.length; at += slice.length) {
      const part = bytes.subarray(at, at + slice.length)
      slice.set(part)
      await uploader.write(x.storage.buffer!, at, slice.subarray(0, part.length))
    }
    await uploader.flush()
    expect((await bytesOf(gpu, x)).subarray(0, bytes.length)).toEqual(bytes)
    release(gpu, x)
  })
}

test('a mapped buffer can be read as often as asked', async () => {
  const gpu = await anyGpu()
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST
  const [buffer] = await gpu.buffers.allocate([{ label: 'host', bytes: 16, usage, owner: 'test' }])
  for (const value of [1, 2]) {
    gpu.device.queue.writeBuffer(buffer!, 0, new Float32Array(4).fill(value))
    gpu.device.queue.submit([]) // wgpu keeps what is written until something is submitted, and maps without it
    expect([...new Float32Array(await readBack(gpu, buffer!, 6))]).toEqual([value, value]) // whole words
  }
  gpu.buffers.release(buffer!)
})

test('a table larger than a binding goes up in shards of whole rows', async () => {
  const gpu = await openGpu({ ...only, bindingLimit: 1000 })
  const cases = [
    { shape: [100, 7], dtype: 'f32', rows: 34 }, //     35 rows fit, pairs of rows
    { shape: [33, 61], dtype: 'bf16', rows: 8 }, //     odd columns: a pair of rows is whole words
    { shape: [10, 2, 30], dtype: 'f32', rows: 4 }, //   more than two axes
    { shape: [251], dtype: 'f32', rows: 250 }, //       one value over
  ] as const
  for (const { shape, dtype, rows } of cases) {
    const size = shape.reduce((n: number, m) => n * m, 1)
    const data = dtype === 'f32' ? uniform(size) : Uint16Array.from({ length: size }, (_, i) => i * 13)
    const x = await upload(gpu, data, shape, dtype, { sharded: true, label: 'embed', owner: 'weights' })
    const shards = x.shards!
    expect(shards.map((s) => s.firstRow)).toEqual(shards.map((_, i) => i * rows))
    expect(shards.reduce((sum, s) => sum + s.rows, 0)).toBe(shape[0])
    for (const { storage } of shards) expect(storage.bytes).toBeLessThanOrEqual(1000)
    const bytes = new Uint8Array(data.buffer)
    expect((await bytesOf(gpu, x)).subarray(0, bytes.length)).toEqual(bytes)
    expect(gpu.memory().byOwner['weights']).toBe(Math.ceil(bytes.length / 4) * 4)
    await expect(plan(gpu, 'whole', () => ({ read: { x } }))).rejects.toThrow("output 'x' is sharded")
    release(gpu, x)
  }
  expect(gpu.memory().bytes).toBe(0)

  // A tensor that may not be split, or can't, is refused
  await expect(allocate(gpu, [300], 'f32', { label: 'llm.norm' })).rejects.toThrow(
    new LimitError(
      'llm.norm: [300] f32 is 1.2 KiB, this adapter binds at most 1000 B at once. ' +
        'Use a smaller model, or an adapter with a larger limit.',
    ),
  )
  await expect(allocate(gpu, [4, 200], 'f32', { sharded: true })).rejects.toThrow(LimitError)
  gpu.close()
})

test('wrong sizes and aborts', async () => {
  const gpu = await anyGpu()
  const before = gpu.memory().bytes
  await expect(upload(gpu, new Float32Array(5), [2, 3], 'f32')).rejects.toThrow(
    new ShapeError('upload: the data has 5 elements, expected 6 for [2, 3] f32.'),
  )
  expect(gpu.memory().bytes).toBe(before)
  const x = await allocate(gpu, [4], 'f32')
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(new Uploader(gpu).write(x.storage.buffer!, 0, new Uint8Array(16), { signal })).rejects.toThrow(
    'enough',
  )
  expect([...(await bytesOf(gpu, x))]).toEqual(Array(16).fill(0))
  release(gpu, x)
})

test('rows of a resident tensor are seen without a copy where they begin at an even place', async () => {
  const gpu = await anyGpu()
  const data = uniform(8 * 64)
  const x = await upload(gpu, data, [8, 64], 'f32') // a row is 256 bytes
  const view = viewRows(viewRows(x, 2, 5)!, 1, 3)!
  expect(view.shape).toEqual([3, 64])
  const ready = await plan(gpu, 'view', () => ({ read: { view } }))
  expectSameBits((await ready.run()).read.view, data.subarray(3 * 64, 6 * 64))
  ready.release()
  expect(() => viewRows(x, 7, 2)).toThrow(ShapeError)
  const narrow = await upload(gpu, data, [64, 8], 'f32')
  expect(viewRows(narrow, 1, 3)).toBeUndefined()
  expect(viewRows(narrow, 8, 3)).toBeDefined()
  // Rounded weights: the scales are of all rows, and a view without its own would be none
  expect(viewRows({ ...narrow, scales: x }, 8, 3)).toBeUndefined()
  for (const t of [x, narrow]) release(gpu, t)
})
