// The README's snippets do what they say: each block of TypeScript runs in Node, in a project that has installed the
// package, each page of HTML in Chromium; and the commands it names exist.

import { readFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { transformWithOxc } from 'vite'
import { beforeAll, expect, test } from 'vitest'
import { execute, project, ROOT, serve, temporaryFolder, visit, writeFiles } from './consumer.ts'

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')

interface Snippet {
  readonly language: string
  readonly code: string
  /** Of the section it stands in. */
  readonly heading: string
}

const snippets = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match): Snippet => {
  const headings = [...readme.slice(0, match.index).matchAll(/^#+ (.*)$/gm)]
  return { language: match[1]!, code: match[2]!, heading: headings.at(-1)![1]! }
})

/** What a snippet prints or shows; where it says nothing, that it ends well is enough. */
const SAYS: Readonly<Record<string, RegExp>> = {
  'In ten lines': /^\d+ pixels, score [01]\.\d\d$/,
  'In a browser': /^\d+ pixels, score [01]\.\d\d$/,
  'The engine alone': /^0\.5,0\.25$/,
}

let folder = ''
beforeAll(async () => {
  folder = await project()
  // What its paths name lies in the package; in a checkout, at its root
  for (const name of ['weights', 'examples']) {
    await cp(join(folder, 'node_modules/flowseg', name), join(folder, name), { recursive: true })
  }
}, 300_000)

const code = snippets.filter(({ language }) => language === 'ts')

test.each(code)('$heading: the snippet runs in Node', async ({ heading, code }) => {
  // Half a minute of tuning is for people
  const { code: script } = await transformWithOxc(code.replace('seconds: 30', 'seconds: 1'), 'snippet.ts')
  await writeFiles(folder, { 'snippet.mjs': script })
  const home = await temporaryFolder() // for what is remembered
  const said = await execute(process.execPath, ['snippet.mjs'], folder, { XDG_CACHE_HOME: home })
  if (SAYS[heading]) expect(said.trim()).toMatch(SAYS[heading])
  else expect(said).toBe('')
})

const pages = snippets.filter(({ language }) => language === 'html')

test.each(pages)('$heading: the page shows it in Chromium', async ({ heading, code }) => {
  await writeFiles(folder, { 'index.html': code })
  const { text, complaints } = await visit(await serve({ '': folder }))
  expect(complaints).toEqual([])
  expect(text).toMatch(SAYS[heading]!)
})

test('there are snippets of both kinds, and each expectation belongs to one', () => {
  const headings = [...code, ...pages].map(({ heading }) => heading)
  expect(headings).toEqual(expect.arrayContaining(Object.keys(SAYS)))
})

const lines = snippets
  .filter(({ language }) => language === 'sh')
  .flatMap(({ code }) => code.trim().split('\n'))
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }

test.each([...new Set(lines.flatMap((line) => /npx flowseg (\w+)/.exec(line)?.[1] ?? []))])(
  'npx flowseg %s exists',
  async (command) => {
    const bin = join(folder, 'node_modules/flowseg/dist/cli/main.js')
    expect(await execute(process.execPath, [bin, command, '--help'], folder)).toContain(`flowseg ${command}`)
  },
)

test('each npm script that is named exists', () => {
  const named = lines.flatMap((line) =>
    [...line.matchAll(/npm (?:run )?(start|test|[a-z]+:[a-z]+)\b/g)].map(([, name]) => name!),
  )
  expect(named.length).toBeGreaterThan(1)
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining([...new Set(named)]))
})
