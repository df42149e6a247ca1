// Command lines: what a command accepts, its help, and messages for what it doesn't.

import { parseArgs } from 'node:util'
import { entryOf, lastOf } from '../check.ts'
import { UsageError } from '../errors.ts'
import { printable } from '../printable.ts'
import { grouped, type Terminal } from './output/terminal.ts'

export { UsageError }

/** An option of a command. */
export interface Option {
  /** The value after the option; an option without one is a switch. */
  readonly value?: string
  /** One letter: 's' for -s. */
  readonly short?: string
  /** The option may come more than once. */
  readonly many?: boolean
  /** A line of the page: what the option does, in lower case, without a full stop. */
  readonly help: string
}

/** Options by their names, without the dashes. */
export type Options = Readonly<Record<string, Option>>

/** A command's page: what `--help` prints is made of nothing else. */
export interface Page {
  /** The word behind `flowseg`. */
  readonly name: string
  /** The arguments after the name: 'IMAGE "SENTENCE"'. */
  readonly operands: string
  /** What the command does, in a line. */
  readonly summary: string
  /** Paragraphs for its own page alone, wrapped when they are printed. */
  readonly details?: string
  /** All that it takes besides --help. */
  readonly options: Options
  /** A command line without 'flowseg', and what it does. */
  readonly examples: readonly (readonly [command: string, does: string])[]
}

/** A command: its page, and what it does. */
export interface Command {
  /** What `parse` reads its arguments by. */
  readonly page: Page
  /** @returns the exit code */
  run(args: Given, terminal: Terminal): Promise<number>
}

/** The words that the user typed. */
export interface Given {
  /** Words that belong to no option, in their order. */
  readonly operands: readonly string[]
  /** True if the option was given, with a value or as a switch. */
  has(option: string): boolean
  /** The option's value; undefined if it wasn't given. */
  text(option: string): string | undefined
  /** Every value of an option that may be given more than once. */
  all(option: string): readonly string[]
  /** @throws UsageError unless it is a whole number from `least` to `most` */
  number(option: string, least: number, most?: number): number | undefined
  /** @throws UsageError unless it is a number greater than 0 */
  positive(option: string): number | undefined
  /** @throws UsageError unless it is one of these */
  oneOf<T extends string>(option: string, among: readonly T[]): T | undefined
}

/** Options that several commands share. */
export const SHARED = {
  weights: {
    value: 'DIR',
    help: 'folder of the model, or its weights: a path, a URL or hf:owner/name; else flowseg-nano',
  },
  quantize: {
    value: 'KIND',
    help: 'hold the large weights in int8 or int4: less memory, and masks that differ a little',
  },
  adapter: { value: 'NAME', help: "part of an adapter's name, as `flowseg doctor` lists them" },
  'no-tune': { help: 'kernels by the cost model alone, not those that `flowseg tune` measured' },
  json: { help: 'one line of JSON on standard output instead of text; errors as well' },
} as const satisfies Options

/**
 * The words behind a command's name, as its page has them.
 *
 * @throws UsageError naming an option that is unknown, lacks its value, or comes too often
 */
