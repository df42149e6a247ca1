// Links a kernel: one WGSL file that imports from the modules in shaders/lib, in WESL's notation, becomes plain WGSL with
// the declarations that it uses. This happens when the package is built, so that no linker ships.
//
//   import package::lib::load::{load4, load4_clamped};   declarations of shaders/lib/load.wgsl
//   import prelude::{Elem, WG};                          what the host defines in front of the text: types are CamelCase, constants
//                                                        UPPER_CASE (src/gpu/kernel.ts)
//   @if(PACKED) @group(0) @binding(1) ...                a declaration that only `./tiles.wgsl?PACKED` has
//
// Each line of the linked text is traced to its file and line, for errors of the compiler on somebody's device.

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { link } from 'wesl/core'
import type { Shader } from '../src/gpu/shader.ts'

export const ROOT: string = fileURLToPath(new URL('../shaders/', import.meta.url))

/** The files under shaders/, by their path there. */
export function shaderFiles(root: string = ROOT): Record<string, string> {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.wgsl'))
    .map((file) => file.split(sep).join('/'))
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]))
}

/**
 * @param file       path under shaders/, 'matmul/tiles.wgsl'
 * @param conditions those of @if that are true; all others are false
 * @param files      the texts, by path
 * @throws Error that names file, line and column, if something that is imported or used doesn't exist
 */
export async function linkShader(
  file: string,
  conditions: readonly string[] = [],
  files: Readonly<Record<string, string>> = shaderFiles(),
): Promise<Shader> {
  const names = preludeNames(files)
  const prelude = [...names].map((name) =>
    /^[A-Z][A-Z0-9_]*$/.test(name) ? `const ${name} = 1u;` : `alias ${name} = f32;`,
  )
  const { dest, sourceMap } = await link({
    weslSrc: Object.fromEntries(Object.entries(files).map(([path, text]) => [`./${path}`, text])),
    rootModuleName: `./${file}`,
    conditions: Object.fromEntries(
      [...conditionNames(files)].map((name) => [name, conditions.includes(name)]),
    ),
    virtualLibs: { prelude: () => prelude.join('\n') },
  })
  const constants: string[] = []
  const text: string[] = []
  const sources: string[] = []
  const runs: number[] = []
  let at = 0
  for (const line of dest.split('\n')) {
    if (line.trim() !== '') {
      const { src, position } = sourceMap.destToSrc(at + line.search(/\S/))
      const source = pathOf(src.path ?? '')
      if (!(source in files)) {
        // The prelude's stand-in, which the host defines for each kernel
        constants.push(/^(?:const|alias) (\w+) = /.exec(line)![1]!)
        at += line.length + 1
        continue
      }
      if (!sources.includes(source)) sources.push(source)
      const found = [
        text.length,
        sources.indexOf(source),
        src.text.slice(0, position).split('\n').length,
      ] as const
      // A line of braces goes with the one before: nothing in it can be wrong
      if (!continues(runs, found) && !/^[\s{}]*$/.test(line)) runs.push(...found)
      text.push(line)
    }
    at += line.length + 1
  }
  const name = file.replace(/\.wgsl$/, '')
  return { name, conditions, text: text.join('\n'), constants: constants.sort(), sources, runs }
}

/** Whether a line follows in the same file on the line of the last run. */
function continues(
  runs: readonly number[],
  [index, source, line]: readonly [number, number, number],
): boolean {
  const [lastIndex = 0, lastSource = -1, lastLine = 0] = runs.slice(-3)
  return source === lastSource && line - lastLine === index - lastIndex
}

/** WESL names modules by their path. */
function pathOf(path: string): string {
  return path.replace(/^\.\//, '').replace(/\.w[ge]sl$/, '.wgsl')
}

/** What modules import from the prelude. */
function preludeNames(files: Readonly<Record<string, string>>): Set<string> {
  const lists = Object.values(files).flatMap((text) =>
    [...text.matchAll(/^\s*import\s+prelude::(?:\{([^}]*)\}|(\w+))\s*;/gm)].map(
      ([, list, one]) => list ?? one!,
    ),
  )
  return new Set(lists.flatMap((list) => list.split(',').map((name) => name.trim())).filter(Boolean))
}

function conditionNames(files: Readonly<Record<string, string>>): Set<string> {
  const found = Object.values(files).flatMap((text) =>
    [...text.matchAll(/@(?:el)?if\s*\(([^)]*)\)/g)].flatMap(([, words]) => words!.match(/\w+/g) ?? []),
  )
  return new Set(found)
}

/** The shader that an import means, as linkShader takes it; undefined for other files. */
export function shaderOf(
  id: string,
): { readonly file: string; readonly conditions: string[]; readonly linked: boolean } | undefined {
  const [path = '', query = ''] = id.split('?')
  const file = relative(ROOT, path).split(sep).join('/')
  if (file.startsWith('..') || !file.endsWith('.wgsl')) return undefined
  const flags = query.split('&').filter(Boolean)
  return { file, conditions: flags.filter((flag) => flag !== 'linked'), linked: flags.includes('linked') }
}
