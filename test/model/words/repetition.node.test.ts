// A model that only repeats itself is noticed, and one that says something isn't.

import { expect, test } from 'vitest'
import { REPEAT_TOKENS, Repetition } from '../../../src/model/words/repetition.ts'

const SPACES = [0, 1, 2]

/** The number of tokens after which it is noticed; undefined if it isn't. */
function noticedAfter(ids: readonly number[]): number | undefined {
  const watch = new Repetition((id) => SPACES.includes(id))
  const at = ids.findIndex((id) => watch.push(id))
  return at < 0 ? undefined : at + 1
}

const cycle = (length: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => 100 + (i % length))
/** No two are the same. */
const words = (count: number): number[] => Array.from({ length: count }, (_, i) => 1000 + i)

test('white space of any kind', () => {
  const spaces = Array.from({ length: 200 }, (_, i) => (i * i) % 3)
  expect(noticedAfter(spaces)).toBe(REPEAT_TOKENS)
  expect(noticedAfter([...words(20), ...spaces])).toBe(20 + REPEAT_TOKENS)
  // A word in between begins anew
  expect(noticedAfter([...spaces.slice(0, 60), 7, ...spaces.slice(0, 60)])).toBeUndefined()
})

test.each([1, 2, 3, 7, 16])('the same %i tokens', (length) => {
  expect(noticedAfter(cycle(length, 200))).toBe(REPEAT_TOKENS)
  expect(noticedAfter([...words(50), ...cycle(length, 200)])).toBe(50 + REPEAT_TOKENS)
  expect(noticedAfter(cycle(length, REPEAT_TOKENS - 1))).toBeUndefined()
})

test('longer cycles, and what looks like one for a while, are words', () => {
  expect(noticedAfter(cycle(17, 500))).toBeUndefined()
  expect(noticedAfter(words(5000))).toBeUndefined()
  const list = Array.from({ length: 40 }, (_, i) => [100, 1000 + i, 101]).flat()
  expect(noticedAfter(list)).toBeUndefined()
})
