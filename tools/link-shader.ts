// Links a kernel: one WGSL file that imports from the modules in shaders/lib, in WESL's notation, becomes plain WGSL
// with the declarations that it uses. This happens when the package is built, so that no linker ships.
//
//   import package::lib::nan::{is_finite, nan_of};   declarations of shaders/lib/nan.wgsl
//   import prelude::{Elem, WG};                      the host defines these in front of the text: types are CamelCase,
//                                                    constants UPPER_CASE (src/gpu/kernel.ts)
//   @if(PACKED) @group(0) @binding(1) ...            a declaration that only `#shaders/matmul/gemv.wgsl?PACKED` has
//
// Each line of the linked text is traced to its file and line, for errors of the compiler on somebody's device.

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { link } from 'wesl/core'
import type { Shader, ShaderPiece } from '../src/gpu/shader.ts'
import { withMarksOnly } from '../src/gpu/unroll.ts'
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
 * @param file       path under shaders/, 'matmul/tiled.wgsl'
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
  const pieces: ShaderPiece[] = []
  for (const declaration of declarationsOf(dest)) {
    const { src, position } = sourceMap.destToSrc(declaration[0]!.at)
    const source = pathOf(src.path ?? '')
    // A declaration that no file has is the prelude's stand-in, which the host defines for each kernel
    if (!(source in files)) constants.push(/^(?:const|alias) (\w+) = /.exec(declaration[0]!.text)![1]!)
    else {
      expectOwnNames(declaration, src.text, source)
      pieces.push({ source, ...(verbatim(declaration, src.text, position) ?? rewritten(declaration)) })
    }
  }
  return { name: file.replace(/\.wgsl$/, ''), conditions, constants: constants.sort(), pieces }

  /** A declaration that conditions inside of it changed: the linker's lines, each traced by itself. */
  function rewritten(declaration: readonly Line[]): Omit<ShaderPiece, 'source'> {
    const runs: number[] = []
    for (const [i, { text, at }] of declaration.entries()) {
      // A line of braces goes with the one before: nothing in it can be wrong
      if (tokens(text).every((token) => /[{}]/.test(token))) continue
      const { src, position } = sourceMap.destToSrc(at)
      const line = lineAt(src.text, placeOf(text, src.text, position))
      const [lastIndex = 0, lastLine = Number.NaN] = runs.slice(-2)
      if (line - lastLine !== i - lastIndex) runs.push(i, line)
    }
    return { text: declaration.map(({ text }) => text).join('\n'), runs }
  }
}

/**
 * The files that a text is linked from: its own, and all that it imports, directly or not, under any condition. A
 * change in one of them may change the text.
 *
 * @param file  path under shaders/
 * @param files the texts, by path
 */
export function inputsOf(file: string, files: Readonly<Record<string, string>>): string[] {
  const result = new Set<string>()
  const visit = (path: string): void => {
    if (result.has(path)) return
    result.add(path)
    for (const [, names = ''] of withoutComments(files[path] ?? '').matchAll(/\bpackage((?:::\w+)+)/g)) {
      // All but the last names are the module's path; the last may be a declaration or, before a list, the module
      const words = names.split('::').filter(Boolean)
      const paths = [words, words.slice(0, -1)].map((part) => `${part.join('/')}.wgsl`)
      const found = paths.find((one) => one in files)
      if (found !== undefined) visit(found)
    }
  }
  visit(file)
  return [...result]
}

/** A line of the linker's text, and where it begins there. */
interface Line {
  readonly text: string
  readonly at: number
}

/** The lines of each declaration, which begin at the margin, without comments but marks. */
function declarationsOf(dest: string): Line[][] {
  const result: Line[][] = []
  let isOpen = false
  let at = 0
  for (const text of withMarksOnly(dest).split('\n')) {
    const line = { text: text.trimEnd(), at: at + Math.max(text.search(/\S/), 0) }
    at += text.length + 1
    if (line.text === '') continue
    if (!isOpen) result.push([])
    result.at(-1)!.push(line)
    isOpen = !/^(?:\S.*;|\}|\S.*\})$/.test(line.text)
  }
  return result
}

