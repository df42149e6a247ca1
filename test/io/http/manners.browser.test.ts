// Bad manners of servers come to the same in Chromium as in Node (http.test.ts, url-source.test.ts): the platform
// follows redirects, hides headers, and has its own errors.

import { expect, test } from 'vitest'
import { commands } from 'vitest/browser'
import { urlSource } from '../../../src/io/http/url-source.ts'
import { surprisesIn, visitManners } from './manners-visit.ts'

declare module 'vitest/browser' {
  interface BrowserCommands {
    serveManners: () => Promise<string>
  }
}

test('what a client makes of a server with bad manners', async () => {
  const origin = await commands.serveManners()
  expect(surprisesIn(await visitManners(origin))).toEqual([])
  // Authorization stayed behind above; a header that would not is refused
  await expect(urlSource(`${origin}/moved`, { headers: { 'x-api-key': 'secret' } })).rejects.toThrow(
    /In a browser only "authorization" may go along/,
  )
})
