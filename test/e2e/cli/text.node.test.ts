// Texts of others that the command prints are one line of visible characters, in text, tables, progress and JSON.

import { expect, test } from 'vitest'
import { jsonLine } from '../../../src/cli/json.ts'
import { ProgressLine } from '../../../src/cli/output/progress-line.ts'
import { table, visible } from '../../../src/cli/output/terminal.ts'
import { cut, widthOf } from '../../../src/cli/output/width.ts'

const EVIL = 'a\x1b[2J\n\r\x07\x7f\x9b\u202e\u2066\u2028\ufeff\ud800\u{e0001}b'

test('JSON is one visible line, and reads back as it was', () => {
  const line = jsonLine({ [EVIL]: [EVIL, 'caf\u00e9 \u7ea2 \u{1f600}'] })
  expect(line.endsWith('\n')).toBe(true)
  expect(line.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\p{Cs}]/u)
  expect(line).toContain('caf\u00e9 \u7ea2 \u{1f600}')
  expect(JSON.parse(line)).toEqual({ [EVIL]: [EVIL, 'caf\u00e9 \u7ea2 \u{1f600}'] })
})

test('messages keep their own line breaks and nothing else', () => {
  expect(visible('one\n  two\x1b[31m\tthree\u202e')).toBe('one\n  two\\e[31m\\tthree\\u{202e}')
})

test('tables align what is shown: escapes, wide characters, accents', () => {
  const rows = table([
    ['a\x1b[2J\nb', 'x'],
    ['\u7ea2\u8272', 'yy'],
    ['cafe\u0301', '\u{1f600}'],
  ])
  expect(rows).toEqual(['a\\e[2J\\nb   x', '\u7ea2\u8272       yy', 'cafe\u0301       \u{1f600}'])
  expect(rows.map(widthOf)).toEqual([13, 13, 13])
})

test('text is cut to its cells', () => {
  expect(['abc', 'abcd', '\u7ea2\u8272'].map((text) => cut(text, 3))).toEqual([
    'abc',
    'ab\u2026',
    '\u7ea2\u2026',
  ])
  expect([cut('abc', 0), cut('', 0), cut('ab', 1)]).toEqual(['', '', '\u2026'])
})

test('progress stays on its line, whatever is worked on', () => {
  let text = ''
  const output = { write: (more: string) => void (text += more), isTTY: true, columns: 60, colourBits: 1 }
  const { signal } = new AbortController()
  const terminal = { out: output, err: output, cwd: '.', env: {}, signal }
  new ProgressLine(terminal).on({ phase: 'upload', what: EVIL, loaded: 1, total: 1 })
  const shown = text.replace('\r\x1b[K', '')
  expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u)
  expect(widthOf(shown)).toBeLessThan(60)

  // With FLOWSEG_DEBUG, where nobody watches
  text = ''
  const piped = { ...terminal, err: { ...output, isTTY: false }, env: { FLOWSEG_DEBUG: '1' } }
  new ProgressLine(piped).on({ phase: 'upload', what: EVIL, loaded: 1, total: 1 })
  expect(text.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u)
})
