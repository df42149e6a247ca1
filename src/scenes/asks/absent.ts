// Sentences that mean nothing in a scene: the honest answer is that it isn't there.
//
// The hard ones are one word away from a true sentence. All of them are judged with the margins of true sentences: an
// object that somebody might take for what is asked for rules a sentence out.

import { COLOUR_NAMES, GROUP_NOUNS, PATTERNS, SPRITE_NAMES } from '../catalogue.ts'
import type { KeyedRandom } from '../random.ts'
import type { SceneObject, SyntheticScene } from '../scene.ts'
import type { PhraseAsk, PhraseKind } from './ask.ts'
import { answerOf, understand } from './understand.ts'
import { CATEGORIES, gibberish, otherQuestion, plural, SYNONYMS, unknownThing } from './words.ts'

const absent = (kind: PhraseKind, text: string, from?: string): PhraseAsk => ({
  task: 'phrase',
  kind,
  text,
  targets: [],
  ...(from === undefined ? {} : { from }),
})

/**
 * Words for things that pictures of nothing in particular show or might show; sentences about those never have these
 * words.
 */
const DEPICTED =
  /sun|moon|cloud|tower|window|door|wall|roof|castle|person|man|woman|boy|girl|child|face|eye|nose|mouth|hair|doctor|teacher|king|queen|soldier|tooth|doll|painting|sign|letter|chip|map|road|street|grass|hill|ball/

/** Sentences without a referent, of every kind that the scene allows. `sentences` are true ones. */
export function absentPhrases(
  random: KeyedRandom,
  scene: SyntheticScene,
  sentences: readonly string[],
  isForTests: boolean,
): PhraseAsk[] {
  const { objects, foreign } = scene
  const isStrange = foreign !== undefined && foreign !== 'empty'
  const asks: PhraseAsk[] = []
  const names = isStrange ? SPRITE_NAMES : CATEGORIES
  const add = (ask: PhraseAsk | null): void => {
    if (ask && !asks.some(({ text }) => text === ask.text) && !(isStrange && DEPICTED.test(ask.text)))
      asks.push(ask)
  }
  const isGone = (text: string): boolean => {
    const asked = understand(text, objects)
    return asked !== null && answerOf(asked, objects) === 'none'
  }

  // 1. Categories that the scene lacks, in any words
  for (let i = 0; i < 6; i++) {
    const name = random.pick(names)
    const text = `the ${name}`
    if (!isGone(text)) continue
    const word = random.chance(0.25) ? random.pick(SYNONYMS[name] ?? [name]) : name
    add(absent('absent-category', random.pick(['the ', 'the ', '', 'a ']) + word))
  }
  for (const noun of Object.values(GROUP_NOUNS)) {
    if (random.chance(0.15) && isGone(`the ${noun}`)) add(absent('absent-category', `the ${noun}`))
  }

  // 2. A property of one object with the name of another, or one that nothing has
  for (let i = 0; i < 8 && objects.length > 0; i++) {
    const [a, b] = [random.pick(objects), random.pick(objects)]
    const property = random.chance(0.6)
      ? propertyOf(random, b)
      : random.pick([...COLOUR_NAMES, ...PATTERNS, 'small', 'large'])
    const text = `the ${property} ${a.category}`
    if (property && isGone(text)) add(absent('absent-attribute', text))
  }

  // 3. A true sentence with one word changed
  for (let i = 0; i < 40 && sentences.length > 0; i++) {
    const from = random.pick(sentences)
    const text = changed(random, from)
    if (text && isGone(text)) add(absent('absent-word', text, from))
  }

  // 4. Words that mean nothing here, or nothing at all
  for (let i = 0; i < 3; i++) add(absent('absent-unknown', unknownPhrase(random, objects, isForTests)))
  add(absent('absent-gibberish', gibberish(random)))
  add(absent('absent-gibberish', gibberish(random)))
  if (random.chance(0.6)) add(absent('absent-question', otherQuestion(random, isForTests)))

  // 5. Several of what isn't there
  for (let i = 0; i < 3; i++) {
    const name = random.pick(names)
    const many = random.pick(['all the ', 'both ', 'all ', 'the ']) + plural(name)
    if (plural(name) !== name && isGone(`the ${name}`)) add(absent('absent-several', many))
    const colour = random.pick(COLOUR_NAMES)
    if (!isStrange && isGone(`the ${colour} ${name}`))
      add(absent('absent-several', `all the ${colour} ${plural(name)}`))
  }
  return asks
}

function propertyOf(random: KeyedRandom, { colour, pattern, size }: SceneObject): string | null {
  return random.pick([colour, colour, pattern, size === 'medium' ? null : size])
}

function unknownPhrase(random: KeyedRandom, objects: readonly SceneObject[], isForTests: boolean): string {
  const thing = unknownThing(random, isForTests)
  const u = random.next()
  if (u < 0.45 || objects.length === 0) return `the ${thing}`
  if (u < 0.6) return thing
  if (u < 0.75)
    return `the ${thing} ${random.pick(['on the left', 'on the right', 'at the top', 'in the middle'])}`
  if (u < 0.85) return `the ${random.pick(COLOUR_NAMES)} ${thing}`
  const place = random.pick(['left of', 'right of', 'next to', 'above', 'below'])
  return random.chance(0.5)
    ? `the ${thing} ${place} the ${random.pick(objects).category}`
    : `the ${random.pick(objects).category} ${place} the ${thing}`
}

interface Word {
  readonly word: string
  readonly pattern: RegExp
  readonly list: readonly string[]
}

/** Words of which each may stand where another of its list stands. */
const EXCHANGES: readonly Word[] = [
  COLOUR_NAMES,
  PATTERNS,
  CATEGORIES,
  ['left of', 'right of', 'above', 'below'],
  ['on the left', 'on the right', 'at the top', 'at the bottom', 'in the middle'],
  ['small', 'large'],
  ['little', 'big'],
  ['first', 'second', 'third', 'fourth', 'fifth'],
  [
    'in the top left corner',
    'in the top right corner',
    'in the bottom left corner',
    'in the bottom right corner',
  ],
  ['with stripes', 'with dots'],
].flatMap((list: readonly string[]) =>
  list.map((word) => ({ word, pattern: new RegExp(`\\b(an? )?${word}\\b`), list })),
)

/** The sentence with one of its words exchanged, or null where it has none of those. A name is the easiest to miss. */
function changed(random: KeyedRandom, text: string): string | null {
  const present = EXCHANGES.filter(({ word }) => text.includes(word)).filter(({ pattern }) =>
    pattern.test(text),
  )
  const whole = present.filter(
    ({ word }) => !present.some((other) => other.word !== word && other.word.includes(word)),
  )
  const hard = whole.filter(({ list }) => list !== CATEGORIES)
  const among = hard.length > 0 && random.chance(0.7) ? hard : whole
  if (among.length === 0) return null
  const { word, pattern, list } = random.pick(among)
  const other = random.pick(list)
  if (other === word) return null
  return text.replace(pattern, (_, article?: string) => {
    if (article === undefined) return other
    return `${/^[aeiou]/.test(other) ? 'an' : 'a'} ${other}`
  })
}
