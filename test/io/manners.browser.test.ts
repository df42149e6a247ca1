// Bad manners of servers come to the same in Chromium as in Node (http.test.ts, url-source.test.ts): the platform follows
// redirects, hides headers, and has its own errors.

import { expect, test } from 'vitest'
import { commands } from 'vitest/browser'
import { urlSource } from '../../src/io/url-source.ts'
import { EXPECTED, OPTIONAL, visitManners } from './manners-visit.ts'

declare module 'vitest/browser' {
  interface BrowserCommands {
    serveManners: () => Promise<string>
  }
}

test('what a client makes of a server with bad manners', async () => {
  const origin = await commands.serveManners()
  const results = await visitManners(origin)
  for (const [path, expected] of Object.entries(EXPECTED)) {
    if (typeof expected === 'string') expect(results[path], path).toBe(expected)
    else expect(results[path], path).toMatch(expected)
  }
  for (const path of OPTIONAL) expect(results[`optional ${path}`], path).toBe('not there')
  // Authorization stayed behind above; a header that would not is refused
  await expect(urlSource(`${origin}/moved`, { headers: { 'x-api-key': 'secret' } })).rejects.toThrow(
    /In a browser only "authorization" may go along/,
  )
})
