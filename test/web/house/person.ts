// Somebody at the studio: opens it, looks at what it shows, and uses it by what things are called.

import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page, Worker } from 'playwright'
import { ROOT } from '../../e2e/cli-harness.ts'

const SHOTS = join(ROOT, 'out/studio')
/** FLOWSEG_PICTURES=0 where nobody looks at them: one takes a second of a processor that draws. */
const TAKES_PICTURES = process.env['FLOWSEG_PICTURES'] !== '0'
if (TAKES_PICTURES) mkdirSync(SHOTS, { recursive: true })

export const DESKTOP = { width: 1280, height: 860 }
export const PHONE = { width: 390, height: 760 }
export const SMALL = { width: 320, height: 640 }

export interface LongTask {
  readonly duration: number
  readonly at: number
}

export class Person {
  readonly page: Page
  readonly context: BrowserContext
  /** Warnings and errors on the page's console. */
  readonly complaints: string[] = []

  private constructor(page: Page, context: BrowserContext) {
    this.page = page
    this.context = context
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(message.text())
    })
    page.on('pageerror', (error) => this.complaints.push(String(error)))
  }

  static async at(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Person> {
    const context = await browser.newContext({ viewport: DESKTOP, reducedMotion: 'reduce', ...options })
    const page = await context.newPage()
    await page.addInitScript(() => {
      const tasks: LongTask[] = []
      Object.assign(globalThis, { longTasks: tasks })
      new PerformanceObserver((list) => {
        for (const { duration, startTime } of list.getEntries()) tasks.push({ duration, at: startTime })
      }).observe({ type: 'longtask', buffered: true })
    })
    const person = new Person(page, context)
    await page.goto(url)
    return person
  }

  /** The tasks of more than 50 ms since the last time. */
  async longTasks(): Promise<LongTask[]> {
    return this.page.evaluate(() => {
      const { longTasks } = globalThis as unknown as { longTasks: LongTask[] }
      return longTasks.splice(0)
    })
  }

  /**
   * Chooses weights as soon as there is a page, so that the embedded ones are given up, and waits for the answer to the
   * first sample's sentence.
   */
  async choosesWeights(folder: string): Promise<void> {
    const { page } = this
    const { name } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as { name: string }
    await page.getByRole('list', { name: 'Samples' }).getByRole('button').first().waitFor()
    await page.getByLabel('Folder of weights').setInputFiles(folder)
    await page.locator('#model-name').getByText(name, { exact: true }).waitFor({ timeout: 180_000 })
    await page.waitForFunction(
      () => {
        const last = (mark: string): number => performance.getEntriesByName(mark).at(-1)?.startTime ?? 0
        return last('flowseg:answer') > last('flowseg:ask')
      },
      null,
      { timeout: 180_000 },
    )
    await this.seesAll()
  }

  /** Asks for the first sample and its sentence again, from whatever state. */
  async startsOver(sentence: string): Promise<void> {
    const { page } = this
    await page.setViewportSize(DESKTOP)
    await page.emulateMedia({ colorScheme: 'light' })
    await this.enlarges(1)
    await page.keyboard.press('Escape')
    const notice = page.getByRole('alert').getByRole('button', { name: 'Close' })
    if (await notice.isVisible()) await notice.click()
    await page.getByRole('tab', { name: 'Sentence' }).click()
    await page.getByLabel('All of them').uncheck()
    for (const name of ['Box', 'Like it']) {
      const button = page.getByRole('button', { name, exact: true })
      if ((await button.getAttribute('aria-pressed')) === 'true') await button.click()
    }
    const answers = await this.answers()
    const sample = page.getByRole('list', { name: 'Samples' }).getByRole('button').first()
    if ((await sample.getAttribute('aria-pressed')) === 'true') await this.asks(sentence)
    else await sample.click()
    await this.answersMore(answers)
    await this.sees(sentence)
    await page.getByRole('radio', { name: 'Overlay' }).check()
    await page.getByRole('button', { name: 'Show all of the image' }).click()
    await page.mouse.move(2, 2)
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur())
    await this.longTasks()
    this.complaints.length = 0
  }

  /** The number of answers so far. */
  async answers(): Promise<number> {
    return this.page.evaluate(() => performance.getEntriesByName('flowseg:answer').length)
  }

  async answersMore(than: number): Promise<void> {
    await this.page.waitForFunction(
      (count) => performance.getEntriesByName('flowseg:answer').length > count,
      than,
      { timeout: 180_000 },
    )
  }

  /** Waits for an answer to a sentence, and all that is told of it. */
  async sees(sentence: string): Promise<void> {
    await this.page.waitForFunction(
      (text) => document.getElementById('status')?.textContent?.includes(`Found ${text},`),
      sentence,
      { timeout: 180_000 },
    )
    await this.seesAll()
  }

  /** Waits until everything about the latest answer is on the page. */
  async seesAll(): Promise<void> {
    await this.page.waitForFunction(() => {
      const last = (name: string): number => performance.getEntriesByName(name).at(-1)?.startTime ?? 0
      return last('flowseg:shown') >= last('flowseg:answer')
    })
  }

  /** Waits until everything is kept for a visit without a network. */
  async keepsAll(): Promise<void> {
    await this.page.getByText('It works offline from now on.').waitFor({ timeout: 180_000 })
  }

  async asks(sentence: string): Promise<void> {
    const field = this.page.getByLabel('What should be found?')
    await field.fill(sentence)
    await field.press('Enter')
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole('button', { name })
  }

  /** A notice with this title. */
  async isTold(title: string | RegExp, timeout = 180_000): Promise<Locator> {
    const notice = this.page
      .getByRole('alert')
      .filter({ has: this.page.getByRole('heading', { name: title }) })
    await notice.waitFor({ timeout })
    return notice
  }

  /** Opens an image file, and waits until it is there. */
  async opens(
    file: { readonly name: string; readonly mimeType: string; readonly buffer: Buffer },
    title = file.name,
  ): Promise<void> {
    await this.page.getByLabel('Image file').setInputFiles(file)
    await this.looksAt(title)
  }

  /** Waits until an image with this in its title is on the canvas. */
  async looksAt(title: string): Promise<void> {
    await this.page.waitForFunction(
      (text) => document.getElementById('canvas')?.getAttribute('aria-label')?.includes(text),
      title,
      { timeout: 180_000 },
    )
  }

  async saves(what: string): Promise<{ readonly name: string; readonly bytes: Buffer }> {
    const waiting = this.page.waitForEvent('download')
    await this.page.getByRole('group', { name: 'Save' }).getByRole('button', { name: what }).click()
    const download = await waiting
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) }
  }

  /** Drops files on the page. */
  async drops(
    files: readonly { readonly name: string; readonly type: string; readonly bytes: Uint8Array }[],
  ): Promise<void> {
    const encoded = files.map(({ name, type, bytes }) => ({
      name,
      type,
      base64: Buffer.from(bytes).toString('base64'),
    }))
    const transfer = await this.page.evaluateHandle(async (files) => {
      const data = new DataTransfer()
      for (const { name, type, base64 } of files) {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
        data.items.add(new File([bytes], name, { type }))
      }
      return data
    }, encoded)
    for (const type of ['dragenter', 'dragover', 'drop']) {
      await this.page.dispatchEvent('body', type, { dataTransfer: transfer })
    }
  }

  /** Drops what is dragged from another page: addresses, and a piece of that page. */
  async dropsLink(data: Readonly<Record<string, string>>): Promise<void> {
    const transfer = await this.page.evaluateHandle((texts) => {
      const transferred = new DataTransfer()
      for (const [type, text] of Object.entries(texts)) transferred.setData(type, text)
      return transferred
    }, data)
    for (const type of ['dragenter', 'dragover', 'drop']) {
      await this.page.dispatchEvent('body', type, { dataTransfer: transfer })
    }
  }

  /** Pastes files, and text with them, wherever the focus is. */
  async pastes(
    { name, type, bytes }: { readonly name: string; readonly type: string; readonly bytes: Uint8Array },
    text?: string,
  ): Promise<void> {
    await this.page.evaluate(
      ({ base64, ...file }) => {
        const clipboardData = new DataTransfer()
        const data = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
        clipboardData.items.add(new File([data], file.name, { type: file.type }))
        if (file.text !== undefined) clipboardData.setData('text/plain', file.text)
        const event = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })
        document.activeElement?.dispatchEvent(event)
      },
      { name, type, text, base64: Buffer.from(bytes).toString('base64') },
    )
  }

  /**
   * Makes all letters so many times their size: what people set in their browser reaches the page by the root's size.
   */
  async enlarges(factor: number): Promise<void> {
    await this.page.evaluate((times) => {
      const { style } = document.documentElement
      style.fontSize = ''
      const usual = Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
      if (times !== 1) style.fontSize = `${usual * times}px`
    }, factor)
  }

  /** Names a thing on the page that sticks out of the window, is cut off, or lies over another one. */
  async misfits(): Promise<string[]> {
    return this.page.evaluate(() => {
      const faults: string[] = []
      const name = (element: Element): string =>
        `${element.tagName.toLowerCase()}${element.id && `#${element.id}`} ${(element.textContent ?? '').trim().slice(0, 30)}`
      const root = document.documentElement
      if (root.scrollWidth > innerWidth) faults.push(`the page is ${root.scrollWidth} wide`)
      const modal = document.querySelector('dialog[open]')
      const isSeen = (element: Element): boolean => {
        if (!element.checkVisibility() || element.closest('.hidden, .skip')) return false
        return modal ? modal.contains(element) : true
      }
      // An element that scrolls sideways on purpose shows the rest when it is scrolled
      const scrolls = (element: Element): boolean => {
        for (let at: Element | null = element; at && at !== document.body; at = at.parentElement) {
          if (/auto|scroll/.test(getComputedStyle(at).overflowX) && at.tagName !== 'DIALOG') return true
        }
        return false
      }
      const words = 'h1, h2, h3, p, dt, dd, label, legend, summary, figcaption, button, a, span, text'
      for (const element of document.querySelectorAll(`${words}, input, select, progress`)) {
        if (!isSeen(element)) continue
        const box = element.getBoundingClientRect()
        if (!scrolls(element) && (box.left < -0.5 || box.right > innerWidth + 0.5)) {
          faults.push(`sticks out: ${name(element)}`)
        }
        const em = Number.parseFloat(getComputedStyle(element).fontSize)
        if (
          element.matches('dt, dd, p, button, h2, h3') &&
          box.width < 3 * em &&
          box.height > 4 * box.width
        ) {
          faults.push(`is squeezed: ${name(element)}`)
        }
        const { overflowX, overflowY } = getComputedStyle(element)
        const isCut =
          (overflowX !== 'visible' && element.scrollWidth > element.clientWidth + 1) ||
          (overflowY !== 'visible' && element.scrollHeight > element.clientHeight + 1)
        if (isCut && !/auto|scroll/.test(overflowX) && element.matches('button, span, p')) {
          faults.push(`is cut off: ${name(element)}`)
        }
      }
      // Things to press: none over another, but what lies on the canvas on purpose
      const controls = [...document.querySelectorAll('button, input:not([type=radio]), select, .modes label')]
        .filter((element) => isSeen(element) && !scrolls(element))
        .map((element) => ({ element, box: element.getBoundingClientRect() }))
      controls.forEach(({ element, box }, i) => {
        for (const other of controls.slice(i + 1)) {
          const across = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left)
          const down = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top)
          if (across > 1 && down > 1 && !element.contains(other.element)) {
            faults.push(`${name(element)} lies over ${name(other.element)}`)
          }
        }
      })
      return faults
    })
  }

  /** Runs a script before any other, in pages and in workers. */
  async everywhere(script: string): Promise<void> {
    await this.page.addInitScript(script)
    await this.page.route('**/assets/worker-*.js', async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, body: `${script};${await response.text()}` })
    })
  }

  /** The worker that has the model. */
  async modelWorker(): Promise<Worker> {
    for (const worker of this.page.workers()) {
      if (await worker.evaluate(() => 'studio' in globalThis)) return worker
    }
    throw new Error('no worker has the model')
  }

  async shoots(name: string): Promise<void> {
    await this.#shoots(name, false)
  }

  /** All of the page, however long. */
  async shootsWhole(name: string): Promise<void> {
    await this.#shoots(name, true)
  }

  async #shoots(name: string, fullPage: boolean): Promise<void> {
    await this.settles()
    if (TAKES_PICTURES) await this.page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage })
  }

  /**
   * The whole page as this state looks on a desktop, and with FLOWSEG_RECORD=1 in all four: desktop and phone, light
   * and dark.
   */
  async shootsAll(name: string): Promise<void> {
    const isRecorded = Boolean(process.env['FLOWSEG_RECORD'])
    const screens = [
      ['desktop', DESKTOP],
      ['phone', PHONE],
    ] as const
    for (const [width, viewport] of isRecorded ? screens : screens.slice(0, 1)) {
      await this.page.setViewportSize(viewport)
      for (const colorScheme of isRecorded ? (['light', 'dark'] as const) : (['light'] as const)) {
        await this.page.emulateMedia({ colorScheme })
        await this.shootsWhole(`${name}-${width}-${colorScheme}`)
      }
    }
    await this.page.emulateMedia({ colorScheme: 'light' })
    await this.page.setViewportSize(DESKTOP)
  }

  /** Until everything that was asked for is on the screen. */
  private async settles(): Promise<void> {
    const frames = (): Promise<void> =>
      this.page.evaluate(
        () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))),
      )
    await frames() // observers have their turn
    await this.page.waitForFunction(
      () =>
        // The page of the kernel tests has no canvas
        document.querySelector('#canvas-frame:not([data-frame="drawn"])') === null &&
        [...document.images].every(({ complete }) => complete),
    )
    await frames()
  }

  /** The violations that axe-core finds on the page as it is, in short. */
  async violations(): Promise<string[]> {
    const { violations } = await new AxeBuilder({ page: this.page }).analyze()
    return violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`,
    )
  }

  async leaves(): Promise<void> {
    await this.context.close()
  }
}
