// A good file is read as Python and an independent reader read it; everything else is refused, naming the
// file and the tensor, before anything of a claimed size is allocated.

import { readFileSync } from 'node:fs'
// @ts-expect-error it has no types
import { SafeTensor } from 'safetensors'
import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../src/errors.ts'
import { openFolder } from '../../src/io/folder.ts'
import { crc32 } from '../../src/io/image/crc32.ts'
import {
  type Checkpoint,
  DTYPE_BITS,
  type Dtype,
  openSafetensors,
  type Slice,
  type TensorData,
  toFloat32,
  writeSafetensors,
} from '../../src/io/safetensors.ts'
import { bytesSource, type Source } from '../../src/io/source.ts'

const python = new Uint8Array(readFileSync('test/fixtures/io/python.safetensors'))
const open = (bytes: Uint8Array) => openSafetensors(bytesSource(bytes, 'some.safetensors'))

/** A file with this header, as it stands, and `data` zeros after it. */
function file(header: string | Uint8Array, data = 0, claimed?: bigint): Uint8Array<ArrayBuffer> {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const bytes = new Uint8Array(8 + text.length + data)
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true)
  bytes.set(text, 8)
  return bytes
}

/** A file of tensors given as name: [dtype, shape, begin, end]. */
function fileOf(
  entries: Record<string, [string, unknown, unknown, unknown]>,
  data: number,
): Uint8Array<ArrayBuffer> {
  const header = Object.entries(entries).map(
    ([name, [dtype, shape, ...data_offsets]]) =>
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets })}`,
  )
  return file(`{${header.join()}}`, data)
}

describe('a file by the Python package', () => {
  const values = [0, -1.5, 3.25, 65504, 6e-8, -2e-5]

  test('is read, bit for bit', async () => {
    const checkpoint = await open(python)
    expect(Object.fromEntries(checkpoint.metadata)).toEqual({ format: 'np', note: 'line\nfeed' })
    const facts = [...checkpoint.tensors.values()].map(({ name, dtype, shape }) => [name, dtype, shape])
    expect(facts).toEqual([
      ['ids', 'I64', [5]],
      ['block.0.double', 'F64', [6]],
      ['block.0.weight', 'F32', [2, 3]],
      ['scalar', 'F32', []],
      ['größe', 'U32', [1]],
      ['empty', 'I32', [2, 0]],
      ['block.0.half', 'F16', [6]],
      ['odd', 'U8', [3]],
      ['flags', 'BOOL', [3]],
    ])
    const floats = async (name: string, dtype: Dtype) => [...toFloat32(await checkpoint.read(name), dtype)]
    expect(await floats('block.0.weight', 'F32')).toEqual(values.map(Math.fround))
    expect(await floats('block.0.double', 'F64')).toEqual(values.map((v) => Math.fround(Math.fround(v) / 3)))
    expect(await floats('scalar', 'F32')).toEqual([2.5])
    expect(await floats('block.0.half', 'F16')).toEqual([0, -1.5, 3.25, 65504, 2 ** -24, -336 * 2 ** -24])
    expect(new BigInt64Array((await checkpoint.read('ids')).buffer)).toEqual(
      new BigInt64Array([0n, 1n, 2n, 3n, 4n]),
    )
    expect(await checkpoint.read('empty')).toHaveLength(0)
    expect([...(await checkpoint.read('flags'))]).toEqual([1, 0, 1])
  })

  test('is written again, byte for byte', async () => {
    const checkpoint = await open(python)
    const tensors: TensorData[] = []
    for (const { name, dtype, shape } of checkpoint.tensors.values()) {
      tensors.unshift({ name, dtype, shape, bytes: await checkpoint.read(name) })
    }
    expect(writeSafetensors(tensors, Object.fromEntries(checkpoint.metadata))).toEqual(python)
  })

  test('agrees with npm safetensors, an independent reader', async () => {
    const checkpoint = await open(python)
    // That reader takes no __metadata__, so it gets the file without
    const tensors: TensorData[] = []
    for (const { name, dtype, shape } of checkpoint.tensors.values()) {
      tensors.push({ name, dtype, shape, bytes: await checkpoint.read(name) })
    }
    const bytes = writeSafetensors(tensors)
    const [ours, theirs] = [await open(bytes), new SafeTensor(bytes)]
    expect([...theirs.metadata.keys()]).toEqual([...ours.tensors.keys()])
    for (const { name, dtype, shape } of ours.tensors.values()) {
      expect(theirs.metadata.get(name)).toMatchObject({ dtype, shape })
      expect(await ours.read(name), name).toEqual(theirs.getTensor(name))
    }
  })

  test('of which every part is missing once', async () => {
    let refused = 0
    for (let length = 0; length < python.length; length++) {
      await open(python.slice(0, length)).catch((error: unknown) => {
        if (!(error instanceof WeightsError)) throw error
        refused++
      })
    }
    expect(refused).toBe(python.length)
  })

  test('of which every bit of the header is flipped once', async () => {
    const dataBegin = 8 + new DataView(python.buffer).getUint32(0, true)
    let refused = 0
    for (let bit = 0; bit < 8 * dataBegin; bit++) {
      const bytes = python.slice()
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      // It may still be a legal file, with another name for instance; then every tensor can be read
      const checkpoint = await open(bytes).catch((error: unknown) => {
        if (!(error instanceof WeightsError)) throw error
        refused++
      })
      for (const { name, begin, end } of checkpoint?.tensors.values() ?? []) {
        const read = await checkpoint?.read(name)
        if (read?.length !== end - begin) expect.fail(`bit ${bit}: ${name} has ${read?.length} bytes`)
      }
    }
    expect(refused).toBeGreaterThan(4000)
  })
})

describe('what upstream tests', () => {
  const empty = '"test":{"dtype":"I32","shape":[2,0],"data_offsets":[0,0]}'

  test.each([
    ['no tensors', file('{}')],
    ['space after the header', file('{}\r \t\n')],
    ['space before and after it', file('\t\n{}\r ')],
    ['a dimension of 0', file(`{${empty}}`)],
    ['a dimension of 0, padded', file(`{${empty}}     `)],
    ['rank 0', fileOf({ test: ['F64', [], 0, 8] }, 8)],
    ['an order other than that of the data', fileOf({ b: ['U8', [2], 1, 3], a: ['U8', [1], 0, 1] }, 3)],
    [
      'fields that nobody knows',
      file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":{"x":[1.5]}}}', 1),
    ],
  ])('accepts %s', async (_, bytes) => {
    for (const { name } of (await open(bytes)).tensors.values()) expect(name).toMatch(/test|a|b/)
  })

  test.each<[string, Uint8Array, string]>([
    ['no header size', Uint8Array.of(1, 2, 3, 4, 5, 6, 7), 'has 7 bytes, too few'],
    ['nothing', new Uint8Array(0), 'has 0 bytes, too few'],
    ['a header longer than the file', file('', 0, 60n), 'claims 60 bytes, the file has 8'],
    ['a header of more than 100 MB', file('', 0, 100_000_001n), 'claims 100000001 bytes, at most 100000000'],
    ['a header of 2^64 - 1 bytes', file('', 0, 2n ** 64n - 1n), 'claims 18446744073709551615 bytes'],
    ['a header that is not UTF-8', file(Uint8Array.of(0xff)), 'a value is missing at byte 0'],
    ['a header that is not JSON', file('{'), 'is not valid JSON'],
    ['no header', file(''), 'is not valid JSON'],
    ['a byte order mark', file('\ufeff{}'), 'is not valid JSON'],
    ['a header that is no object', file('[]'), 'is not a JSON object'],
    [
      'a shape larger than the data',
      fileOf({ test: ['I32', [2, 2], 0, 4] }, 16),
      '"test": I32 [2, 2] takes 16 bytes, its data_offsets hold 4',
    ],
    ['a shape smaller than the data', fileOf({ test: ['I32', [2], 0, 16] }, 16), 'takes 8 bytes'],
    [
      'too many elements to count',
      fileOf({ test: ['I32', [2 ** 52, 2 ** 52], 0, 16] }, 16),
      'more elements than 64 bits',
    ],
    [
      'too many, times 0',
      fileOf({ test: ['I32', [2 ** 40, 2 ** 40, 0], 0, 0] }, 0),
      'more elements than 64 bits',
    ],
    ['too many bits', fileOf({ test: ['F64', [2 ** 50, 2 ** 10], 0, 0] }, 0), 'more elements than 64 bits'],
    ['a byte after the data', file(`{${empty}}`, 1), '1 belong to no tensor'],
    ['a byte too few', fileOf({ a: ['U8', [4], 0, 4] }, 3), '1 are missing: download it again'],
    [
      'overlapping tensors',
      fileOf(Object.fromEntries([...Array(10).keys()].map((i) => [`${i}`, ['F32', [2, 2], 0, 16]])), 16),
      '"1": its data begins',
    ],
    [
      'a hole',
      fileOf({ a: ['U8', [1], 0, 1], b: ['U8', [1], 2, 3] }, 3),
      '"b": its data begins at byte 115, not at 114: there is a hole',
    ],
    ['a hole at the beginning', fileOf({ a: ['U8', [1], 1, 2] }, 2), 'there is a hole before it'],
    ['an end before the beginning', fileOf({ a: ['U8', [1], 1, 0] }, 1), 'begin and end'],
    ['an unknown dtype', fileOf({ a: ['F128', [1], 0, 16] }, 16), 'its dtype "F128" is not one'],
    [
      'a dtype from Object',
      fileOf({ a: ['constructor', [1], 0, 16] }, 16),
      'its dtype "constructor" is not one',
    ],
    [
      'half a byte',
      fileOf({ a: ['F4', [3], 0, 2] }, 2),
      'F4 [3] is 12 bits, which is not a whole number of bytes',
    ],
  ])('refuses %s', async (_, bytes, why) => {
    await expect(open(bytes)).rejects.toThrow(WeightsError)
    await expect(open(bytes)).rejects.toThrow('some.safetensors')
    await expect(open(bytes)).rejects.toThrow(why)
  })
})

describe('hostile headers', () => {
  const entry = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
  const names = ['__proto__', 'constructor', 'toString', '', 'a"b\\', '\u0000', '日本', ' ', '__metadata__x']

  test('any name is only a name', async () => {
    const tensors = names.map((name, i) => ({
      name,
      dtype: 'U8' as const,
      shape: [1],
      bytes: Uint8Array.of(i),
    }))
    const checkpoint = await open(writeSafetensors(tensors))
    for (const [i, name] of names.entries()) expect([...(await checkpoint.read(name))], name).toEqual([i])
    await expect(checkpoint.read('hasOwnProperty')).rejects.toThrow(
      'there is no tensor "hasOwnProperty" among the 9',
    )
  })

  test.each<[string, string]>([
    ['a name that occurs twice', `{"a":${entry},"a":${entry}}`],
    ['a field that occurs twice', '{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}'],
    ['metadata that occurs twice', `{"__metadata__":{},"__metadata__":{},"a":${entry}}`],
    ['a key of the metadata that occurs twice', `{"__metadata__":{"x":"1","x":"2"},"a":${entry}}`],
    ['metadata other than strings', `{"__metadata__":{"x":1},"a":${entry}}`],
    ['metadata that is null', `{"__metadata__":null,"a":${entry}}`],
    ['metadata that is a tensor', `{"__metadata__":${entry}}`],
    ['a tensor that is null', '{"a":null}'],
    ['a tensor that is a list', '{"a":["U8",[1],[0,1]]}'],
    ['no dtype', '{"a":{"shape":[1],"data_offsets":[0,1]}}'],
    ['no shape', '{"a":{"dtype":"U8","data_offsets":[0,1]}}'],
    ['no offsets', '{"a":{"dtype":"U8","shape":[1]}}'],
    ['one offset', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}'],
    ['three offsets', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}'],
    ['a dtype that is a number', '{"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}}'],
    ['33 dimensions', `{"a":{"dtype":"U8","shape":[${Array(33).fill(1).join()}],"data_offsets":[0,1]}}`],
    ['deep nesting', '{"a":'.repeat(1e5)],
    ['half a surrogate pair', String.raw`{"\ud800":${entry}}`],
    ['something after the header', `{"a":${entry}} x`],
    ...['-1', '1.0', '1e0', '-0', '"1"', 'null', '[1]', '9007199254740993', '1'.repeat(40)].map(
      (size): [string, string] => [
        `a size of ${size}`,
        `{"a":{"dtype":"U8","shape":[${size}],"data_offsets":[0,1]}}`,
      ],
    ),
    ...['-1', '1.0', '"1"', '18446744073709551616'].map((size): [string, string] => [
      `an offset of ${size}`,
      `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,${size}]}}`,
    ]),
  ])('%s is refused', async (_, header) => {
    await expect(open(file(header, 1))).rejects.toThrow(WeightsError)
  })

  test('a message stays short whatever the name', async () => {
    const opening = open(file(`{${JSON.stringify('x'.repeat(1e6))}:null}`))
    await expect(opening).rejects.toThrow(/^.{50,300}$/)
  })

  describe('of 9 MB cost what is real in them', () => {
    const many = '{},'.repeat(3e6)
    const zero = '"dtype":"U8","shape":[0],"data_offsets":[0,0]'
    test.each([
      ['a tensor that is a list', `{"x":[${many}{}]}`, 'its entry is not an object'],
      ['a shape of objects', `{"x":{"shape":[${many}{}]}}`, 'its shape must be'],
      [
        'metadata that is a list',
        `{"__metadata__":[${many}{}]}`,
        '"__metadata__" must be an object of strings',
      ],
      ['a header that is a list', `[${many}{}]`, 'its header is not a JSON object'],
      [
        'fields without end',
        `{"x":{${zero}${Array.from({ length: 1e5 }, (_, i) => `,"f${i}":0`).join('')}}}`,
        'more than 64 fields',
      ],
      ['a name of megabytes', `{"${'x'.repeat(9e6)}":0}`, 'a key of more than 4096 bytes'],
      ['nesting in a field', `{"x":{"y":${'['.repeat(9e6)}`, 'more than 32 levels'],
    ])('%s', async (_, header, why) => {
      const bytes = file(header)
      const begin = performance.now()
      const before = process.memoryUsage().heapUsed
      await expect(open(bytes)).rejects.toThrow(why)
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(150e6) // objects took 700 MB
      expect(performance.now() - begin).toBeLessThan(10_000) // under 1
    })

    test('a field that nobody knows is passed over', async () => {
      const bytes = file(`{"x":{${zero},"more":[${many}{}]}}`)
      const before = process.memoryUsage().heapUsed
      expect([...(await open(bytes)).tensors.keys()]).toEqual(['x'])
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(150e6)
    })
  })

  test('nothing is read or allocated on the strength of a claim', async () => {
    const reads: number[] = []
    const source: Source = {
      name: 'huge',
      size: 2 ** 45,
      read: async (offset, length) => {
        reads.push(length)
        return file('', 0, 2n ** 44n).subarray(offset, offset + length)
      },
      close: async () => {},
    }
    await expect(openSafetensors(source)).rejects.toThrow('at most 100000000 are allowed')
    expect(reads).toEqual([64])
  })

  test.each([
    ['version https://git-lfs.github.com/spec/v1\noid sha256:', 'git lfs pull'],
    ['<!DOCTYPE html><html>', 'is a web page'],
    ['PK\u0003\u0004 0000000000', 'a zip archive, as PyTorch writes'],
    ['GGUF\u0003\0\0\0\0\0', 'is a GGUF file'],
  ])('%j is recognised', async (text, why) => {
    await expect(open(new TextEncoder().encode(text))).rejects.toThrow(why)
  })
})

describe('reading', () => {
  const odd: TensorData[] = [
    { name: 'a', dtype: 'U8', shape: [3], bytes: Uint8Array.of(1, 2, 3) },
    { name: 'z', dtype: 'U8', shape: [50], bytes: Uint8Array.from({ length: 50 }, (_, i) => i) },
  ]

  test('a tensor at an odd place can be viewed by any typed array', async () => {
    // By hand, as our writer aligns: f32 after a single byte
    const bytes = fileOf({ a: ['U8', [1], 0, 1], b: ['F32', [2], 1, 9] }, 9)
    new DataView(bytes.buffer).setFloat32(bytes.length - 4, 2.5, true)
    const checkpoint = await open(bytes)
    expect(checkpoint.tensors.get('b')!.begin % 4).not.toBe(0)
    expect([...new Float32Array((await checkpoint.read('b')).buffer)]).toEqual([0, 2.5])
  })

  test('parts and slices of a tensor', async () => {
    const checkpoint = await open(writeSafetensors(odd))
    expect([...(await checkpoint.read('z', { offset: 10, length: 3 }))]).toEqual([10, 11, 12])
    expect([...(await checkpoint.read('z', { offset: 48 }))]).toEqual([48, 49])
    for (const [offset, length] of [
      [0, 51],
      [51, 0],
      [-1, 1],
      [0.5, 1],
      [0, Number.NaN],
    ] as const) {
      await expect(checkpoint.read('z', { offset, length })).rejects.toThrow(
        /tensor "z": bytes .* are asked for, it has 50/,
      )
    }
    for (const [maxBytes, lengths] of [
      [1, [16, 16, 16, 2]],
      [47, [32, 18]],
      [1e9, [50]],
    ] as const) {
      const slices: Slice[] = []
      for await (const slice of checkpoint.slices('z', maxBytes)) slices.push(slice)
      expect(slices.map((slice) => slice.bytes.length)).toEqual(lengths)
      expect(slices.flatMap((slice) => [...slice.bytes])).toEqual([...odd[1]!.bytes])
      expect(slices.at(-1)!.offset).toBe(50 - lengths.at(-1)!)
    }
  })

  test('an abort comes through untouched, while opening and while reading', async () => {
    const why = new Error('enough')
    const signal = AbortSignal.abort(why)
    await expect(openSafetensors(bytesSource(python), { signal })).rejects.toBe(why)
    const checkpoint = await open(python)
    await expect(checkpoint.read('ids', { signal })).rejects.toBe(why)
    await expect(checkpoint.slices('ids', 16, { signal }).next()).rejects.toBe(why)
  })
})

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

describe('toFloat32', () => {
  /** Sign, exponent and fraction by the definition. */
  function halfReference(bits: number): number {
    const sign = bits & 0x8000 ? -1 : 1
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
  }

  test('F16 and BF16, all 65,536 of each', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i)
    const bytes = new Uint8Array(all.buffer)
    const half = toFloat32(bytes, 'F16')
    const brain = new Uint32Array(toFloat32(bytes, 'BF16').buffer)
    for (const i of all) {
      if (!Object.is(half[i], halfReference(i)))
        expect.fail(`F16 ${i} is ${half[i]}, not ${halfReference(i)}`)
      if (brain[i] !== i * 65536) expect.fail(`BF16 ${i} has the bits ${brain[i]}`)
    }
  })

  test('at an odd place, and of odd sizes', () => {
    const bytes = new Uint8Array(13)
    new DataView(bytes.buffer).setFloat32(1, 1.5, true)
    expect([...toFloat32(bytes.subarray(1, 5), 'F32')]).toEqual([1.5])
    new DataView(bytes.buffer).setFloat64(3, 1 / 3, true)
    expect([...toFloat32(bytes.subarray(3, 11), 'F64')]).toEqual([Math.fround(1 / 3)])
    expect(() => toFloat32(bytes, 'F16')).toThrow('13 bytes are not a whole number of F16 elements')
    expect(() => toFloat32(bytes, 'I32')).toThrow('I32 is not F16, BF16, F32 or F64')
  })
})

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

describe('writeSafetensors', () => {
  test('what it writes is read back, for every dtype', async () => {
    const isDtype = (name: string): name is Dtype => name in DTYPE_BITS
    const tensors = Object.keys(DTYPE_BITS)
      .filter(isDtype)
      .map((dtype, i) => ({
        name: `t${i}`,
        dtype,
        shape: [2, 4],
        bytes: new Uint8Array(DTYPE_BITS[dtype]).fill(i),
      }))
    expect(tensors).toHaveLength(22)
    const checkpoint = await open(writeSafetensors(tensors))
    for (const { name, dtype, bytes } of tensors) {
      expect(checkpoint.tensors.get(name)!.dtype).toBe(dtype)
      expect(await checkpoint.read(name)).toEqual(bytes)
    }
    // The data begin at a multiple of 8, widest elements first: everything is aligned
    for (const { begin, dtype } of checkpoint.tensors.values())
      expect(begin % Math.ceil(DTYPE_BITS[dtype] / 8)).toBe(0)
  })

  test('refuses what could not be read back', () => {
    const tensor = { name: 'a', dtype: 'F32' as const, shape: [2], bytes: new Uint8Array(8) }
    expect(() => writeSafetensors([tensor, tensor])).toThrow('is one twice')
    expect(() => writeSafetensors([{ ...tensor, name: '__metadata__' }])).toThrow("can't be a name")
    expect(() => writeSafetensors([{ ...tensor, name: '\ud800' }])).toThrow("can't be a name")
    expect(() => writeSafetensors([{ ...tensor, shape: [3] }])).toThrow('F32 [3], 12 bytes, but 8 are given')
  })
})
