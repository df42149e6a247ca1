// Honest faces: what weights say that they know is on the page before anything is asked; words that they don't know are
// marked below the field; an image that is unlike those of training is said to be; what is not found has that as its
// headline. With weights that say nothing of themselves, nothing of it is there.

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ROOT } from '../e2e/cli-harness.ts'
import { DOMAIN, EXAMPLES, knowsOf } from '../model/knows/knowing.ts'
import { everyTask, knowing } from './house/checkpoints.ts'
import { FIRST, openHouse, SECOND } from './house/house.ts'
import { DESKTOP, type Person, PHONE, SMALL } from './house/person.ts'

const house = openHouse()
const PATIENCE = { timeout: 180_000 }
const USUAL = { threshold: 0.5, all: 0.6 }

const folders = {
  'nano-foreign': await knowing('nano-foreign', USUAL, 'foreign'),
  'nano-strict': await knowing('nano-strict', { threshold: 1, all: 1 }, 'known'),
  'flowseg-small': await everyTask({ threshold: 0.001, all: 0.001 }, knowsOf('foreign')),
}
afterAll(() => Promise.all(Object.values(folders).map((folder) => rm(folder, { recursive: true }))))

/** The person who has loaded this folder. */
function withWeights(kind: keyof typeof folders): Promise<Person> {
  return house.ownerOf(folders[kind])
}

const texts = (me: Person, list: string) =>
  me.page.getByRole('list', { name: list }).getByRole('button').allTextContents()
const field = (me: Person) => me.page.getByLabel('What should be found?')
const below = (me: Person, form = 'sentence') => me.page.locator(`#${form}-unknown`)

/** The text of the largest letters of an answer. */
async function largest(me: Person): Promise<string> {
  return me.page.locator('#answer').evaluate((answer) => {
    const size = (element: Element): number => Number.parseFloat(getComputedStyle(element).fontSize)
    const all = [...answer.querySelectorAll('*')].filter((element) => element.children.length === 0)
    return all.reduce((most, element) => (size(element) > size(most) ? element : most)).textContent ?? ''
  })
}

/** At each width all is in its place, and can be read; in the dark, too, whose colours are the same at each. */
async function looksRight(me: Person, name: string): Promise<void> {
  await me.page.emulateMedia({ colorScheme: 'dark' })
  await me.shootsWhole(`${name}-dark`)
  expect(await me.violations(), `${name}, dark`).toEqual([])
  await me.page.emulateMedia({ colorScheme: 'light' })
  const screens = { desktop: DESKTOP, phone: PHONE, small: SMALL }
  for (const [width, viewport] of Object.entries(screens)) {
    await me.page.setViewportSize(viewport)
    await me.shootsWhole(`${name}-${width}`)
    expect(await me.misfits(), `${name}, ${width}`).toEqual([])
    expect(await me.violations(), `${name}, ${width}`).toEqual([])
    await me.enlarges(2)
    await me.shootsWhole(`${name}-${width}-large`)
    expect(await me.misfits(), `${name}, ${width}, large`).toEqual([])
    await me.enlarges(1)
  }
  await me.page.setViewportSize(DESKTOP)
}

test('weights that say nothing of themselves: nothing of it, and no digits as the headline', async () => {
  const me = await house.theRegular()
  const { page } = me
  const isSilent = await page.evaluate(() => document.querySelector('#knows')?.hasAttribute('hidden'))
  if (isSilent) {
    expect(await page.locator('#examples').isVisible()).toBe(false)
    expect(await field(me).getAttribute('placeholder')).toBe('a phrase or a sentence')
    await field(me).fill('asdf qwer ')
    expect(await below(me).textContent()).toBe('')
    await field(me).fill('')
    await me.page.keyboard.press('Enter')
    await page.getByText('Say what to find.').first().waitFor()
  }
  expect(await page.content()).not.toContain('red mug')
  expect(await page.locator('#world').textContent()).toBe('')
  expect(await largest(me)).toBe('Found')
  expect(await page.locator('.score').textContent()).toMatch(/^Score [01]\.\d\d\. [\d,]+ pixels/)
})

test('what they know is told first, and its examples can be pressed', async () => {
  const me = await withWeights('nano-foreign')
  const { page } = me
  await page.getByText(`This model knows: ${DOMAIN}`).waitFor()
  expect(await texts(me, 'It can be asked, for instance:')).toEqual(EXAMPLES)
  expect(await field(me).getAttribute('placeholder')).toBe(EXAMPLES[0])
  expect(await texts(me, 'Suggested sentences')).toContain(SECOND)

  // Pressed, they are asked; and an empty sentence is answered by one of them
  const before = await me.answers()
  await me.button(EXAMPLES[0]!).click()
  await me.answersMore(before)
  await me.sees(EXAMPLES[0]!)
  await me.asks('')
  await page.getByText(`Say what to find: "${EXAMPLES[0]}", for instance.`).first().waitFor()
  await me.asks(FIRST)
  await me.sees(FIRST)

  // Of another sample, sentences with words that they don't know are not suggested
  await page.getByRole('list', { name: 'Samples' }).getByRole('button').nth(1).click()
  await expect.poll(() => texts(me, 'Suggested sentences'), PATIENCE).toEqual([])
  expect(await texts(me, 'It can be asked, for instance:')).toEqual(EXAMPLES)

  // The dialog has it as well
  await page.locator('#model-button').click()
  const dialog = page.getByRole('dialog', { name: 'Model' })
  expect(await dialog.textContent()).toMatch(/KnowsDrawn scenes .*Tasksreferring, .*Words\d\d/)
  await page.keyboard.press('Escape')
  expect(me.complaints).toEqual([])
})

