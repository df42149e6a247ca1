// Questions besides one sentence for one mask: all objects, a click, a box, lists of categories, questions. With
// small random weights that know every task, and with the embedded ones as if they knew sentences alone.

import { rm } from 'node:fs/promises'
import { afterAll, expect, test } from 'vitest'
import { decodeIndexedPng } from '../../src/masks/indexed-png.ts'
import { everyTask, sentencesAlone, WRITTEN, writer } from './house/checkpoints.ts'
import { FIRST, openHouse } from './house/house.ts'
import { DESKTOP, type Person, SMALL } from './house/person.ts'

const house = openHouse()
const { ownerOf } = house
const PATIENCE = { timeout: 180_000 }

const EASY = { threshold: 0.001, all: 0.001 }
const folders = {
  knowing: await everyTask(EASY),
  writing: await writer(EASY),
  sentences: await sentencesAlone('flowseg-sentences'),
  strict: await everyTask({ threshold: 1, all: 1 }),
}
afterAll(() => Promise.all(Object.values(folders).map((folder) => rm(folder, { recursive: true }))))

/** Somebody who has loaded weights of their own, and has asked for nothing but the first sentence. */
async function withWeights(kind: keyof typeof folders): Promise<Person> {
  const me = await ownerOf(folders[kind])
  await me.page.evaluate(() => performance.clearMarks('flowseg:objects'))
  return me
}

/** Waits for as many marks. */
async function answers(me: Person, name: string, count: number): Promise<void> {
  await me.page.waitForFunction(
    ([mark, least]) => performance.getEntriesByName(mark).length >= least,
    [name, count] as const,
    PATIENCE,
  )
}

const status = (me: Person) => me.page.locator('#status')
const frame = (me: Person) => me.page.locator('#canvas-frame')
const objects = (me: Person) => me.page.locator('#objects').getByRole('button')

/** The canvas once what was asked for is drawn. */
async function drawn(me: Person): Promise<Buffer> {
  await me.page.locator('#canvas-frame[data-frame="drawn"]').waitFor(PATIENCE)
  return frame(me).screenshot()
}

/** On a small phone, with letters as usual and twice as large, everything is in its place. */
async function fits(me: Person): Promise<void> {
  await me.page.setViewportSize(SMALL)
  for (const letters of [1, 2]) {
    await me.enlarges(letters)
    await me.shoots('tasks-small') // once what depends on the width is drawn
    expect(await me.misfits(), `letters x ${letters}`).toEqual([])
  }
  await me.enlarges(1)
  await me.page.setViewportSize(DESKTOP)
}

