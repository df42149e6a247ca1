// gather and copyRows: the rows asked for, exactly; ids and places that don't exist do no harm.

import { expect, test } from 'vitest'
import { ShapeError, UsageError } from '../../../src/errors.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { Uploader } from '../../../src/gpu/transfer.ts'
import {
  allocateQuantizedTable,
  dequantizeRows,
  QuantizedWriter,
  quantizeRows,
} from '../../../src/kernels/quantize.ts'
import { add, sub } from '../../../src/ops/elementwise/elementwise.ts'
import { copyRows, gather } from '../../../src/ops/layout/gather.ts'
import { sumLast } from '../../../src/ops/reduce/reduce.ts'
import {
  allocate,
  columns,
  param,
  plan,
  release,
  reshape,
  type Tensor,
  upload,
} from '../../../src/tensor/tensor.ts'
import {
  adapterNames,
  adapters,
  anyGpu,
  evaluate,
  expectSameBits,
  random,
  toBf16,
  uniform,
} from '../../support.ts'

/** Runs gather on a resident table, twice. The ids are on the device already: nobody has looked at them. */
async function gathered(gpu: Awaited<ReturnType<typeof anyGpu>>, table: Tensor, ids: Uint32Array) {
  const made = await plan(gpu, 'test', ({ bound }) => ({
    read: { y: gather(table, bound('ids', [ids.length], 'u32')) },
  }))
  const bound = { ids: await upload(gpu, ids, [ids.length], 'u32') }
  const first = (await made.run({ bound })).read['y']
  expectSameBits((await made.run({ bound })).read['y'], first)
  made.release()
  release(gpu, bound.ids)
  return first
}

/** Rows of a table; zeros for ids that it doesn't have. */
function rowsOf(table: Float32Array, C: number, ids: Uint32Array): Float32Array {
  const y = new Float32Array(ids.length * C)
  ids.forEach((id, t) => y.set(table.subarray(id * C, (id + 1) * C), t * C))
  return y
}

for (const gpu of await adapters()) {
  test(`gather from a table in int8, in one buffer and in several, on ${gpu.name}`, async () => {
    const [V, C] = [70, 36]
    const values = uniform(V * C, 5)
    const ids = Uint32Array.from([69, 0, 70, 33, 34, 35, 0xffff_ffff, 1])
    const expected = rowsOf(dequantizeRows(quantizeRows(values, C, 'int8'), C, 'int8'), C, ids)
    const limited = await openGpu({
      ...(adapterNames()[0] && { adapter: adapterNames()[0]! }),
      bindingLimit: 48 * C,
    })
    for (const [on, shards] of [
      [gpu, undefined],
      [limited, 2],
    ] as const) {
      const table = await allocateQuantizedTable(on, [V, C])
      expect(table.shards?.length).toBe(shards)
      const uploader = new Uploader(on)
      const writer = new QuantizedWriter(uploader, table)
      for (let at = 0; at < values.length; at += 200) await writer.write(values.subarray(at, at + 200))
      await writer.finish()
      await uploader.flush()
      expectSameBits(await gathered(on, table, ids), expected)
      release(on, table)
    }
    limited.close()
    await expect(allocateQuantizedTable(gpu, [4, 6])).rejects.toThrow("[4, 6] can't be held in int8")
  })

  test(`gather gives zeros for ids that the table lacks on ${gpu.name}`, async () => {
    const values = uniform(5 * 4)
    const table = await upload(gpu, values, [5, 4], 'f32')
    const ids = Uint32Array.from([4, 5, 0, 0xffff_ffff, 6, 1])
    expectSameBits(await gathered(gpu, table, ids), rowsOf(values, 4, ids))

    // Also where another tensor's values lay before: zeros are written, not found
    const made = await plan(gpu, 'test', ({ input, bound }) => {
      const x = input('x', [6, 4])
      const dirty = add(x, x)
      const sums = sumLast(dirty)
      return { read: { sums, y: sub(gather(table, bound('ids', [6], 'u32')), x) } }
    })
    expect(made.info.slotBytes, 'the rows lie where `dirty` was').toBe(6 * 4 * 4)
    const x = uniform(24, 5)
    const bound = { ids: await upload(gpu, ids, [6], 'u32') }
    const { read } = await made.run({ inputs: { x }, bound })
    expectSameBits(
      read['y'],
      rowsOf(values, 4, ids).map((v, i) => v - x[i]!),
    )
    made.release()
    for (const t of [table, bound.ids]) release(gpu, t)
  })

  test(`ids of an input that no table has are refused, before anything runs, on ${gpu.name}`, async () => {
    const [large, small] = [
      await upload(gpu, uniform(36), [9, 4], 'f32'),
      await upload(gpu, uniform(20), [5, 4], 'f32'),
    ]
    const made = await plan(gpu, 'lookup', ({ input }) => {
      const ids = input('ids', [2, 2], 'u32')
      return { read: { y: sub(gather(large, reshape(ids, [4])), gather(small, reshape(ids, [4]))) } }
    })
    const run = (...ids: number[]) => made.run({ inputs: { ids: Uint32Array.from(ids) } })
    await expect(run(0, 4, 5, 1)).rejects.toThrow(
      new UsageError(
        "plan lookup: input 'ids' has 5 at 2, but the table that is gathered from has 5 rows: 0 to 4.",
      ),
    )
    await expect(run(0, 4, -1, 1)).rejects.toThrow('has 4294967295 at 2')
    const { read } = await run(0, 4, 3, 1)
    expect(read['y']).toEqual(
      new Float32Array(16).map((_, i) => {
        const at = [0, 4, 3, 1][i >> 2]! * 4 + (i & 3)
        return Math.fround(uniform(36)[at]! - uniform(20)[at]!)
      }),
    )
    made.release()
    for (const t of [large, small]) release(gpu, t)
  })

  test(`copyRows on ${gpu.name}: at a place that changes, and not past the end`, async () => {
    for (const C of [3, 8]) {
      const cache = await allocate(gpu, [6, C], 'f32')
      const made = await plan(gpu, 'test', ({ input }) => {
        copyRows(input('x', [2, C]), cache, param('at'))
        return { read: { cache } }
      })
      const x = random([2, C])
      const expected = new Float32Array(6 * C)
      for (const at of [0, 3, 5, 6, 0xffff_ffff]) {
        const { read } = await made.run({ inputs: { x: x.data }, params: { at } })
        for (let t = 0; t < 2 && at + t < 6; t++)
          expected.set(x.data.subarray(t * C, (t + 1) * C), (at + t) * C)
        expectSameBits(read['cache'], expected)
      }
      made.release()
      release(gpu, cache)
    }
  })

  test(`copyRows of columns on ${gpu.name}`, async () => {
    for (const [width, start, C] of [
      [12, 4, 8],
      [9, 2, 3],
      [8, 0, 8],
      [10, 4, 4],
    ] as const) {
      const cache = await allocate(gpu, [4, C], 'f32')
      const x = random([3, width])
      const made = await plan(gpu, 'test', ({ input }) => {
        copyRows(columns(input('x', [3, width]), start, C), cache, 1)
        return { read: { cache } }
      })
      const expected = new Float32Array(4 * C)
      for (let r = 0; r < 3; r++) {
        expected.set(x.data.subarray(r * width + start, r * width + start + C), (r + 1) * C)
      }
      expectSameBits((await made.run({ inputs: { x: x.data } })).read['cache'], expected)
      made.release()
      release(gpu, cache)
    }
  })
}

