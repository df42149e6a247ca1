// JSON as the command prints it: one line of visible characters. Errors have one form.

import { FlowSegError } from '../errors.ts'

// JSON.stringify escapes control characters below U+0020 and lone surrogates. These it leaves as they are, and a
// terminal may obey them: delete and the C1 controls, formatting characters (bidirectional overrides), private use,
// separators.
const RAW = /[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/gu

/** A value on one line, with a line feed behind it. It reads back as the same value. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value).replace(RAW, escaped)}\n`
}

/** '\u202e'; two of them for what takes two UTF-16 code units. */
function escaped(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}

/** The code and the message of an error, for a program and for a person. */
export function accountOfError(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof FlowSegError) return { code: error.code, message: error.message }
  const message = error instanceof Error ? error.message : String(error)
  // The system's own refusals: no permission, no space
  if (error instanceof Error && 'syscall' in error && 'code' in error)
    return { code: String(error.code), message: `${message}.` }
  return {
    code: 'ERR_INTERNAL',
    message: `${message} (A fault of ours: FLOWSEG_DEBUG=1 shows where. Please report it.)`,
  }
}