test('with weights that know sentences: all objects, a click picks a candidate, a box says why not', async () => {
  const me = await withWeights('sentences')
  const { page } = me

  // Tabs of other tasks say why they stay closed
  const categories = page.getByRole('tab', { name: 'Categories' })
  expect(await categories.getAttribute('aria-disabled')).toBe('true')
  expect(await categories.getAttribute('title')).toContain('the tasks of its config.json are referring')
  await categories.click({ force: true })
  expect(await categories.getAttribute('aria-selected')).toBe('false')
  await expect.poll(() => status(me).textContent()).toContain('was not trained on this')
  await page.getByRole('tab', { name: 'Sentence' }).focus()
  await page.keyboard.press('ArrowRight')
  expect(await categories.evaluate((tab) => tab === document.activeElement)).toBe(true)

  // A box
  await me.button('Box').click()
  await page.getByText('was not trained on regions, so a box means nothing to it').first().waitFor()
  expect(await me.button('Box').getAttribute('aria-pressed')).toBe('false')
  await me.button('Like it').click()
  await page.getByText('so what is like a place means nothing to it').first().waitFor()
  expect(await me.button('Like it').getAttribute('aria-pressed')).toBe('false')

  // The candidate under the pointer is outlined; a click makes it the answer
  const box = (await frame(me).boundingBox())!
  const side = box.height - 24 // the sample is square, and fits with a margin of 12 pixels
  const at = { x: box.width / 2 + (0.66 - 0.5) * side, y: box.height / 2 + (0.57 - 0.5) * side } // the umbrella
  await page.mouse.move(2, 2)
  const plain = await drawn(me)
  await frame(me).hover({ position: at })
  await expect.poll(async () => (await drawn(me)).equals(plain), PATIENCE).toBe(false)
  await me.shoots('tasks-hover')
  const before = await me.answers()
  await frame(me).click({ position: at })
  await me.answersMore(before)
  await me.seesAll()
  await expect.poll(() => status(me).textContent()).toMatch(/^Candidate \d+ for the dotted shape/)
  await me.shootsAll('tasks-picked')
  await me.button('Close').click()

  // All of them, each in its colour
  await page.getByLabel('All of them').check()
  const asked = await me.answers()
  await me.asks(FIRST)
  await me.answersMore(asked)
  await me.seesAll()
  await expect.poll(() => status(me).textContent()).toMatch(/^Found the dotted shape, \d+ objects?\./)
  await objects(me).first().waitFor()
  await page.mouse.move(2, 2)
  const coloured = await drawn(me)
  expect(coloured.equals(plain)).toBe(false)
  await me.shootsAll('tasks-all')
  await fits(me)
  expect(await me.violations()).toEqual([])
  const { bytes } = await me.saves('Mask')
  expect((await decodeIndexedPng(bytes)).count).toBeGreaterThanOrEqual(await objects(me).count())
  expect(me.complaints).toEqual([])
  await page.getByLabel('All of them').uncheck()
})

test('with weights that know regions: a click, a box, and both from the keyboard', async () => {
  const me = await withWeights('knowing')
  const { page } = me
  const box = (await frame(me).boundingBox())!
  await frame(me).click({ position: { x: box.width / 2, y: box.height / 2 } })
  await answers(me, 'flowseg:objects', 1)
  await expect.poll(() => status(me).textContent()).toMatch(/^(Found what is there|Not found: nothing there)/)
  await me.shootsAll('tasks-click')

  await me.button('Box').click()
  expect(await me.button('Box').getAttribute('aria-pressed')).toBe('true')
  await page.mouse.move(box.x + box.width / 2 - 60, box.y + box.height / 2 - 60)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width / 2 + 60, box.y + box.height / 2 + 60, { steps: 4 })
  await page.locator('.band').waitFor()
  await page.mouse.up()
  expect(await page.locator('#zoom-value').textContent()).toBe('Fit')
  await answers(me, 'flowseg:objects', 2)
  await expect.poll(() => status(me).textContent()).toMatch(/in the box/)
  expect(await me.button('Box').getAttribute('aria-pressed')).toBe('false')

  // Shift draws one too
  await page.keyboard.down('Shift')
  await page.mouse.move(box.x + box.width / 2 - 60, box.y + box.height / 2 - 60)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width / 2 + 20, box.y + box.height / 2 + 20, { steps: 4 })
  await page.mouse.up()
  await page.keyboard.up('Shift')
  await answers(me, 'flowseg:objects', 3)

  await frame(me).focus()
  await page.keyboard.press('Enter')
  await answers(me, 'flowseg:objects', 4)
  await expect.poll(() => status(me).textContent()).toMatch(/there/)
  expect(JSON.parse((await me.saves('JSON')).bytes.toString())).toMatchObject({ asked: 'region', width: 256 })

  // A drag moves the image as ever, and asks nothing
  await page.keyboard.press('+')
  await page.mouse.move(box.x + 200, box.y + 200)
  await page.mouse.down()
  await page.mouse.move(box.x + 260, box.y + 240, { steps: 4 })
  await page.mouse.up()
  // Nor does a double click, which zooms
  await frame(me).dblclick({ position: { x: 200, y: 200 } })
  await page.waitForTimeout(500)
  expect(await page.evaluate(() => performance.getEntriesByName('flowseg:objects').length)).toBe(4)
  expect(await me.violations()).toEqual([])
  expect(me.complaints).toEqual([])
})

