// The house has floors, and imports only go down; docs/floors.svg shows them as they are.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { circlesIn, drawFloors, importsBelow, siblingsIn } from '../tools/floors.ts'

/** Files that every floor may import, as they stand on none. */
const GROUND = [
  'breathe.ts',
  'cache-folder.ts',
  'check.ts',
  'dispose.ts',
  'errors.ts',
  'has-files.ts',
  'make-folders.ts',
  'options.ts',
  'printable.ts',
  'progress.ts',
  'regular-file.ts',
  'statistics.ts',
  'view.ts',
  'write-whole.ts',
].map((file) => `src/${file}`)

/** The floors that each floor may import, besides itself and the ground. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  async: [],
  gpu: [],
  io: [],
  scenes: [],
  masks: ['io'],
  datasets: ['masks', 'scenes', 'io'],
  tensor: ['gpu'],
  kernels: ['tensor', 'gpu', 'shaders'],
  ops: ['kernels', 'tensor', 'gpu', 'shaders'],
  tuning: ['ops', 'kernels', 'tensor', 'gpu', 'shaders'],
  selftest: ['tuning', 'ops', 'kernels', 'tensor', 'gpu'],
  model: ['masks', 'tuning', 'ops', 'kernels', 'tensor', 'gpu', 'io', 'async'],
  cli: [
    'model',
    'masks',
    'selftest',
    'tuning',
    'ops',
    'kernels',
    'tensor',
    'gpu',
    'io',
    'datasets',
    'scenes',
  ],
}

const imports = importsBelow('src')
const folders = new Set(imports.map(({ file }) => file.split('/').slice(0, -1).join('/')))

test.each(Object.keys(BELOW))('src/%s imports nothing from above or beside', (floor) => {
  const own = imports.filter(({ file }) => file.startsWith(`src/${floor}/`))
  expect(own.length).toBeGreaterThan(0)
  const rooms = [floor, ...BELOW[floor]!].map((room) => (room === 'shaders' ? 'shaders/' : `src/${room}/`))
  const allowed = (path: string) => GROUND.includes(path) || rooms.some((room) => path.startsWith(room))
  const wrong = own.flatMap(({ file, imported }) =>
    imported.filter((path) => !allowed(path)).map((path) => `${file} imports ${path}`),
  )
  expect(wrong).toEqual([])
})

test('every folder of src is a floor', () => {
  const floors = new Set([...folders].flatMap((folder) => folder.split('/')[1] ?? []))
  expect([...floors].sort()).toEqual(Object.keys(BELOW).sort())
})

test('the ground imports no floor', () => {
  const wrong = imports
    .filter(({ file }) => GROUND.includes(file))
    .flatMap(({ file, imported }) =>
      imported.filter((path) => !GROUND.includes(path)).map((path) => `${file} imports ${path}`),
    )
  expect(wrong).toEqual([])
})

test.each([...folders])('the folders in %s import each other in no circle', (folder) => {
  expect(circlesIn(siblingsIn(imports, folder))).toEqual([])
})

test('the folders of web import each other in no circle', () => {
  const edges = siblingsIn(importsBelow('web'), 'web')
  expect(edges.get('answers')).toContain('canvas')
  expect(circlesIn(edges)).toEqual([])
})

test('circles are found, however long they are', () => {
  const files = { 'src/a/x.ts': 'src/b/x.ts', 'src/b/x.ts': 'src/c/d/x.ts', 'src/c/x.ts': 'src/a/x.ts' }
  const all = Object.entries(files).map(([file, path]) => ({ file, imported: [path] }))
  expect(circlesIn(siblingsIn(all, 'src'))).toEqual(['a', 'b', 'c'])
  expect(circlesIn(siblingsIn(all.slice(1), 'src'))).toEqual([])
})

test('web/ imports what every user of the package can import, types as well', () => {
  const own = readdirSync('web', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const wrong = own.flatMap((file) => {
    const text = readFileSync(join('web', file), 'utf8')
    // Modules, and files that a worker is made of: `from '...'`, `import('...')`, `new URL('...')`
    const paths = [...text.matchAll(/['"`]([./]*\/src\/[^'"`]*)/g)].map(([, path]) => path)
    return paths
      .filter((path) => !/\/src\/(index|engine)\.ts$/.test(path ?? ''))
      .map((path) => `${file}: ${path}`)
  })
  expect(wrong).toEqual([])
})

test('the picture of the floors is as the imports are: npm run floors draws it', async () => {
  await expect(drawFloors()).toMatchFileSnapshot('../docs/floors.svg')
})

test('the table of folders has every room of the picture', () => {
  const table = readFileSync('docs/architecture.md', 'utf8')
  for (const room of Object.keys(BELOW)) expect(table).toContain(`| [src/${room}](../src/${room}) |`)
  expect(table).toContain('| [shaders](../shaders) |')
})
