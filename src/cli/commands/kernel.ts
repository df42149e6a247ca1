// flowseg kernel: the text of a kernel, for reading. It is the one that drivers get, linked from several files, with
// the comments that those files have: a kernel's header is its contract.

import files from 'virtual:shader-files'
import shaders from 'virtual:shaders'
import { type Constants, kernel as compiled } from '../../gpu/kernel.ts'
import { placeOf, type Shader, textOf } from '../../gpu/shader.ts'
import { unrolledLines } from '../../gpu/unroll.ts'
import { withoutComments } from '../../gpu/wgsl.ts'
import { printable } from '../../printable.ts'
import { type Command, expectOperands, type Given, meant, type Page, SHARED, UsageError } from '../args.ts'
import { jsonLine } from '../json.ts'
import { type Terminal, table } from '../output/terminal.ts'

const page: Page = {
  name: 'kernel',
  operands: '[NAME]',
  summary: 'print the WGSL of a kernel, as drivers get it',
  details:
    'NAME is a path below shaders/, such as norm/rms-norm; without it all are listed. The text is linked from the modules that ' +
    'the kernel imports, and says which file each part is from. Drivers get it without most of its comments. It lacks what the ' +
    'host defines in front of it, unless --constants gives it: then marked loops are unrolled as well. The name of a ' +
    'module, such as lib/operands, prints its file as it is written.',
  options: {
    if: { value: 'CONDITIONS', help: 'those of @if that are true, with commas between: VEC4' },
    constants: { value: 'LIST', help: 'what the host defines: WG=64,IS_CAUSAL=true,Elem=vec4f' },
    json: SHARED.json,
  },
  examples: [
    ['kernel', 'all of them, and what their hosts define'],
    ['kernel norm/rms-norm --if VEC4 --constants WG=64,LANES=4,RUN=1', 'one, complete'],
    ['kernel lib/operands', 'a module that kernels import'],
  ],
}

/** `flowseg kernel` */
export const kernel: Command = { page, run }

/** The files that are no kernels, but parts of them. */
const modules = Object.keys(files)
  .filter((file) => !files[file]?.includes('@compute'))
  .map((file) => file.replace(/\.wgsl$/, ''))
  .sort()

function run(args: Given, { out }: Terminal): Promise<number> {
  expectOperands(page, args, 0, 1)
  const isJson = args.has('json')
  const name = args.operands[0]?.replace(/\.wgsl$/, '')
  if (name === undefined) {
    const rows = shaders.map(({ name, conditions, constants }) => ({ name, conditions, constants }))
    const lines = table(rows.map((row) => [row.name, row.conditions.join(','), row.constants.join(', ')]))
    const text = `${lines.join('\n')}\n\nModules that they import:\n\n${modules.join('\n')}\n`
    out.write(isJson ? jsonLine({ kernels: rows, modules }) : text)
  } else if (modules.includes(name)) {
    const needless = ['if', 'constants'].find((option) => args.has(option))
    if (needless) {
      throw new UsageError(`${name} is a module, which is printed as it is written. Leave --${needless} out.`)
    }
    const text = `// shaders/${name}.wgsl\n\n${files[`${name}.wgsl`]?.trimEnd()}`
    out.write(isJson ? jsonLine({ name, text }) : `${text}\n`)
  } else {
    const shader = find(name, args.text('if')?.split(',') ?? [])
    const text = printed(shader, args.text('constants'))
    const { conditions, constants, pieces } = shader
    const sources = [...new Set(pieces.map(({ source }) => source))]
    out.write(isJson ? jsonLine({ name, conditions, constants, sources, text }) : `${text}\n`)
  }
  return Promise.resolve(0)
}

function find(name: string, conditions: readonly string[]): Shader {
  const named = shaders.filter((shader) => shader.name === name)
  if (named.length === 0) {
    const names = [...new Set([...shaders.map((shader) => shader.name), ...modules])]
    throw new UsageError(
      `There is no kernel '${printable(name)}'.${meant(name, names) || ' `flowseg kernel` lists them.'}`,
    )
  }
  const wanted = conditions.toSorted().join(',')
  const shader = named.find((one) => one.conditions.toSorted().join(',') === wanted)
  if (shader) return shader
  const lists = named.map((one) => one.conditions.join(','))
  const sets = lists.filter((list) => list !== '').map((list) => `--if ${list}`)
  const ways = [
    ...(lists.includes('') && wanted ? ['leave --if out'] : []),
    ...(sets.length > 0 ? [`give ${sets.join(' or ')}`] : []),
  ].join(', or ')
  throw new UsageError(
    `${name} isn't linked ${wanted ? `with --if ${printable(wanted)}` : 'without conditions'}: ${ways}.`,
  )
}

