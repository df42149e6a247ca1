// The answer and what is shown of it: typing is never overwritten, an answer names its sentence and pales when it isn't
// one any more, and view, opacity and saving act on what is on the canvas.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import samples from '../../web/samples/samples.json' with { type: 'json' }
import { NANO, ROOT } from '../e2e/cli-harness.ts'
import { FIRST, FOLDER, openHouse, pixelsOf, SECOND } from './house/house.ts'
import { DESKTOP, type Person } from './house/person.ts'

/** Without a service worker, as its answers can't be held back. */
const house = openHouse({ serviceWorkers: 'block' })
const { theRegular } = house

const PATIENCE = { timeout: 20_000 }

interface Held {
  readonly release: () => void
  /** True if it was asked for meanwhile. */
  readonly isWanted: () => boolean
}

/** Holds back a sample's image, by the sample's place in the list, until it is released. */
function held(index: number): Held {
  let release: () => void = () => undefined
  const isReleased = new Promise<void>((resolve) => {
    release = resolve
  })
  let isWanted = false
  const file = `/scene-${samples.samples[index]!.index}-` // a hash follows
  house.host.gate = (path) => {
    if (!path.includes(file)) return undefined
    isWanted = true
    return isReleased
  }
  return { release, isWanted: () => isWanted }
}

const sampleOf = (me: Person, index: number) =>
  me.page.getByRole('list', { name: 'Samples' }).getByRole('button').nth(index)

test('what is typed while the first sample is on its way stays, and is asked of it', async () => {
  const me = await house.nobodyYet()
  const { release } = held(0)
  await me.page.goto(house.host.url + FOLDER)
  const field = me.page.getByLabel('What should be found?')
  await field.pressSequentially(SECOND)
  release()
  await me.looksAt('scene-22.png')
  await me.page.waitForFunction(
    () => document.getElementById('status')?.textContent === 'The image was looked at',
    null,
    { timeout: 180_000 },
  )
  expect(await field.inputValue()).toBe(SECOND)
  expect(await me.answers()).toBe(0) // nobody has asked yet
  expect(await me.page.locator('#answer').textContent()).toBe('Say what to find in this image.')
  await field.press('Enter')
  await me.sees(SECOND)
  house.lastStays()
})

test('a sentence that is asked while an image is on its way is about that image', async () => {
  const me = await theRegular()
  const field = me.page.getByLabel('What should be found?')
  const { release, isWanted } = held(2)
  await sampleOf(me, 2).click()
  await me.page.getByText('Another image is being opened').waitFor()
  await field.fill('the red shape')
  await field.press('Enter')
  await expect.poll(isWanted, PATIENCE).toBe(true)
  expect(await sampleOf(me, 2).getAttribute('aria-pressed')).toBe('false')
  const answers = await me.answers()
  release()
  await me.answersMore(answers)
  await me.seesAll()
  expect(await field.inputValue()).toBe('the red shape')
  expect(await me.page.locator('.asked').textContent()).toBe('the red shape')
  expect(await sampleOf(me, 2).getAttribute('aria-pressed')).toBe('true')

  // An image of one's own puts the cursor into the sentence, but not under somebody's fingers
  await field.fill('the ')
  await me.page.getByLabel('Image file').setInputFiles({
    name: 'mine.png',
    mimeType: 'image/png',
    buffer: await readFile(join(ROOT, 'web/samples/scene-4.png')),
  })
  await field.pressSequentially('clock')
  await me.looksAt('mine.png')
  await field.pressSequentially('s')
  expect(await field.inputValue()).toBe('the clocks')
})

test('of two samples, the one that was chosen last is opened, and its sentence is asked', async () => {
  const me = await theRegular()
  const { release, isWanted } = held(3)
  const [sentence] = samples.samples[4]!.sentences
  await me.page.getByLabel('What should be found?').fill('half a sente') // typed before, about another image
  await sampleOf(me, 3).click()
  await expect.poll(isWanted, PATIENCE).toBe(true)
  await sampleOf(me, 4).click()
  await me.sees(sentence!)
  const answers = await me.answers()
  release()
  await me.page.waitForTimeout(500)
  expect(await sampleOf(me, 3).getAttribute('aria-pressed')).toBe('false')
  expect(await sampleOf(me, 4).getAttribute('aria-pressed')).toBe('true')
  expect(await me.page.locator('.asked').textContent()).toBe(sentence)
  expect(await me.answers()).toBe(answers)
})

