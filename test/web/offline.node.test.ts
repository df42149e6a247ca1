// Visits without a network, and new versions: a visit gets one build, whole; "works offline" is said only when
// everything is kept; a newer version is offered, and comes only to the tab that asks for it. Nothing of it breaks the
// policy.

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { POLICY } from '../../web/policy.ts'
import { NANO, ROOT } from '../e2e/cli-harness.ts'
import { build, DIST } from './house/build.ts'
import { FIRST, FOLDER, openHouse, SECOND } from './house/house.ts'
import type { Person } from './house/person.ts'
import { type Host, serve } from './house/server.ts'

const house = openHouse()
const { somebody } = house
const folder = mkdtempSync(join(tmpdir(), 'flowseg-builds-'))
/** Another build: the same code, but every file of it has another name. */
const NEWER = join(folder, 'newer')
/** In the middle of being put on the host: its files are there, the page is the old one. */
const HALF = join(folder, 'half')
const NEEDS_NETWORK = /^It needs the network/
const OFFER = 'A new version is ready.'

let host: Host

beforeAll(async () => {
  await build('--outDir', NEWER, '--minify', 'false')
  cpSync(NEWER, HALF, { recursive: true })
  cpSync(join(DIST, 'index.html'), join(HALF, 'index.html'))
}, 120_000)
beforeEach(async () => {
  host = await serve({ [FOLDER]: DIST })
  host.maxAge = 3600
})
afterEach(async () => {
  expect(host.reports).toEqual([])
  await host.close()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The script of a page, whose name tells its build. */
function scriptOf(page: Page): Promise<string | undefined> {
  return page.evaluate(() => document.querySelector('script')?.src.split('/').at(-1))
}

/** The network goes, and what the browser's own cache of HTTP holds, which a visitor can't rely on. */
async function goesOffline(me: Person): Promise<void> {
  const cdp = await me.context.newCDPSession(me.page)
  await cdp.send('Network.clearBrowserCache')
  await cdp.detach()
  host.isDown = true
}

async function caches(me: Person): Promise<string[]> {
  return me.page.evaluate(() => globalThis.caches.keys())
}

test('after a new build, on a host with max-age, each visit has one build, with and without a network', async () => {
  const me = await somebody({}, host)
  await me.keepsAll()
  const old = await scriptOf(me.page)

  host.folders[FOLDER] = NEWER // and nothing of the old one is on the host any more
  await me.page.reload()
  await me.page.getByText(OFFER).waitFor()
  await me.shootsAll('update')
  expect(await me.violations()).toEqual([])
  expect(await scriptOf(me.page)).toBe(old)
  await goesOffline(me)
  await me.page.reload()
  await me.sees(FIRST)
  expect(await scriptOf(me.page)).toBe(old)

  host.isDown = false
  await me.page.getByText(OFFER).waitFor()
  await me.button('Reload').click()
  await expect.poll(() => scriptOf(me.page).catch(() => old), { timeout: 30_000 }).not.toBe(old)
  await me.sees(FIRST)
  await me.keepsAll()
  expect(await me.page.getByText(OFFER).isVisible()).toBe(false)
  const newer = await scriptOf(me.page)
  await goesOffline(me)
  await me.page.reload()
  await me.looksAt('scene-22.png')
  expect(await scriptOf(me.page)).toBe(newer)
  // The weights are the same in both builds, and came once
  const weights = [...host.sent].filter(([path]) => path.endsWith('.safetensors'))
  expect(weights.map(([, bytes]) => bytes < 21e6)).toEqual([true])
})

test('the new version comes to no tab but the one that asks for it', async () => {
  const me = await somebody({}, host)
  await me.keepsAll()
  const other = await me.context.newPage()
  await other.goto(host.url + FOLDER)
  const mine = other.getByLabel('What should be found?')
  // Both tabs compile at the same time
  const isShown = () => performance.getEntriesByName('flowseg:shown').length > 0
  await other.waitForFunction(isShown, null, { timeout: 180_000 })
  await mine.fill('half a sente')

  host.folders[FOLDER] = NEWER
  await other.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update())
  await other.getByText(OFFER).waitFor()
  await me.page.getByText(OFFER).waitFor()
  const old = await scriptOf(me.page)
  await me.button('Reload').click()
  await expect.poll(() => scriptOf(me.page).catch(() => old), { timeout: 30_000 }).not.toBe(old)
  await me.looksAt('scene-22.png')

  // The other tab is as it was, goes on working, and may still have it
  expect(await mine.inputValue()).toBe('half a sente')
  expect(await scriptOf(other)).toBe(old)
  await mine.fill(SECOND)
  await mine.press('Enter')
  await other.waitForFunction(
    (sentence) => document.getElementById('status')?.textContent?.includes(`Found ${sentence},`),
    SECOND,
    { timeout: 180_000 },
  )
  await other.getByText(OFFER).waitFor()
  await other.getByRole('button', { name: 'Reload' }).click()
  await expect.poll(() => scriptOf(other).catch(() => old), { timeout: 30_000 }).not.toBe(old)
})

test('a build that is only half on its host is not kept', async () => {
  const me = await somebody({}, host)
  await me.keepsAll()
  const before = await caches(me)
  const old = await scriptOf(me.page)
  host.folders[FOLDER] = HALF
  const failed = await me.page.evaluate(async () => {
    const registration = (await navigator.serviceWorker.getRegistration())!
    const ended = new Promise<string>((resolve) => {
      registration.addEventListener('updatefound', () => {
        const { installing } = registration
        installing?.addEventListener('statechange', () => resolve(installing.state))
      })
    })
    await registration.update().catch(() => undefined)
    return ended
  })
  expect(failed).toBe('redundant')
  expect(await caches(me)).toEqual(before)
  expect(await me.page.getByText(OFFER).isVisible()).toBe(false)
  await goesOffline(me)
  await me.page.reload()
  await me.looksAt('scene-22.png')
  expect(await scriptOf(me.page)).toBe(old)
})

test('where there is no room for all of it, it says so, and keeps nothing by halves', async () => {
  const me = await house.nobodyYet()
  const cdp = await me.context.newCDPSession(me.page)
  const allow = (quotaSize?: number): Promise<unknown> =>
    cdp.send('Storage.overrideQuotaForOrigin', {
      origin: host.url,
      ...(quotaSize === undefined ? {} : { quotaSize }),
    })
  const state = me.page.locator('#offline-state')
  await allow(200_000)
  await me.page.goto(host.url + FOLDER)
  await me.sees(FIRST)
  await expect.poll(() => state.textContent(), { timeout: 30_000 }).toMatch(NEEDS_NETWORK)
  expect((await caches(me)).filter((name) => name.startsWith('flowseg-studio-'))).toEqual([])

  await allow(8e6) // its own files, but not the weights
  await me.page.reload()
  await expect.poll(() => state.textContent(), { timeout: 30_000 }).toMatch(NEEDS_NETWORK)
  await me.shoots('not-offline')

  await allow()
  await me.page.reload()
  await me.keepsAll()
  await goesOffline(me)
  await me.page.reload()
  await me.looksAt('scene-22.png')
})

test('a whole session keeps to the policy that is shipped and documented', async () => {
  expect(await readFile(join(ROOT, 'README.md'), 'utf8')).toContain(`${POLICY}; frame-ancestors 'self'`)
  expect(readFileSync(join(DIST, 'index.html'), 'utf8')).toContain(POLICY.replaceAll("'", '&#39;'))

  const elsewhere = await serve({ '/weights/': NANO, '/examples/': join(ROOT, 'examples') })
  elsewhere.isOpen = true
  const me = await somebody({}, host)
  await me.sees(FIRST)
  await me.keepsAll()
  // Weights and an image from another origin, a photograph, what is saved
  await me.button(/flowseg-nano/).click()
  await me.page.getByLabel('Address of the folder').fill(`${elsewhere.url}/weights/`)
  await me.button('Load').click()
  await me.dropsLink({ 'text/uri-list': `${elsewhere.url}/examples/scene.png` })
  await me.looksAt('scene.png')
  await me.asks(FIRST) // once they have come
  await me.sees(FIRST)
  expect(elsewhere.sent.get('/weights/model.safetensors')).toBeGreaterThan(19e6)
  await me.saves('Overlay')
  await me.button('Take a photo').click()
  await me.page.waitForFunction(
    () => (document.getElementById('camera-video') as HTMLVideoElement).videoWidth > 0,
  )
  await me.button('Take it').click()
  await me.looksAt('photo,')
  await me.page.reload() // with the service worker's copies
  await me.looksAt('scene-22.png')
  expect(me.complaints).toEqual([])
  expect(host.reports).toEqual([])

  // Changes that would break it are stopped, and reported
  await me.page.evaluate(() => {
    const script = document.createElement('script')
    script.textContent = 'globalThis.isBroken = true'
    document.body.append(script)
  })
  expect(await me.page.evaluate(() => 'isBroken' in globalThis)).toBe(false)
  await expect.poll(() => host.reports.length).toBeGreaterThan(0)
  host.reports.length = 0
  await elsewhere.close()
})
