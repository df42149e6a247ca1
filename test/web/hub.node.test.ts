// Weights from Hugging Face at the studio: by a mirror, which is a hub on this machine, in a real Chromium. They come
// with a total, are kept, and are there without a network at the second visit.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { NANO } from '../e2e/cli-harness.ts'
import { LocalHub } from '../io/http/hub/local-hub.ts'
import { FIRST, openHouse } from './house/house.ts'
import type { Person } from './house/person.ts'

const house = openHouse()
const hub = new LocalHub()
const TOKEN = 'hf_mine'

beforeAll(async () => {
  await hub.listen()
  const names = readdirSync(NANO)
  const files = names.map((name) => [`a b/${name}`, new Uint8Array(readFileSync(join(NANO, name)))] as const)
  hub.commit('me/nano', Object.fromEntries(files))
  Object.assign(hub.repositories.get('me/nano') ?? {}, { readers: [TOKEN], isGated: true })
})
afterEach(() => expect(hub.leaks).toEqual([]))
afterAll(() => hub.close())

async function loads(me: Person, place: string, token = ''): Promise<void> {
  await me.button(/flowseg-nano/).click()
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
  await me.sees(FIRST)
  await me.page.getByText('It works offline from now on.').waitFor()

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
  await me.sees(FIRST)
  const before = await me.answers()
  await loads(me, 'hf:me/nano/a b')
  await me.button('Load').click()
  await me.answersMore(before)
  await me.button(/flowseg-nano/).click()
  const note = 'The server can not be reached: the weights are those of an earlier visit.'
  await me.page.locator('#model-notes').getByText(note).waitFor()
  expect(hub.taken()).toEqual({ asked: [], contents: [] })
})