test('an answer names its sentence, and is pale while it is about something else', async () => {
  const me = await theRegular()
  const { page } = me
  const field = page.getByLabel('What should be found?')
  const isPale = (): Promise<boolean> => page.evaluate(() => document.body.classList.contains('stale'))
  expect(await page.locator('.asked').textContent()).toBe(FIRST)
  expect(await isPale()).toBe(false)

  // Another sentence, and the same again
  await field.press('End')
  await field.pressSequentially('s')
  await page.getByText('The sentence was changed since').waitFor()
  await page.getByText(`Found for: ${FIRST}`).waitFor()
  expect(await isPale()).toBe(true)
  await me.shootsAll('stale')
  expect(await me.violations()).toEqual([])
  await field.press('Backspace')
  expect(await isPale()).toBe(false)

  // A suggestion is asked at once; a picked candidate is of the same sentence
  await me.button(SECOND).click()
  await me.sees(SECOND)
  expect(await isPale()).toBe(false)
  expect(await page.locator('.asked').textContent()).toBe(SECOND)

  // Another image that doesn't come
  await me.dropsLink({ 'text/uri-list': `${house.host.url}${FOLDER}none.png` })
  await me.isTold("This image can't be fetched")
  expect(await isPale()).toBe(false)
  expect(await page.locator('.asked').textContent()).toBe(SECOND)

  // Other weights, given up; and such that come. What is being typed meanwhile isn't asked, nor touched.
  house.host.rate = 1e6
  await me.button(/flowseg-nano/).click()
  await page.getByLabel('Address of the folder').fill(`${house.host.url}/weights/`)
  await me.button('Load').click()
  await page.getByText('Other weights were asked for').waitFor()
  expect(await isPale()).toBe(true)
  await me.button('Cancel').click()
  await me.isTold('Loading was cancelled')
  expect(await isPale()).toBe(false)
  const answers = await me.answers()
  await page.getByLabel('Folder of weights').setInputFiles(NANO)
  await field.fill('half a sente')
  await me.answersMore(answers)
  await me.seesAll()
  expect(await page.locator('.asked').textContent()).toBe(SECOND)
  expect(await field.inputValue()).toBe('half a sente')
})

test('view, opacity and saving act on a layer that is kept, and Escape lets it go', async () => {
  const me = await theRegular()
  const { page } = me
  await page.setViewportSize({ width: DESKTOP.width, height: 1900 })
  const canvas = page.locator('#canvas-frame')
  const answer = await me.saves('Mask')
  const layers = page.getByRole('list', { name: 'Layers' }).getByRole('button')
  await layers.nth(0).click()
  await page.mouse.move(2, 2)
  await page.getByRole('button', { name: 'Back to the answer' }).waitFor()

  const seen = new Set<string>()
  for (const name of ['Overlay', 'Outline', 'Cut-out', 'Side by side']) {
    await page.getByRole('radio', { name }).check()
    await me.shoots(`kept-${name.toLowerCase().replaceAll(' ', '-')}`)
    seen.add((await canvas.screenshot()).toString('base64'))
    expect(await page.locator('#caption-text').textContent()).toBe('Before layer 1: its mask then')
  }
  expect(seen.size).toBe(4)
  await page.getByRole('radio', { name: 'Overlay' }).check()
  const pictures = new Set<string>()
  for (const opacity of ['0', '50', '100']) {
    await page.getByLabel('Opacity').fill(opacity)
    await me.shoots('kept-opacity')
    pictures.add((await canvas.screenshot()).toString('base64'))
  }
  expect(pictures.size).toBe(3)

  // The saved mask is the one that stays on the canvas, and the button's name says so
  expect(await page.getByRole('group', { name: 'Save before layer 1' }).isVisible()).toBe(true)
  const kept = await me.saves('Mask')
  expect(kept.name).toBe('scene-22-the-dotted-shape-layer-0-mask.png')
  const bits = async (bytes: Buffer): Promise<number[]> =>
    [...(await pixelsOf(bytes)).rgb].filter((_, i) => i % 3 === 0)
  const [mask, whole] = [await bits(kept.bytes), await bits(answer.bytes)]
  expect(mask).not.toEqual(whole)
  const account = JSON.parse((await me.saves('JSON')).bytes.toString()) as Record<string, unknown>
  expect(account['shown']).toEqual({ kind: 'layer', layer: 0 })
  expect(account['area']).toBe(mask.filter((level) => level > 0).length)
  // At full opacity the overlay is of one colour inside, which the image is not
  const overlay = (await pixelsOf((await me.saves('Overlay')).bytes)).rgb
  const cut = (await pixelsOf((await me.saves('Cut-out')).bytes)).rgb
  const inside = mask.indexOf(255)
  const colourOf = (rgb: Uint8Array): number[] => Array.from(rgb.subarray(3 * inside, 3 * inside + 3))
  expect(colourOf(overlay)).not.toEqual(colourOf(cut))
  expect(await me.violations()).toEqual([])

  await page.keyboard.press('Escape')
  expect(await page.locator('#caption').isVisible()).toBe(false)
  expect(await page.locator('.layers [aria-pressed=true]').count()).toBe(0)
  expect((await me.saves('Mask')).bytes.equals(answer.bytes)).toBe(true)
  await page.getByLabel('Opacity').fill('45')

  // In a dialog it closes that, and nothing else; and by hand it goes, too
  await layers.nth(1).click()
  await me.button(/flowseg-nano/).click()
  await page.keyboard.press('Escape')
  await expect.poll(() => page.getByRole('dialog').isVisible()).toBe(false)
  expect(await layers.nth(1).getAttribute('aria-pressed')).toBe('true')
  await page.getByRole('button', { name: 'Back to the answer' }).click()
  expect(await layers.nth(1).getAttribute('aria-pressed')).toBe('false')

  // Another answer lets it go as well
  await layers.nth(1).click()
  await page.mouse.move(2, 2) // pointing at a layer shows it, whatever the answer
  await me.asks(SECOND)
  await me.sees(SECOND)
  expect(await page.locator('#caption').isVisible()).toBe(false)
  expect(await page.getByRole('group', { name: 'Save', exact: true }).isVisible()).toBe(true)
})

