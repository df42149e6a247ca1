// A hub comes to the same in Chromium as in Node (hub.test.ts): the platform follows redirects, and hides their
// headers.

import { expect, test } from 'vitest'
import { commands } from 'vitest/browser'
import { surprisesAt, visitHub } from './hub-visit.ts'

declare module 'vitest/browser' {
  interface BrowserCommands {
    serveHub: () => Promise<string>
  }
}

test('what a client makes of a hub', async () => {
  expect(surprisesAt(await visitHub(await commands.serveHub()))).toEqual([])
})
