// A checkpoint may list the CRC-32 of its tensors: bytes that differ are refused, and so is a list that makes no sense.

import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../src/errors.ts'
import { crc32 } from '../../src/io/image/crc32.ts'
import { type Checkpoint, type TensorData, writeSafetensors } from '../../src/io/safetensors.ts'
import { open } from './safetensors-files.ts'

describe('checksums', () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => 7 * i)
  const tensors: TensorData[] = [{ name: 'a', dtype: 'U8', shape: [100], bytes }]
  const listing = (digits: string) => writeSafetensors(tensors, { 'flowseg.crc32': `{"a":"${digits}"}` })
  const good = listing(crc32(bytes).toString(16).padStart(8, '0'))
  const readAll = async (checkpoint: Checkpoint) => {
    let size = 0
    for await (const slice of checkpoint.slices('a', 32)) size += slice.bytes.length
    return size
  }

  test('are those of zlib, in one piece or several', () => {
    const text = new TextEncoder().encode('123456789')
    expect(crc32(text)).toBe(0xcbf43926)
    expect(crc32(text.subarray(4), crc32(text.subarray(0, 4)))).toBe(0xcbf43926)
    expect(crc32(new Uint8Array())).toBe(0)
  })

  test('that hold are no hindrance', async () => {
    const checkpoint = await open(good)
    expect(await checkpoint.read('a')).toEqual(bytes)
    expect(await checkpoint.read('a', { offset: 5, length: 7 })).toEqual(bytes.subarray(5, 12))
    expect(await readAll(checkpoint)).toBe(100)
  })

  test('find any flipped bit of the data, whole or in slices', async () => {
    for (const at of [1, 40, 100]) {
      const damaged = good.slice()
      damaged[damaged.length - at]! ^= 0x10
      const checkpoint = await open(damaged)
      await expect(checkpoint.read('a')).rejects.toThrow(
        /some\.safetensors, tensor "a": .*are damaged \(CRC-32/,
      )
      await expect(readAll(checkpoint)).rejects.toThrow(WeightsError)
    }
  })

  test.each(['{', '[]', '{"a":1}', '{"a":"123"}'])('that are none: %s', async (text) => {
    const file = writeSafetensors(tensors, { 'flowseg.crc32': text })
    await expect(open(file)).rejects.toThrow('metadata "flowseg.crc32" must be a JSON object')
  })
})