function printed(shader: Shader, list: string | undefined): string {
  const linked = textOf(shader)
  if (list === undefined) {
    const names = shader.constants.join(', ')
    return documented(shader, names && `// The host defines ${names}`, linked, (line) => line)
  }
  const constants: Record<string, Constants[string]> = {}
  for (const word of list.split(',')) {
    const [, name, value = ''] = /^\s*([A-Za-z]\w*)=(\S+)\s*$/.exec(word) ?? []
    if (name === undefined) {
      throw new UsageError(`--constants has '${printable(word)}', expected NAME=VALUE, such as WG=64.`)
    }
    constants[name] = /^\d+$/.test(value) ? Number(value) : value === 'true' || (value !== 'false' && value)
  }
  const missing = shader.constants.filter((name) => !(name in constants))
  if (missing.length > 0) throw new UsageError(`--constants lacks ${missing.join(', ')} of ${shader.name}.`)
  const { code, preludeLength } = compiled(shader, constants)
  const lines = unrolledLines(linked, constants)
  const prelude = code.slice(0, preludeLength).trim()
  return documented(shader, prelude, code.slice(preludeLength), (line) => lines[line] ?? line)
}

/**
 * A kernel's text with all that its files say about it: first the header, then its lines, with the comments above them
 * and a comment that names the file wherever that changes.
 *
 * @param prelude what comes between the header and the text
 * @param lineOf  the line of the linked text that a line of `text` comes from, both counted from 0
 */
function documented(shader: Shader, prelude: string, text: string, lineOf: (line: number) => number): string {
  let source = new SourceFile(`${shader.name}.wgsl`)
  const result = [source.title, '', ...source.header, '', prelude]
  /** Lines whose comments were printed: those of an unrolled loop come again. */
  const seen = new Set<string>()
  const bare = withoutComments(text).split('\n')
  for (const [i, line] of text.split('\n').entries()) {
    const code = bare[i] ?? ''
    const place = code.trim() === '' ? undefined : placeOf(shader, lineOf(i))
    if (!place) continue // nothing, or a comment, which is taken from its file
    if (place.file !== source.file) {
      source = new SourceFile(place.file)
      result.push('', source.title, '')
    }
    // Where conditions left lines out, a line of braces is traced to whatever follows the line before it
    const key = `${place.file}:${place.line}`
    if (/\w/.test(code) && !seen.has(key)) result.push(...source.above(place.line))
    seen.add(key)
    result.push(source.hasWritten(place.line, code) ? source.line(place.line) : line.trimEnd())
  }
  return result.filter((line, i) => line !== '' || result[i - 1] !== '').join('\n')
}

/** A file under shaders/, by its lines, which are counted from 1. */
class SourceFile {
  readonly file: string
  readonly #written: readonly string[]
  readonly #bare: readonly string[]
  readonly #headerLines: number

  constructor(file: string) {
    const text = files[file] ?? ''
    this.file = file
    this.#written = text.split('\n')
    this.#bare = withoutComments(text).split('\n')
    this.#headerLines = this.#written.findIndex((_, i) => !this.#isComment(i))
  }

  get title(): string {
    return `// shaders/${this.file}`
  }

  /** The comment that the file begins with. */
  get header(): readonly string[] {
    return this.#written.slice(0, this.#headerLines)
  }

  /** The comments right above a line, after an empty line if there is one above them. */
  above(line: number): string[] {
    const startsWith = (i: number, word: string): boolean =>
      this.#written[i]?.trimStart().startsWith(word) ?? false
    let end = line - 1
    // What describes a declaration under @if describes its @else as well
    if (startsWith(end, '@else')) while (end > 0 && !startsWith(end, '@if')) end--
    let begin = end
    while (begin > this.#headerLines && this.#isComment(begin - 1)) begin--
    const comments = this.#written.slice(begin, end)
    return this.#written[begin - 1]?.trim() === '' ? ['', ...comments] : comments
  }

  /** Whether the line is this code, and perhaps a comment. Linked code may lack a condition, and has turns of loops. */
  hasWritten(line: number, code: string): boolean {
    return this.#bare[line - 1]?.trim() === code.trim()
  }

  line(line: number): string {
    return this.#written[line - 1] ?? ''
  }

  #isComment(i: number): boolean {
    return this.#bare[i]?.trim() === '' && this.#written[i]?.trim() !== ''
  }
}
