// The same sentence as other people would type it: without its article, politely, in quotes, in capitals, with a typo,
// or with another word for the thing.

import { FACTS } from '../catalogue.ts'
import type { KeyedRandom } from '../random.ts'
import { CATEGORIES, SYNONYMS } from './words.ts'

type Reword = (random: KeyedRandom, text: string) => string | null

const POLITE_BEFORE = [
  'please find ',
  'please show me ',
  'can you find ',
  'could you please mark ',
  'segment ',
  'find ',
  'show me ',
  'i am looking for ',
  'where is ',
  'select ',
  'i want ',
]
const POLITE_AFTER = [
  ' please',
  ', please',
  ', thanks',
  ' in this picture',
  ' in the image',
  ' here',
  '!',
  '.',
  '?',
]

const isFact = (text: string): boolean => FACTS.some(({ wordings }) => wordings.includes(text))

const REWORDS: readonly Reword[] = [
  (_, text) => (text.startsWith('the ') && !isFact(text) ? text.slice(4) : null),
  (_, text) => (text.startsWith('the ') && !isFact(text) ? `a ${text.slice(4)}` : null),
  (random, text) => random.pick([`"${text}"`, `'${text}'`, `\u201c${text}\u201d`]),
  (_, text) => text.toUpperCase(),
  (_, text) => text.charAt(0).toUpperCase() + text.slice(1),
  (random, text) => random.pick(POLITE_BEFORE) + text,
  (random, text) => text + random.pick(POLITE_AFTER),
  (random, text) => `${random.pick(POLITE_BEFORE)}${text}${random.pick(POLITE_AFTER)}`,
  typo,
  synonym,
]

/** One other wording of a sentence. Its meaning is the same in every scene. */
export function reworded(random: KeyedRandom, text: string): string {
  const chosen = random.chance(0.3) ? synonym(random, text) : random.pick(REWORDS)(random, text)
  const once = chosen ?? random.pick(POLITE_BEFORE) + text
  if (!random.chance(0.25)) return once
  return random.pick(REWORDS.slice(2, 5))(random, once) ?? once
}

/** `count` different wordings, none of them the sentence itself once case is dropped, as far as there are so many. */
export function wordings(random: KeyedRandom, text: string, count: number): string[] {
  const seen = new Set([text])
  for (let draw = 0; draw < 20 * count && seen.size <= count; draw++) seen.add(reworded(random, text))
  seen.delete(text)
  return [...seen]
}

/** Another word for one of the categories that the sentence names. */
function synonym(random: KeyedRandom, text: string): string | null {
  const named = CATEGORIES.filter((name) => text.includes(name) && new RegExp(`\\b${name}\\b`).test(text))
  // "the light bulb" names no bulb of another kind, and a sentence with two names keeps one
  const longest = named.filter((name) => !named.some((other) => other !== name && other.includes(name)))
  if (longest.length === 0 || isFact(text)) return null
  const name = random.pick(longest)
  const word = random.pick(SYNONYMS[name] ?? [name])
  // "the red berry" of a red strawberry says its colour twice; "the blue three-sided shape" doesn't
  return text.replace(new RegExp(`\\b(an? )?${name}\\b`), (_, article?: string) => {
    if (article === undefined) return word
    return `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`
  })
}

/** Two letters swapped, one left out or one doubled, inside of a long word. */
function typo(random: KeyedRandom, text: string): string | null {
  const words = text.split(' ')
  const long = words.flatMap((word, i) => (word.length >= 5 ? [i] : []))
  if (long.length === 0) return null
  const at = random.pick(long)
  const word = words[at] as string
  const i = random.int(1, word.length - 3)
  const [a, b] = [word.charAt(i), word.charAt(i + 1)]
  const wrong = random.pick([
    word.slice(0, i) + b + a + word.slice(i + 2),
    word.slice(0, i) + word.slice(i + 1),
    word.slice(0, i) + a + word.slice(i),
  ])
  if (wrong === word || ONLY_ONE_LETTER_APART.test(wrong)) return null
  return words.with(at, wrong).join(' ')
}

/** Slips that are words of their own: "left" for "let" would be another sentence. */
const ONLY_ONE_LETTER_APART = /^(?:right|light|below|above|bottom|plan|plain|plane|train|shirt)$/