test('words that they do not know are marked while one types, and named in the answer', async () => {
  const me = await withWeights('nano-foreign')
  const { page } = me
  await field(me).fill('')
  await field(me).pressSequentially('the mug', { delay: 5 })
  expect(await below(me).textContent()).toBe('') // "mug" may go on
  await expect.poll(() => below(me).textContent()).toBe("It doesn't know mug.") // until nobody types
  await field(me).pressSequentially(' or the Dragon,')
  expect(await below(me).locator('.unknown-word').allTextContents()).toEqual(['mug', 'or', 'Dragon'])
  await field(me).fill('THE UMBRELLAS! ')
  expect(await below(me).textContent()).toBe('')

  const before = await me.answers()
  await me.asks('the mug')
  await me.answersMore(before)
  await me.seesAll()
  expect(await page.locator('#answer .unknown').textContent()).toBe("It doesn't know mug.")
  await expect.poll(() => page.locator('#status').textContent()).toContain("It doesn't know mug.")
  expect(await field(me).getAttribute('aria-describedby')).toContain('sentence-unknown')
  await looksRight(me, 'knows-unknown')
  const account = JSON.parse((await me.saves('JSON')).bytes.toString()) as object
  expect(account).toMatchObject({
    unknownWords: ['mug'],
    world: { isKnown: false },
    knows: { domain: DOMAIN, examples: EXAMPLES },
  })
  expect(me.complaints).toEqual([])
})

test('an image of another world is said to be one, before anything is asked of it', async () => {
  const me = await withWeights('nano-foreign')
  const { page } = me
  const world = page.locator('#world')
  const words = /^This image is unlike those that it knows, .* \(distance \d+\.\d\d, known up to 0\.00\)\.$/
  expect(await world.textContent()).toMatch(words)
  const bytes = await readFile(join(ROOT, 'web/samples/scene-4.png'))
  await me.drops([{ name: 'mine.png', type: 'image/png', bytes }])
  await me.looksAt('mine.png')
  await expect.poll(() => world.textContent(), PATIENCE).toMatch(words)
  expect(await page.locator('#answer').textContent()).toBe('Say what to find in this image.')
  expect(await texts(me, 'Suggested sentences')).toEqual([])
  expect(await texts(me, 'It can be asked, for instance:')).toEqual(EXAMPLES)
  await looksRight(me, 'knows-foreign')
  await me.asks('the shape')
  await me.sees('the shape')
  expect(await world.textContent()).toMatch(words)
  expect(await page.locator('#status').textContent()).toContain('unlike those that it knows')
})

test('what is not found has that as its headline, and an image of their world says nothing', async () => {
  const me = await withWeights('nano-strict')
  const { page } = me
  const before = await me.answers()
  await me.asks('the umbrella')
  await me.answersMore(before)
  await me.seesAll()
  expect(await largest(me)).toBe('Not found')
  expect(await page.locator('.score').textContent()).toMatch(/^Score 0\.\d\d\. That is too low/)
  expect(await page.locator('#world').isVisible()).toBe(false)
  expect(await page.locator('#answer .unknown').count()).toBe(0)
  await page.locator('.chart .chosen-name').getByText('best guess').waitFor()
  await looksRight(me, 'knows-not-found')
  await me.button(/^Candidate 2,/).click()
  await me.answersMore(before + 1)
  await me.seesAll()
  expect(await largest(me)).toBe('Candidate 2')
  expect(me.complaints).toEqual([])
})

test('lists, questions and regions have the same', async () => {
  const me = await withWeights('flowseg-small')
  const { page } = me
  const shown = (count: number): Promise<unknown> =>
    page.waitForFunction(
      (least) => performance.getEntriesByName('flowseg:objects').length >= least,
      count,
      PATIENCE,
    )
  const saved = async (): Promise<object> => JSON.parse((await me.saves('JSON')).bytes.toString()) as object
  await page.getByRole('tab', { name: 'Categories' }).click()
  await page.getByLabel('Things').fill('sem: sky, mug') // stuff alone: a map of it is never empty
  await page.getByLabel('Stuff').fill('lava')
  await expect.poll(() => below(me, 'categories').textContent()).toBe("It doesn't know mug or lava.")
  await page.getByLabel('Stuff').press('Enter')
  await shown(1)
  expect(await page.locator('#answer .unknown').textContent()).toBe("It doesn't know mug or lava.")
  expect(await page.locator('#world').textContent()).toContain('unlike those that it knows')
  expect(await largest(me)).not.toMatch(/\d\.\d/)
  expect(await saved()).toMatchObject({ unknownWords: ['mug', 'lava'], world: { isKnown: false } })
  await looksRight(me, 'knows-list')

  await page.getByRole('tab', { name: 'Question' }).click()
  await page.getByLabel('What do you want to know?').fill('Is the cat in the mug?')
  await expect.poll(() => below(me, 'question').textContent()).toBe("It doesn't know mug.")
  await page.getByLabel('What do you want to know?').press('Enter')
  await shown(2)
  expect(await page.locator('#answer .unknown').textContent()).toBe("It doesn't know mug.")

  const box = (await page.locator('#canvas-frame').boundingBox())!
  await page.locator('#canvas-frame').click({ position: { x: box.width / 2, y: box.height / 2 } })
  await shown(3)
  expect(await page.locator('#answer .unknown').count()).toBe(0)
  expect(await page.locator('#world').textContent()).toContain('unlike those that it knows')
  expect(await largest(me)).not.toMatch(/\d\.\d/)
})