test('everything like what is pointed at, by a click and by a box, while Like it is pressed', async () => {
  const me = await withWeights('knowing')
  const { page } = me
  const box = (await frame(me).boundingBox())!
  const like = me.button('Like it')
  await like.click()
  expect(await like.getAttribute('aria-pressed')).toBe('true')
  await frame(me).click({ position: { x: box.width / 2, y: box.height / 2 } })
  await answers(me, 'flowseg:objects', 1)
  await expect.poll(() => status(me).textContent()).toMatch(/^Found \d+ objects? like what is there\.$/)
  const count = Number(/\d+/.exec((await status(me).textContent()) ?? '')?.[0])
  expect(count).toBeGreaterThan(1)
  expect(await objects(me).count()).toBe(count)
  await page.mouse.move(2, 2)
  await me.shootsAll('tasks-like')
  await fits(me)
  expect(await me.violations()).toEqual([])
  expect(JSON.parse((await me.saves('JSON')).bytes.toString())).toMatchObject({
    asked: 'like it',
    found: true,
  })

  await me.button('Box').click()
  await page.mouse.move(box.x + box.width / 2 - 60, box.y + box.height / 2 - 60)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width / 2 + 60, box.y + box.height / 2 + 60, { steps: 4 })
  await page.mouse.up()
  await answers(me, 'flowseg:objects', 2)
  await expect.poll(() => status(me).textContent()).toMatch(/^Found \d+ objects? like what is in the box\.$/)

  // Pressed again, a click asks for the one thing that is there
  await like.click()
  expect(await like.getAttribute('aria-pressed')).toBe('false')
  await frame(me).click({ position: { x: box.width / 2, y: box.height / 2 } })
  await answers(me, 'flowseg:objects', 3)
  await expect.poll(() => status(me).textContent()).toMatch(/^(Found what is there|Not found: nothing there)/)
  expect(me.complaints).toEqual([])
})

test('several objects are listed, each in its colour, and light up when they are pointed at', async () => {
  const me = await withWeights('knowing')
  const { page } = me
  await page.getByLabel('All of them').check()
  const before = await me.answers()
  await me.asks('a cat')
  await me.answersMore(before)
  await me.seesAll()
  const count = await objects(me).count()
  expect(count).toBeGreaterThan(1)
  await expect.poll(() => status(me).textContent()).toContain(`Found a cat, ${count} objects.`)
  const colours = await page
    .locator('#objects .swatch')
    .evaluateAll((spots) => spots.map((spot) => getComputedStyle(spot).backgroundColor))
  expect(new Set(colours).size).toBe(count)
  await page.mouse.move(2, 2)
  const whole = await drawn(me)
  await objects(me).nth(1).hover()
  await page
    .locator('#caption-text')
    .filter({ hasText: /^Object 2 0\.\d+/ })
    .waitFor(PATIENCE)
  expect((await drawn(me)).equals(whole)).toBe(false)
  await me.shootsAll('tasks-highlighted')
  await page.mouse.move(2, 2)
  await expect.poll(async () => (await drawn(me)).equals(whole), PATIENCE).toBe(true)

  // And the other way round: on the image, an object under the pointer has its entry marked
  const box = (await frame(me).boundingBox())!
  const pointed = page.locator('#objects .pointed')
  for (const y of [0.1, 0.3, 0.5, 0.7, 0.9]) {
    await frame(me).hover({ position: { x: box.width / 2, y: y * box.height } })
    await page.waitForTimeout(300)
    if ((await pointed.count()) > 0) break
  }
  expect(await pointed.count()).toBe(1)
  expect((await drawn(me)).equals(whole)).toBe(false)
  await page.mouse.move(2, 2)
  await expect.poll(async () => (await drawn(me)).equals(whole), PATIENCE).toBe(true)
  expect(await pointed.count()).toBe(0)
  expect(await me.violations()).toEqual([])
  expect(me.complaints).toEqual([])
})

