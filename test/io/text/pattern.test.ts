// Patterns that may run away are refused, those of published tokenizers pass, and a matcher takes no more time than
// stated.

import { describe, expect, test } from 'vitest'
import { stepsOf, UnsafePattern } from '../../../src/io/text/pattern.ts'

const LENGTH = 8192
const BUDGET = 2e9

describe('patterns of published tokenizers take few steps', () => {
  const contractions = "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"
  test.each([
    ['GPT-2', String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`],
    [
      'Qwen',
      String.raw`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ],
    [
      'Llama 3',
      String.raw`(?:'[sS]|'[tT])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ],
    [
      'o200k',
      String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:${contractions})?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:${contractions})?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ],
    ['a space', ' '],
    ['spaces', ' {2,}'],
    ['a class made of others', String.raw`(?:(?=(?:[a-z]|[^b-d]))[\s\S])+`],
  ])('%s', (_, source) => {
    expect(() => new RegExp(source, 'u')).not.toThrow()
    expect(stepsOf(source, LENGTH)).toBeLessThan(BUDGET)
  })
})

describe('what could run away is refused, or takes too many steps', () => {
  test.each([
    '(a+)+$',
    '(a*)*',
    '(a|a)+$',
    '(a|ab)*c',
    '(?:a?)+b',
    '(?:a+b?)+$',
    '((a)+)+',
    '(?:ab)*',
    String.raw`(a+)\1`,
    String.raw`(?<x>a)\k<x>`,
    '(?=a*b)',
    '(?<=a+)b',
    'a*a*a*a*$',
    String.raw`\s*\s*x`,
    '.*.*=.*',
    `${'a?'.repeat(40)}${'a'.repeat(40)}`,
    `${'(?:a|a)'.repeat(30)}b`,
    '(?:a|a){30}b',
    '(?:a|b|c){0,30}d',
    '(?:(?:(?:a|b){8}){8}){8}',
    '(?:a+){2,}',
    '(?:x(?=(?:a{0,900}){2}b))*y*z',
    `(?=${'a{0,900}'.repeat(3)}b)x`,
    'a{1001}',
    'a{2,5}{3}',
    '[',
    '(',
    ')',
    '(?#x)',
    '(?>a+)b',
    `${'('.repeat(100)}a${')'.repeat(100)}`,
    'x'.repeat(5000),
  ])('%.40s', (source) => {
    let steps: number
    try {
      steps = stepsOf(source, LENGTH)
    } catch (error) {
      expect(error).toBeInstanceOf(UnsafePattern)
      return
    }
    expect(steps).toBeGreaterThan(BUDGET)
  })
})

describe('what passes is fast', () => {
  const texts = ['a', ' ', '\n', 'ab', ' \n', '\r\n ', "'", 'é', 'aA', '1', '  x'].map((part) =>
    part.repeat(Math.ceil(LENGTH / part.length)).slice(0, LENGTH),
  )
  test.each([
    String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`,
    String.raw`a*[^a]`,
    String.raw`[ab]*c|[aA]+(?:'s|'t)?|\s+$`,
    String.raw`(?:a|b|ab)?[ab]*x`,
    String.raw`\p{L}{1,3}(?:ab|a){1,4}c`,
  ])('%s', (source) => {
    expect(stepsOf(source, LENGTH)).toBeLessThan(BUDGET)
    for (const text of [...texts, ...texts.map((all) => `${all.slice(1)}x`)]) {
      const begin = performance.now()
      text.match(new RegExp(source, 'gu'))
      expect(performance.now() - begin, JSON.stringify(text.slice(0, 4))).toBeLessThan(5000)
    }
  })
})