/** @throws Error if the linker renamed something: hosts know bindings and constants by the names in the file */
function expectOwnNames(declaration: readonly Line[], text: string, source: string): void {
  const own = new Set(tokens(text))
  for (const word of declaration.flatMap((line) => tokens(line.text))) {
    if (own.has(word) || !/^[A-Za-z_]/.test(word)) continue
    throw new Error(
      `shaders/${source}: ${word.replace(/\d+$/, '')} would be renamed to ${word}, as another file of the kernel has that name too. ` +
        'Give one of them another.',
    )
  }
}

/**
 * A declaration as it stands in its file, with the comments of one line right above; undefined if the linker's differs
 * from it. `flowseg kernel` adds all other comments (src/cli/commands/kernel.ts).
 */
function verbatim(
  declaration: readonly Line[],
  text: string,
  position: number,
): Omit<ShaderPiece, 'source'> | undefined {
  const start = placeOf(declaration[0]!.text, text, position)
  const end = endOf(bare(text), start)
  const wanted = tokens(declaration.map((line) => line.text).join('\n'))
  if (tokens(text.slice(start, end)).join(' ') !== wanted.join(' ')) return undefined
  const above = text.slice(0, start).split('\n').slice(0, -1)
  let comments = 0
  while (/^(?:\/\/|\/\*\*.*\*\/$)/.test(above.at(-1 - comments) ?? '') && comments < above.length) comments++
  // The file's header is no comment of its first declaration
  if (comments === above.length) comments = 0
  const lines = [...above.slice(above.length - comments), text.slice(start, end)]
  return { text: lines.join('\n'), runs: [0, lineAt(text, start) - comments] }
}

/** The place of a line's first word in a file, from the position on. */
function placeOf(line: string, text: string, position: number): number {
  const [word = ''] = withoutComments(line).match(/@?\w+/) ?? []
  const result = bare(text)
    .slice(position)
    .search(new RegExp(`(?<![\\w@])${word}\\b`))
  return position + Math.max(result, 0)
}

/** The end of the declaration that begins at `start`. */
function endOf(text: string, start: number): number {
  let depth = 0
  for (let i = start; i < text.length; i++) {
    if (text[i] === ';' && depth === 0) return i + 1
    if (text[i] === '{') depth++
    if (text[i] === '}' && --depth === 0) return i + 1
  }
  return text.length
}

/** Words, numbers and signs, without what a linker may add or drop: comments, and commas at the end of a list. */
function tokens(text: string): string[] {
  return withoutComments(text).match(/\w+|[^\s\w,]/g) ?? []
}

function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length
}

const bareTexts = new Map<string, string>()
/** A file with spaces for its comments and imports. */
function bare(text: string): string {
  let result = bareTexts.get(text)
  if (result === undefined) {
    result = withoutComments(text).replaceAll(/^(?:@\w+(?:\([^)]*\))? )?import\b[^;]*;/gm, (lines) =>
      lines.replaceAll(/[^\n]/g, ' '),
    )
    bareTexts.set(text, result)
  }
  return result
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

/** The names that modules import from the prelude. */
function preludeNames(files: Readonly<Record<string, string>>): Set<string> {
  const lists = Object.values(files).flatMap((text) =>
    [...text.matchAll(/^\s*import\s+prelude::(?:\{([^}]*)\}|(\w+))\s*;/gm)].map(
      ([, list, one]) => list ?? one!,
    ),
  )
  return new Set(lists.flatMap((list) => list.split(',').map((name) => name.trim())).filter(Boolean))
}

function conditionNames(files: Readonly<Record<string, string>>): Set<string> {
  const result = Object.values(files).flatMap((text) =>
    [...text.matchAll(/@(?:el)?if\s*\(([^)]*)\)/g)].flatMap(([, words]) => words!.match(/\w+/g) ?? []),
  )
  return new Set(result)
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
