// The counts of tools/house.mjs see what they are for.

import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'

interface Reading {
  readonly comments: readonly string[]
  readonly strings: readonly string[]
  readonly titles: readonly string[]
  readonly longComments: readonly number[]
  readonly names: readonly string[]
  readonly bare: readonly string[]
  readonly types: readonly { readonly name: string; readonly isExported: boolean }[]
  readonly asserted: number
}

const tools = (await import(pathToFileURL('tools/house/read.mjs').href)) as {
  readCode: (file: string, text: string) => Reading
  wordsOf: (name: string) => string[]
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
