// The embedded checkpoint from a server: one progress with its total from the beginning, nothing downloaded twice,
// given up at any moment, and damaged bytes refused.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openSafetensors } from '../../../src/io/safetensors.ts'
import { bytesSource } from '../../../src/io/source.ts'
import { FlowSeg, type LoadOptions } from '../../../src/model/flowseg.ts'
import type { Progress } from '../../../src/progress.ts'
import { browser } from '../../io/cache/opfs.ts'
import { FileServer } from '../../io/http/file-server.ts'
import { anyGpu } from '../../support.ts'

const NANO = 'weights/flowseg-nano'
const BLOCK = 4 * 2 ** 20
const server = new FileServer()
const size = readFileSync(`${NANO}/model.safetensors`).length
const blocks = Array.from(
  { length: Math.ceil(size / BLOCK) },
  (_, i) => `model.safetensors ${i * BLOCK}-${Math.min(size, (i + 1) * BLOCK) - 1}`,
)

beforeAll(() => server.listen())
afterAll(() => server.close())
beforeEach(async () => {
  await browser()
  server.slow = server.answer = undefined
  server.files.clear()
  for (const name of readdirSync(NANO)) {
    if (/\.(json|safetensors)$/.test(name)) {
      server.files.set(`/nano/${name}`, { bytes: readFileSync(`${NANO}/${name}`), etag: '"1"' })
    }
  }
  server.taken()
})
afterEach(() => {
  vi.unstubAllGlobals()
})

/** @returns the notes, and what was told */
async function load(options: LoadOptions = {}): Promise<{ notes: readonly string[]; events: Progress[] }> {
  const events: Progress[] = []
  const onProgress = (event: Progress): void => {
    events.push(event)
    options.onProgress?.(event)
  }
  const model = await FlowSeg.load(`${server.origin}/nano`, { gpu: await anyGpu(), ...options, onProgress })
  model.close()
  return {
    notes: model.notes,
    events: events.filter(({ phase }) => phase === 'download' || phase === 'upload'),
  }
}

const weightsOf = (requests: string[]) =>
  requests.filter((request) => request.startsWith('model.safetensors'))

test('once: the second visit downloads nothing', async () => {
  const first = await load()
  expect(weightsOf(server.taken())).toEqual(blocks)
  const files = ['manifest', 'config', 'tokenizer', 'tokenizer_config'].map((name) => `${name}.json`)
  const total = [...files, 'model.safetensors']
    .map((name) => server.files.get(`/nano/${name}`)!.bytes.length)
    .reduce((a, b) => a + b)
  for (const { phase, total: announced } of first.events)
    expect([phase, announced]).toEqual(['download', total])
  expect(first.events[0]!.loaded).toBeLessThan(total / 2)
  expect(first.events.at(-1)).toMatchObject({ loaded: total, from: { cache: 0, network: total } })
  expect(first.notes).toEqual([])

  const second = await load()
  expect(server.taken()).toEqual([])
  expect(second.events.at(-1)).toMatchObject({ loaded: total, from: { cache: total, network: 0 } })
  await load({ cache: 'none' })
  expect(weightsOf(server.taken())).toEqual(blocks)
})

test('given up in the middle, it goes on where it stopped', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const stop = ({ phase, loaded, total }: Progress) => {
    if (phase === 'download' && loaded > total / 2) controller.abort(reason)
  }
  await expect(load({ signal: controller.signal, onProgress: stop })).rejects.toBe(reason)
  const came = weightsOf(server.taken())
  const { events } = await load()
  const missing = weightsOf(server.taken())
  expect(missing.length).toBeGreaterThan(0)
  expect(missing.length).toBeLessThan(blocks.length)
  expect([...new Set([...came, ...missing])].sort()).toEqual([...blocks].sort())
  expect(events[0]!.from!.network).toBe(0)
  expect(events.at(-1)!.from!.cache).toBeGreaterThan(BLOCK)
})

test('storage that is full is one of the notes', async () => {
  await browser({ quota: 6e6 })
  const { notes } = await load()
  expect(notes).toEqual([expect.stringContaining('storage for this page is full (')])
})

