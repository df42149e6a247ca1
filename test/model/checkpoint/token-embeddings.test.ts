// Rows of the table of token embeddings: those of the file, whether the table is held or read by row.

import { expect, test, vi } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { openSafetensors, type TensorData, writeSafetensors } from '../../../src/io/safetensors.ts'
import { bytesSource } from '../../../src/io/source.ts'
import { TokenEmbeddings } from '../../../src/model/checkpoint/token-embeddings.ts'

const WIDTH = 4096
const SMALL = 16
/** 40 MB of bf16. */
const LARGE = 5000

async function tableOf(rows: number, change: (bits: Uint16Array) => void = () => undefined) {
  const bits = new Uint16Array(rows * WIDTH)
  // From 1 to 2 in steps of 2^-7, with either sign
  for (let i = 0; i < bits.length; i++) bits[i] = 0x3f80 + (Math.imul(i, 0x9e3779b1) >>> 25) + ((i & 1) << 15)
  change(bits)
  const bytes = new Uint8Array(bits.buffer)
  const tensor: TensorData = { name: 'table', dtype: 'BF16', shape: [rows, WIDTH], bytes }
  const checkpoint = await openSafetensors(bytesSource(writeSafetensors([tensor]), 'table.safetensors'))
  const read = vi.spyOn(checkpoint, 'read')
  const table = new TokenEmbeddings(checkpoint, checkpoint.tensors.get('table')!)
  for await (const { offset, bytes: piece } of checkpoint.slices('table', 2 ** 20)) table.hold(offset, piece)
  const row = (id: number): Float32Array =>
    new Float32Array(
      Uint32Array.from(bits.subarray(id * WIDTH, (id + 1) * WIDTH), (half) => half << 16).buffer,
    )
  return { table, read, row }
}

test.each([
  ['held', SMALL],
  ['read by row', LARGE],
])('rows of a table that is %s', async (_, count) => {
  const { table, read, row } = await tableOf(count)
  expect([table.width, table.isStreamed]).toEqual([WIDTH, count === LARGE])
  const ids = [count - 1, 0, 7, 7]
  const rows = await table.rows(ids, 6)
  expect(rows.length).toBe(6 * WIDTH)
  ids.forEach((id, i) => expect(rows.subarray(i * WIDTH, (i + 1) * WIDTH)).toEqual(row(id)))
  expect(rows.subarray(4 * WIDTH).every((value) => value === 0)).toBe(true)

  // A row that was read is not read again
  const reads = read.mock.calls.length
  expect(reads).toBeLessThanOrEqual(count === LARGE ? ids.length : 0)
  expect(await table.rows(Uint32Array.from(ids))).toEqual(rows.slice(0, 4 * WIDTH))
  expect(read).toHaveBeenCalledTimes(reads)
})

test('a row that is not finite is named, and one of a closed or aborted file fails as its reads do', async () => {
  const { table } = await tableOf(LARGE, (bits) => bits.fill(0x7fc0, 9 * WIDTH + 5, 9 * WIDTH + 6))
  await table.rows([8, 10])
  await expect(table.rows([9])).rejects.toThrow('tensor "table": the value at [9, 5] is NaN')
  await expect(table.rows([9])).rejects.toBeInstanceOf(WeightsError)
  await expect(table.rows([11], 1, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
})
