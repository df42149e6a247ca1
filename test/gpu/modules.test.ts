// Every module that kernels import compiles by itself, on each adapter: by Tint in Node and Chromium, by naga in Deno;
// as it is, and under each of the conditions by which it changes.

import { expect, test } from 'vitest'
import { type Shader, textOf } from '../../src/gpu/shader.ts'
import { adapters } from '../support.ts'

const linked = import.meta.glob<Shader>('../../shaders/**/*.wgsl', {
  query: '?linked',
  import: 'default',
  eager: true,
})
const vec4 = import.meta.glob<Shader>('../../shaders/**/*.wgsl', {
  query: '?VEC4&linked',
  import: 'default',
  eager: true,
})
const f16Keys = import.meta.glob<Shader>('../../shaders/**/*.wgsl', {
  query: '?F16_KEYS&linked',
  import: 'default',
  eager: true,
})
// Of lib alone: kernels that read weights in rows can't be linked with packed ones
const packed = import.meta.glob<Shader>('../../shaders/lib/*.wgsl', {
  query: '?PACKED&linked',
  import: 'default',
  eager: true,
})
const conv = import.meta.glob<Shader>('../../shaders/**/*.wgsl', {
  query: '?CONV&linked',
  import: 'default',
  eager: true,
})
const sources = import.meta.glob<string>('../../shaders/**/*.wgsl', {
  query: '?raw',
  import: 'default',
  eager: true,
})

/** A kernel has an entry point, a module has none. A module that a condition doesn't change is here once. */
const seen = new Set<string>()
const modules = [linked, vec4, f16Keys, packed, conv]
  .flatMap((all) => Object.values(all))
  .filter((shader) => {
    const text = `${shader.name}: ${textOf(shader)}`
    if (text.includes('@compute') || seen.has(text)) return false
    seen.add(text)
    return true
  })

/** Constants that are true or false, besides those whose names begin with HAS_, IN_ and B_IS_. */
const FLAGS = ['SPLIT', 'GATED', 'ALIGNED', 'PADDED']
const FLAG = new RegExp(`^(?:HAS|IN|B_IS)_|^(?:${FLAGS.join('|')})$`)

/** With the constants that a host may define; numbers are small powers of two, as sizes of tiles are. */
function complete(shader: Shader): string {
  const prelude = shader.constants.map((name) => {
    if (name.endsWith('Word')) return `alias ${name} = vec4u;`
    if (!/^[A-Z][A-Z0-9_]*$/.test(name)) return `alias ${name} = vec4f;`
    return FLAG.test(name) ? `const ${name} = true;` : `const ${name} = 4u;`
  })
  const text = textOf(shader)
  const enable = /\b(?:subgroup|quad)[A-Z]\w*\s*\(|\bsubgroup_\w+\b/.test(text) ? 'enable subgroups;' : ''
  return [enable, ...prelude, text].join('\n')
}

test('there are modules, under each condition that one has', () => {
  expect(modules.filter(({ conditions }) => conditions.length === 0).length).toBeGreaterThan(12)
  const tested = modules.flatMap(({ name, conditions }) => conditions.map((one) => `${name} ${one}`))
  const written = Object.entries(sources)
    .filter(([, text]) => !text.includes('@compute'))
    .flatMap(([path, text]) => {
      const name = path.replace('../../shaders/', '').replace('.wgsl', '')
      return [...text.matchAll(/^ *@if\(!?(\w+)\)/gm)].map(([, one]) => `${name} ${one}`)
    })
  expect(new Set(written).size).toBeGreaterThan(3)
  expect(modules.flatMap(({ constants }) => constants)).toEqual(expect.arrayContaining(FLAGS))
  expect(tested).toEqual(expect.arrayContaining(written))
})

/** The folders under shaders/ that a folder's files import from, its own left out. */
function foldersImported(folder: string): string[] {
  const texts = Object.entries(sources).filter(([path]) => path.startsWith(`../../shaders/${folder}/`))
  const names = texts.flatMap(([, text]) =>
    [...text.matchAll(/\bimport package::(\w+)::/g)].map(([, name = '']) => name),
  )
  return [...new Set(names)].filter((name) => name !== folder)
}

test('folders import no circle, and lib imports nothing but itself', () => {
  const folders = [...new Set(Object.keys(sources).map((path) => path.split('/')[3]!))]
  const circles = folders.flatMap((folder) => {
    const reached = new Set(foldersImported(folder))
    for (const next of reached) for (const further of foldersImported(next)) reached.add(further)
    return reached.has(folder) ? [`${folder} by way of ${[...reached].join(', ')}`] : []
  })
  expect(folders).toContain('conv')
  expect(foldersImported('matmul')).toContain('conv')
  expect(circles).toEqual([])
  expect(foldersImported('lib')).toEqual([])
})

for (const gpu of await adapters()) {
  test(`each compiles by itself on ${gpu.name}`, async () => {
    for (const shader of modules) {
      const code = complete(shader)
      if (code.startsWith('enable subgroups') && !gpu.adapter.features.subgroups) continue
      gpu.device.pushErrorScope('validation')
      gpu.device.createShaderModule({ label: shader.name, code })
      const error = await gpu.device.popErrorScope()
      expect(error?.message, `${shader.name} ${shader.conditions.join(' ')}`).toBeUndefined()
    }
  })
}
