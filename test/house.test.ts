// The counts of tools/house.mjs see what they are for.

import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test, vi } from 'vitest'
import { afterTest } from './leftovers.ts'

interface Reading {
  readonly comments: readonly string[]
  readonly strings: readonly string[]
  readonly titles: readonly string[]
  readonly longComments: readonly number[]
  readonly names: readonly string[]
  readonly bare: readonly string[]
  readonly bareMembers: readonly string[]
  readonly types: readonly { readonly name: string; readonly isExported: boolean }[]
  readonly asserted: number
}

const tools = (await import(pathToFileURL('tools/house/read.mjs').href)) as {
  readCode: (file: string, text: string) => Reading
  wordsOf: (name: string) => string[]
}

const words = (await import(pathToFileURL('tools/house/words.mjs').href)) as {
  WORDS: readonly { readonly words: string; readonly better: string }[]
  inProse: (words: string) => RegExp
}

const { filesOf, longSubjects } = (await import(pathToFileURL('tools/house/git.mjs').href)) as {
  filesOf: (root: string) => string[]
  longSubjects: (root: string, since: string) => string[]
}

test('comments of TypeScript are found, and nothing else is', () => {
  const text = [
    "const rowFours = 'not // a comment' // one",
    '/** two */',
    'function f(team: number) {',
    `  return \`\${team /* three */} // text\`.replace(/'/, '') // four`,
    '  // five, before a brace',
    '}',
  ].join('\n')
  const { comments, names } = tools.readCode('a.ts', text)
  expect(comments).toEqual(['// one', '/** two */', '/* three */', '// four', '// five, before a brace'])
  expect(names).toEqual(['rowFours', 'f', 'team'])
})

test('strings and pieces of templates are read, names of modules are not', () => {
  const text = [
    "import { a } from 'a team'",
    "export * from 'teams'",
    "const b = { 'two words': `one ${a('in')} three` }",
    'const c = `whole` // comment',
  ].join('\n')
  expect(tools.readCode('a.ts', text).strings).toEqual(['two words', 'one ', 'in', ' three', 'whole'])
  expect(tools.readCode('a.wgsl', '// "text"').strings).toEqual([])
})

test('titles of tests are read, other strings of tests are not', () => {
  const text = [
    "test('one', () => expect('value').toBe(test.name))",
    'describe(`two on ${gpu.name}`, () => {',
    "  test.each(['case'])('three %s', f)",
    "  test.runIf(name === 'x')('four', f)",
    "  describe.each`a`('five', f)",
    "  test.skip('six', f)",
    "  other.test('none')",
    '})',
  ].join('\n')
  expect(tools.readCode('a.test.ts', text).titles).toEqual([
    'one',
    'two on ',
    '',
    'three %s',
    'four',
    'five',
    'six',
  ])
})

test('long lines of comments count, long lines of code do not', () => {
  const long = 'x'.repeat(121)
  const text = `// ${long}\nconst a = '${long}'\n/*\n * ${long}\n */\n`
  expect(tools.readCode('a.ts', text).longComments).toEqual([1, 4])
  expect(tools.readCode('a.wgsl', `// ${long}\nconst A = 1;\n`).longComments).toEqual([1])
})

test('exports without a doc comment count, once for overloads', () => {
  const text = [
    '/** Is documented. */',
    'export function f(): void',
    'export function f(x?: number): void {}',
    'export const bare = 1',
    '// no doc comment',
    'export interface Bare {}',
    'function local() {}',
  ].join('\n')
  expect(tools.readCode('a.ts', text).bare).toEqual(['bare', 'Bare'])
})

test('members of exported types without a doc comment count, private ones do not', () => {
  const text = [
    'export interface A {',
    '  /** Is documented. */',
    '  readonly one: number',
    '  two(): void',
    '  readonly three?: string // no doc comment',
    '}',
    'export abstract class B {',
    '  #hidden = 1',
    '  private own = 1',
    '  protected heirs = 1',
    '  constructor() {}',
    '  /** Of two accessors one has it. */',
    '  get four(): number { return 1 }',
    '  set four(value: number) {}',
    '  static five(): void {}',
    '  abstract six(): void',
    '}',
    'interface C { readonly local: number }',
  ].join('\n')
  expect(tools.readCode('a.ts', text).bareMembers).toEqual(['A.two', 'A.three', 'B.five', 'B.six'])
})

