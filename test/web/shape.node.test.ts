// Small phones, large letters, few colours: nothing is cut off or lies over something else, and what is chosen can be
// seen.

import { expect, test } from 'vitest'
import { FIRST, openHouse } from './house/house.ts'
import { DESKTOP, type Person, PHONE, SMALL } from './house/person.ts'

const house = openHouse()
const { theRegular } = house

/** Widths, and how many times as large as usual the letters are. */
const SHAPES = [
  ['small', SMALL, 1],
  ['phone', PHONE, 1],
  ['desktop-large', DESKTOP, 2],
  ['phone-large', PHONE, 2],
  ['small-large', SMALL, 2],
] as const
type Shape = (typeof SHAPES)[number]

/** The narrowest. */
const SMALLEST = SHAPES.filter(([name]) => name.startsWith('small'))

/** In every shape nothing is cut off, sticks out or lies over something else. */
async function fits(me: Person, state: string, shapes: readonly Shape[] = SHAPES): Promise<void> {
  for (const [name, viewport, letters] of shapes) {
    await me.page.setViewportSize(viewport)
    await me.enlarges(letters)
    await me.shootsWhole(`${state}-${name}`)
    expect(await me.misfits(), `${state}, ${name}`).toEqual([])
  }
  expect(await me.violations()).toEqual([])
  await me.enlarges(1)
  await me.page.setViewportSize(DESKTOP)
}

test('an answer and its flow fit at 320 pixels, and with letters twice as large', async () => {
  const me = await theRegular()
  await fits(me, 'shape-answer')
})

test('so do a layer that is kept, a stale answer, notices and leftovers', async () => {
  const me = await theRegular()
  await me.page.getByRole('list', { name: 'Layers' }).getByRole('button').nth(1).click()
  await me.page.getByLabel('What should be found?').fill('a sentence of more words than fit into the field')
  const png = { type: 'text/plain', bytes: Buffer.from('no image') }
  await me.drops([
    { name: 'a-name-without-any-place-to-break-it-that-goes-on-and-on-and-on.png', ...png },
    { name: 'another-name-without-any-place-to-break-it-that-goes-on-and-on.png', ...png },
  ])
  await me.isTold("This image can't be opened")
  await fits(me, 'shape-messages')
})

test('so do the dialogs', async () => {
  const me = await theRegular()
  await me.button(/flowseg-nano/).click()
  await fits(me, 'shape-model', SMALLEST)
  await me.page.keyboard.press('Escape')
  await me.button('Take a photo').click()
  await me.page.getByRole('dialog', { name: 'Take a photo' }).waitFor()
  await fits(me, 'shape-camera', SMALLEST)
})

test("what is chosen, measured or focused can be seen in a person's own colours", async () => {
  const me = await theRegular()
  const { page } = me
  await page.getByRole('list', { name: 'Layers' }).getByRole('button').nth(1).click()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ forcedColors: 'active', colorScheme })
    await me.shootsWhole(`forced-${colorScheme}`)
    const [chosen, others, checked, unchecked, bars] = await page.evaluate(() => {
      const look = (selector: string, ...names: string[]): string[] =>
        [...document.querySelectorAll(selector)].map((element) => {
          const style = getComputedStyle(element)
          return names.map((name) => style.getPropertyValue(name)).join(' ')
        })
      const border = ['outline-style', 'outline-width', 'outline-color']
      return [
        look(
          '#samples [aria-pressed=true], .candidates [aria-pressed=true], .layer[aria-pressed=true]',
          ...border,
        ),
        look(
          '#samples [aria-pressed=false], .candidates [aria-pressed=false], .layer[aria-pressed=false]',
          ...border,
        ),
        look('.modes :checked + span', 'background-color', 'color'),
        look('.modes :not(:checked) + span', 'background-color', 'color'),
        [...document.querySelectorAll('.meter i:first-child, .times .bar')].map((bar) => {
          const around = getComputedStyle(bar.parentElement!).backgroundColor
          const isFilled = getComputedStyle(bar).backgroundColor !== around
          return `${isFilled}`
        }),
      ]
    })
    expect(chosen).toHaveLength(3)
    for (const look of chosen) {
      expect(look).toMatch(/^solid 6px/)
      expect(others).not.toContain(look)
    }
    for (const look of checked) expect(unchecked).not.toContain(look)
    expect(new Set(bars)).toEqual(new Set(['true']))
  }
  await page.emulateMedia({ forcedColors: 'none', colorScheme: 'light' })
  await page.keyboard.press('Escape')
  await me.asks(FIRST)
  await me.sees(FIRST)
})
