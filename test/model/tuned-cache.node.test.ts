// Choices come back for the adapter they were made for, beside those made before; what is damaged does no harm.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ENGINE_VERSION, type Identity, makeTuned, readTuned } from '../../src/gpu/tuned.ts'
import { clearTuned, loadTuned, saveTuned } from '../../src/model/tuned-cache.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowseg-tuned-'))
afterAll(() => rm(folder, { recursive: true, force: true }))
const where = { folder }
const identity: Identity = { adapter: 'A GPU (1)', driver: 'v1', runtime: 'Dawn', engine: ENGINE_VERSION }
const of = (choices: Record<string, string>, who = identity) =>
  makeTuned(who, { choices, vetoes: {}, times: {} })
const loaded = async (who = identity) => readTuned(await loadTuned(who, where), who)

test('the engine has the version of the package', async () => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string }
  expect(ENGINE_VERSION).toBe(version)
})

test('saved, loaded, added to, replaced by another driver, forgotten', async () => {
  expect(await loadTuned(identity, where)).toBe(undefined)
  const file = await saveTuned(of({ 'f 1': 'a', 'f 2': 'a' }), where)
  expect(await readdir(folder)).toEqual(['tuned-a-gpu-1-dawn.json'])
  expect(file).toBe(join(folder, 'tuned-a-gpu-1-dawn.json'))
  await saveTuned(of({ 'f 2': 'b', 'f 3': 'b' }), where)
  expect(await loaded()).toMatchObject({
    tuned: { ...identity, choices: { 'f 1': 'a', 'f 2': 'b', 'f 3': 'b' } },
  })

  // Another adapter has its own, another driver takes the place
  expect(await loadTuned({ ...identity, adapter: 'B' }, where)).toBe(undefined)
  const next = { ...identity, driver: 'v2' }
  expect(await loaded(next)).toEqual({
    note: expect.stringContaining('made for another driver (v1, now v2): the defaults are taken.'),
  })
  await saveTuned(of({ 'f 9': 'c' }, next), where)
  expect(await loaded(next)).toMatchObject({ tuned: { driver: 'v2', choices: { 'f 9': 'c' } } })

  expect(await clearTuned(identity, where)).toBe(file)
  expect(await clearTuned(identity, where)).toBe(undefined)
})

test.each([
  ['no JSON', '{"format": 1, "ada'],
  ['an array', '[]'],
  ['another format', JSON.stringify({ ...of({}), format: 3 })],
  ['no choices', JSON.stringify({ ...of({}), choices: undefined })],
  ['a choice that is no name', JSON.stringify({ ...of({}), choices: { f: 1 } })],
  ['nothing', ''],
])('a damaged file, %s: a note, and the next tuning replaces it', async (_, text) => {
  const file = await saveTuned(of({ f: 'a' }), where)
  await writeFile(file, text)
  expect(await loaded()).toEqual({ note: expect.stringContaining('damaged') })
  await saveTuned(of({ f: 'b' }), where)
  expect(await loaded()).toMatchObject({ tuned: { choices: { f: 'b' } } })
})
