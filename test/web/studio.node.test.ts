// The studio as people use it: served by a plain host in a folder of its own under a strict content security policy,
// and driven in a real Chromium on the software driver. What most people do is in tour.node.test.ts.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NANO, ROOT } from '../e2e/cli-harness.ts'
import { DIST } from './house/build.ts'
import { FIRST, FOLDER, openHouse, SECOND } from './house/house.ts'
import { DESKTOP, PHONE } from './house/person.ts'
import { allowLittle, restore, runShort } from './house/scarcity.ts'
import { serve } from './house/server.ts'
import { smoothly } from './house/smooth.ts'

const house = openHouse()
const { somebody, theRegular } = house

test('another candidate can be picked by hand', async () => {
  const me = await theRegular()
  const second = me.page.getByRole('button', { name: /^Candidate 2,/ })
  await second.click()
  await me.page.waitForFunction(() =>
    document.getElementById('status')?.textContent?.startsWith('Candidate 2 for'),
  )
  expect(await me.page.getByRole('button', { name: /^Candidate 2,/ }).getAttribute('aria-pressed')).toBe(
    'true',
  )
  await me.shootsAll('picked')
  expect(await me.violations()).toEqual([])

  // Those that are too many for a glance, by keyboard: the focus goes where they begin
  const more = me.button(/^Show \d+ more of \d+$/)
  await more.focus()
  await me.page.keyboard.press('Enter')
  const next = me.page.getByRole('button', { name: /^Candidate 13,/ })
  await next.waitFor()
  expect(await next.evaluate((tile) => tile === document.activeElement)).toBe(true)
  await me.page.getByText('Candidate 13, before its edge was refined').waitFor()
  await me.page.keyboard.press('Enter')
  await me.page.waitForFunction(() =>
    document.getElementById('status')?.textContent?.includes('Candidate 13 for'),
  )
  expect(await next.getAttribute('aria-pressed')).toBe('true')
  expect(await next.evaluate((tile) => tile === document.activeElement)).toBe(true)
  const tiles = me.page.getByRole('list', { name: 'Candidates' }).getByRole('button')
  while (await more.isVisible()) {
    const shown = await tiles.count()
    await more.click()
    await expect.poll(() => tiles.count()).toBeGreaterThan(shown)
  }
  await me.shootsAll('more')
  expect(await me.violations()).toEqual([])
})

test('a layer of the flow, pointed at or focused, shows its mask', async () => {
  const me = await theRegular()
  const layers = me.page.getByRole('list', { name: 'Layers' }).getByRole('button')
  await layers.nth(4).waitFor() // before, three layers, and the edge, which this answer leaves as it was
  // All of it in view: a page that scrolls takes the layer away from under the mouse
  await me.page.setViewportSize({ width: DESKTOP.width, height: 1800 })
  const canvas = me.page.locator('#canvas-frame')
  await me.shoots('flow-none')
  const before = await canvas.screenshot()
  await layers.nth(0).hover()
  await me.page.getByText('Before layer 1: its mask then').waitFor()
  await me.shoots('flow-hover')
  expect(before.equals(await canvas.screenshot())).toBe(false)
  expect(await me.page.locator('#caption-text').textContent()).toBe('Before layer 1: its mask then')
  expect(await me.button('Back to the answer').isVisible()).toBe(false) // it goes by itself
  await me.page.mouse.move(2, 2)
  await me.page.locator('#caption').waitFor({ state: 'hidden' })

  // The same from the keyboard, and kept with Enter
  await layers.nth(3).focus()
  await me.page.keyboard.press('Tab') // as only the keyboard's focus points
  await me.page.getByText('Hatched: where the edge could move').waitFor()
  await me.page.keyboard.press('Enter')
  expect(await layers.nth(4).getAttribute('aria-pressed')).toBe('true')
  await me.shootsAll('edge')
  expect(await me.violations()).toEqual([])
})

