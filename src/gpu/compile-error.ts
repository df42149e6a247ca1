// Errors of kernels that don't compile, with the line of their body. The prelude takes no line of its own, so the
// compiler's line numbers are the body's. Lines of the engine's own kernels are traced to their files in shaders/.
// Compilers report in different ways: Tint (Dawn, Chromium) gives messages with positions; naga (Deno) gives one
// message that contains a drawing of the line, and older versions of it only throw.

import { KernelError, UsageError } from '../errors.ts'
import { printable } from '../printable.ts'
import type { Kernel } from './kernel.ts'

interface Place {
  readonly line: number
  /** The column, counted from 1. */
  readonly column: number
  readonly message: string
}

/** @param reason what the device said, for when the compiler found nothing: a limit, or a missing feature */
export function compileError(
  k: Kernel,
  messages: readonly GPUCompilationMessage[],
  reason: string,
  cause: unknown,
): UsageError | KernelError {
  const places = messages
    .filter(({ type }) => type === 'error')
    .map(({ lineNum, linePos, message }) => ({ line: lineNum, column: linePos, message }))
  const shown = (places.length > 0 ? places : placesIn(reason)).slice(0, 3).map((place) => show(k, place))
  const detail = shown.length > 0 ? shown.join('\n') : `  ${oneLine(reason)}`
  if (k.own) {
    return new UsageError(`Your kernel '${k.name}' does not compile on this device:\n${detail}`, { cause })
  }
  return new KernelError(
    `Kernel ${k.key} does not compile on this device:\n${detail}\nThis is a fault of the engine: please report it.`,
    { cause },
  )
}

/** naga's own: 'wgsl:3:63'. */
function placesIn(reason: string): Place[] {
  const [, line, column] = /\bwgsl:(\d+):(\d+)/.exec(reason) ?? []
  return line === undefined ? [] : [{ line: Number(line), column: Number(column), message: reason }]
}

function show({ code, preludeLength, placeOf }: Kernel, { line, column, message }: Place): string {
  const text = code.split('\n')[line - 1] ?? ''
  const isFirst = line === 1
  if (isFirst && column <= preludeLength) {
    return `  in the prelude: ${oneLine(message)}\n    ${printable(text.slice(0, preludeLength).trim())}`
  }
  const own = isFirst ? text.slice(preludeLength) : text
  const place = placeOf?.(line)
  const where = place ? `shaders/${place.file}, line ${place.line}` : `line ${line}`
  return `  ${where}: ${oneLine(message)}\n    ${printable(own.trim())}`
}

/** The sentence of a message that may be a drawing of several lines. */
function oneLine(message: string): string {
  const [first = 'no reason given'] = message.split('\n').filter((line) => line.trim() !== '')
  return printable(first.trim().replace(/^Shader '.*?' parsing error: /, ''), 300)
}
