// The same in Node and in Deno.

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { surprisesAt, visitHub } from './hub/hub-visit.ts'
import { serveHub } from './hub/local-hub.ts'
import { serveManners } from './manners.ts'
import { surprisesIn, visitManners } from './manners-visit.ts'

const deno = createRequire(import.meta.url).resolve('deno/bin.cjs')
const inDeno =
  (file: string, visit: string) =>
  async (origin: string): Promise<Record<string, string>> => {
    const script = `import { ${visit} } from ${JSON.stringify(join(import.meta.dirname, file))}
    console.log(JSON.stringify(await ${visit}(${JSON.stringify(origin)})))`
    const { stdout } = await promisify(execFile)(process.execPath, [deno, 'eval', script])
    return JSON.parse(stdout) as Record<string, string>
  }

test.each([
  ['Node', visitManners],
  ['Deno', inDeno('manners-visit.ts', 'visitManners')],
] as const)('what a client in %s makes of a server with bad manners', async (_, visit) => {
  expect(surprisesIn(await visit(await serveManners()))).toEqual([])
})

test.each([
  ['Node', visitHub],
  ['Deno', inDeno('hub/hub-visit.ts', 'visitHub')],
] as const)('what a client in %s makes of a hub', async (_, visit) => {
  expect(surprisesAt(await visit(await serveHub()))).toEqual([])
})