test('lists of categories: a map in colours, its legend, and names that are refused', async () => {
  const me = await withWeights('knowing')
  const { page } = me
  await page.getByRole('tab', { name: 'Categories' }).click()
  const find = page.getByRole('tabpanel').getByRole('button', { name: 'Find' })
  await find.click()
  await page.getByText('Name at least one category').first().waitFor()
  await page.getByLabel('Stuff').fill('sky, grass, sea,')
  await find.click()
  await answers(me, 'flowseg:objects', 1)
  await expect.poll(() => status(me).textContent()).toMatch(/^Found \d segments? of 3 categories\./)
  await page.getByRole('heading', { name: 'Legend' }).waitFor()
  await page.mouse.move(2, 2)
  const whole = await drawn(me)
  await me.shootsAll('tasks-categories')
  await fits(me)
  expect(await me.violations()).toEqual([])

  // The colours are the canvas's
  await page.getByLabel('Opacity').fill('0')
  expect((await drawn(me)).equals(whole)).toBe(false)
  await page.getByLabel('Opacity').fill('45')

  // An entry that is pressed stays highlighted; Escape goes back
  await objects(me).first().click()
  await expect.poll(() => objects(me).first().getAttribute('aria-pressed')).toBe('true')
  await page.mouse.move(2, 2)
  await page.keyboard.press('Escape')
  expect(await objects(me).first().getAttribute('aria-pressed')).toBe('false')
  expect((await drawn(me)).equals(whole)).toBe(true)

  await page.getByLabel('Stuff').fill('')
  await page.getByLabel('Things').fill('ins: person, bird; sem: sky')
  await find.click()
  await answers(me, 'flowseg:objects', 2)
  await expect.poll(() => status(me).textContent()).toMatch(/of 3 categories/)

  await page.getByLabel('Things').fill('person, the <SEG> one')
  await find.click()
  await expect.poll(() => page.locator('#categories-error').textContent(), PATIENCE).toContain('SEG')
  expect(await page.getByLabel('Things').getAttribute('aria-invalid')).toBe('true')
  expect(me.complaints).toEqual([])
})

test('a description is streamed, and its phrases light up their masks', async () => {
  const me = await withWeights('writing')
  const { page } = me
  await page.getByRole('tab', { name: 'Question' }).click()
  // All that the text goes through
  await page.evaluate(() => {
    const seen: string[] = []
    Object.assign(globalThis, { seen })
    new MutationObserver(() => {
      const text = document.querySelector('.words')?.textContent ?? ''
      if (seen.at(-1) !== text) seen.push(text)
    }).observe(document.getElementById('answer')!, { childList: true, subtree: true, characterData: true })
  })
  await me.button('Describe').click()
  await answers(me, 'flowseg:objects', 1)
  const seen = await page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen)
  expect(await page.locator('.words').textContent()).toBe(WRITTEN)
  expect(seen.length).toBeGreaterThan(2) // piece by piece
  for (const text of seen) expect(WRITTEN.startsWith(text)).toBe(true)
  await expect.poll(() => status(me).textContent()).toBe(`${WRITTEN} 1 of 1 phrases were found in the image.`)

  const phrase = page.locator('.words').getByRole('button', { name: 'mug' })
  await page.mouse.move(2, 2)
  await page.locator('#caption').waitFor({ state: 'hidden' })
  await phrase.hover()
  await page
    .locator('#caption-text')
    .filter({ hasText: /^mug 0\.\d+/ })
    .waitFor(PATIENCE)
  await me.shootsAll('tasks-description')
  await fits(me)
  await page.mouse.move(2, 2)
  await page.locator('#caption').waitFor({ state: 'hidden' })
  await page.locator('#describe').focus()
  await page.keyboard.press('Tab')
  await phrase.focus()
  await page.locator('#caption-text').filter({ hasText: /^mug/ }).waitFor(PATIENCE)
  expect(await me.violations()).toEqual([])
  expect(me.complaints).toEqual([])
})

