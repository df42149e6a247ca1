// Weights from Hugging Face at the studio: by a mirror, which is a hub on this machine, in a real Chromium. They come
// with a total, are kept, and are there without a network at the second visit.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { flowseg, NANO, temporaryFolder } from '../e2e/cli-harness.ts'
import { type Files, LocalHub } from '../io/http/hub/local-hub.ts'
import { FIRST, openHouse } from './house/house.ts'
import type { Person } from './house/person.ts'

const house = openHouse()
const hub = new LocalHub()
const TOKEN = 'hf_mine'
const UNREACHABLE = 'The server can not be reached: the weights are those of an earlier visit.'

beforeAll(async () => {
  await hub.listen()
  hub.commit('me/nano', filesIn(NANO, 'a b/'))
  Object.assign(hub.repositories.get('me/nano') ?? {}, { readers: [TOKEN], isGated: true })
})
afterEach(() => expect(hub.leaks).toEqual([]))
afterAll(() => hub.close())

/** The files of a folder, as those of a repository. */
function filesIn(folder: string, under = ''): Files {
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)))
  return Object.fromEntries(readdirSync(folder).map((name) => [under + name, read(name)]))
}

/** Opens the dialog, whatever is loaded or loading. */
async function opensDialog(me: Person): Promise<void> {
  await me.page.locator('#model-button').click()
}

async function loads(me: Person, place: string, token = ''): Promise<void> {
  await opensDialog(me)
  await me.page.getByLabel('Address of the folder').fill(place)
  const more = me.page.getByText('Private, gated or mirrored on Hugging Face')
  if (!(await me.page.getByLabel('Address of a mirror').isVisible())) await more.click()
  await me.page.getByLabel('Address of a mirror').fill(hub.endpoint)
  await me.page.getByLabel('Token of your account').fill(token)
}

/** All texts that the page has stored. */
async function storedBy(me: Person): Promise<string> {
  return me.page.evaluate(async () => {
    const texts = [localStorage, sessionStorage].map((store) => JSON.stringify(Object.entries(store)))
    const visit = async (folder: FileSystemDirectoryHandle): Promise<void> => {
      for await (const handle of folder.values()) {
        if (handle.kind === 'directory') await visit(handle)
        else if (handle.name.endsWith('.json')) texts.push(await (await handle.getFile()).text())
      }
    }
    await visit(await navigator.storage.getDirectory())
    return texts.join('\n')
  })
}

test('weights from the hub are downloaded once, and there without a network after that', async () => {
  const me = await house.somebody()
  await me.keepsAll()

  // Misspelt, and without a token: what is told leads back
  await loads(me, 'hf:me')
  await me.shootsAll('hub')
  expect(await me.violations()).toEqual([])
  await me.button('Load').click()
  const misspelt = await me.isTold("This address can't be read")
  expect(await misspelt.textContent()).toContain('"hf:me" lacks the name of a repository')
  await misspelt.getByRole('button', { name: 'Choose other weights' }).click()
  await me.page.getByLabel('Address of the folder').fill('hf:me/nano/a b')
  await me.button('Load').click()
  const gated = await me.isTold("These weights can't be used")
  expect(await gated.textContent()).toMatch(/me\/nano is gated: the hub answers 401.*then give a token/)

  // With it: progress that has a total from its beginning
  hub.rate = 8e6 // of each request
  hub.taken()
  const answers = await me.answers()
  await gated.getByRole('button', { name: 'Choose other weights' }).click()
  await me.page.getByLabel('Token of your account').fill(TOKEN)
  await me.button('Load').click()
  await me.page.waitForFunction(() =>
    /^Downloading, \d+(\.\d)? MB of \d\d MB$/.test(
      document.getElementById('progress-text')?.textContent ?? '',
    ),
  )
  await me.answersMore(answers)
  await me.sees(FIRST)
  expect(hub.taken().contents.length).toBeGreaterThan(4)
  expect(await storedBy(me)).toContain('resolve/main/a%20b/config.json')
  expect(await storedBy(me)).not.toContain(TOKEN)

  hub.isDown = house.host.isDown = true
  await me.page.reload()
  await me.looksAt('scene-22.png')
  await loads(me, 'hf:me/nano/a b')
  await me.button('Load').click()
  await me.sees(FIRST)
  await opensDialog(me)
  await me.page.locator('#model-notes').getByText(UNREACHABLE).waitFor()
  expect(hub.taken()).toEqual({ asked: [], contents: [] })
})

test('converted weights in int4 come once: later visits ask whether they changed, and need no network', async () => {
  hub.isDown = house.host.isDown = false
  hub.rate = 0
  const cwd = await temporaryFolder()
  const converted = await flowseg(['convert', NANO, 'int4', '--quantize', 'int4', '--shard-size', '1MiB'], {
    cwd,
  })
  expect(converted.code, converted.err).toBe(0)
  const files = filesIn(join(cwd, 'int4'))
  hub.commit('me/small', files)
  const shards = Object.keys(files).filter((name) => name.endsWith('.safetensors'))
  expect(shards.length).toBeGreaterThan(2)
  const me = await house.somebody()
  await me.keepsAll()
  const embedded = await me.page.locator('#model-facts').textContent()
  const visit = async (): Promise<string[]> => {
    await me.looksAt('scene-22.png')
    hub.taken()
    await loads(me, 'hf:me/small')
    await me.button('Load').click()
    // They take less memory than the embedded ones, which may have come before them
    await me.page.waitForFunction(
      (other) => !['', other].includes(document.getElementById('model-facts')!.textContent),
      embedded,
      { timeout: 180_000 },
    )
    return hub.taken().contents
  }

  /** Bytes that the content server sent of each shard. */
  const sent = (contents: readonly string[]): number[] =>
    shards.map((shard) =>
      contents
        .map((content) => /^(.*) (\d+)-(\d+)$/.exec(content) ?? [])
        .reduce(
          (sum, [, name, begin, end]) => (name === shard ? sum + Number(end) - Number(begin) + 1 : sum),
          0,
        ),
    )

  // All of them, each byte once, beside the first few that tell whether a file is still the same, and what it is
  const first = sent(await visit())
  for (const [i, shard] of shards.entries()) {
    const size = files[shard]?.length ?? 0
    expect(first[i], shard).toBeGreaterThanOrEqual(size)
    expect(first[i], shard).toBeLessThan(size + 100)
  }
  await me.sees(FIRST)
  await me.page.reload()
  const second = await visit()
  expect(Math.max(...sent(second)), second.join()).toBeLessThan(100)
  await opensDialog(me)
  expect(await me.page.locator('#model-notes').textContent()).not.toContain('can not be reached')

  hub.isDown = true
  await me.page.reload()
  expect(await visit()).toEqual([])
  await me.sees(FIRST)
  await opensDialog(me)
  await me.page.locator('#model-notes').getByText(UNREACHABLE).waitFor()
})
