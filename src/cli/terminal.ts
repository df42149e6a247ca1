// What a command touches of the world: streams, folder, environment, Ctrl-C. `main.ts` gives it the process's
// own; the tests give it theirs.

import { styleText } from 'node:util'
import type { Gpu } from '../gpu/gpu.ts'

export interface Output {
  write(text: string): void
  readonly isTTY: boolean
  readonly columns: number
  /** Bits of colour: 1 is none. */
  readonly colourBits: number
}

export interface Terminal {
  /** Results. */
  readonly out: Output
  /** Progress, notes and errors. */
  readonly err: Output
  /** Relative paths start here. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** An engine to take rather than open one, and to leave open: its kernels are compiled already. */
  readonly gpu?: Gpu | undefined
}

/** Why a run was stopped, and the exit code that says so. */
export class Interrupted extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('interrupted')
    this.exitCode = exitCode
  }
}

export type Style = Parameters<typeof styleText>[0]

/** Dresses text for a stream; on one without colours it stays as it is. */
export function painter(output: Output): (style: Style, text: string) => string {
  return (style, text) => (output.colourBits > 1 ? styleText(style, text) : text)
}

/** The process's own streams and signals. */
export function processTerminal(): Terminal {
  const controller = new AbortController()
  const stop = (exitCode: number) => (): void => {
    // A second Ctrl-C doesn't wait for the step under way
    if (controller.signal.aborted) process.exit(exitCode)
    controller.abort(new Interrupted(exitCode))
  }
  process.on('SIGINT', stop(130))
  process.on('SIGTERM', stop(143))
  const pipeClosed = (): void => controller.abort(new Interrupted(0))
  return {
    out: streamOutput(process.stdout, pipeClosed),
    err: streamOutput(process.stderr, pipeClosed),
    cwd: process.cwd(),
    env: process.env,
    signal: controller.signal,
  }
}

/** @param onClosed called when whoever reads the stream has had enough (`| head`): no fault of ours */
function streamOutput(stream: NodeJS.WriteStream, onClosed: () => void): Output {
  let closed = false
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    closed = true
    onClosed()
  })
  const isTTY = stream.isTTY ?? false // undefined on a pipe
  return {
    write: (text) => {
      if (!closed) stream.write(text)
    },
    isTTY,
    get columns() {
      return stream.columns || 80
    },
    colourBits: isTTY ? stream.getColorDepth() : 1,
  }
}

/** Numbers as people read them: 1,234,567. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US')
}

/** Rows as columns: the first aligned left, the others right unless `left` names them. */
export function table(rows: readonly (readonly string[])[], left: readonly number[] = [0]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length)
    })
  }
  return rows.map((row) =>
    row
      .map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  )
}
