// The studio as people use it: built, served by a plain host in a folder of its own under a strict content security policy,
// and driven in a real Chromium on the software driver. Pictures of every state are left in out/studio.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import samples from '../../web/samples/samples.json' with { type: 'json' }
import { decodeImage } from '../../src/io/image.ts'
import { datasetScene } from '../../src/scenes/dataset.ts'
import type { Split } from '../../src/scenes/scene.ts'
import { NANO, ROOT, spawnFlowseg } from '../e2e/cli-harness.ts'
import { launch } from './chromium.ts'
import { Person, PHONE } from './person.ts'
import { type Host, serve } from './server.ts'

const DIST = join(ROOT, 'web/dist')
const FIRST = 'the dotted shape'
const SECOND = 'what keeps you dry in the rain'
const FOLDER = '/some/where/'

let browser: Browser
let host: Host
const people: Person[] = []
const folder = mkdtempSync(join(tmpdir(), 'flowseg-studio-'))

beforeAll(async () => {
  await build({ configFile: join(ROOT, 'web/vite.config.ts'), logLevel: 'warn' })
  host = await serve({ [FOLDER]: DIST, '/weights/': NANO })
  browser = await launch()
}, 300_000)

afterEach(async () => {
  await Promise.all(people.splice(0).map((person) => person.leaves()))
  host.delayMs = 0
  host.rate = 0
})