export function parse({ name, options }: Page, args: readonly string[]): Given {
  const known = new Map<string, Option>(Object.entries({ ...options, help: { help: '', short: 'h' } }))
  const config = Object.fromEntries(
    [...known].map(([key, { value, short }]) => [
      key,
      { type: value ? ('string' as const) : ('boolean' as const), ...(short && { short }) },
    ]),
  )
  const { tokens } = parseArgs({ args: [...args], options: config, strict: false, tokens: true })
  const values = new Map<string, string[]>()
  const operands: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const option = known.get(token.name)
    if (!option) {
      throw new UsageError(
        `flowseg ${name} has no option ${printable(token.rawName)}.${meant(token.name, [...known.keys()], '--')} ` +
          'A sentence that begins with a dash goes behind a bare --.',
      )
    }
    const before = values.get(token.name)
    if (option.value === undefined) {
      if (token.value !== undefined) {
        throw new UsageError(`--${token.name} takes no value, and '${printable(token.value)}' was given.`)
      }
    } else {
      const value = expectValue(token.name, option.value, token.value, token.inlineValue ?? false)
      if (before && !option.many) {
        const both = `'${printable(entryOf(before, 0))}' and '${printable(value)}'`
        throw new UsageError(`--${token.name} is given twice: ${both}. Give it once.`)
      }
    }
    values.set(token.name, [...(before ?? []), token.value ?? ''])
  }
  const text = (option: string): string | undefined => values.get(option)?.[0]
  return {
    operands,
    has: (option) => values.has(option),
    text,
    all: (option) => values.get(option) ?? [],
    number: (option, least, most = Number.MAX_SAFE_INTEGER) => {
      const typed = text(option)
      if (typed === undefined) return undefined
      const value = Number(typed)
      if (!/^\d+$/.test(typed) || value < least || value > most) {
        const range =
          most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${grouped(most)}`
        throw new UsageError(`--${option} is '${printable(typed)}', expected a whole number ${range}.`)
      }
      return value
    },
    positive: (option) => {
      const typed = text(option)
      if (typed === undefined) return undefined
      const value = Number(typed)
      if (!/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(typed) || !(value > 0 && Number.isFinite(value))) {
        throw new UsageError(
          `--${option} is '${printable(typed)}', expected a number greater than 0, such as 2.5.`,
        )
      }
      return value
    },
    oneOf: (option, among) => {
      const typed = text(option)
      if (typed === undefined) return undefined
      const match = among.find((word) => word === typed)
      if (!match)
        throw new UsageError(`--${option} is '${printable(typed)}', expected ${among.join(' or ')}.`)
      return match
    },
  }
}

/** @throws UsageError unless it is a number from 0 to 1 */
export function shareOption(args: Given, option: string): number | undefined {
  const typed = args.text(option)
  if (typed === undefined) return undefined
  const value = Number(typed)
  if (!/^(\d+\.?\d*|\.\d+)$/.test(typed) || value > 1) {
    throw new UsageError(`--${option} is '${printable(typed)}', expected a number from 0 to 1, such as 0.5.`)
  }
  return value
}

/** The value of an option that needs one. A word that looks like the next option isn't taken for it. */
function expectValue(name: string, kind: string, value: string | undefined, isInline: boolean): string {
  const isOption = !isInline && /^-./.test(value ?? '')
  if (value && !isOption) return value
  const remedy = isOption ? ` A value that begins with a dash is joined to it: --${name}=VALUE.` : ''
  throw new UsageError(`--${name} needs a value: --${name} ${kind}.${remedy}`)
}

/** @throws UsageError with the usage line, unless there are `least` to `most` operands */
export function expectOperands({ name, operands }: Page, args: Given, least: number, most = least): void {
  const count = args.operands.length
  if (count >= least && count <= most) return
  const what =
    count < least ? 'is missing something' : `does not take '${printable(entryOf(args.operands, most))}'`
  throw new UsageError(`flowseg ${name} ${what}. Usage: ${`flowseg ${name} ${operands}`.trim()}`)
}

/** 'Did you mean ...?' when a known word is close to what was typed. */
export function meant(typed: string, known: readonly string[], before = ''): string {
  if (typed.length > MAX_WORD) return ''
  const near = known
    .map((word) => ({ word, distance: isPart(typed, word) ? 0 : editDistance(typed, word) }))
    .sort((a, b) => a.distance - b.distance)[0]
  if (!near || near.distance > Math.ceil(Math.max(typed.length, near.word.length) / 3)) return ''
  return ` Did you mean ${before}${near.word}?`
}

function isPart(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a)
}

/** Nobody mistypes a longer one. */
const MAX_WORD = 40

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  const at = (i: number, j: number): number => entryOf(entryOf(rows, i), j)
  for (let i = 1; i <= a.length; i++) {
    rows.push([i])
    const row = lastOf(rows)
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swapped = isSwap ? at(i - 2, j - 2) + 1 : Infinity
      row.push(Math.min(replaced, swapped, at(i - 1, j) + 1, at(i, j - 1) + 1))
    }
  }
  return at(a.length, b.length)
}

/** A sentence for help pages: what the command's exit codes mean. */
export const EXIT_CODES =
  'Exit codes: 0 done, 1 failed, 2 bad command line, 3 nothing found, 130 interrupted (143: ended, 129: hung up).'

/** The exit code of a question whose answer is that nothing of it is there. */
export const EXIT_NOTHING = 3

/** Columns of help. */
const WIDTH = 112

/** The text of `flowseg COMMAND --help`. */
export function helpText({ name, operands, summary, details, options, examples }: Page): string {
  const flags = Object.entries(options).map(([option, { value, short, help }]): [string, string] => [
    `  ${short ? `-${short}, ` : ''}--${option}${value ? ` ${value}` : ''}`,
    help,
  ])
  const width = Math.max(0, ...flags.map(([flag]) => flag.length))
  const lines = [
    `flowseg ${name}: ${summary}`,
    '',
    `  flowseg ${name}${operands && ` ${operands}`}${flags.length > 0 ? ' [options]' : ''}`,
    ...(details ? ['', ...wrap(details, 96)] : []),
    ...(flags.length > 0 ? ['', 'Options'] : []),
    ...flags.flatMap(([flag, help]) => {
      const [first, ...more] = wrap(help, Math.max(30, WIDTH - width - 3))
      return [`${flag.padEnd(width)}   ${first}`, ...more.map((line) => `${' '.repeat(width)}   ${line}`)]
    }),
    '',
    'Examples',
    ...examples.flatMap(([command, does]) => [`  flowseg ${command}`, `      ${does}`]),
    '',
    EXIT_CODES,
  ]
  return `${lines.join('\n')}\n`
}

function wrap(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lastOf(lines)
    if (line.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = line ? `${line} ${word}` : word
  }
  return lines
}
