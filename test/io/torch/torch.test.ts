// Files that PyTorch wrote are read as PyTorch reads them, to the bit and in place; what can't be read is refused by
// its name, and nothing is executed.

import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { openSafetensors } from '../../../src/io/safetensors.ts'
import { blobSource, bytesSource, fileSource, type Source } from '../../../src/io/source.ts'
import { EXPECTED, FIXTURES, rowsOf } from './torch-files.ts'

const bytesOf = (name: string) => new Uint8Array(readFileSync(`${FIXTURES}/${name}`))
const open = (name: string) => openCheckpoint(bytesSource(bytesOf(name), name))
const names = Object.keys(EXPECTED)

/** The same source, and the ranges that were read of it. */
function watched(source: Source): Source & { readonly reads: [number, number][] } {
  const reads: [number, number][] = []
  return {
    ...source,
    reads,
    read(offset, length, signal) {
      reads.push([offset, offset + length])
      return source.read(offset, length, signal)
    },
  }
}

describe.each(names)('%s', (name) => {
  test('is read as PyTorch reads it, from bytes, a Blob and a file', async () => {
    expect(await rowsOf(await open(name))).toEqual(EXPECTED[name])
    expect(await rowsOf(await openCheckpoint(blobSource(new Blob([bytesOf(name)]), name)))).toEqual(
      EXPECTED[name],
    )
    const file = await openCheckpoint(await fileSource(`${FIXTURES}/${name}`))
    expect(await rowsOf(file)).toEqual(EXPECTED[name])
    await file.close()
  })

  test('is read in slices and in parts', async () => {
    const checkpoint = await open(name)
    for (const { name: tensor, begin, end } of checkpoint.tensors.values()) {
      const whole = await checkpoint.read(tensor)
      expect(whole).toHaveLength(end - begin)
      const slices: number[] = []
      for await (const { offset, bytes } of checkpoint.slices(tensor, 16)) {
        expect([offset, bytes.byteOffset]).toEqual([slices.length, 0])
        slices.push(...bytes)
      }
      expect(slices).toEqual([...whole])
      for (let offset = 0; offset <= whole.length; offset += 3) {
        const length = Math.min(5, whole.length - offset)
        expect(await checkpoint.read(tensor, { offset, length })).toEqual(
          whole.slice(offset, offset + length),
        )
      }
    }
  })

  test('is opened without reading a value', async () => {
    const source = watched(bytesSource(bytesOf(name), name))
    const { tensors } = await openCheckpoint(source)
    const { size } = source
    // All but the mark at the beginning and the end, where the directory is
    const middle = source.reads.filter(([begin, end]) => begin > 0 && end < size)
    const values = [...tensors.values()].filter(({ begin, end }) => end > begin)
    for (const { begin, end } of values) {
      expect(middle.some(([from, to]) => from < end && to > begin)).toBe(false)
    }
  })

  test('whose end is missing is refused', async () => {
    const bytes = bytesOf(name)
    for (const length of [4, 100, bytes.length >> 1, bytes.length - 22, bytes.length - 1]) {
      const cut = openCheckpoint(bytesSource(bytes.slice(0, length), name))
      await expect(cut).rejects.toThrow(WeightsError)
      await expect(cut).rejects.toThrow(/completely downloaded|download it again/)
    }
  })
})

test('tensors of one storage are one place in the file', async () => {
  const { tensors } = await open('qwen3.bin')
  const [head, embedding] = ['llm.lm_head.weight', 'llm.model.embed_tokens.weight'].map((name) =>
    tensors.get(name),
  )
  expect(head).toEqual({ ...embedding, name: 'llm.lm_head.weight', confirm: expect.any(Function) })
  const views = (await open('views.bin')).tensors
  const whole = views.get('whole')
  expect(views.get('rows')).toMatchObject({ begin: (whole?.begin ?? 0) + 2 * 5 * 4 })
  const strided = [...views.values()].filter(({ strides }) => strides).map(({ name }) => name)
  expect(strided).toEqual([
    'columns',
    'transposed',
    'every second',
    'as strided',
    'expanded',
    'one to many',
    'permuted',
    'permuted rows',
    'channels last',
    'double',
    'bytes',
  ])
})

