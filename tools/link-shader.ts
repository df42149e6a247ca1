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
import type { Piece, Shader } from '../src/gpu/shader.ts'
import { withoutComments } from '../src/gpu/wgsl.ts'

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
  }).catch((error: unknown) => {
    throw located(error)
  })
  const constants: string[] = []
  const pieces: Mutable<Piece>[] = []
  let at = 0
  for (const line of dest.split('\n')) {
    const begin = at + Math.max(line.search(/\S/), 0)
    at += line.length + 1
    if (line.trim() === '') continue
    const { src, position } = sourceMap.destToSrc(begin)
    const source = pathOf(src.path ?? '')
    if (!(source in files)) {
      // The prelude's stand-in, which the host defines for each kernel
      constants.push(/^(?:const|alias) (\w+) = /.exec(line)![1]!)
      continue
    }
    // Declarations begin at the margin; those of modules are pieces of their own, which kernels share
    const last = pieces.at(-1)
    const isDeclaration = /^[@a-z]/.test(line)
    if (!last || last.source !== source || (isDeclaration && source.startsWith('lib/'))) {
      pieces.push({ source, text: '', runs: [] })
    }
    const piece = pieces.at(-1)!
    const index = piece.text === '' ? 0 : piece.text.split('\n').length
    piece.text += (index === 0 ? '' : '\n') + line
    addLine(piece.runs, index, lineOf(src.text, position, line), line)
  }
  return { name: file.replace(/\.wgsl$/, ''), conditions, constants: constants.sort(), pieces }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly number[] ? number[] : T[K] }

/** Adds a line to the runs of a piece, unless it follows on the last one's in the file, or is one of braces, which can't be wrong. */
function addLine(runs: number[], index: number, line: number, text: string): void {
  const [lastIndex = 0, lastLine = Number.NaN] = runs.slice(-2)
  if (line - lastLine !== index - lastIndex && !/^[\s{}]*$/.test(text)) runs.push(index, line)
}

/** The line of a file that a linked line comes from: where its first word stands, from the position on. */
function lineOf(text: string, position: number, line: string): number {
  const [word = ''] = withoutComments(line).match(/[@\w]+/) ?? []
  const at = bare(text).indexOf(word, position)
  return text.slice(0, at < 0 ? position : at).split('\n').length
}

const bareTexts = new Map<string, string>()
/** A file with spaces for its comments and imports. */
function bare(text: string): string {
  let found = bareTexts.get(text)
  if (found === undefined) {
    found = withoutComments(text).replaceAll(/^import .*$/gm, (line) => ' '.repeat(line.length))
    bareTexts.set(text, found)
  }
  return found
}

/** The linker's error with the place in front, as 'shaders/lib/nan.wgsl:8:12: ...'. */
function located(error: unknown): Error {
  const { message, weslLocation: at } = error as Error & {
    readonly weslLocation?: { readonly file: string; readonly line: number; readonly column: number }
  }
  const named = message.replaceAll(/\.\/([\w/-]+)\.wesl/g, 'shaders/$1.wgsl')
  return new Error(at ? `shaders/${pathOf(at.file)}:${at.line}:${at.column}: ${named}` : named, {
    cause: error,
  })
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