test('"per" is missed, also across lines of a comment, and not where "a" is right', () => {
  const { words: pattern } = words.WORDS.find(({ better }) => better === 'per')!
  const missed = (text: string) => text.match(words.inProse(pattern)) ?? []
  for (const text of [
    'storage buffers a kernel',
    'threads a workgroup',
    'workgroups an axis',
    'paid once an image',
    '// two pixels\n// a word',
    '/**\n * Tokens\n * a side. */',
    'two bytes a value',
  ]) {
    expect(missed(text), text).toHaveLength(1)
  }
  for (const text of [
    'threads per workgroup',
    '// threads   a workgroup takes a row',
    'a probability times a quality',
    'once a scene is open',
    'the bytes. A row',
    'columns and a row',
  ]) {
    expect(missed(text), text).toEqual([])
  }
})

test('long subjects of later commits count; without git or the commit there are none, and files are listed all the same', async () => {
  const root = await mkdtemp(join(tmpdir(), 'flowseg-house-'))
  afterTest(() => rm(root, { recursive: true, force: true }))
  await mkdir(join(root, 'src'))
  await mkdir(join(root, 'node_modules'))
  for (const file of ['a.ts', 'src/b.ts', 'node_modules/c.ts']) await writeFile(join(root, file), '')
  // No repository around it may be asked
  vi.stubEnv('GIT_CEILING_DIRECTORIES', tmpdir())
  expect(filesOf(root).toSorted()).toEqual(['a.ts', 'src/b.ts'])
  expect(longSubjects(root, 'HEAD')).toEqual([])

  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b.c', ...args], {
      cwd: root,
      encoding: 'utf8',
    })
  const commit = (subject: string) => git('commit', '-q', '--allow-empty', '--no-gpg-sign', '-m', subject)
  git('init', '-q')
  await writeFile(join(root, '.gitignore'), 'node_modules\n')
  commit(`Before the rule ${'x'.repeat(60)}`)
  const since = git('rev-parse', 'HEAD').trim()
  commit('x'.repeat(60))
  commit(`Say ${'y'.repeat(57)}`)
  expect(longSubjects(root, since)).toEqual([expect.stringMatching(/^[0-9a-f]{7,}: Say y{57}$/)])
  expect(longSubjects(root, 'fb5a3cad')).toEqual([])
  expect(filesOf(root).toSorted()).toEqual(['.gitignore', 'a.ts', 'src/b.ts'])
})

test('types that are declared count, those that are passed on do not', () => {
  const text = [
    'export interface A {}',
    'export type B = A',
    'export abstract class C {}',
    'interface D {}',
    "export type { E } from './e.ts'",
    'export const f = 1',
  ].join('\n')
  expect(tools.readCode('a.ts', text).types).toEqual([
    { name: 'A', isExported: true },
    { name: 'B', isExported: true },
    { name: 'C', isExported: true },
    { name: 'D', isExported: false },
  ])
})

test('non-null assertions count, negations do not', () => {
  expect(tools.readCode('a.ts', 'const a = b! + c![0]! + Number(!d) + Number(e !== f)').asserted).toBe(3)
})

test('WGSL: what is declared, not what is used', () => {
  const text =
    'struct Team { lanes: u32 }\nfn over_lanes(x: f32) -> f32 { let fate = other(x); return fate; }'
  expect(tools.readCode('a.wgsl', text).names).toEqual(['Team', 'lanes', 'over_lanes', 'x', 'fate'])
})

test('names fall into words', () => {
  expect(tools.wordsOf('rowFours')).toEqual(['row', 'fours'])
  expect(tools.wordsOf('HTMLTeam_arm64')).toEqual(['html', 'team', 'arm64'])
})
