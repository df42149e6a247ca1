// Somebody tests the kernels in the page that is made for it: rows come, can be filtered and stopped, and there is a
// report to copy. What is wrong is seen: a kernel is broken on its way to the driver.

import { expect, test } from 'vitest'
import { FOLDER, openHouse } from './house/house.ts'
import { DESKTOP, type Person, PHONE, SMALL } from './house/person.ts'

const house = openHouse({ permissions: ['clipboard-read', 'clipboard-write'] })

/** Opens the page for one family, which takes some seconds. */
async function opens(me: Person, query: string): Promise<void> {
  await me.page.goto(`${house.host.url}${FOLDER}kernels.html${query}`)
}

async function rowsOf(me: Person): Promise<string[]> {
  return me.page
    .getByRole('row')
    .filter({ hasNot: me.page.getByRole('columnheader') })
    .allInnerTexts()
}

async function isDone(me: Person, text: string | RegExp): Promise<void> {
  await me.page.locator('#summary').getByText(text).waitFor({ timeout: 240_000 })
}

/** The page fits and axe finds nothing, wide and narrow, light and dark. */
async function looksRight(me: Person, state: string): Promise<void> {
  await me.shootsAll(state)
  for (const viewport of [DESKTOP, PHONE, SMALL]) {
    await me.page.setViewportSize(viewport)
    expect(await me.misfits(), state).toEqual([])
    for (const colorScheme of ['dark', 'light'] as const) {
      await me.page.emulateMedia({ colorScheme })
      expect(await me.violations(), `${state}, ${colorScheme}`).toEqual([])
    }
  }
  await me.page.setViewportSize(DESKTOP)
}

test('rows come, are filtered, and the report is copied', async () => {
  const me = await house.nobodyYet()
  await opens(me, '?families=reduce&count=1&seed=7')
  await looksRight(me, 'kernels-before')
  await me.page.getByLabel('Problems each').press('Enter')
  await me.page.getByRole('row').nth(2).waitFor({ timeout: 120_000 })
  await isDone(me, /^Nothing is wrong\. \d+ right, 0 wrong, \d+ do not fit in [\d.]+ s\.$/)
  expect(await me.page.locator('#adapter').innerText()).toMatch(/swiftshader/i)

  const rows = await rowsOf(me)
  expect(rows.length).toBeGreaterThanOrEqual(7)
  for (const op of ['softmax', 'argmax', 'meanRows', 'magnitude']) {
    expect(
      rows.some((row) => row.startsWith('✓ right') && row.includes(op)),
      op,
    ).toBe(true)
  }
  await looksRight(me, 'kernels-done')

  await me.page.getByLabel('Show').selectOption('matmul')
  expect(await rowsOf(me)).toEqual([])
  await me.page.getByText('No rows.').waitFor()
  await me.page.getByLabel('Show').selectOption('reduce')
  expect(await rowsOf(me)).toEqual(rows)
  await me.page.getByLabel('Only what is wrong').check()
  expect(await rowsOf(me)).toEqual([])

  await me.button('Copy the report').click()
  await me.page.getByText('Copied.').waitFor()
  const report = await me.page.evaluate(() => navigator.clipboard.readText())
  expect(report).toMatch(/^flowseg [\d.]+ self-test, seed 7\nadapter {2}.*swiftshader/i)
  expect(report).toMatch(/^\d+ passed, 0 failed, \d+ skipped in /m)
  expect(report).toMatch(/^browser {2}Mozilla\//m)
  expect(me.complaints).toEqual([])
  expect(house.host.reports).toEqual([])
}, 300_000)

test('it is stopped, and what was found so far stays', async () => {
  const me = await house.nobodyYet()
  await opens(me, '?count=50')
  await me.page.getByLabel('Test', { exact: true }).selectOption('elementwise')
  await me.button('Start').click()
  expect(await me.button('Start').isDisabled()).toBe(true)
  await me.page.getByRole('row').nth(1).waitFor({ timeout: 120_000 })
  await me.page.keyboard.press('Enter') // the button to stop has the focus
  await isDone(me, /^Stopped after [\d.]+ s: \d+ right, 0 wrong/)
  expect((await rowsOf(me)).length).toBeGreaterThan(0)
  expect(await me.button('Start').isDisabled()).toBe(false)
  expect(me.complaints).toEqual([])
}, 300_000)

test('a kernel that is wrong is seen', async () => {
  const me = await house.nobodyYet()
  // A driver whose exponential is a little off
  await me.page.addInitScript(`
    const create = GPUDevice.prototype.createShaderModule
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = descriptor.code.replace(/\\bexp\\(/g, '1.01 * exp(')
      return create.call(this, { ...descriptor, code })
    }`)
  await opens(me, '?families=elementwise&count=2')
  await me.button('Start').click()
  await isDone(me, /^\d+ wrong: please report it\./)
  await me.page.getByLabel('Only what is wrong').check()
  const rows = await rowsOf(me)
  expect(rows.length).toBeGreaterThan(0)
  expect(rows.every((row) => row.startsWith('✕ wrong'))).toBe(true)
  expect(await me.page.getByLabel('Text of the report').innerText()).toMatch(
    /^FAILED {3}\w+ f32.*: the error is /m,
  )
  await looksRight(me, 'kernels-wrong')
}, 300_000)

test('numbers that are none are told, and nothing is run', async () => {
  const me = await house.nobodyYet()
  await opens(me, '')
  await me.page.getByLabel('Problems each').fill('0')
  await me.button('Start').click()
  await me.page
    .getByRole('alert')
    .getByText(/^Problems each: /)
    .waitFor()
  expect(await me.button('Stop').isDisabled()).toBe(true)
})

test('the studio leads to it, and back', async () => {
  const me = await house.somebody()
  await me.page.getByRole('link', { name: 'Test the kernels on this device' }).click()
  await me.page.getByRole('heading', { name: 'FlowSeg kernel tests' }).waitFor()
  await me.page.getByRole('link', { name: 'Studio' }).click()
  await me.page.getByRole('heading', { name: 'FlowSeg studio' }).waitFor()
})