describe('optional files', () => {
  /** Like S3 and CloudFront, which tell nobody whether a file is there. */
  const hiding: typeof server.answer = (request, response) =>
    !server.files.has(request.url!) && !!response.writeHead(403).end('<?xml version="1.0"?><Error>')

  test('may be refused with 403, as servers do for what is not there', async () => {
    server.files.delete('/nano/manifest.json')
    server.answer = hiding
    expect((await load()).notes).toEqual([])
    // Nor need the weights be in one file
    const { bytes } = server.files.get('/nano/model.safetensors')!
    server.files.delete('/nano/model.safetensors')
    server.files.set('/nano/shard.safetensors', { bytes, etag: '"1"' })
    const names = [...(await namesOf(bytes))]
    const index = JSON.stringify({
      weight_map: Object.fromEntries(names.map((name) => [name, 'shard.safetensors'])),
    })
    server.files.set('/nano/model.safetensors.index.json', {
      bytes: new TextEncoder().encode(index),
      etag: '"1"',
    })
    expect((await load()).notes).toEqual([])
  })

  test('may be answered with the start page', async () => {
    server.files.delete('/nano/manifest.json')
    server.answer = (request, response) =>
      !server.files.has(request.url!) &&
      !!response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>')
    expect((await load()).notes).toEqual([])
  })

  test('are not taken as absent while the server is out of order', async () => {
    server.answer = (request, response) =>
      request.url === '/nano/manifest.json' && !!response.writeHead(500).end()
    await expect(load()).rejects.toThrow('/nano/manifest.json: the server answers 500')
  })

  test.each([
    ['config.json', 403],
    ['tokenizer.json', 401],
    ['model.safetensors', 403],
  ])('are not these: without %s (%i) access is what is missing', async (name, status) => {
    server.answer = (request, response) =>
      request.url!.startsWith(`/nano/${name}`) && !!response.writeHead(status).end()
    await expect(load()).rejects.toThrow(
      new RegExp(`/nano/${name}: the server answers ${status} .*accept the licence, or pass`),
    )
  })

  test('nor is a server that refuses everything one without files', async () => {
    for (const status of [401, 403]) {
      server.answer = (_, response) => !!response.writeHead(status).end()
      await expect(load()).rejects.toThrow(
        new RegExp(`config.json: the server answers ${status} .*Access needs permission`),
      )
    }
  })
})

async function namesOf(bytes: Uint8Array): Promise<Iterable<string>> {
  const checkpoint = await openSafetensors(bytesSource(bytes))
  return checkpoint.tensors.keys()
}

test('bytes that were damaged on their way are refused by name, and fetched again at the next visit', async () => {
  const good = server.files.get('/nano/model.safetensors')!
  const bytes = new Uint8Array(good.bytes)
  bytes[size - 1000]! ^= 1
  server.files.set('/nano/model.safetensors', { ...good, bytes })
  await expect(load()).rejects.toThrow(/tensor ".*": its bytes are damaged \(CRC-32/)
  server.files.set('/nano/model.safetensors', good)
  server.taken()
  await load()
  expect(weightsOf(server.taken())).toEqual(blocks.slice(-1))
})

test('damaged bytes that an interrupted visit had kept are fetched again at once', async () => {
  const good = server.files.get('/nano/model.safetensors')!
  const bytes = new Uint8Array(good.bytes)
  bytes[1.5 * BLOCK]! ^= 1 // its tensor lies in this block alone
  server.files.set('/nano/model.safetensors', { ...good, bytes })
  const sha256 = createHash('sha256').update(good.bytes).digest('hex')
  const manifest = JSON.stringify({ files: { 'model.safetensors': { sha256, size } } })
  // An upright download of wrong bytes, ended before anything could be compared
  const source = await openFolder(`${server.origin}/nano`).open('model.safetensors')
  await source.read(0, size)
  await source.close()
  server.files.set('/nano/model.safetensors', good)
  server.taken()
  await load()
  expect(weightsOf(server.taken())).toEqual(blocks.slice(1, 2))
  // And with a manifest, whose hash is of the whole file
  server.files.set('/nano/manifest.json', { bytes: new TextEncoder().encode(manifest), etag: '"1"' })
  await load()
  expect(weightsOf(server.taken())).toEqual([])
  server.files.delete('/nano/manifest.json')
})

test('files that were chosen are told as an upload', async () => {
  const files = [...server.files].map(
    ([path, { bytes }]) => new File([new Uint8Array(bytes)], path.split('/').at(-1)!),
  )
  const events: Progress[] = []
  const model = await FlowSeg.load(files, { gpu: await anyGpu(), onProgress: (event) => events.push(event) })
  model.close()
  expect(events[0]).toMatchObject({ phase: 'upload', loaded: 0 })
  expect(events.every(({ phase }) => phase !== 'download')).toBe(true)
})
