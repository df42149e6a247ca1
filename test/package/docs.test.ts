// The examples in doc comments do what they say: each is a program of its own that runs in Node, in a project that has
// installed the package, prints what the comments behind its console.log say, and is right by TypeScript 5.9 and 7.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { transformWithOxc } from 'vite'
import { beforeAll, expect, test } from 'vitest'
import { execute, project, ROOT, temporaryFolder, writeFiles } from './consumer.ts'

interface Example {
  /** The first line of what it documents. */
  readonly of: string
  readonly code: string
}

const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)
const examples = files.flatMap((file): Example[] => {
  const text = readFileSync(join(ROOT, 'src', file), 'utf8')
  return [...text.matchAll(/\/\*\*((?:(?!\*\/)[^])*?)\*\/\n([^\n]*)/g)].flatMap(([, comment, declared]) => {
    const plain = comment!.replaceAll(/^ *\* ?/gm, '')
    const blocks = [...plain.matchAll(/@example\n```ts\n([^]*?)\n```/g)]
    expect(blocks.length, `${file}: an example without its fence`).toBe(plain.split('@example').length - 1)
    return blocks.map(([, code]) => ({ of: declared!.trim(), code: `${code}\n` }))
  })
})

let folder = ''
beforeAll(async () => {
  folder = await project() // empty but for the package
}, 300_000)

/** The output that an example states, line by line; undefined where it states none. */
function printsOf(code: string): (string | undefined)[] {
  return [...code.matchAll(/^console\.log\(.*\)(?: \/\/ (.*))?$/gm)].map(([, words]) => words)
}

test.each(examples)('$of: the example prints what it says', async ({ code }) => {
  const { code: script } = await transformWithOxc(code, 'example.ts')
  await writeFiles(folder, { 'example.mjs': script })
  const home = await temporaryFolder() // for what is kept
  const said = await execute(process.execPath, ['example.mjs'], folder, { XDG_CACHE_HOME: home })
  const lines = said.trimEnd().split('\n')
  const expected = printsOf(code)
  expect(expected.some((line) => line !== undefined)).toBe(true)
  expect(lines.map((line, i) => (expected[i] === undefined ? undefined : line))).toEqual(expected)
})

test.each([
  'export class FlowSeg ',
  'static load(',
  'async look(',
  'segment<',
  'export async function openGpu(',
  'export async function plan',
  'export function ownKernel(',
])('there is an example of %s', (start) => {
  expect(examples.filter(({ of }) => of.startsWith(start))).toHaveLength(1)
})

test.each(['typescript-5', 'typescript'])('the examples are right by %s', async (version) => {
  const names = examples.map((_, i) => `example-${i}.ts`)
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2023'],
    module: 'nodenext',
    strict: true,
    noUnusedLocals: true,
    noEmit: true,
    types: [join(ROOT, 'node_modules/@types/node')],
  }
  await writeFiles(folder, {
    ...Object.fromEntries(examples.map(({ code }, i) => [names[i]!, `${code}export {}\n`])),
    'tsconfig.json': JSON.stringify({ compilerOptions, files: names }),
  })
  const tsc = join(ROOT, 'node_modules', version, 'bin/tsc')
  const said = await execute(process.execPath, [tsc, '-p', 'tsconfig.json'], folder).catch(
    (error: { stdout: string }) => error.stdout,
  )
  expect(said).toBe('')
})
