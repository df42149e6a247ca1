// The README's snippets do what they say: each block of TypeScript runs in Node, in a project that has installed the
// package, the first in Deno too, each page of HTML in Chromium; and the commands it names exist.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { transformWithOxc } from 'vite'
import { beforeAll, expect, test } from 'vitest'
import { execute, project, ROOT, serve, start, temporaryFolder, visit, writeFiles } from './consumer.ts'

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

/** The output of a snippet; one that states none only has to end well. */
const SAYS: Readonly<Record<string, RegExp>> = {
  'In ten lines': /^\d+ pixels, score [01]\.\d\d$/,
  'Other questions': /^false\n2\ntrue\n1\ncactus,cactus,pencil,umbrella\nYellow\.\n6$/,
  'In a browser': /^\d+ pixels, score [01]\.\d\d$/,
  'Masks for other tools': /^true true$/,
  'The engine alone': /^0\.5,0\.25$/,
  'Test the kernels on your adapter': /^5 passed, 0 failed$/,
}

let folder = ''
beforeAll(async () => {
  folder = await project() // empty but for the package
}, 300_000)

const SERVER = 'On a server'
const code = snippets.filter(({ language }) => language === 'ts')

test.each(code.filter(({ heading }) => heading !== SERVER))(
  '$heading: the snippet runs in Node',
  async ({ heading, code }) => {
    // Half a minute of tuning is for people
    const { code: script } = await transformWithOxc(code.replace('seconds: 30', 'seconds: 1'), 'snippet.ts')
    await writeFiles(folder, { 'snippet.mjs': script })
    const home = await temporaryFolder() // for the choices of kernels that are kept
    const said = await execute(process.execPath, ['snippet.mjs'], folder, { XDG_CACHE_HOME: home })
    if (SAYS[heading]) expect(said.trim()).toMatch(SAYS[heading])
    else expect(said).toBe('')
  },
)

test('Test the kernels on your adapter: the line for Deno runs', async () => {
  const [, line] = /^deno eval "(.*)"$/m.exec(readme)!
  await writeFiles(folder, { 'deno.json': JSON.stringify({ nodeModulesDir: 'manual' }) })
  const deno = join(ROOT, 'node_modules/deno/bin.cjs')
  // One op, as all take minutes
  const short = line!.replace('openGpu()', "openGpu(), { ops: ['greater'] }")
  const said = await execute(process.execPath, [deno, 'eval', short], folder)
  expect(said).toMatch(/^3 passed, 0 failed, 0 skipped in /m)
})

test('In ten lines: the snippet runs in Deno as it is', async () => {
  const { code: snippet, heading } = code.find((one) => one.heading === 'In ten lines')!
  await writeFiles(folder, {
    'ten-lines.ts': snippet,
    'deno.json': JSON.stringify({ nodeModulesDir: 'manual' }),
  })
  const deno = join(ROOT, 'node_modules/deno/bin.cjs')
  const said = await execute(process.execPath, [deno, 'run', '-A', 'ten-lines.ts'], folder)
  expect(said.trim()).toMatch(SAYS[heading]!)
}, 300_000)

test('the server answers many at once, and says whose fault it is', async () => {
  const { code: recipe } = code.find(({ heading }) => heading === SERVER)!
  const listening = recipe.replace(
    'server.listen(8080)',
    'server.listen(0, () => console.log(server.address().port))',
  )
  expect(listening).not.toBe(recipe)
  const { code: script } = await transformWithOxc(listening, 'server.ts')
  await writeFiles(folder, { 'server.mjs': script })
  const { address, stop } = await start('server.mjs', folder)
  try {
    const image = readFileSync(join(ROOT, 'examples/scene.png'))
    const ask = async (sentence: string, body: Uint8Array = image) => {
      const query = new URLSearchParams({ sentence })
      const response = await fetch(`${address}/?${query}`, { method: 'POST', body: Uint8Array.from(body) })
      return { status: response.status, text: await response.text() }
    }
    const [dotted, umbrella] = ['the dotted shape', 'what keeps you dry in the rain']
    const alone = [await ask(dotted), await ask(umbrella)]
    for (const { status, text } of alone) {
      expect(status, text).toBe(200)
      expect((JSON.parse(text) as { score: number }).score).toBeGreaterThan(0.5)
    }
    expect(alone[0]).not.toEqual(alone[1])
    const wanted = Array.from({ length: 4 }, (_, i) => i % 2)
    const together = await Promise.all(wanted.map((i) => ask([dotted, umbrella][i]!)))
    expect(together).toEqual(wanted.map((i) => alone[i]))
    expect(await ask('')).toMatchObject({
      status: 400,
      text: expect.stringContaining('The sentence is empty'),
    })
    expect((await ask(dotted, Uint8Array.of(1, 2, 3))).status).toBe(400)
  } finally {
    stop()
  }
}, 300_000)

const tsc = (version: string): string => join(ROOT, 'node_modules', version, 'bin/tsc')

test.each(['typescript-5', 'typescript'])(
  'the snippets are right by %s, libraries checked or not',
  async (version) => {
    const names = code.map((_, i) => `snippet-${i}.ts`)
    await writeFiles(
      folder,
      Object.fromEntries(code.map(({ code }, i) => [names[i]!, `${code}\nexport {}\n`])),
    )
    // Of Node's types they need files and the server
    const types = join(ROOT, 'node_modules/@types/node')
    for (const skipLibCheck of [false, true]) {
      const compilerOptions = {
        target: 'es2023',
        lib: ['es2023'],
        module: 'nodenext',
        strict: true,
        skipLibCheck,
        noEmit: true,
        types: [types],
      }
      await writeFiles(folder, { 'tsconfig.json': JSON.stringify({ compilerOptions, files: names }) })
      const said = await execute(process.execPath, [tsc(version), '-p', 'tsconfig.json'], folder).catch(
        (error: { stdout: string }) => error.stdout,
      )
      expect(said).toBe('')
    }
  },
)

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

test('each command that is named exists', async () => {
  const named = new Set(lines.flatMap((line) => /npx flowseg (\w+)/.exec(line)?.[1] ?? []))
  expect(named.size).toBeGreaterThan(5)
  const bin = join(folder, 'node_modules/flowseg/dist/cli/main.js')
  const help = await execute(process.execPath, [bin, '--help'], folder)
  for (const command of named) expect(help).toMatch(new RegExp(`^  ${command} `, 'm'))
})

test('each npm script that is named exists', () => {
  const named = lines.flatMap((line) =>
    [...line.matchAll(/npm (?:run )?(start|test|[a-z]+:[a-z]+)\b/g)].map(([, name]) => name!),
  )
  expect(named.length).toBeGreaterThan(1)
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining([...new Set(named)]))
})
