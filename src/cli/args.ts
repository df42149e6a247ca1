// Command lines: what a command accepts, its help, and messages for what it doesn't.

import { parseArgs } from 'node:util'
import { FlowSegError } from '../errors.ts'
import type { Terminal } from './terminal.ts'

/** A command line that can't be meant: exit code 2. */
export class UsageError extends FlowSegError {
  override readonly name: string = 'UsageError'

  constructor(message: string) {
    super('ERR_USAGE', message)
  }
}

export interface Option {
  /** What stands behind it; none is a switch. */
  readonly value?: string
  readonly help: string
}

export type Options = Readonly<Record<string, Option>>

/** A command's page: what `--help` prints is made of nothing else. */
export interface Page {
  readonly name: string
  /** What follows the name: 'IMAGE "SENTENCE"'. */
  readonly operands: string
  readonly summary: string
  readonly details?: string
  readonly options: Options
  /** A command line without 'flowseg', and what it does. */
  readonly examples: readonly (readonly [command: string, does: string])[]
}

export interface Command {
  readonly page: Page
  /** @returns the exit code */
  run(given: Given, terminal: Terminal): Promise<number>
}

/** What the user typed. */
export interface Given {
  readonly operands: readonly string[]
  has(option: string): boolean
  text(option: string): string | undefined
  /** @throws UsageError unless it is a whole number of at least `least` */
  number(option: string, least: number): number | undefined
  /** @throws UsageError unless it is one of these */
  oneOf<T extends string>(option: string, among: readonly T[]): T | undefined
}

/** Options that several commands share. */
export const SHARED = {
  weights: { value: 'DIR', help: 'folder of the model; by default the one that comes along, flowseg-nano' },
  quantize: {
    value: 'KIND',
    help: 'hold the large weights in int8 or int4: less memory, and masks that differ a little',
  },
  adapter: { value: 'NAME', help: "part of an adapter's name, as `flowseg doctor` lists them" },
  'no-tune': { help: 'kernels by the cost model alone, not those that `flowseg tune` remembered' },
  json: { help: 'one line of JSON on standard output instead of text' },
} as const satisfies Options

export function parse({ name, options }: Page, args: readonly string[]): Given {
  const known = Object.fromEntries(
    Object.entries({ ...options, help: { help: '' } }).map(([key, { value }]: [string, Option]) => [
      key,
      { type: value ? ('string' as const) : ('boolean' as const) },
    ]),
  )
  const { tokens } = parseArgs({ args: [...args], options: known, strict: false, tokens: true })
  const values = new Map<string, string | true>()
  const operands: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const option = known[token.name]
    if (!option) {
      throw new UsageError(
        `flowseg ${name} has no option ${token.rawName}.${meant(token.name, Object.keys(known), '--')} ` +
          'A sentence that begins with a dash goes behind a bare --.',
      )
    }
    if (option.type === 'boolean' && token.value !== undefined) {
      throw new UsageError(`--${token.name} takes no value, and '${token.value}' was given.`)
    }
    const isFlag = token.value?.startsWith('-') && !token.inlineValue
    if (option.type === 'string' && (!token.value || isFlag)) {
      throw new UsageError(`--${token.name} needs a value: --${token.name} ${options[token.name]!.value}.`)
    }
    values.set(token.name, token.value ?? true)
  }
  const text = (option: string): string | undefined => {
    const value = values.get(option)
    return typeof value === 'string' ? value : undefined
  }
  return {
    operands,
    has: (option) => values.has(option),
    text,
    number: (option, least) => {
      const given = text(option)
      if (given === undefined) return undefined
      const value = Number(given)
      if (!/^\d+$/.test(given) || !Number.isSafeInteger(value) || value < least) {
        throw new UsageError(`--${option} is '${given}', expected a whole number of at least ${least}.`)
      }
      return value
    },
    oneOf: (option, among) => {
      const given = text(option)
      if (given === undefined) return undefined
      const found = among.find((word) => word === given)
      if (!found) throw new UsageError(`--${option} is '${given}', expected ${among.join(' or ')}.`)
      return found
    },
  }
}

/** @throws UsageError with the usage line, unless there are `least` to `most` operands */
export function expectOperands({ name, operands }: Page, given: Given, least: number, most = least): void {
  const count = given.operands.length
  if (count >= least && count <= most) return
  const what = count < least ? 'is missing something' : `does not take '${given.operands[most]}'`
  throw new UsageError(`flowseg ${name} ${what}. Usage: flowseg ${name} ${operands}`)
}

/** 'Did you mean ...?' when a known word is close to what was typed. */
export function meant(typed: string, known: readonly string[], before = ''): string {
  const near = known
    .map((word) => ({ word, distance: isPart(typed, word) ? 0 : editDistance(typed, word) }))
    .sort((a, b) => a.distance - b.distance)[0]
  if (!near || near.distance > Math.ceil(Math.max(typed.length, near.word.length) / 3)) return ''
  return ` Did you mean ${before}${near.word}?`
}

function isPart(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a)
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replace = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(replace, rows[i - 1]![j]! + 1, row[j - 1]! + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1)
      }
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

/** The text of `flowseg COMMAND --help`. */
export function helpText({ name, operands, summary, details, options, examples }: Page): string {
  const flags = Object.entries(options).map(([option, { value, help }]): [string, string] => [
    `  --${option}${value ? ` ${value}` : ''}`,
    help,
  ])
  const width = Math.max(0, ...flags.map(([flag]) => flag.length))
  const lines = [
    `flowseg ${name}: ${summary}`,
    '',
    `  flowseg ${name}${operands && ` ${operands}`}${flags.length > 0 ? ' [options]' : ''}`,
    ...(details ? ['', ...wrap(details, 96)] : []),
    ...(flags.length > 0 ? ['', 'Options'] : []),
    ...flags.map(([flag, help]) => `${flag.padEnd(width)}   ${help}`),
    '',
    'Examples',
    ...examples.flatMap(([command, does]) => [`  flowseg ${command}`, `      ${does}`]),
  ]
  return `${lines.join('\n')}\n`
}

function wrap(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = line ? `${line} ${word}` : word
  }
  return lines
}
