// A folder's manifest.json: its hashes hold, or the file is refused by name; other manifests are none of ours.

import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { openFolder } from '../../src/io/folder.ts'
import { withManifest } from '../../src/io/manifest.ts'
import { openSafetensors, writeSafetensors } from '../../src/io/safetensors.ts'
import { DamagedError } from '../../src/io/source.ts'

const hash = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')
const weights = writeSafetensors([
  { name: 'a', dtype: 'U8', shape: [100], bytes: new Uint8Array(100).fill(7) },
])
const folderOf = (manifest: unknown, config = '{"a":1}') =>
  withManifest(
    openFolder([
      new File([config], 'config.json'),
      new File([weights], 'model.safetensors'),
      ...(manifest === undefined ? [] : [new File([JSON.stringify(manifest)], 'manifest.json')]),
    ]),
  )
const listing = (file: string, facts: unknown) => ({ files: { [file]: facts } })

test('that holds is no hindrance, in capitals too', async () => {
  const files = {
    'config.json': { sha256: hash('{"a":1}').toUpperCase() },
    'model.safetensors': { sha256: hash(weights), size: weights.length },
  }
  const folder = await folderOf({ files })
  expect(await folder.readText('config.json')).toBe('{"a":1}')
  const checkpoint = await openSafetensors(folder)
  checkpoint.willRead?.(['a'])
  expect(await checkpoint.read('a')).toHaveLength(100)
  await checkpoint.verify?.()
  await checkpoint.close()
  await expect(folder.open('none')).rejects.toThrow('which has config.json, manifest.json, model.safetensors')
})

test('finds damaged text and damaged weights', async () => {
  const folder = await folderOf(listing('config.json', { sha256: hash('{"a":1}') }), '{"a":2}')
  await expect(folder.readText('config.json')).rejects.toThrow(DamagedError)
  await expect(folder.readText('config.json')).rejects.toThrow(/config.json: its bytes are damaged/)
  const wrong = await openSafetensors(await folderOf(listing('model.safetensors', { sha256: hash('') })))
  await wrong.read('a')
  await expect(wrong.verify?.()).rejects.toThrow(/model.safetensors: its bytes are damaged/)
})

test('finds a file of another size before it is read', async () => {
  const folder = await folderOf(
    listing('model.safetensors', { sha256: hash(weights), size: weights.length + 1 }),
  )
  await expect(openSafetensors(folder)).rejects.toThrow(
    /model.safetensors has \d+ bytes, manifest.json says \d+/,
  )
})

describe('none', () => {
  test.each([undefined, [], null, 'x', { name: 'a web app', icons: [] }, { files: [] }])(
    '%j',
    async (manifest) => {
      expect(await (await folderOf(manifest)).readText('config.json')).toBe('{"a":1}')
    },
  )
})

test.each([{}, { sha256: 'abc' }, { sha256: 5 }, 'x', { sha256: hash(''), size: 'large' }])(
  'that makes no sense: %j',
  async (facts) => {
    await expect(folderOf(listing('a', facts))).rejects.toThrow(
      'manifest.json in the chosen files: "a" must have a "sha256" of 64 hex digits',
    )
  },
)