for (const name of adapterNames()) {
  test(`gather from a table in shards, on ${name || 'any adapter'} with a low binding limit`, async () => {
    const small = await openGpu({ ...(name ? { adapter: name } : {}), bindingLimit: 512 })
    try {
      for (const [V, C, dtype] of [
        [64, 5, 'f32'],
        [33, 4, 'f32'],
        [101, 7, 'bf16'],
        [64, 16, 'bf16'],
      ] as const) {
        const values = uniform(V * C)
        const narrow = toBf16(values)
        const data = dtype === 'f32' ? values : narrow.bits
        const table = await upload(small, data, [V, C], dtype, { sharded: true })
        expect(table.shards?.length).toBeGreaterThan(1)
        const ids = Uint32Array.from([...Array(V).keys(), V, V + 7, 0xffff_ffff, 3, V - 1].slice(-80))
        const some = ids.slice(0, Math.min(ids.length, Math.floor(512 / 4 / C)))
        for (const asked of [some, ids.slice(-Math.floor(512 / 4 / C))]) {
          const expected = rowsOf(dtype === 'f32' ? values : narrow.values, C, asked)
          expectSameBits(await gathered(small, table, asked), expected)
        }
        release(small, table)
      }
      expect(small.memory().bytes).toBe(0)
    } finally {
      small.close()
    }
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  const building = (build: Parameters<typeof plan>[2]) => plan(gpu, 'test', build)
  await expect(
    building(({ input }) => ({ read: { y: gather(input('table', [4, 2]), input('ids', [3])) } })),
  ).rejects.toThrow(new ShapeError('gather: ids is f32, expected u32.'))
  await expect(
    building(({ input }) => {
      copyRows(input('x', [2, 3]), input('into', [4, 3]), 0)
      return {}
    }),
  ).rejects.toThrow('copyRows: `into` must outlive the plan')
  await expect(
    building(({ input, bound }) => {
      copyRows(input('x', [2, 3]), bound('into', [4, 2]), 0)
      return {}
    }),
  ).rejects.toThrow('copyRows: into is [4, 2], expected [?, 3].')
  await expect(evaluate(gpu, { x: random([2, 2]) }, (t) => gather(t['x'], t['x']))).rejects.toThrow(
    ShapeError,
  )
})
