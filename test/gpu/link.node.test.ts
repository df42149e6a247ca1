// Kernels are linked from the modules that they import: what is wrong in a file is told with its name and line, when it
// is linked and when a device compiles it, and every line of a linked text comes from where it is said to come from.

import shaders from 'virtual:shaders'
import { expect, test } from 'vitest'
import { kernel } from '../../src/gpu/kernel.ts'
import { placeOf, textOf } from '../../src/gpu/shader.ts'
import { withoutComments } from '../../src/gpu/wgsl.ts'
import { inputsOf, linkShader, ROOT, shaderFiles } from '../../tools/link-shader.ts'
import { wgsl } from '../../tools/wgsl-plugin.ts'
import { anyGpu } from '../support.ts'

const files = shaderFiles()
const kernels = Object.keys(files).filter((file) => files[file]!.includes('@compute'))

/** The files with one of them changed. */
function withChange(file: string, from: string | RegExp, to: string): Record<string, string> {
  const text = files[file]!.replace(from, to)
  expect(text).not.toBe(files[file])
  return { ...files, [file]: text }
}

function lineOf(text: string, part: string): number {
  return text.slice(0, text.indexOf(part)).split('\n').length
}

test('a typo in a module is an error that names file, line and column', async () => {
  const wrong = withChange(
    'lib/nan.wgsl',
    'return (bitcast<u32>(x) & 0x7fffffffu)',
    'return (bitcast<u32>(xx) & 0x7fffffffu)',
  )
  const line = lineOf(wrong['lib/nan.wgsl']!, 'xx')
  await expect(linkShader('reduce/reduce.wgsl', [], wrong)).rejects.toThrow(
    `shaders/lib/nan.wgsl:${line}:50: unresolved identifier 'xx'`,
  )
})

test('what is no WGSL is an error that names file, line and column', async () => {
  const wrong = withChange('lib/nan.wgsl', 'fn is_nan', 'fnn is_nan')
  const line = lineOf(wrong['lib/nan.wgsl']!, 'fnn')
  await expect(linkShader('reduce/reduce.wgsl', [], wrong)).rejects.toThrow(`shaders/lib/nan.wgsl:${line}:1`)
})

test('what a kernel uses and does not import is an error at its place', async () => {
  const wrong = withChange(
    'reduce/softmax.wgsl',
    /import package::lib::nan::.*;/,
    'import package::lib::nan::{is_finite};',
  )
  await expect(linkShader('reduce/softmax.wgsl', [], wrong)).rejects.toThrow(
    /^shaders\/reduce\/softmax.wgsl:\d+:\d+: unresolved identifier 'nan_of'/,
  )
})

test.each(['norm/layer-norm.wgsl', 'reduce/softmax.wgsl'])(
  'a type error in a module that %s imports is traced to its line by the device, also behind written-out loops',
  async (file) => {
    const gpu = await anyGpu()
    const wrong = withChange(
      'lib/nan.wgsl',
      /fn is_finite.*\n/,
      'fn is_finite(x: f32) -> bool {\n  return x * vec2u(1u);\n}\n',
    )
    const line = lineOf(wrong['lib/nan.wgsl']!, 'return x * vec2u(1u)')
    const shader = await linkShader(file, ['VEC4'], wrong)
    const constants = Object.fromEntries(
      shader.constants.map((name) => [name, /^(HAS|IN|IS)_/.test(name) ? true : 4]),
    )
    const compiled = gpu.kernels.compile([kernel(shader, constants)])
    await expect(compiled).rejects.toThrow(`shaders/lib/nan.wgsl, line ${line}: `)
  },
)

