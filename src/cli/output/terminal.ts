// The command's connections to the world: streams, folder, environment, Ctrl-C. `main.ts` gives it the process's
// own (process.ts); the tests give it theirs.

import { styleText } from 'node:util'
import { entryOf } from '../../check.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { printable } from '../../printable.ts'
import { widthOf } from './width.ts'

/** A stream that text goes to. */
export interface Output {
  /** Doesn't throw: standard output that fails ends the command, standard error that fails is ignored. */
  write(text: string): void
  /** True if a person watches it, rather than a file or a pipe. */
  readonly isTTY: boolean
  /** Its width in cells; 80 where nobody says. */
  readonly columns: number
  /** Bits of colour: 1 is none. */
  readonly colourBits: number
}

/** Standard input. */
export interface Input {
  /** True if a person would have to type it. */
  readonly isTTY: boolean
  /** Its bytes, once; given up when the signal is aborted. */
  read(signal: AbortSignal): AsyncIterable<Uint8Array>
}

/** A command's streams, folder, environment and way to be stopped. */
export interface Terminal {
  /** The input that is piped into the command; absent if there is none. */
  readonly in?: Input

  /** Results. */
  readonly out: Output
  /** Progress, notes and errors. */
  readonly err: Output
  /** Relative paths start here. */
  readonly cwd: string
  /** The process's environment, with FLOWSEG_DEBUG and others. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** An engine to take rather than open one, and to leave open: its kernels are compiled already. */
  readonly gpu?: Gpu | undefined
}

/** A run that was stopped before its end, with the exit code that says why. */
export class Interrupted extends Error {
  /** The process's exit code: 130 after Ctrl-C, 143 after SIGTERM. */
  readonly exitCode: number
  /** True if no message is to be printed: nobody reads the output, or the reason was printed already. */
  readonly isTold: boolean

  constructor(exitCode: number, isTold = false) {
    super('interrupted')
    this.exitCode = exitCode
    this.isTold = isTold
  }
}

/** A colour or a weight, as node:util's styleText names them. */
export type Style = Parameters<typeof styleText>[0]

/** Dresses text for a stream; on one without colours it stays as it is. */
export function painter(output: Output): (style: Style, text: string) => string {
  return (style, text) => (output.colourBits > 1 ? styleText(style, text) : text)
}

/** Numbers as people read them: 1,234,567. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US')
}

/** A message with the line breaks that its author wrote, and nothing else that a terminal would obey. */
export function visible(message: string): string {
  return message
    .split('\n')
    .map((line) => printable(line, Infinity))
    .join('\n')
}

/**
 * Rows as columns: the first aligned left, the others right unless `left` names them. Cells are made visible; dress the
 * rows.
 */
export function table(rows: readonly (readonly string[])[], left: readonly number[] = [0]): string[] {
  const cells = rows.map((row) => row.map((cell) => printable(cell, Infinity)))
  const widths: number[] = []
  for (const row of cells) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, widthOf(cell))
    })
  }
  return cells.map((row) =>
    row
      .map((cell, i) => {
        const space = ' '.repeat(entryOf(widths, i) - widthOf(cell))
        return left.includes(i) ? cell + space : space + cell
      })
      .join('  ')
      .trimEnd(),
  )
}