test('the view: pan and zoom by mouse and keyboard, and each way to see the mask', async () => {
  const me = await theRegular()
  const canvas = me.page.locator('#canvas-frame')
  const zoom = me.page.locator('#zoom-value')
  await canvas.focus()
  for (let i = 0; i < 4; i++) await me.page.keyboard.press('+')
  expect(await zoom.textContent()).not.toBe('Fit')
  await me.page.keyboard.press('ArrowRight')
  const box = (await canvas.boundingBox())!
  await me.page.mouse.move(box.x + 200, box.y + 200)
  await me.page.mouse.down()
  await me.page.mouse.move(box.x + 260, box.y + 240, { steps: 4 })
  await me.page.mouse.up()
  await me.page.mouse.wheel(0, -300)
  await me.shoots('zoomed')
  await canvas.focus()
  await me.page.keyboard.press('0')
  expect(await zoom.textContent()).toBe('Fit')
  for (const name of ['Outline', 'Cut-out', 'Side by side']) {
    await me.page.getByRole('radio', { name }).check()
    await me.shoots(`view-${name.toLowerCase().replaceAll(' ', '-')}`)
  }
  await me.page.setViewportSize(PHONE)
  await me.shoots('view-split-phone')
  expect(me.complaints).toEqual([])
})

test('on a phone, two fingers zoom, and a layer that is tapped leads back to the image', async () => {
  const me = await somebody({ viewport: PHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2 })
  await me.sees(FIRST)
  const canvas = me.page.locator('#canvas-frame')
  await canvas.scrollIntoViewIfNeeded()
  const box = (await canvas.boundingBox())!
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  const cdp = await me.context.newCDPSession(me.page)
  const touch = async (type: 'touchStart' | 'touchMove' | 'touchEnd', apart: number): Promise<unknown> => {
    const touchPoints = type === 'touchEnd' ? [] : [x - apart, x + apart].map((at, id) => ({ x: at, y, id }))
    return cdp.send('Input.dispatchTouchEvent', { type, touchPoints })
  }
  await touch('touchStart', 30)
  for (const apart of [40, 60, 80]) await touch('touchMove', apart)
  await touch('touchEnd', 80)
  expect(await me.page.locator('#zoom-value').textContent()).not.toBe('Fit')
  // Nothing sticks out on the side
  expect(await me.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(PHONE.width)
  await me.shoots('pinched')

  await me.page.getByRole('list', { name: 'Layers' }).getByRole('button').first().tap()
  await me.page.getByText('Before layer 1: its mask then').waitFor()
  const { y: top, height } = (await canvas.boundingBox())!
  expect(top).toBeGreaterThanOrEqual(0)
  expect(top + height).toBeLessThanOrEqual(PHONE.height)
  await me.shoots('tapped')
})

test('the model comes from a folder of mine', async () => {
  const me = await theRegular()
  await me.button(/flowseg-nano/).click()
  await me.shootsAll('model')
  expect(await me.violations()).toEqual([])
  const answers = await me.answers()
  await me.page.getByLabel('Folder of weights').setInputFiles(NANO)
  await me.page.waitForFunction(() =>
    document.getElementById('progress-text')?.textContent?.includes('weights'),
  )
  await me.answersMore(answers)
  await me.sees(FIRST) // the same sentence, asked again by itself
  expect(me.complaints).toEqual([])
})

test('a download is cancelled, and goes on where it stopped', async () => {
  const me = await theRegular()
  const path = '/weights/model.safetensors'
  house.host.sent.delete(path)
  house.host.rate = 3e6 // of each request
  const load = async (): Promise<void> => {
    await me.button(/flowseg-nano/).click()
    await me.page.getByLabel('Address of the folder').fill(`${house.host.url}/weights/`)
    await me.button('Load').click()
  }
  await load()
  await expect.poll(() => house.host.sent.get(path) ?? 0, { timeout: 30_000 }).toBeGreaterThan(8e6)
  house.host.rate = 0.2e6 // time to look at it
  await me.shoots('downloading')
  await me.button('Cancel').click()
  const notice = await me.isTold('Loading was cancelled')
  await me.shootsAll('cancelled')
  expect(await me.violations()).toEqual([])
  await expect.poll(() => house.host.busy).toBe(0)
  const before = house.host.sent.get(path) ?? 0
  expect(before).toBeLessThan(19e6)

  house.host.rate = 0
  const answers = await me.answers()
  await notice.getByRole('button', { name: 'Try again' }).click()
  await me.answersMore(answers)
  // Kept blocks did not come again: only the rest, and blocks that were under way
  expect(house.host.sent.get(path)! - before).toBeLessThan(18e6)
  expect(me.complaints).toEqual([])
})

test('a connection that breaks is said so; after the first visit the page opens without one', async () => {
  const own = await serve({ [FOLDER]: DIST })
  const me = await house.nobodyYet()
  const cut = '**/*.safetensors'
  await me.page.route(cut, (route) => route.abort())
  await me.page.goto(own.url + FOLDER)
  const notice = await me.isTold('The model could not be downloaded')
  await me.page.unroute(cut)
  await notice.getByRole('button', { name: 'Try again' }).click()
  await me.sees(FIRST)
  await me.keepsAll()
  // Nothing was downloaded twice
  for (const [path, bytes] of own.sent) if (path.endsWith('.safetensors')) expect(bytes).toBeLessThan(21e6)
  await own.close()
  await me.context.setOffline(true)
  await me.page.reload()
  await me.sees(FIRST)
  await me.shoots('offline')
})

test('a download that breaks off is told as that, and goes on where it stopped', async () => {
  const own = await serve({ [FOLDER]: DIST })
  own.breakAfter = 6e6
  const me = await somebody({}, own)
  const notice = await me.isTold('The download broke off')
  expect(await notice.textContent()).toMatch(/\d(\.\d)? MB of 20 MB have come/)
  await me.shootsAll('broken-off')
  expect(await me.violations()).toEqual([])
  const sum = (): number => {
    const weights = [...own.sent].filter(([path]) => path.endsWith('.safetensors'))
    return weights.reduce((total, [, bytes]) => total + bytes, 0)
  }
  expect(sum()).toBeLessThan(8e6)
  own.breakAfter = 0
  await notice.getByRole('button', { name: 'Try again' }).click()
  await me.sees(FIRST)
  expect(sum()).toBeLessThan(22e6) // 20.1, and what was under way
  await own.close()
})

test('a device that is lost is said so, and comes back with image and sentence', async () => {
  const me = await theRegular()
  const worker = await me.modelWorker()
  await worker.evaluate(() => {
    const { studio } = globalThis as unknown as { studio: { model: { gpu: { device: GPUDevice } } } }
    studio.model.gpu.device.destroy()
  })
  const notice = await me.isTold('The graphics device was lost')
  await me.shootsAll('lost')
  expect(await me.violations()).toEqual([])
  const answers = await me.answers()
  await notice.getByRole('button', { name: 'Try again' }).click()
  await me.answersMore(answers)
  await me.sees(FIRST)
})

test('too little memory is said so, and limits that are too small; each has a way on', async () => {
  const me = await theRegular()
  const folder = me.page.getByLabel('Folder of weights')
  const worker = await me.modelWorker()

  // Room for the weights in 4 bits, as they are stored not
  await worker.evaluate(runShort, 25e6)
  await folder.setInputFiles(NANO)
  let notice = await me.isTold('Not enough graphics memory')
  await me.shootsAll('no-memory')
  expect(await me.violations()).toEqual([])
  // The model that was there has made room in vain
  await notice.getByRole('button', { name: 'Close' }).click()
  await me.asks(SECOND)
  notice = await me.isTold('Not enough graphics memory')
  // Looking takes memory too: what was tried isn't offered again
  await notice.getByRole('button', { name: 'Load in 4 bits' }).click()
  notice = await me.isTold('Not enough graphics memory')
  expect(await notice.getByRole('button').allTextContents()).toEqual(['Use the embedded model', 'Close'])
  await worker.evaluate(restore)
  await notice.getByRole('button', { name: 'Use the embedded model' }).click()
  await me.sees(SECOND)

  // An adapter whose buffers are smaller than the model's
  await worker.evaluate(allowLittle, 2 ** 16)
  await folder.setInputFiles(NANO)
  notice = await me.isTold('Too large for this graphics adapter')
  await worker.evaluate(restore)
  await me.shootsAll('too-large')
  expect(await me.violations()).toEqual([])
  await me.asks(FIRST) // of the model that is still there
  await me.sees(FIRST)
  expect(await notice.getByRole('button').allTextContents()).toContain('Use the embedded model')
})

test('a browser without WebGPU is told so, and one without an adapter, a worker, a secure address', async () => {
  for (const [title, name, url, lacks] of [
    ['No graphics adapter', 'no-adapter', house.host.url, 'GPU.prototype.requestAdapter = async () => null'],
    [
      'This browser has no WebGPU',
      'no-webgpu',
      house.host.url,
      'delete globalThis.WorkerNavigator?.prototype.gpu; delete globalThis.Navigator?.prototype.gpu',
    ],
    [
      'The studio could not start',
      'no-worker',
      house.host.url,
      'if (globalThis.name === "model") throw new Error("of no use")',
    ],
    [
      'This page needs a secure address',
      'not-secure',
      house.host.url.replace('localhost', 'studio.test'),
      '',
    ],
  ] as const) {
    house.host.sent.clear()
    const me = await house.nobodyYet()
    if (lacks) await me.everywhere(lacks)
    await me.page.goto(url + FOLDER)
    await me.isTold(title)
    await me.shootsAll(name)
    expect(await me.violations(), name).toEqual([])
    // Nothing large was downloaded for nothing, and the image is there all the same
    expect(
      [...house.host.sent.keys()].filter((path) => path.endsWith('.safetensors')),
      name,
    ).toEqual([])
    if (name !== 'no-worker') await me.looksAt('scene-22.png')
  }
})

/** A JPEG whose camera was held on its side: EXIF orientation 6, a quarter to the right. */
function turned(jpeg: Buffer): Buffer {
  const tiff = Buffer.from(
    '4d4d002a00000008 0001 0112 0003 00000001 00060000 00000000'.replaceAll(' ', ''),
    'hex',
  )
  const exif = Buffer.concat([Buffer.from('Exif\0\0'), tiff])
  const head = Buffer.from([0xff, 0xd8, 0xff, 0xe1, 0, exif.length + 2])
  return Buffer.concat([head, exif, jpeg.subarray(2)])
}

test('a photograph of 30 megapixels, taken on its side', async () => {
  const me = await theRegular()
  const photo = await me.page.evaluate(async () => {
    const canvas = new OffscreenCanvas(6720, 4480)
    const context = canvas.getContext('2d')!
    for (let i = 0; i < 60; i++) {
      context.fillStyle = `hsl(${i * 37} 60% 55%)`
      context.fillRect((i % 10) * 672, Math.floor(i / 10) * 747, 672, 747)
    }
    const bytes = new Uint8Array(
      await (await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.8 })).arrayBuffer(),
    )
    let text = ''
    for (let i = 0; i < bytes.length; i += 30_000)
      text += String.fromCharCode(...bytes.subarray(i, i + 30_000))
    return btoa(text)
  })
  const buffer = turned(Buffer.from(photo, 'base64'))
  await smoothly(me, async (attempt) => {
    const name = `large-${attempt}.jpg`
    await me.opens({ name, mimeType: 'image/jpeg', buffer }, `${name}, 4480 by 6720`)
    const sentence = ['the blue shape', 'the green shape'][attempt]!
    await me.asks(sentence)
    await me.page.waitForFunction(
      (text) => document.getElementById('status')?.textContent?.includes(text),
      sentence,
      { timeout: 120_000 },
    )
  })
  await me.shoots('large')
})

test('an image is pasted, and one is photographed', async () => {
  const me = await theRegular()
  await me.button('Take a photo').click()
  await me.page.getByRole('dialog', { name: 'Take a photo' }).waitFor()
  await me.page.waitForFunction(
    () => (document.getElementById('camera-video') as HTMLVideoElement).videoWidth > 0,
  )
  await me.button('Take it').click()
  await me.looksAt('photo,')

  const base64 = (await readFile(join(ROOT, 'examples/scene.png'))).toString('base64')
  await me.page.evaluate((text) => {
    const clipboardData = new DataTransfer()
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
    clipboardData.items.add(new File([bytes], 'clip.png', { type: 'image/png' }))
    document.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
  }, base64)
  await me.looksAt('clip.png')
})