test('every line of a linked text comes from the file and line that are said', async () => {
  let count = 0
  for (const file of kernels.filter((one) => files[one]!.includes('\nimport '))) {
    for (const conditions of files[file]!.includes('lib::elem') ? [[], ['VEC4']] : [[]]) {
      const shader = await linkShader(file, conditions, files)
      for (const [i, line] of textOf(shader).split('\n').entries()) {
        const [word] = /[A-Za-z_]\w*/.exec(line.replace(/\/\*.*?\*\//g, '')) ?? []
        if (word === undefined) continue
        const place = placeOf(shader, i)!
        // An entry point's attributes and a struct's fields may stand on lines of their own
        const around = files[place.file]!.split('\n')
          .slice(place.line - 1, place.line + 2)
          .join('\n')
        expect(around, `${file}: '${line}' at ${place.file}:${place.line}`).toContain(word)
        count++
      }
    }
  }
  expect(count).toBeGreaterThan(1000)
})

test('the inputs of a kernel are the files that it is linked from, under all conditions', () => {
  for (const { name, pieces } of shaders) {
    const inputs = inputsOf(`${name}.wgsl`, files)
    for (const { source } of pieces) expect(inputs, name).toContain(source)
  }
  // Only under a condition, and only by way of another module
  expect(inputsOf('matmul/registers.wgsl', files)).toContain('conv/patch.wgsl')
  expect(inputsOf('matmul/registers.wgsl', files)).toContain('lib/activation.wgsl')
  expect(inputsOf('image/resample-rows.wgsl', files)).not.toContain('lib/operands.wgsl')
})

test.each([
  ['attention/tiled', 'attention/bindings'],
  ['matmul/registers', 'lib/left_operand'],
  ['matmul/registers', 'matmul/sizes'],
  ['matmul/registers', 'conv/patch'],
  ['matmul/skinny', 'matmul/sizes'],
  ['image/resample-rows', 'image/strips'],
  ['image/resample-rows', 'image/taps'],
])('while developing, %s is linked again when %s changes', async (name, module) => {
  const watched: string[] = []
  const { load } = wgsl()
  if (typeof load !== 'object') throw new Error('the plugin has changed')
  const context = { addWatchFile: (file: string) => watched.push(file) }
  await load.handler.call(context as never, `${ROOT}${name}.wgsl?linked`)
  expect(watched).toContain(`${ROOT}${module}.wgsl`)
})

test('a kernel that imports a name which its host does not define is refused by that name', async () => {
  const shader = await linkShader('reduce/mean-rows.wgsl', [], files)
  expect(() => kernel(shader, { WG: 64 })).toThrow(
    "Kernel reduce/mean-rows imports Elem from the prelude, which the host doesn't define.",
  )
})

test('a name that two files of a kernel have is refused, not changed', async () => {
  const clash = {
    'lib/store.wgsl':
      '@group(0) @binding(0) var<storage, read_write> y: array<f32>;\nfn store(v: f32) { y[0] = v; }\n',
    'test.wgsl':
      'import package::lib::store::store;\n@compute @workgroup_size(1) fn main() { let y = 1.0; store(y); }\n',
  }
  await expect(linkShader('test.wgsl', [], clash)).rejects.toThrow(/y would be renamed to y0/)
  const apart = { ...clash, 'test.wgsl': clash['test.wgsl'].replaceAll(/\by\b/g, 'value') }
  expect(textOf(await linkShader('test.wgsl', [], apart))).toContain('store(value)')
})

/** The declarations of a file besides bindings: functions with their signatures, types with their definitions. */
function declared(
  file: string,
): { readonly kind: string; readonly name: string; readonly contract: string }[] {
  const text = withoutComments(files[file]!)
  return [
    ...text.matchAll(
      /^(?:@\w+(?:\([^)]*\))? )*(fn|struct|alias|const|var<workgroup>) *(\w+)\s*([^{;]*)(\{[^}]*\})?/gm,
    ),
  ].map(([, kind = '', name = '', signature = '', body = '']) => ({
    kind,
    name,
    contract: (kind === 'struct' ? body : signature).replaceAll(/\s+/g, ' ').trim(),
  }))
}

test('a name of shaders/lib is declared nowhere else', () => {
  const inLib = Object.keys(files).filter((file) => file.startsWith('lib/'))
  const seen = new Map<string, string>()
  for (const file of inLib) {
    for (const name of new Set(declared(file).map((one) => one.name))) {
      expect(seen.get(name), `${name} of ${file}`).toBeUndefined()
      seen.set(name, file)
    }
  }
  expect(seen.size).toBeGreaterThan(50)
  const again = Object.keys(files)
    .filter((file) => !inLib.includes(file))
    .flatMap((file) => declared(file).flatMap(({ name }) => (seen.has(name) ? `${file}: ${name}` : [])))
  expect(again).toEqual([])
})

test('no function or type is declared by two files of a family', () => {
  // Each kernel has an entry point and sizes of its own; a constant's value may depend on the kernel
  const filesOf = new Map<string, Set<string>>()
  for (const file of Object.keys(files)) {
    for (const { kind, name } of declared(file)) {
      if (/^(?:const|var)/.test(kind) || name === 'main' || name === 'Sizes') continue
      const key = `${file.split('/')[0]}: ${name}`
      filesOf.set(key, (filesOf.get(key) ?? new Set()).add(file))
    }
  }
  expect(filesOf.size).toBeGreaterThan(100)
  const twice = [...filesOf].filter(([, of]) => of.size > 1)
  expect(twice.map(([key, of]) => `${key} in ${[...of].join(' and ')}`)).toEqual([])
})
