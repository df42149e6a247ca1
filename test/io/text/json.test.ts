// The strict reader agrees with JSON.parse on everything but what it exists to refuse.

import { describe, expect, test } from 'vitest'
import { type Json, JsonReader, parseJson, plainJson, SMALL_JSON } from '../../../src/io/text/json.ts'

function plain(value: Json): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]))
  if (Array.isArray(value)) return value.map(plain)
  return typeof value === 'bigint' ? Number(value) : value
}

const good = [
  '{}',
  ' [ ] ',
  '\t\n{}\r ',
  'null',
  'true',
  'false',
  '"x"',
  '0',
  '-0',
  '12',
  '-1.5e-3',
  '1E5',
  '1.0',
  '{"a":1,"b":{"c":[1,2,{"d":null}]}}',
  '{ "a" : [ 1 , 2 ] , "b" : "" }',
  '{"":1}',
  String.raw`"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00"`,
  '"größe 日本 😀"',
  '[[[[]]]]',
]
const bad = [
  '',
  ' ',
  '{',
  '}',
  '{]',
  '[1,]',
  '{"a":1,}',
  '{,}',
  '{"a"}',
  '{"a":}',
  '{a:1}',
  "{'a':1}",
  '[1 2]',
  '01',
  '1.',
  '.5',
  '+1',
  '-',
  '1e',
  'tru',
  'nulll',
  'NaN',
  'Infinity',
  '"',
  '"\\"',
  '"\\x41"',
  '"\\u12"',
  '"\n"',
  '"\0"',
  '{} {}',
  '[]x',
  '\ufeff{}',
  '\u00a0{}',
  '// no\n1',
]

test.each(good)('reads %j as JSON.parse does', (text) => {
  expect(plain(parseJson(text))).toEqual(JSON.parse(text))
})

test.each(bad)('refuses %j as JSON.parse does', (text) => {
  expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError)
  expect(() => parseJson(text)).toThrow(SyntaxError)
})

describe('refuses what JSON.parse lets pass', () => {
  test('a key that occurs twice, however it is written', () => {
    expect(() => parseJson('{"a":1,"b":2,"a":3}')).toThrow('the key "a" occurs twice, again at byte 13')
    expect(() => parseJson(String.raw`{"a":1,"\u0061":3}`)).toThrow('twice')
    expect(() => parseJson('[{"x":{"a":1,"a":1}}]')).toThrow('twice')
    expect(() => parseJson('{"__proto__":1,"__proto__":2}')).toThrow('twice')
  })

  test('half a surrogate pair', () => {
    expect(() => parseJson(String.raw`"\ud83d"`)).toThrow(SyntaxError)
  })

  test('nesting that would exhaust the stack', () => {
    expect(() => parseJson('['.repeat(100_000))).toThrow('more than 32 levels')
    expect(() => parseJson('{"a":'.repeat(100_000))).toThrow('more than 32 levels')
  })
})

test('keys are only keys', () => {
  const object = parseJson('{"__proto__":{"x":1},"constructor":2}')
  expect(object instanceof Map && [...object.keys()]).toEqual(['__proto__', 'constructor'])
})

test('only a whole number is a bigint, and an exact one', () => {
  expect(parseJson('9007199254740993')).toBe(9007199254740993n)
  expect(parseJson('18446744073709551615')).toBe(18446744073709551615n)
  for (const text of ['-0', '-1', '1.0', '1e2', '1'.repeat(21)]) expect(typeof parseJson(text)).toBe('number')
  // A million digits must not become a bigint: that takes quadratic time
  expect(parseJson('1'.repeat(1_000_000))).toBe(Number.POSITIVE_INFINITY)
})

test('megabytes of anything do not exhaust the stack', () => {
  const parseJson = (text: string): Json => new JsonReader(text, { ...SMALL_JSON, values: 1e6 }).value()
  expect(parseJson(' '.repeat(4e6) + '1' + '\n'.repeat(4e6))).toBe(1n)
  expect(parseJson(`[${'1,'.repeat(1e5)}1]`)).toHaveLength(1e5 + 1)
  expect(parseJson(`"${'x'.repeat(4e6)}"`)).toHaveLength(4e6)
  expect(parseJson(`"${'\\n'.repeat(4e6)}"`)).toHaveLength(4e6)
  expect(() => parseJson(`"${'\\n'.repeat(4e6)}`)).toThrow(SyntaxError)
})

describe('is bounded while it reads', () => {
  const limits = { values: 20, containers: 5, keyBytes: 8 }

  test.each([
    ['[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0]', 'more than 20 keys and values'],
    [`{${Array.from({ length: 12 }, (_, i) => `"${i}":0`).join()}}`, 'more than 20 keys and values'],
    ['[[],[],[],{},{}]', 'more than 5 objects and lists'],
    ['{"123456789":1}', 'a key of more than 8 bytes at byte 1'],
    ['{"größe ist":1}', 'a key of more than 8 bytes'],
  ])('%s', (text, why) => {
    expect(() => parseJson(text, limits)).toThrow(why)
    expect(() => plainJson(text, limits)).toThrow(why)
  })

  test('and stops where it is too much', () => {
    const text = `[${'{},'.repeat(2e6)}`
    expect(() => plainJson(text)).toThrow('more than 10000 objects and lists at byte 29999')
    expect(() => parseJson(text)).toThrow('more than 10000 objects and lists')
  })
})

describe('plainJson', () => {
  test.each(good)('reads %j as JSON.parse does', (text) => {
    expect(plainJson(text)).toEqual(JSON.parse(text))
  })

  test.each([...bad, '{"a":1,"a":2}', '{"a":{"b":1,"b":2}}', String.raw`["\ud800"]`])(
    'refuses %j',
    (text) => {
      expect(() => plainJson(text)).toThrow(SyntaxError)
    },
  )
})

test('a reader takes what it is asked for, and passes over the rest', () => {
  const reader = new JsonReader('{"a": [1, {"b": "x"}, 2], "c": "d", "e": {"f": 1, "f": 2}}', SMALL_JSON)
  const seen: unknown[] = []
  reader.object((key) => {
    if (key === 'a') reader.list(() => seen.push(reader.scalar()))
    else if (key === 'c') seen.push(reader.string())
    else reader.skip()
  })
  reader.end()
  expect(seen).toEqual([1n, undefined, 2n, 'd'])
})

test('bytes that are not UTF-8 are refused, in strings and outside', () => {
  for (const byte of [0x80, 0xff, 0xc0]) {
    expect(() => parseJson(Uint8Array.of(0x22, byte, 0x22))).toThrow(SyntaxError)
    expect(() => parseJson(Uint8Array.of(byte))).toThrow(SyntaxError)
  }
})