test("the condition's bars have one scale, and no card says what isn't so", async () => {
  const me = await theRegular()
  const cards = me.page.getByRole('list', { name: 'Layers' }).getByRole('button')
  const bars = await me.page.evaluate(() =>
    [...document.querySelectorAll('.layer .meter:not(.two)')].map((meter) => {
      const share =
        meter.querySelector('i')!.getBoundingClientRect().width / meter.getBoundingClientRect().width
      const said = Number.parseFloat(meter.previousElementSibling?.lastChild?.textContent ?? '') / 100
      return { share, said, axis: meter.nextElementSibling!.textContent.replace(/\s/g, '') }
    }),
  )
  expect(bars).toHaveLength(3)
  for (const { share, said, axis } of bars) {
    expect(axis).toBe('0100%')
    expect(Math.abs(share - said)).toBeLessThan(0.02)
  }
  expect(await cards.nth(0).textContent()).toContain('Where it starts')

  // Where refinement changes nothing, nothing of before can be had
  const before = me.page.getByRole('button', { name: 'Before', exact: true })
  let changed = 0
  for (const sentence of [FIRST, SECOND, 'the large clock', 'the cactus to the right of the yellow circle']) {
    if (sentence !== FIRST) await me.asks(sentence)
    await me.sees(sentence)
    const said = /(None|\d+) of them changed sides/.exec((await cards.nth(4).textContent())!)?.[1]
    changed = said === 'None' ? 0 : Number(said)
    expect(await before.count(), sentence).toBe(changed > 0 ? 1 : 0)
    if (changed > 0) break
  }
  expect(changed).toBeGreaterThan(0)
  await before.click()
  await me.page.getByText('Before the edge was refined').waitFor()
  expect((await me.saves('Mask')).name).toMatch(/-unrefined-mask\.png$/)
})

test('a wheel scrolls the page, and zooms by notches for those who work on the canvas', async () => {
  const me = await theRegular()
  const { page } = me
  await page.setViewportSize({ width: DESKTOP.width, height: 600 })
  const zoom = page.locator('#zoom-value')
  const canvas = page.locator('#canvas-frame')
  const at = async (): Promise<number> => Number.parseFloat((await zoom.textContent())!)
  const scrolled = (): Promise<number> => page.evaluate(() => scrollY)
  const over = async (): Promise<void> => {
    await canvas.scrollIntoViewIfNeeded()
    const box = (await canvas.boundingBox())!
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  }
  await page.evaluate(() => scrollTo(0, 0))
  await over()
  const top = await scrolled()
  await page.mouse.wheel(0, 100)
  await expect.poll(scrolled, PATIENCE).toBeGreaterThan(top)
  expect(await zoom.textContent()).toBe('Fit')

  await canvas.focus()
  await over()
  await page.mouse.wheel(0, -100)
  await expect.poll(() => zoom.textContent(), PATIENCE).not.toBe('Fit')
  const first = await at()
  const still = await scrolled()
  await page.mouse.wheel(0, -120) // another mouse
  await expect.poll(at, PATIENCE).toBeGreaterThan(first)
  expect((await at()) / first).toBeCloseTo(1.2, 1)
  expect(await scrolled()).toBe(still)
  // At its end the page scrolls instead, so that nobody is caught in it
  await expect
    .poll(async () => {
      await page.mouse.wheel(0, 100)
      return scrolled()
    }, PATIENCE)
    .toBeGreaterThan(still)
})
