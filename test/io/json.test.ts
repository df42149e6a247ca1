// The strict reader agrees with JSON.parse on everything but what it exists to refuse.

import { describe, expect, test } from 'vitest'
import { type Json, parseJson, quote } from '../../src/io/json.ts'

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
    expect(() => parseJson('{"a":1,"b":2,"a":3}')).toThrow('the key "a" occurs twice, again at character 13')
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
  expect(parseJson(' '.repeat(4e6) + '1' + '\n'.repeat(4e6))).toBe(1n)
  expect(parseJson(`[${'1,'.repeat(1e5)}1]`)).toHaveLength(1e5 + 1)
  expect(parseJson(`"${'x'.repeat(4e6)}"`)).toHaveLength(4e6)
  expect(parseJson(`"${'\\n'.repeat(4e6)}"`)).toHaveLength(4e6)
  expect(() => parseJson(`"${'\\n'.repeat(4e6)}`)).toThrow(SyntaxError)
})

test('quotes stay short', () => {
  expect(quote('a"b\n')).toBe(String.raw`"a\"b\n"`)
  expect(quote('x'.repeat(1e6)).length).toBeLessThan(90)
})
