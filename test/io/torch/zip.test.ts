// Archives that torch.save didn't write, or that were damaged, are refused by entry and by rule; those of more than
// 4 GiB are read in place.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { open as openFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import type { Checkpoint } from '../../../src/io/checkpoint/checkpoint.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { bytesSource, fileSource } from '../../../src/io/source.ts'
import { Pickle, type Sparse, type TorchTensor, torchEntries } from './torch-writer.ts'
import { type Entry, fields, layout, zip } from './zip-writer.ts'

const values = Uint8Array.from({ length: 24 }, (_, i) => 7 * i + 1)
const tensors: TorchTensor[] = [
  { name: 'a', dtype: 'F32', shape: [2, 3], bytes: values },
  { name: 'b', dtype: 'BF16', shape: [3], bytes: values.slice(0, 6) },
]
const entries = torchEntries(tensors)

const open = (bytes: Uint8Array<ArrayBuffer>): Promise<Checkpoint> =>
  openCheckpoint(bytesSource(bytes, 'x.bin'))
const changed = (change: (entry: Entry) => Entry): Uint8Array<ArrayBuffer> => zip(entries.map(change))
const withEntry = (name: string, facts: Partial<Entry>): Uint8Array<ArrayBuffer> =>
  changed((entry) => (entry.name === `archive/${name}` ? { ...entry, ...facts } : entry))
const without = (name: string): Uint8Array<ArrayBuffer> =>
  zip(entries.filter((entry) => entry.name !== `archive/${name}`))

async function refusal(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const error = await open(bytes)
    .then(
      async (checkpoint) => {
        // Some things are seen when a value is read
        for (const name of checkpoint.tensors.keys()) await checkpoint.read(name)
        throw new Error('nothing was refused')
      },
      (cause: unknown) => cause,
    )
    .catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(WeightsError)
  return String(error)
}

test('a whole one is read', async () => {
  const checkpoint = await open(zip(entries))
  expect(await checkpoint.read('a')).toEqual(values)
  expect(await checkpoint.read('b')).toEqual(values.slice(0, 6))
})

