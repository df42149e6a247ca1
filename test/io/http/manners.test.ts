// The same in Node, in Deno and in Bun.

import { expect, test } from 'vitest'
import { inBun, inDeno } from '../runtimes.ts'
import { surprisesAt, visitHub } from './hub/hub-visit.ts'
import { serveHub } from './hub/local-hub.ts'
import { serveManners } from './manners.ts'
import { surprisesIn, visitManners } from './manners-visit.ts'

const MANNERS = new URL('manners-visit.ts', import.meta.url)
const HUB = new URL('hub/hub-visit.ts', import.meta.url)

test.each([
  ['Node', visitManners],
  ['Deno', inDeno(MANNERS, 'visitManners')],
  ['Bun', inBun(MANNERS, 'visitManners')],
] as const)('what a client in %s makes of a server with bad manners', async (_, visit) => {
  expect(surprisesIn(await visit(await serveManners()))).toEqual([])
})

test.each([
  ['Node', visitHub],
  ['Deno', inDeno(HUB, 'visitHub')],
  ['Bun', inBun(HUB, 'visitHub')],
] as const)('what a client in %s makes of a hub', async (_, visit) => {
  expect(surprisesAt(await visit(await serveHub()))).toEqual([])
})
