// The house has floors, and imports only go down.

import { readdirSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'
import { expect, test } from 'vitest'

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
  'write-whole.ts',
]
/** What each floor may import, besides itself and the ground. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  async: [],
  gpu: [],
  io: [],
  scenes: [],
  tensor: ['gpu'],
  kernels: ['tensor', 'gpu', '../shaders'],
  ops: ['kernels', 'tensor', 'gpu', '../shaders'],
  tuning: ['ops', 'kernels', 'tensor', 'gpu', '../shaders'],
  selftest: ['tuning', 'ops', 'kernels', 'tensor', 'gpu'],
  model: ['tuning', 'ops', 'kernels', 'tensor', 'gpu', 'io', 'async'],
  cli: ['model', 'selftest', 'tuning', 'ops', 'kernels', 'tensor', 'gpu', 'io', 'scenes'],
}

const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

test.each(Object.keys(BELOW))('src/%s imports nothing from above or beside', (floor) => {
  const own = files.filter((file) => file.startsWith(`${floor}/`))
  expect(own.length).toBeGreaterThan(0)
  const wrong = own.flatMap((file) => {
    const text = readFileSync(join('src', file), 'utf8')
    const imports = [...text.matchAll(/from '(\.[^']+)'/g)].map(([, path]) =>
      normalize(join(file, '..', path!)),
    )
    const allowed = (path: string) =>
      GROUND.includes(path) || [floor, ...BELOW[floor]!].some((below) => path.startsWith(`${below}/`))
    return imports.filter((path) => !allowed(path)).map((path) => `${file} imports ${path}`)
  })
  expect(wrong).toEqual([])
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