describe('refused', () => {
  test.each<[string, () => Uint8Array<ArrayBuffer>, RegExp]>([
    [
      'a storage that is missing',
      () => without('data/0'),
      /x\.bin, tensor "a": its storage data\/0 is not in the file/,
    ],
    [
      'a storage cut short',
      () => withEntry('data/0', { data: values.slice(4) }),
      /tensor "a": its storage data\/0 has 20 bytes, expected 24: it is cut short/,
    ],
    [
      'a storage too long',
      () => withEntry('data/0', { data: new Uint8Array(28) }),
      /tensor "a": .* has 28 bytes, expected 24: it is too long/,
    ],
    [
      'a compressed storage',
      () => withEntry('data/1', { method: 8 }),
      /tensor "b": its storage data\/1: it is compressed \(method 8\)/,
    ],
    [
      'an encrypted storage',
      () => withEntry('data/1', { flags: 0x0809 }),
      /tensor "b": its storage data\/1: it is encrypted/,
    ],
    [
      'a compressed pickle',
      () => withEntry('data.pkl', { method: 12 }),
      /entry "archive\/data\.pkl" of the zip archive: it is compressed \(method 12\)/,
    ],
    ['a damaged storage', () => withEntry('data/0', { crc: 1 }), /x\.bin, tensor "a": its bytes are damaged/],
    ['a damaged pickle', () => withEntry('data.pkl', { crc: 1 }), /x\.bin: its data\.pkl is damaged/],
    [
      'no pickle',
      () => without('data.pkl'),
      /is a zip archive with no data\.pkl, so torch\.save did not write it/,
    ],
    [
      'two pickles',
      () => zip([...entries, { name: 'other/data.pkl', data: values }]),
      /with more than one data\.pkl/,
    ],
    [
      'two entries of a name',
      () => zip([...entries, { name: 'archive/data/0', data: values }]),
      /entry "archive\/data\/0" of the zip archive: there are two entries of this name/,
    ],
    [
      'a size that reaches the next entry',
      () => withEntry('data/0', { listed: 400 }),
      /entry "archive\/data\/0" .*: it overlaps entry "archive\/data\/1"/,
    ],
    [
      'a size that reaches the directory',
      () => withEntry('.data/serialization_id', { listed: 4000 }),
      /it overlaps the directory/,
    ],
    [
      'big-endian values',
      () => zip(torchEntries(tensors, { byteorder: 'big' })),
      /its byte order is big, expected little\. Load it with torch\.load/,
    ],
    [
      'another version',
      () => withEntry('version', { data: new TextEncoder().encode('11\n') }),
      /its format has version 11, this program reads up to 10/,
    ],
    ['an archive of nothing', () => zip([]), /with no data\.pkl/],
    [
      'a long byteorder',
      () => withEntry('byteorder', { data: new Uint8Array(65) }),
      /its byteorder has 65 bytes, at most 64 are allowed/,
    ],
  ])('%s', async (_, make, said) => {
    expect(await refusal(make())).toMatch(said)
  })

  const whole = zip(entries)
  const view = new DataView(whole.buffer)
  const end = whole.length - 22
  /** The whole archive with a number replaced. */
  const patched = (at: number, value: number, bytes: 2 | 4 | 8): Uint8Array<ArrayBuffer> => {
    const copy = whole.slice()
    copy.set(fields([value, bytes]), at)
    return copy
  }
  const directory = view.getUint32(end + 16, true)
  const end64 = end - 20 - 56

  test.each<[string, () => Uint8Array<ArrayBuffer>, RegExp]>([
    [
      'an end that is elsewhere',
      () => new Uint8Array([...whole, 0]),
      /the end of the zip archive is missing/,
    ],
    [
      'a zip64 record that is elsewhere',
      () => patched(end - 12, 5, 8),
      /end record for large files \(zip64\) is not at byte 5/,
    ],
    ['a zip64 record past any file', () => patched(end - 12, 2 ** 60, 8), /zip64\) is not at byte/],
    ['a zip64 record of another size', () => patched(end64 + 4, 45, 8), /\(zip64\) has a wrong size/],
    ['a directory that begins later', () => patched(end64 + 48, directory + 1, 8), /overlaps it/],
    [
      'a directory that begins earlier',
      () => patched(end64 + 48, directory - 1, 8),
      /there is something between them/,
    ],
    ['too many entries', () => patched(end64 + 32, 10_000, 8), /is a part of a zip archive of several files/],
    ['two disks', () => patched(end - 4, 2, 4), /is a part of a zip archive of several files/],
    [
      'a disk of an entry',
      () => patched(directory + 34, 1, 2),
      /is a part of a zip archive of several files/,
    ],
    [
      'an entry without its mark',
      () => patched(directory, 0, 4),
      /entry 0 of the zip archive's directory makes no sense/,
    ],
    [
      'a name past the directory',
      () => patched(directory + 28, 60_000, 2),
      /entry 0 of the zip archive's directory makes no sense/,
    ],
    [
      'a comment that is not there',
      () => patched(directory + 32, 1, 2),
      /entry 1 of the zip archive's directory makes no sense/,
    ],
    [
      '64-bit numbers that are missing',
      () => patched(directory + 42, 0xffffffff, 4),
      /its size or place needs 64 bits, and they are missing/,
    ],
    [
      'a local header of another entry',
      () => patched(35, 0x7878, 2),
      /the header at byte 0 is of another entry/,
    ],
    ['a local header without its mark', () => patched(1, 0, 2), /there is no header at byte 0|header claims/],
    [
      'a stored size that is another',
      () => patched(directory + 20, 3, 4),
      /it is stored in 3 bytes, but has \d+/,
    ],
  ])('%s', async (_, make, said) => {
    expect(await refusal(make())).toMatch(said)
  })

  test('a local header that moves a value is noticed when it is read', async () => {
    const header = view.getUint32(
      directory + 46 + 'archive/data.pkl'.length + 46 + 'archive/byteorder'.length + 42,
      true,
    )
    const moved = patched(header + 28, view.getUint16(header + 28, true) - 8, 2)
    const checkpoint = await open(moved)
    await expect(checkpoint.read('a')).rejects.toThrow(
      /entry "archive\/data\/0" .*: its data begins at byte \d+ by its header, at \d+ by the directory/,
    )
    expect(await checkpoint.read('b')).toEqual(values.slice(0, 6))
  })

  test('an end record without zip64 is read, and one that needs it is not', async () => {
    const plain = new Uint8Array([...whole.slice(0, end64), ...whole.slice(end)])
    expect(await (await open(plain)).read('a')).toEqual(values)
    plain.set(fields([0xffffffff, 4]), plain.length - 6)
    expect(await refusal(plain)).toMatch(/lacks the record for large files \(zip64\)/)
    const commented = new Uint8Array([...whole, ...new TextEncoder().encode('a comment')])
    commented.set(fields([9, 2]), end + 20)
    expect(await (await open(commented)).read('a')).toEqual(values)
  })
})

