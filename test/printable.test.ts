// Foreign text can't command a terminal, forge a line or reverse what is read.

import { expect, test } from 'vitest'
import { UsageError } from '../src/errors.ts'
import { firstOf, printable, quoted, reasonOf, slug } from '../src/printable.ts'

test('visible text stays as it is', () => {
  for (const text of [
    '',
    'llm.model.norm.weight',
    'ein roter Würfel',
    'なにか赤いもの',
    'кот',
    '👍🏽',
    '👩‍🚀',
    'a b\u00a0c',
  ]) {
    expect(printable(text)).toBe(text)
  }
})

test('control characters become escapes', () => {
  expect(printable('a\u001b[31mb')).toBe('a\\e[31mb')
  expect(printable('x\nAll 999 tensors fit\r')).toBe('x\\nAll 999 tensors fit\\r')
  expect(printable('\u0000\u007f\u009b2J')).toBe('\\x00\\x7f\\x9b2J')
  expect(printable('\u202egnp.exe\u2066\u2028\ufeff')).toBe('\\u{202e}gnp.exe\\u{2066}\\u{2028}\\u{feff}')
  expect(printable('\ud800 and \u{1f600}')).toBe('\\u{d800} and \u{1f600}')
  expect(printable('\u{e0041}')).toBe('\\u{e0041}')
})

test('long text is cut, whatever its escapes take', () => {
  expect(printable('x'.repeat(1e6), 10)).toBe('xxxxxxx...')
  expect(printable('\u0001'.repeat(100), 10)).toHaveLength(10)
  expect(printable('x'.repeat(10), 10)).toBe('x'.repeat(10))
  expect(printable('x'.repeat(5000), Number.POSITIVE_INFINITY)).toHaveLength(5000)
})

test('quotes are escaped in quotes', () => {
  expect(quoted('a"b\\c\n')).toBe('"a\\"b\\\\c\\n"')
})

test('reasons have no full stop, no call and path of Node, and nothing that is not visible', () => {
  const system = Object.assign(new Error("EACCES: permission denied, rename '/a, b' -> '/c'"), {
    syscall: 'rename',
  })
  expect(reasonOf(system)).toBe('EACCES: permission denied')
  expect(reasonOf(new Error('a sentence, open to question.'))).toBe('a sentence, open to question')
  expect(reasonOf(new TypeError('fetch failed', { cause: new Error('ECONNREFUSED\u001b[2J') }))).toBe(
    'ECONNREFUSED\\e[2J',
  )
  expect(reasonOf('a string')).toBe('a string')
})

test('of many names the first are told', () => {
  expect(firstOf([], 2)).toBe('')
  expect(firstOf(['a', 'b'], 2)).toBe('a, b')
  expect(firstOf(['a\n', 'b', 'c', 'd'], 2)).toBe('a\\n, b and 2 more')
})

test('slugs are file names in any script', () => {
  expect(slug('The red mug, left!')).toBe('the-red-mug-left')
  expect(slug('  ../../etc/passwd ')).toBe('etc-passwd')
  expect(slug('红色的杯子')).toBe('红色的杯子')
  expect(slug('?!')).toBe('mask')
  expect(slug('word '.repeat(40)).length).toBeLessThanOrEqual(48)
  expect(slug('x'.repeat(300))).toBe('x'.repeat(48))
  // A word is left out rather than cut
  expect(slug(`${'x'.repeat(40)} yyyyyyyyyy`)).toBe('x'.repeat(40))
  expect(() => slug(5 as never)).toThrow(UsageError)
})