test('a flipped bit in a value is noticed where the file has checksums', async () => {
  const { tensors } = await open('phi3.bin')
  const tensor = tensors.get('llm.model.embed_tokens.weight')
  const damage = (name: string): Source => {
    const bytes = bytesOf(name)
    const at = tensor?.begin ?? 0
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return bytesSource(bytes, name)
  }
  const damaged = await openCheckpoint(damage('phi3.bin'))
  const said = /phi3\.bin, tensor "llm\.model\.embed_tokens\.weight": its bytes are damaged \(CRC-32/
  await expect(damaged.read('llm.model.embed_tokens.weight')).rejects.toThrow(said)
  const readAll = async (): Promise<void> => {
    for await (const _ of damaged.slices('llm.model.embed_tokens.weight', 16)) continue
  }
  await expect(readAll()).rejects.toThrow(said)
  await damaged.read('llm.model.norm.weight')
})

describe('folders', () => {
  const shards = readdirSync(`${FIXTURES}/shards`)
  const file = (name: string, as = name) => new File([bytesOf(name)], as)

  test('with an index and its shards', async () => {
    const checkpoint = await openCheckpoint(openFolder(`${FIXTURES}/shards`))
    const rows = await rowsOf(checkpoint)
    const each = Object.keys(EXPECTED).filter((name) => name.startsWith('shards/'))
    expect(rows).toEqual(each.flatMap((name) => EXPECTED[name] ?? []))
    expect(checkpoint.files).toEqual(['pytorch_model.bin.index.json', ...each.map((name) => name.slice(7))])
    await checkpoint.close()

    // Or by the index's path
    const named = await openCheckpoint(openFolder(`${FIXTURES}/shards/pytorch_model.bin.index.json`))
    expect(await rowsOf(named)).toEqual(rows)
    await named.close()
  })

  test('with a shard that is missing, or another', async () => {
    const [first = '', second = ''] = shards.filter((name) => name.endsWith('.bin')).toSorted()
    const index = new File([bytesOf('shards/pytorch_model.bin.index.json')], 'pytorch_model.bin.index.json')
    await expect(openCheckpoint(openFolder([index, file(`shards/${first}`, first)]))).rejects.toThrow(
      `There is no ${second} in the chosen files`,
    )
    const swapped = [index, file(`shards/${first}`, second), file(`shards/${second}`, first)]
    await expect(openCheckpoint(openFolder(swapped))).rejects.toThrow(
      /tensor "visual_encoder.*": it is in this file, but pytorch_model\.bin\.index\.json says it is in/,
    )
  })

  test('safetensors go first, then an index, then a single file, then the only one of another name', async () => {
    const python = new File([readFileSync('test/fixtures/io/python.safetensors')], 'model.safetensors')
    const single = file('phi3.bin', 'pytorch_model.bin')
    const both = await openCheckpoint(openFolder([single, python]))
    expect(both.files).toEqual(['model.safetensors'])
    expect(both.notes).toEqual([
      'The weights are those of model.safetensors; pytorch_model.bin beside it is not read.',
    ])
    const all = shards.map((name) => file(`shards/${name}`, name))
    const sharded = await openCheckpoint(openFolder([single, ...all]))
    expect(sharded.files?.[0]).toBe('pytorch_model.bin.index.json')
    expect(sharded.notes?.[0]).toMatch(/pytorch_model\.bin beside it is not read/)
    expect((await openCheckpoint(openFolder([single]))).notes).toEqual([])

    const optimizer = file('training.pth', 'optimizer.pt')
    const odd = await openCheckpoint(openFolder([file('phi3.bin', 'epoch_3.pth'), optimizer]))
    expect(odd.files).toEqual(['epoch_3.pth'])
    const two = openFolder([file('phi3.bin', 'epoch_3.pth'), file('phi3.bin', 'epoch_4.pth')])
    await expect(openCheckpoint(two)).rejects.toThrow(
      /several files of weights in the chosen files: epoch_3\.pth, epoch_4\.pth\. Give the path/,
    )
    expect((await openCheckpoint(two, { file: 'epoch_4.pth' })).files).toEqual(['epoch_4.pth'])
    await expect(openCheckpoint(openFolder([optimizer]))).rejects.toThrow(
      /There are no weights in the chosen files/,
    )
  })

  test('a path or an address may be that of the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'flowseg-torch-'))
    try {
      copyFileSync(`${FIXTURES}/phi3.bin`, join(folder, 'my_model.bin'))
      copyFileSync(`${FIXTURES}/qwen3.bin`, join(folder, 'pytorch_model.bin'))
      const named = openFolder(join(folder, 'my_model.bin'))
      expect([named.directory, named.weights]).toEqual([folder, 'my_model.bin'])
      const checkpoint = await openCheckpoint(named)
      expect(await rowsOf(checkpoint)).toEqual(EXPECTED['phi3.bin'])
      await checkpoint.close()
    } finally {
      rmSync(folder, { recursive: true })
    }
    const address = openFolder('https://example.com/a%20b/my%20model.bin?key=1/2.bin#x', { cache: 'none' })
    expect(address.weights).toBe('my model.bin')
    expect(address.describe).toMatch(/^https:\/\/example\.com\/a%20b\//)
    expect(openFolder('https://example.com/models/?file=x.bin', { cache: 'none' }).weights).toBeUndefined()
  })
})

describe('refused', () => {
  test.each([
    ['system.bin', /its pickle asks for "posix\.system", which is not needed for tensors/],
    [
      'namespace.pth',
      /its pickle asks for "argparse\.Namespace".*torch\.save\(model\.state_dict\(\), path\)/,
    ],
    ['module.bin', /its pickle asks for "__main__\.Linear"/],
    ['sparse.bin', /its pickle asks for "torch\._utils\._rebuild_sparse_tensor"/],
    ['quantized.bin', /its pickle asks for "torch\._utils\._rebuild_qtensor"/],
    ['meta.bin', /its pickle asks for "torch\._utils\._rebuild_meta_tensor_no_storage"/],
    ['conjugated.bin', /tensor "z": it is to be changed when it is read \(conj\).*resolve_conj/],
    ['complex128.bin', /tensor "z": its type torch\.ComplexDoubleStorage is none that safetensors has/],
    ['legacy.bin', /the format that torch\.save wrote before PyTorch 1\.6.*torch\.save\(torch\.load\(path/],
    ['tensor.pt', /it holds a tensor, expected a dictionary of tensors by name/],
    ['numbers.pt', /it has no tensors, expected a dictionary of tensors by name/],
    ['script.pt', /is a program, as torch\.jit\.save writes, not a checkpoint/],
    [
      'compressed.bin',
      /entry ".*" of the zip archive: it is compressed \(method 8\)\. Write it again with torch\.save/,
    ],
  ])('%s', async (name, said) => {
    const opened = openCheckpoint(bytesSource(bytesOf(`refused/${name}`), name))
    await expect(opened).rejects.toThrow(WeightsError)
    await expect(opened).rejects.toThrow(said)
    await expect(opened).rejects.toThrow(new RegExp(`^${name.replace('.', String.raw`\.`)}`))
  })

  test('not safetensors, whose header may have as many bytes as a pickle begins with', async () => {
    for (const length of [0x0280, 0x0380, 0x04_0280, 0x4b50]) {
      const header = `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`.padEnd(length)
      const bytes = new Uint8Array(8 + length + 1)
      new DataView(bytes.buffer).setUint32(0, length, true)
      bytes.set(new TextEncoder().encode(header), 8)
      const { tensors } = await openCheckpoint(bytesSource(bytes, 'x'))
      expect([...tensors.keys()]).toEqual(['a'])
    }
  })

  test('what is of no format at all, as safetensors would be', async () => {
    await expect(openCheckpoint(bytesSource(new Uint8Array(3), 'x'))).rejects.toThrow(
      /x has 3 bytes, too few/,
    )
    const html = new TextEncoder().encode('<!doctype html><html></html>')
    await expect(openCheckpoint(bytesSource(html, 'x'))).rejects.toThrow(/It is a web page/)
    const gguf = new TextEncoder().encode('GGUF and much more')
    await expect(openCheckpoint(bytesSource(gguf, 'x'))).rejects.toThrow(/It is a GGUF file/)
    await expect(openCheckpoint('x.bin' as never)).rejects.toThrow(
      /openCheckpoint was given "x.bin"; it takes a folder/,
    )
    await expect(openCheckpoint(bytesSource(html), { index: 'x' } as never)).rejects.toThrow(
      /there is no option 'index'/,
    )
  })

  test('by who reads safetensors only', async () => {
    await expect(openSafetensors(bytesSource(bytesOf('phi3.bin'), 'phi3.bin'))).rejects.toThrow(
      /It is a zip archive/,
    )
  })

  test('a tar archive, as the first versions wrote', async () => {
    const bytes = new Uint8Array(1024)
    bytes.set(new TextEncoder().encode('sys_info'))
    bytes.set(new TextEncoder().encode('ustar'), 257)
    await expect(openCheckpoint(bytesSource(bytes, 'old.pth'))).rejects.toThrow(
      /old\.pth is a tar archive.*torch\.save/,
    )
  })
})
