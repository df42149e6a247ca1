// The words of a sentence that a checkpoint doesn't know: whole words, in any case and number, with a slip of the pen;
// and nothing that a list doesn't say.

import { describe, expect, test } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { KnownWords } from '../../../src/model/knows/words.ts'

const LIST =
  'a all and at cherry circle cup dress fish glass house in is of on plane red shirt shoes star the there three tree umbrella what coach'
const words = new KnownWords(LIST.split(' '))

describe('words that are known', () => {
  test.each([
    'the red umbrella',
    'THE RED UMBRELLA!',
    '  "the   red\tumbrella", (the star)...',
    'red-umbrella/star',
    'umbrellas, houses, dresses, cherries, glasses',
    'shoe', // the list has more than one of it
    "the umbrella's star and the umbrellas' stars",
    'the umbrella\u2019s star',
    'the umbrela', // left out
    'the umbbrella', // doubled
    'the ubmrella', // swapped
    'the umbrolla', // another letter
    'umbrelas and ciircles', // in a plural
    'the cricle in the huose',
    '',
    '... ?!',
  ])('%j', (text) => expect(words.unknownIn(text)).toEqual([]))
})

describe('words that are not', () => {
  test.each([
    ['the dragon', ['dragon']],
    ['The Dragon and the dragons, a DRAGON', ['Dragon', 'dragons']], // as they stand there, each once
    ["the dragon's cup", ["dragon's"]],
    ['asdf qwer', ['asdf', 'qwer']],
    ['the mouse', ['mouse']], // a house with another first letter
    ['the skirt, the plate, a couch', ['skirt', 'plate', 'couch']], // too short for another letter
    ['the umbrlela of the umbreolal', ['umbreolal']], // two slips
    ['cp, str', ['cp', 'str']], // too short for a slip
    ['umbrellared', ['umbrellared']],
    ['the star_fruit', ['fruit']],
    ['2 stars in the 3rd tree', ['2', '3rd']],
    ["don't", ["don't"]],
    ['\u7ea2\u8272\u7684\u4f1e', ['\u7ea2\u8272\u7684\u4f1e']],
    ['the \u{1f409}', ['\u{1f409}']],
    ['l\u2019\u00e9toile', ['l\u2019\u00e9toile']],
  ])('%j', (text, unknown) => expect(words.unknownIn(text)).toEqual(unknown))
})

test('letters with marks are the same, composed or not', () => {
  const german = new KnownWords(['k\u00e4fer', 'stra\u00dfe'])
  expect(german.unknownIn('Ka\u0308fer STRA\u00dfE')).toEqual([])
  expect(new KnownWords(['ka\u0308fer']).unknownIn('K\u00e4fer')).toEqual([])
})

test('an empty list says nothing', () => {
  expect(new KnownWords([]).unknownIn('asdf qwer')).toEqual([])
})

test('a long text and a long list take no long time', () => {
  const long = Array.from({ length: 50_000 }, (_, i) => `word${i.toString(36)}`)
  const known = new KnownWords(long)
  const text = Array.from({ length: 5_000 }, (_, i) => `wort${(i * 7919).toString(36)}x`).join(' ')
  const started = performance.now()
  expect(known.unknownIn(text).length).toBeGreaterThan(1000)
  expect(performance.now() - started).toBeLessThan(10_000)
})

test('what is no list and no text is refused', () => {
  const wrong = (words: unknown) => () => new KnownWords(words as string[])
  expect(wrong(undefined)).toThrow(UsageError)
  expect(wrong('the')).toThrow('KnownWords: the words are "the", expected a list of words.')
  expect(wrong([1])).toThrow('KnownWords: the words are a list with 1, expected')
  expect(() => words.unknownIn(5 as unknown as string)).toThrow(
    'unknownIn: the text is 5, expected a string.',
  )
})
