// Text that strangers wrote, made safe to print: names in files, sentences, paths, answers of servers.
//
// A terminal obeys escape sequences, a line feed in a tensor's name forges a line of a report, and a bidirectional
// override reverses what a person reads. Everything that isn't plainly visible is therefore written as an escape. The
// library uses this where it puts foreign text into a message; the command uses it for all that it prints and did not
// write itself.

import { UsageError } from './errors.ts'

/** Longer text is cut in the middle of a message, where nobody reads thousands of characters. */
const LIMIT = 200
const REASON_LIMIT = 400

// Control characters, formatting characters (bidirectional overrides, zero-width ones, the byte order mark), line and
// paragraph separators, private use, and surrogates that stand alone. In a 'u' expression \p{Cs} matches only the
// latter. Joiners of letters and of emoji stay.
const INVISIBLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\e' }

/**
 * The text as one line of visible characters: control characters and line breaks are escaped.
 *
 * @param limit longest result, in UTF-16 code units; Infinity for all of it
 * @throws UsageError if the text is no string
 */
export function printable(text: string, limit: number = LIMIT): string {
  expectText('printable', text)
  // Escapes only lengthen: what is past the limit before them needn't be looked at
  const begin = text.length > limit ? text.slice(0, limit) : text
  const visible = begin.replace(INVISIBLE, escaped)
  if (visible.length <= limit && begin.length === text.length) return visible
  return `${visible.slice(0, Math.max(0, limit - 3))}...`
}

/** The text in quotes, which are escaped inside it; otherwise as {@link printable} shows it. */
export function quoted(text: string, limit: number = LIMIT): string {
  expectText('quoted', text)
  return `"${printable(text.replaceAll(/["\\]/g, '\\$&'), limit)}"`
}

/**
 * The reason of a failure, for use inside a sentence: the error's message without its full stop, and without the call
 * and the path that Node adds to a system's error ('EACCES: permission denied, open ...'). For an error of `fetch` it
 * is the message of the cause, as fetch's own says nothing.
 */
export function reasonOf(error: unknown): string {
  const cause = error instanceof TypeError && error.cause instanceof Error ? error.cause : error
  if (!(cause instanceof Error)) return printable(String(cause), REASON_LIMIT)
  const call = 'syscall' in cause ? cause.message.indexOf(`, ${String(cause.syscall)}`) : -1
  const reason = call < 0 ? cause.message : cause.message.slice(0, call)
  return printable(reason.replace(/\.$/, ''), REASON_LIMIT)
}

/** 'a, b, c and 4 more', each of them printable. */
export function firstOf(names: readonly string[], most: number): string {
  const shown = names.slice(0, most).map((name) => printable(name, 80))
  return shown.join(', ') + (names.length > most ? ` and ${names.length - most} more` : '')
}

function expectText(call: string, text: unknown): void {
  if (typeof text === 'string') return
  const kind = text === null ? 'null' : typeof text
  throw new UsageError(`${call}: the text is ${kind}, expected a string.`)
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? Number.NaN
  return (
    SHORT[character] ??
    (code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`)
  )
}

/**
 * A part of a file's name for a sentence: 'The red mug, left!' gives 'the-red-mug-left'. It has the letters and digits
 * of any script, in lower case, with a dash for all between them: whole words as long as they fit into 47 UTF-16 code
 * units, or at most 48 characters of a first word that is longer. 'mask' for a sentence without letters and digits.
 *
 * @throws UsageError if the sentence is no string
 */
export function slug(sentence: string): string {
  expectText('slug', sentence)
  const words =
    sentence
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  let name = ''
  for (const word of words) {
    if (name && name.length + word.length > 47) break
    name += `${name && '-'}${word}`
  }
  // Names of 255 bytes are what file systems agree on, and a letter may take four
  return Array.from(name || 'mask')
    .slice(0, 48)
    .join('')
}
