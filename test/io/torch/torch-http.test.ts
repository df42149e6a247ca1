// On a server, a checkpoint of PyTorch is opened by its end and its beginning, and a tensor is fetched alone.

import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { FileServer } from '../http/file-server.ts'
import { EXPECTED, FIXTURES, rowsOf } from './torch-files.ts'
import { type TorchTensor, writeTorch } from './torch-writer.ts'

const MIB = 2 ** 20
const BLOCK = 4 * MIB
const tensors = [3, 9, 5, 11, 6].map((size, i): TorchTensor => {
  const bytes = new Uint8Array(size * MIB).fill(i + 1)
  return { name: `layer.${i}`, dtype: 'BF16', shape: [size, MIB / 2], bytes }
})
const small = Array.from({ length: 300 }, (_, i): TorchTensor => {
  return { name: `small.${i}`, dtype: 'F32', shape: [4], bytes: new Uint8Array(16).fill(i) }
})
const file = writeTorch([...tensors, ...small, ...tensors.map((x) => ({ ...x, name: `again.${x.name}` }))])

const server = new FileServer()
beforeAll(async () => {
  await server.listen()
  server.files.set('/m/pytorch_model.bin', { bytes: file, etag: '"1"' })
})
afterAll(() => server.close())

test('only what is asked for comes, whether the folder or the file is named', async () => {
  for (const place of ['/m', '/m/pytorch_model.bin?signature=a/b']) {
    server.taken()
    const checkpoint = await openCheckpoint(openFolder(`${server.origin}${place}`, { cache: 'none' }))
    expect(checkpoint.tensors.size).toBe(310)
    const last = Math.floor(file.length / BLOCK)
    const blocks = (names: string[]): number[] =>
      names.flatMap((name) => {
        const [, from] = /pytorch_model\.bin (\d+)-/.exec(name) ?? []
        return from === undefined ? [] : [Number(from) / BLOCK]
      })
    // The directory may reach into the block before the last
    const opened = new Set(blocks(server.taken()))
    expect([...opened].filter((block) => block !== 0 && block < last - 1)).toEqual([])

    const [, , third] = tensors
    // Not by toEqual, which takes a minute for so many
    const read = await checkpoint.read('again.layer.2')
    expect(Buffer.compare(read, third?.bytes as Uint8Array)).toBe(0)
    const { begin = 0, end = 0 } = checkpoint.tensors.get('layer.2') ?? {}
    const within = blocks(server.taken())
    expect(within.every((block) => block >= Math.floor((begin - 1000) / BLOCK) && block * BLOCK < end)).toBe(
      true,
    )
    expect(within.length).toBeGreaterThan(0)
    await checkpoint.close()
  }
})

test.each(Object.keys(EXPECTED))('%s of PyTorch is read from a server as PyTorch reads it', async (name) => {
  server.files.set(`/torch/${name}`, { bytes: readFileSync(`${FIXTURES}/${name}`), etag: '"1"' })
  server.taken()
  const checkpoint = await openCheckpoint(openFolder(`${server.origin}/torch/${name}`, { cache: 'none' }))
  expect(await rowsOf(checkpoint)).toEqual(EXPECTED[name])
  await checkpoint.close()
  expect(server.taken().filter((request) => request.endsWith('whole'))).toEqual([])
})

test('a folder of shards of PyTorch is read from a server as PyTorch reads it', async () => {
  const shards = readdirSync(`${FIXTURES}/shards`).sort()
  for (const name of shards) {
    server.files.set(`/folder/${name}`, { bytes: readFileSync(`${FIXTURES}/shards/${name}`), etag: '"1"' })
  }
  const checkpoint = await openCheckpoint(openFolder(`${server.origin}/folder`, { cache: 'none' }))
  expect(await rowsOf(checkpoint)).toEqual(shards.flatMap((name) => EXPECTED[`shards/${name}`] ?? []))
  await checkpoint.close()
})

test('a server that refuses is told by what it answered', async () => {
  server.answer = (_, response) => {
    response.writeHead(403).end()
    return true
  }
  await expect(openCheckpoint(openFolder(`${server.origin}/m`, { cache: 'none' }))).rejects.toThrow(/403/)
  server.answer = undefined
})
