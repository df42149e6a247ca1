// Shards and their index are one checkpoint: every tensor is in the shard that the index names, and whatever disagrees
// is refused by name.

import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../src/errors.ts'
import { openFolder } from '../../src/io/folder.ts'
import {
  type Checkpoint,
  openSafetensors,
  type TensorData,
  writeSafetensors,
} from '../../src/io/safetensors.ts'
import { file, python } from './safetensors-files.ts'

describe('several files with an index', () => {
  const one = (name: string, value: number): TensorData => ({
    name,
    dtype: 'U8',
    shape: [1],
    bytes: Uint8Array.of(value),
  })
  const shards = {
    'm-1.safetensors': writeSafetensors([one('a', 1), one('b', 2)], { format: 'pt' }),
    'm-2.safetensors': writeSafetensors([one('c', 3), one('extra', 9)]),
  }
  const map = { a: 'm-1.safetensors', b: 'm-1.safetensors', c: 'm-2.safetensors' }
  const index = (weight_map: unknown = map) => JSON.stringify({ metadata: { total_size: 3 }, weight_map })
  const folder = (text: string, files: Record<string, Uint8Array<ArrayBuffer>> = shards) =>
    openFolder([
      new File([text], 'model.safetensors.index.json'),
      ...Object.entries(files).map(([name, bytes]) => new File([bytes], name)),
    ])

  test('are one checkpoint of what the index lists', async () => {
    const checkpoint = await openSafetensors(folder(index()))
    const read = async (from: Checkpoint) => {
      const values: Record<string, number[]> = {}
      for (const { name, file: within } of from.tensors.values())
        values[`${name} ${within}`] = [...(await from.read(name))]
      return values
    }
    expect(await read(checkpoint)).toEqual({
      'a m-1.safetensors': [1],
      'b m-1.safetensors': [2],
      'c m-2.safetensors': [3],
    })
    expect(Object.fromEntries(checkpoint.metadata)).toEqual({ format: 'pt' })
    await checkpoint.close()
  })

  test('may have an index of another name, whatever else is in the folder', async () => {
    const from = (text: string) =>
      openFolder([
        new File([text], 'other.safetensors.index.json'),
        new File([python], 'model.safetensors'),
        ...Object.entries(shards).map(([name, bytes]) => new File([bytes], name)),
      ])
    const other = { index: 'other.safetensors.index.json' }
    expect([...(await openSafetensors(from(index()), other)).tensors.keys()]).toEqual(['a', 'b', 'c'])
    await expect(openSafetensors(from(index({ ...map, d: 'm-2.safetensors' })), other)).rejects.toThrow(
      'tensor "d": it is not in this file, but other.safetensors.index.json says it is',
    )
    await expect(openSafetensors(from(index()), { index: 'none.index.json' })).rejects.toThrow(
      'There is no none.index.json in the chosen files',
    )
  })

  test.each<[string, string, string]>([
    [
      'a tensor that is in no file',
      index({ ...map, d: 'm-2.safetensors' }),
      'm-2.safetensors, tensor "d": it is not in this file',
    ],
    [
      'a tensor that is in another file',
      index({ ...map, c: 'm-1.safetensors', extra: 'm-2.safetensors' }),
      'm-2.safetensors, tensor "c": it is in this file, but',
    ],
    ['a file that is not there', index({ ...map, d: 'm-3.safetensors' }), 'There is no m-3.safetensors'],
    ['itself', index({ a: 'model.safetensors.index.json' }), 'a name that ends in .safetensors'],
    ['a file elsewhere', index({ a: '../m-1.safetensors' }), '"../m-1.safetensors" is not a plain file name'],
    ['a file by its path', index({ a: '/tmp/m-1.safetensors' }), 'is not a plain file name'],
    [
      'a million files',
      index(Object.fromEntries(Array.from({ length: 1e4 }, (_, i) => [`${i}`, `${i}.safetensors`]))),
      '1000 files',
    ],
    ['names of pages', index({ ['x'.repeat(1e6)]: 'm-1.safetensors' }), 'a key of more than 4096 bytes'],
    ['a web page', '<!doctype html>', 'is not valid JSON'],
    ['no map', '{}', 'has no "weight_map"'],
    ['an empty map', index({}), 'has no "weight_map"'],
    ['a map of something else', index({ a: 1 }), 'must be a name that ends in .safetensors'],
    ['a list', '[]', 'has no "weight_map"'],
    ['broken JSON', '{"weight_map":', 'is not valid JSON'],
    [
      'a tensor listed twice',
      '{"weight_map":{"a":"m-1.safetensors","a":"m-2.safetensors"}}',
      'the key "a" occurs twice',
    ],
  ])('refuses %s', async (_, text, why) => {
    await expect(openSafetensors(folder(text))).rejects.toThrow(WeightsError)
    await expect(openSafetensors(folder(text))).rejects.toThrow(why)
  })

  test('a tensor that two files have', async () => {
    const twice = { ...shards, 'm-2.safetensors': writeSafetensors([one('a', 7), one('c', 3)]) }
    await expect(openSafetensors(folder(index(), twice))).rejects.toThrow(
      'm-2.safetensors, tensor "a": it is in this file, but',
    )
  })

  test('refuses file names that lead elsewhere', async () => {
    for (const name of [
      '../m-1.safetensors',
      '/etc/x.safetensors',
      'a/b.safetensors',
      'a\\b.safetensors',
      'C:x.safetensors',
      'https://host/x.safetensors',
      '%2e%2e%2fx.safetensors',
      '.safetensors',
      '..safetensors',
    ]) {
      await expect(openSafetensors(folder(index({ a: name }))), name).rejects.toThrow(
        'is not a plain file name',
      )
    }
  })

  test('files are closed when one of them is bad', async () => {
    const closed: string[] = []
    const from = folder(index(), { ...shards, 'm-2.safetensors': file('nonsense') })
    const watched = {
      ...from,
      open: async (name: string) => {
        const source = await from.open(name)
        return { ...source, close: async () => void closed.push(name) }
      },
    }
    await expect(openSafetensors(watched)).rejects.toThrow('is not valid JSON')
    expect(closed).toEqual(['m-1.safetensors', 'm-2.safetensors'])
  })

  test('a folder may hold a single file, or nothing of ours', async () => {
    const single = openFolder([new File([python], 'model.safetensors')])
    expect((await openSafetensors(single)).tensors.size).toBe(9)
    await expect(openSafetensors(openFolder([new File([''], 'pytorch_model.bin')]))).rejects.toThrow(
      /neither model.safetensors nor model.safetensors.index.json in the chosen files.*read by openCheckpoint.*must be converted/,
    )
  })
})
