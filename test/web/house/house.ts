// The house of the studio's tests: a plain host serves the studio in a folder of its own, under the policy that the
// README gives, and there is a browser. One per test file. Vitest builds the studio before all of them (build.ts).

import { type Browser, chromium } from 'playwright'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { decodeImage, type Image } from '../../../src/index.ts'
import { launchOptions } from '../../../tools/chromium.ts'
import { NANO } from '../../e2e/cli-harness.ts'
import { DIST } from './build.ts'
import { Person } from './person.ts'
import { type Host, serve } from './server.ts'

export const FOLDER = '/some/where/'
/** The sentence of the sample that the studio opens with, and another one of its. */
export const FIRST = 'the dotted shape'
export const SECOND = 'what keeps you dry in the rain'

/** A camera, and an address that isn't secure. */
const FAKES = [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--host-resolver-rules=MAP studio.test 127.0.0.1',
]

/** Pixels of a file. */
export async function pixelsOf(bytes: Uint8Array): Promise<Image> {
  return decodeImage(bytes)
}

type Options = Parameters<typeof Person.at>[2]

export interface House {
  readonly host: Host
  readonly browser: Browser
  /** Somebody whose browser has never been here. */
  readonly somebody: (options?: Options, at?: Host) => Promise<Person>
  /** The same before the page is opened. */
  readonly nobodyYet: () => Promise<Person>
  /** The regular, with the first sample and its sentence answered, whatever there was before. */
  readonly theRegular: () => Promise<Person>
  /** From now on the regular is who came last. */
  readonly lastStays: () => void
  /**
   * Somebody who chose this folder of weights, with the first sample and its sentence answered. The next time it's the
   * same person, who loaded them already.
   */
  readonly ownerOf: (folder: string) => Promise<Person>
}

/**
 * Opens it before a file's tests, and closes it after them.
 *
 * @param usual how people's browsers are set up, unless a test says otherwise
 */
export function openHouse(usual: Options = {}): House {
  let browser: Browser
  let host: Host
  /** Those who leave after a test. */
  const people: Person[] = []
  /** A person that stays for all tests: loading the model anew for each would take a minute and a half. */
  let regular: Person | undefined
  /** The others who stay, by their folder of weights. */
  const owners = new Map<string, Person>()

  beforeAll(async () => {
    host = await serve({ [FOLDER]: DIST, '/weights/': NANO })
    const { args, ...options } = launchOptions()
    browser = await chromium.launch({ ...options, args: [...args, ...FAKES] })
  }, 300_000)

  afterEach(async ({ task }) => {
    Object.assign(host, { rate: 0, breakAfter: 0, maxAge: 0, isDown: false, gate: undefined })
    // A failure may have left the page in any state
    if (task.result?.state === 'fail') {
      people.push(...[regular, ...owners.values()].filter((person) => person !== undefined))
      regular = undefined
      owners.clear()
    }
    await Promise.all(people.splice(0).map((person) => person.leaves()))
  })

  afterAll(async () => {
    await browser?.close()
    await host?.close()
  })

  const arrive = async (url: string, options?: Options): Promise<Person> => {
    const person = await Person.at(browser, url, { ...usual, ...options })
    people.push(person)
    return person
  }

  return {
    get host() {
      return host
    },
    get browser() {
      return browser
    },
    somebody: (options, at = host) => arrive(at.url + FOLDER, options),
    nobodyYet: () => arrive('about:blank'),
    async theRegular() {
      if (regular) await regular.startsOver(FIRST)
      else {
        regular = await Person.at(browser, host.url + FOLDER, usual)
        await regular.sees(FIRST)
      }
      return regular
    },
    lastStays() {
      regular = people.pop()
    },
    async ownerOf(folder) {
      const present = owners.get(folder)
      if (present) {
        await present.startsOver(FIRST)
        return present
      }
      const me = await Person.at(browser, host.url + FOLDER, usual)
      owners.set(folder, me)
      await me.choosesWeights(folder)
      return me
    },
  }
}