afterAll(async () => {
  await browser?.close()
  await host?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function somebody(options?: Parameters<typeof Person.at>[2], at: Host = host): Promise<Person> {
  const person = await Person.at(browser, at.url + FOLDER, options)
  people.push(person)
  return person
}

test('the samples are as the generator draws them, and each sentence is one of theirs', async () => {
  for (const { index, sentences } of samples.samples) {
    const scene = datasetScene(samples.split as Split, index)
    const png = decodeImage(await readFile(join(ROOT, `web/samples/scene-${index}.png`)))
    expect(Buffer.compare(png.rgb, scene.rgb), `scene ${index}`).toBe(0)
    expect(scene.sentences.map(({ text }) => text)).toEqual(expect.arrayContaining(sentences))
  }
})

test('a sample and its sentence are found when the page opens, and the page is never held up', async () => {
  const me = await somebody()
  await me.sees(FIRST)
  expect(await me.page.locator('.score strong').textContent()).toMatch(/^0\.\d{3}$|^1\.000$/)
  await me.shootsAll('first')
  expect(await me.violations()).toEqual([])
  expect(me.complaints).toEqual([])
})

test('a second sentence reuses what was seen', async () => {
  const me = await somebody()
  await me.sees(FIRST)
  const looked = await me.page.locator('.times .value').first().textContent()
  await me.asks(SECOND)
  await me.sees(SECOND)
  expect(await me.page.locator('.times .value').first().textContent()).toBe(looked)
  expect(await me.page.locator('.total').textContent()).toContain('had been looked at before')
  expect(await me.longTasks()).toEqual([])
  await me.shoots('second')
})

test('an image of my own, dropped', async () => {
  const me = await somebody()
  await me.sees(FIRST)
  const bytes = await readFile(join(ROOT, 'web/samples/scene-4.png'))
  await me.drops([{ name: 'mine.png', type: 'image/png', bytes }])
  await me.page.waitForFunction(() => document.getElementById('canvas')?.getAttribute('aria-label')?.includes('mine.png'))
  await me.asks('the one that can fly')
  await me.sees('the one that can fly')
  await me.shoots('dropped')
  expect(me.complaints).toEqual([])
})

test('a mask that is saved is the mask of the command', async () => {
  const me = await somebody()
  await me.sees(FIRST)
  const saved = async (name: string): Promise<{ bytes: Buffer; name: string }> => {
    const waiting = me.page.waitForEvent('download')
    await me.page.getByRole('group', { name: 'Save' }).getByRole('button', { name }).click()
    const download = await waiting
    return { bytes: readFileSync(await download.path()), name: download.suggestedFilename() }
  }
  const mask = await saved('Mask')
  expect(mask.name).toBe('scene-22-the-dotted-shape-mask.png')

  const file = join(folder, 'cli.png')
  const image = join(ROOT, 'examples/scene.png')
  const cli = await spawnFlowseg(['segment', image, FIRST, '--mask', file, '--out', join(folder, 'o.png')], { cwd: folder })
  expect(cli.code, cli.err).toBe(0)
  const [ours, theirs] = [decodeImage(mask.bytes), decodeImage(readFileSync(file))]
  expect([ours.width, ours.height]).toEqual([theirs.width, theirs.height])
  const pixels = ours.width * ours.height
  let differing = 0
  for (let i = 0; i < pixels; i++) if (ours.rgb[3 * i] !== theirs.rgb[3 * i]) differing++
  // Another adapter may round a pixel at the edge to the other side
  expect(differing / pixels).toBeLessThanOrEqual(0.001)

  // The rest of what can be saved
  const overlay = decodeImage((await saved('Overlay')).bytes)
  expect([overlay.width, overlay.height]).toEqual([256, 256])
  const cut = await saved('Cut-out')
  expect(cut.bytes[25]).toBe(6) // colour type: with alpha
  const account: unknown = JSON.parse((await saved('JSON')).bytes.toString())
  expect(account).toMatchObject({ sentence: FIRST, rank: 1, image: 'scene-22.png', width: 256, height: 256 })
})

test('another candidate can be picked by hand', async () => {
  const me = await somebody()
  await me.sees(FIRST)
  const second = me.page.getByRole('button', { name: /^Candidate 2,/ })
  await second.click()
  await me.page.waitForFunction(() => document.getElementById('status')?.textContent?.startsWith('Candidate 2 for'))
  expect(await me.page.getByRole('button', { name: /^Candidate 2,/ }).getAttribute('aria-pressed')).toBe('true')
  await me.shootsAll('picked')
  expect(await me.violations()).toEqual([])
})

test('a layer of the flow, pointed at or focused, shows its mask', async () => {
  const me = await somebody()
  await me.sees(FIRST)
  const layers = me.page.getByRole('list', { name: 'Layers' }).getByRole('button')
  expect(await layers.count()).toBe(5) // before, three layers, the edge
  const before = await me.shoots('flow-none')
  await layers.nth(1).hover()
  await me.page.getByText('Layer 1: its mask then').waitFor()
  const during = await me.page.locator('#stage').screenshot()
  await me.shoots('flow-hover')
  await me.page.mouse.move(2, 2)
  await me.page.waitForFunction(() => document.getElementById('caption')?.textContent === '')

  // The same from the keyboard, and kept with Enter
  await layers.nth(3).focus()
  await me.page.keyboard.press('Tab')
  await me.page.getByText('Hatched: where the edge could move').waitFor()
  await me.page.keyboard.press('Enter')
  expect(await layers.nth(4).getAttribute('aria-pressed')).toBe('true')
  await me.shootsAll('edge')
  expect(await me.violations()).toEqual([])
  expect(before.equals(during)).toBe(false)
})

test('the view: pan and zoom by mouse and keyboard, and each way to see the mask', async () => {
  const me = await somebody()
  await me.sees(FIRST)
  const stage = me.page.locator('#stage')
  const zoom = me.page.locator('#zoom-value')
  await stage.focus()
  for (let i = 0; i < 4; i++) await me.page.keyboard.press('+')
  expect(await zoom.textContent()).not.toBe('Fit')
  await me.page.keyboard.press('ArrowRight')
  const box = (await stage.boundingBox())!
  await me.page.mouse.move(box.x + 200, box.y + 200)
  await me.page.mouse.down()
  await me.page.mouse.move(box.x + 260, box.y + 240, { steps: 4 })
  await me.page.mouse.up()
  await me.page.mouse.wheel(0, -300)
  await me.shoots('zoomed')
  await stage.focus()
  await me.page.keyboard.press('0')
  expect(await zoom.textContent()).toBe('Fit')
  for (const name of ['Outline', 'Cut-out', 'Side by side']) {
    await me.page.getByText(name, { exact: true }).first().click()
    await me.shoots(`view-${name.toLowerCase().replaceAll(' ', '-')}`)
  }
  await me.page.setViewportSize(PHONE)
  await me.shoots('view-split-phone')
  expect(me.complaints).toEqual([])
})
