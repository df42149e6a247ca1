// Things that people drop, paste and drag here: several images, images with weights or with anything else, folders,
// links, photos that a browser can't read, and images that one can see through.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { encodePng } from '../../src/io/image/image.ts'
import { NANO, ROOT } from '../e2e/cli-harness.ts'
import { FIRST, openHouse, pixelsOf } from './house/house.ts'
import type { Person } from './house/person.ts'
import { serve } from './house/server.ts'

const house = openHouse()
const { theRegular } = house
const folder = mkdtempSync(join(tmpdir(), 'flowseg-dropped-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const bytes = readFileSync(join(ROOT, 'examples/scene.png'))
const image = (name: string) => ({ name, type: 'image/png', bytes })
const text = (name: string) => ({ name, type: 'text/plain', bytes: Buffer.from('some words') })

/** Drops what lies on a disk, as only a browser's own drag does. */
async function dropsPaths(me: Person, paths: readonly string[]): Promise<void> {
  const cdp = await me.context.newCDPSession(me.page)
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    const data = { items: [], files: [...paths], dragOperationsMask: 1 }
    await cdp.send('Input.dispatchDragEvent', { type, x: 400, y: 300, data })
  }
  await cdp.detach()
}

test('of several images the first is opened, and the others can be had', async () => {
  const me = await theRegular()
  await me.drops([image('one.png'), text('words.txt'), image('two.png')])
  await me.looksAt('one.png')
  await me.page.getByText('One image at a time: the first was taken. Not used: words.txt.').waitFor()
  await me.shootsAll('several')
  expect(await me.violations()).toEqual([])
  await me.button('Open two.png').click()
  await me.looksAt('two.png')
  expect(await me.page.getByText('One image at a time').count()).toBe(0)
  expect(await me.page.getByRole('alert').count()).toBe(0)
})

test('an image and weights that are dropped together are both taken', async () => {
  const me = await theRegular()
  await dropsPaths(me, [
    join(ROOT, 'examples/scene.png'),
    ...['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'].map((name) =>
      join(NANO, name),
    ),
  ])
  await me.looksAt('scene.png')
  await me.page.waitForFunction(
    () => document.getElementById('status')?.textContent === 'The image was looked at',
    null,
    { timeout: 180_000 },
  )
  await me.asks(FIRST)
  await me.sees(FIRST)
  expect(await me.page.getByRole('alert').count()).toBe(0)
})

test('a folder of images gives its first, and folders with files are told apart', async () => {
  const me = await theRegular()
  const photos = join(folder, 'photos')
  mkdirSync(photos)
  for (const name of ['a.png', 'b.png']) writeFileSync(join(photos, name), bytes)
  writeFileSync(join(folder, 'notes.txt'), 'some words')
  await dropsPaths(me, [photos])
  await me.looksAt('.png')
  await me.page.getByText('One image at a time').waitFor()
  await dropsPaths(me, [photos, join(folder, 'notes.txt')])
  const notice = await me.isTold("What was dropped can't be opened")
  expect(await notice.textContent()).toContain('A folder was dropped together with files')
})

test('an image that is dragged from another page is fetched where that is allowed, and told where not', async () => {
  const elsewhere = await serve({ '/pictures/': join(ROOT, 'examples'), '/page/': join(ROOT, 'web') })
  const me = await theRegular()
  const url = `${elsewhere.url}/pictures/scene.png`
  await me.dropsLink({ 'text/uri-list': url, 'text/html': `<img src="${url}">` })
  const notice = await me.isTold("This image can't be fetched")
  expect(await notice.textContent()).toContain("doesn't let other pages read its images")
  await me.shootsAll('link')
  expect(await me.violations()).toEqual([])

  elsewhere.isOpen = true
  // In a link, which is what is dragged then
  await me.dropsLink({
    'text/uri-list': `# a comment\r\n${elsewhere.url}/page/index.html`,
    'text/html': `<a href="${elsewhere.url}/page/index.html"><img src="${url}?size=large#top"></a>`,
  })
  await me.looksAt('scene.png')
  await me.asks(FIRST)
  await me.sees(FIRST)
  // A page is no image; neither is what a page may not read
  await me.dropsLink({ 'text/uri-list': `${elsewhere.url}/page/index.html` })
  await me.page.getByText('answers with a page, not with an image').waitFor()
  await me.dropsLink({ 'text/uri-list': `${elsewhere.url}/pictures/none.png` })
  await me.page.getByText('answers 404').waitFor()
  await me.dropsLink({ 'text/uri-list': 'file:///home/somebody/scene.png' })
  await me.page.getByText(`Pages can't read addresses that begin with "file:"`).waitFor()
  await me.dropsLink({
    'text/html': `<img src="data:image/png;base64,${bytes.toString('base64')}">`,
    'text/uri-list': '',
  })
  await me.looksAt('linked image')
  await elsewhere.close()
})

test('a picture that is pasted is opened, but a field takes text that comes with one', async () => {
  const me = await theRegular()
  await me.pastes(image('table.png'), 'the text of a table')
  await me.looksAt('table.png')
  await me.page.getByLabel('What should be found?').focus()
  await me.pastes(image('other.png'), 'the text of a table')
  await me.page.waitForTimeout(300)
  expect(await me.page.locator('#canvas').getAttribute('aria-label')).toContain('table.png')
  await me.pastes(image('alone.png'))
  await me.looksAt('alone.png')
})

test('a HEIC photo is told what to do with it', async () => {
  const me = await theRegular()
  const heic = Buffer.concat([Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'), Buffer.alloc(64)])
  await me.drops([{ name: 'IMG_1.HEIC', type: '', bytes: heic }])
  const notice = await me.isTold("This browser can't read HEIC photos")
  expect(await notice.textContent()).toContain('Save it as a JPEG first')
  await me.shootsAll('heic')
  expect(await me.violations()).toEqual([])
})

test('images that one can see through lie on white, small and large', async () => {
  const me = await theRegular()
  const scene = await pixelsOf(bytes)
  for (const factor of [1, 8]) {
    const [width, height] = [scene.width * factor, scene.height * factor]
    // Black under what is transparent, as drawing programs leave it
    const write = (hidden: readonly number[], alpha: number): Buffer => {
      const rgba = new Uint8Array(width * height * 4)
      for (let y = 0; y < height; y++) {
        const row = rgba.subarray(4 * y * width, 4 * (y + 1) * width)
        const isHidden = y < height / 8
        for (let x = 0; x < width; x++) {
          const from = 3 * (Math.floor(y / factor) * scene.width + Math.floor(x / factor))
          for (let c = 0; c < 3; c++) row[4 * x + c] = isHidden ? hidden[c]! : scene.rgb[from + c]!
          row[4 * x + 3] = isHidden ? alpha : 255
        }
      }
      return Buffer.from(encodePng({ width, height, rgba }))
    }
    const saved: Buffer[][] = []
    for (const [name, buffer] of [
      [`clear-${factor}.png`, write([0, 0, 0], 0)],
      [`white-${factor}.png`, write([255, 255, 255], 255)],
    ] as const) {
      await me.opens({ name, mimeType: 'image/png', buffer })
      const isTold = await me.page.getByText('Its transparent parts lie on white.').isVisible()
      expect(isTold, name).toBe(name.startsWith('clear'))
      if (isTold) await me.shoots(name.replace('.png', ''))
      const answers = await me.answers()
      await me.asks(FIRST)
      await me.answersMore(answers)
      saved.push([(await me.saves('Mask')).bytes, (await me.saves('Overlay')).bytes])
    }
    const [clear, white] = saved
    for (const [i, file] of clear!.entries()) {
      expect(Buffer.compare((await pixelsOf(file)).rgb, (await pixelsOf(white![i]!)).rgb)).toBe(0)
    }
  }
})