test('what is found is explained, in words and with a mask', async () => {
  const me = await withWeights('writing')
  const { page } = me
  await page.getByRole('tab', { name: 'Question' }).click()
  await me.button('Explain').click()
  await page.getByText('Write what to find').first().waitFor()
  await page.getByLabel('What do you want to know?').fill('what holds the tea')
  await me.button('Explain').click()
  await answers(me, 'flowseg:objects', 1)
  await expect.poll(() => status(me).textContent()).toBe(`${WRITTEN} 1 of 1 phrases were found in the image.`)
  expect(await page.locator('.words').textContent()).toBe(WRITTEN)
  expect(await page.locator('#answer .asked').textContent()).toBe('what holds the tea')
  expect(await objects(me).count()).toBe(1)
  await page.mouse.move(2, 2)
  await me.shootsAll('tasks-explained')
  await fits(me)
  expect(await me.violations()).toEqual([])
  const account: unknown = JSON.parse((await me.saves('JSON')).bytes.toString())
  expect(account).toMatchObject({ asked: 'what holds the tea' })
  expect(me.complaints).toEqual([])
})

test('a question is answered until it is cancelled', async () => {
  const me = await withWeights('knowing')
  const { page } = me
  await page.getByRole('tab', { name: 'Question' }).click()
  await page.locator('#question-ask').click()
  await page.getByText('Write a question').first().waitFor()
  await page.getByLabel('What do you want to know?').fill('What is on the table?')
  await page.locator('#question-ask').click()
  const text = (): Promise<number> => page.locator('.words').evaluate((words) => words.textContent.length)
  await page.locator('.words').waitFor(PATIENCE)
  await expect.poll(text, PATIENCE).toBeGreaterThan(3)
  await me.shootsAll('tasks-writing')
  await me.button('Cancel').click()
  await page.getByText('Stopped before its end').waitFor()
  const stopped = await text()
  await page.waitForTimeout(1000)
  expect(await text()).toBe(stopped)
  // And the next one is answered at once
  await page.getByRole('tab', { name: 'Sentence' }).click()
  const before = await me.answers()
  await me.asks('a cat')
  await me.answersMore(before)
  expect(me.complaints).toEqual([])
})

test('what is not there is said not to be, and the best guess is a candidate', async () => {
  const me = await withWeights('strict')
  const { page } = me
  const before = await me.answers()
  await me.asks('a cat')
  await me.answersMore(before)
  await me.seesAll()
  await expect.poll(() => status(me).textContent()).toMatch(/^Not found: a cat\./)
  expect(await page.locator('#caption-text').textContent()).toBe('Not found: a cat')
  await page.locator('#answer').getByText('Not found').waitFor()
  expect(await page.locator('.candidates [aria-pressed="true"]').count()).toBe(0)
  await page.mouse.move(2, 2)
  const nothing = await drawn(me)
  await me.shootsAll('tasks-not-found')
  expect(await me.violations()).toEqual([])
  const account: unknown = JSON.parse((await me.saves('JSON')).bytes.toString())
  expect(account).toMatchObject({ found: false, area: 0, box: null })

  await me.button(/^Candidate 1,/).click()
  await me.answersMore(before + 1)
  await me.seesAll()
  await expect.poll(() => status(me).textContent()).not.toMatch(/^Not found/)
  expect(await me.button(/^Candidate 1,/).getAttribute('aria-pressed')).toBe('true')
  await page.mouse.move(2, 2)
  expect((await drawn(me)).equals(nothing)).toBe(false)

  await page.getByLabel('All of them').check()
  await me.asks('a cat')
  await me.answersMore(before + 2)
  await expect.poll(() => status(me).textContent()).toMatch(/^Not found/)
  expect(await objects(me).count()).toBe(0)
  expect(me.complaints).toEqual([])
})
