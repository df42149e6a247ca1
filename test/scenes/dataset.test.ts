// A folder reads back as the scenes it was written from, as PNGs and raw.

import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { datasetScene, readDataset, writeDataset } from '../../src/scenes/dataset.ts'
import { SIZE } from '../../src/scenes/scene.ts'

const folders: string[] = []
afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })))
})

test.each([false, true])('write and read, raw: %s', async (raw) => {
  const folder = await mkdtemp(join(tmpdir(), 'scenes-'))
  folders.push(folder)
  const seen: number[] = []
  const onProgress = ({ loaded }: { loaded: number }) => seen.push(loaded)
  const manifest = await writeDataset(folder, { split: 'val', start: 5, count: 3, raw, onProgress })
  expect(manifest).toMatchObject({ split: 'val', start: 5, count: 3, size: SIZE })
  expect(seen).toEqual([1, 2, 3])

  let index = 5
  for await (const scene of readDataset(folder)) expect(scene).toEqual(datasetScene('val', index++))
  expect(index).toBe(8)
  if (raw) expect((await stat(join(folder, 'images.u8'))).size).toBe(3 * SIZE * SIZE * 3)
})

test('an aborted run rejects with its reason and leaves no manifest', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'scenes-'))
  folders.push(folder)
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(writeDataset(folder, { split: 'val', count: 3, signal })).rejects.toThrow('enough')
  await expect(stat(join(folder, 'scenes.json'))).rejects.toThrow()
})

test('a folder whose second writing was interrupted is no dataset', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'scenes-'))
  folders.push(folder)
  await writeDataset(folder, { split: 'val', count: 2 })
  const stop = new AbortController()
  const onProgress = () => stop.abort(new Error('enough'))
  const again = writeDataset(folder, { split: 'val', count: 2, onProgress, signal: stop.signal })
  await expect(again).rejects.toThrow('enough')
  await expect(readDataset(folder).next()).rejects.toThrow('scenes.json is not there')
})

test.each([
  ['fewer', (text: string) => text.slice(0, text.indexOf('\n') + 1), 1],
  ['more', (text: string) => text + text, 4],
])('%s scenes than the manifest says are refused before the first', async (_, change, lines) => {
  const folder = await mkdtemp(join(tmpdir(), 'scenes-'))
  folders.push(folder)
  await writeDataset(folder, { split: 'val', count: 2 })
  const file = join(folder, 'scenes.jsonl')
  await writeFile(file, change(await readFile(file, 'utf8')))
  await expect(readDataset(folder).next()).rejects.toThrow(
    `scenes.jsonl has ${lines} lines, scenes.json counts 2 scenes`,
  )
})
