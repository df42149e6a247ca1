// The same in Node and in Deno.

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { serveManners } from './manners.ts'
import { surprisesIn, visitManners } from './manners-visit.ts'

const deno = createRequire(import.meta.url).resolve('deno/bin.cjs')
const inDeno = async (origin: string): Promise<Record<string, string>> => {
  const module = join(import.meta.dirname, 'manners-visit.ts')
  const script = `import { visitManners } from ${JSON.stringify(module)}
    console.log(JSON.stringify(await visitManners(${JSON.stringify(origin)})))`
  const { stdout } = await promisify(execFile)(process.execPath, [deno, 'eval', script])
  return JSON.parse(stdout) as Record<string, string>
}

test.each([
  ['Node', visitManners],
  ['Deno', inDeno],
] as const)('what a client in %s makes of a server with bad manners', async (_, visit) => {
  expect(surprisesIn(await visit(await serveManners()))).toEqual([])
})
