// Files that strangers wrote are refused with the same typed errors in Node, in Deno and in Bun, whose inflate, regular
// expressions and files are not the same.

import { expect, test } from 'vitest'
import { inBun, inDeno } from '../runtimes.ts'
import { visitForeign } from './foreign-visit.ts'

const FILE = new URL('foreign-visit.ts', import.meta.url)

test.each([
  ['Node', visitForeign],
  ['Deno', inDeno(FILE, 'visitForeign')],
  ['Bun', inBun(FILE, 'visitForeign')],
] as const)('what %s makes of files that strangers wrote', async (_, visit) => {
  expect(await visit()).toEqual({})
})