describe('tensors that do not fit their storage', () => {
  const open1 = (tensor: Partial<TorchTensor>): Promise<Checkpoint> =>
    open(zip(torchEntries([{ name: 'a', dtype: 'F32', shape: [2, 3], bytes: values, ...tensor }])))
  test.each<[string, Partial<TorchTensor>, RegExp]>([
    ['more rows', { shape: [3, 3] }, /tensor "a": it ends at byte 36 of its storage, which has 24/],
    ['an offset', { offset: 1 }, /it ends at byte 28 of its storage, which has 24/],
    ['a stride', { strides: [4, 1] }, /it ends at byte 28/],
    ['an offset past any file', { offset: 2 ** 52 }, /it ends at byte/],
    ['an empty tensor past it', { shape: [0], offset: 7 }, /it ends at byte 28/],
    [
      'a negative stride',
      { strides: [-3, 1] },
      /its shape and strides must be at most 32 whole numbers each, none negative/,
    ],
    ['fewer strides', { strides: [1] }, /its shape and strides must be/],
    ['too many axes', { shape: Array.from({ length: 33 }, () => 1) }, /its shape and strides must be/],
    [
      'sizes that overflow',
      { shape: [2 ** 40, 2 ** 40], strides: [0, 0] },
      /it repeats the 24 bytes of its storage to 4\.8357\d*e\+24/,
    ],
    [
      'a small storage repeated to much',
      { shape: [2 ** 25], strides: [0] },
      /it repeats the 24 bytes of its storage to 134217728: save it with \.contiguous\(\)/,
    ],
  ])('%s', async (_, tensor, said) => {
    await expect(open1(tensor)).rejects.toThrow(WeightsError)
    await expect(open1(tensor)).rejects.toThrow(said)
  })

  test('but for those that repeat a little', async () => {
    const checkpoint = await open1({ shape: [1000, 2], strides: [0, 3] })
    const bytes = await checkpoint.read('a')
    expect(bytes).toHaveLength(8000)
    expect(new Set(new Uint32Array(bytes.buffer)).size).toBe(2)
  })

  test('a storage without a type, a key or a length', async () => {
    const pickle = new Pickle()
      .op(0x80, 2, 0x7d)
      .text('a')
      .global('torch._utils', '_rebuild_tensor_v2')
      .mark()
    pickle
      .mark()
      .text('storage')
      .text('FloatStorage')
      .text('0')
      .text('cpu')
      .int(6)
      .op(0x74, 0x51)
      .int(0)
      .tuple([6])
      .tuple([1])
      .op(0x74, 0x52, 0x73, 0x2e)
    const [, ...others] = entries
    await expect(open(zip([{ name: 'archive/data.pkl', data: pickle.bytes() }, ...others]))).rejects.toThrow(
      'x.bin, tensor "a": its storage must have a type, a key and a number of elements.',
    )
  })
})

describe('more than 4 GiB', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowseg-zip64-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'large.bin')

  const [rows, columns] = [2 ** 16 + 3, 2 ** 14]
  const size = rows * columns * 4 // 4.3 GB
  const mark = Uint8Array.of(1, 2, 3, 4)
  const large: Sparse = {
    size,
    pieces: [
      [0, mark],
      [size - 8, values.slice(0, 8)],
    ],
  }

  /** A file with holes, which takes next to nothing on disk. */
  async function written(name: string, all: readonly TorchTensor[]): Promise<string> {
    const archive = layout(torchEntries(all))
    const file = await openFile(join(folder, name), 'w')
    await file.truncate(archive.size)
    for (const [begin, bytes] of archive.pieces) await file.write(bytes, 0, bytes.length, begin)
    await file.close()
    return join(folder, name)
  }

  test('a file is read in place', async () => {
    await written('large.bin', [
      { name: 'small', dtype: 'F32', shape: [2, 3], bytes: values },
      { name: 'large', dtype: 'F32', shape: [rows, columns], bytes: large },
      { name: 'behind', dtype: 'BF16', shape: [3], bytes: values.slice(0, 6) },
    ])
    expect((await stat(path)).size).toBeGreaterThan(2 ** 32)
    const source = await fileSource(path)
    const checkpoint = await openCheckpoint(source)
    expect(checkpoint.tensors.get('large')).toMatchObject({ dtype: 'F32', shape: [rows, columns] })
    expect(checkpoint.tensors.get('behind')?.begin).toBeGreaterThan(2 ** 32)
    expect(await checkpoint.read('small')).toEqual(values)
    expect(await checkpoint.read('behind')).toEqual(values.slice(0, 6))
    expect(await checkpoint.read('large', { offset: 0, length: 4 })).toEqual(mark)
    expect(await checkpoint.read('large', { offset: size - 8, length: 8 })).toEqual(values.slice(0, 8))
    await checkpoint.close()
  })

  test('one by PyTorch has its values where PyTorch has them', async () => {
    const wide = JSON.parse(readFileSync('test/fixtures/io/torch/layouts/wide.json', 'utf8')) as {
      size: number
      pieces: [number, string][]
      tensors: [name: string, dtype: string, shape: number[], begin: number][]
    }
    const path = join(folder, 'wide.bin')
    const file = await openFile(path, 'w')
    await file.truncate(wide.size)
    for (const [begin, bytes] of wide.pieces) await file.write(Buffer.from(bytes, 'base64'), 0, null, begin)
    for (const [i, [, , , begin]] of wide.tensors.entries())
      await file.write(Uint8Array.of(i + 1, 7), 0, 2, begin)
    await file.close()

    const checkpoint = await openCheckpoint(await fileSource(path))
    const rows = [...checkpoint.tensors.values()].map(({ name, dtype, shape, begin }) => [
      name,
      dtype,
      shape,
      begin,
    ])
    expect(rows).toEqual(wide.tensors)
    for (const [i, [name]] of wide.tensors.entries()) {
      expect(await checkpoint.read(name, { offset: 0, length: 2 })).toEqual(Uint8Array.of(i + 1, 7))
    }
    await checkpoint.close()
  })
})
