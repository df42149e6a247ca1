// Phrases that mean several objects, and "the other one" of two.

import { COLOUR_NAMES, type Colour, FACTS, GROUP_NOUNS, type Pattern } from '../catalogue.ts'
import {
  and,
  DIRECTIONS,
  isAnything,
  isCategory,
  isColour,
  isGroup,
  isPattern,
  isSize,
  not,
  type ObjectProperty,
  onlyAnswer,
  type Phrase,
  REGIONS,
} from '../questions.ts'
import type { KeyedRandom } from '../random.ts'
import type { SceneObject } from '../scene.ts'
import type { PhraseAsk, PhraseKind } from './ask.ts'
import { CATEGORIES, plural } from './words.ts'

type Objects = readonly SceneObject[]

interface SeveralCandidate {
  readonly kind: PhraseKind
  readonly text: string
  readonly asks: ObjectProperty
}

/** Everything that says yes where nobody is unsure; else null. */
function all(asks: ObjectProperty, objects: Objects): number[] | null {
  const truths = objects.map(asks)
  return truths.includes('unsure') ? null : truths.flatMap((truth, i) => (truth === 'yes' ? [i] : []))
}

/** Phrases for two objects or more; now and then for one, as "all the cats" of one cat. */
export function severalPhrases(random: KeyedRandom, objects: Objects): PhraseAsk[] {
  const asks = new Map<string, PhraseAsk>()
  for (let draw = 0; draw < 90 && objects.length > 1; draw++) {
    const { kind, text, asks: asked } = random.pick(WRITERS)(random, random.pick(objects), objects) ?? {}
    if (!kind || !text || !asked || asks.has(text)) continue
    const targets = all(asked, objects)
    if (!targets || targets.length === 0) continue
    if (targets.length === 1 && !(text.startsWith('all ') && random.chance(0.2))) continue
    asks.set(text, { task: 'phrase', kind, text, targets })
  }
  return [...asks.values()]
}

// ---- Nouns

/** A category, "shape" or a group's noun that fits the object, with its plural. */
function noun(
  random: KeyedRandom,
  { category, group, kind }: SceneObject,
): Phrase & { readonly kind: PhraseKind } {
  const name = GROUP_NOUNS[group]
  if (random.chance(0.6))
    return { text: plural(category), asks: isCategory(category), kind: 'several-category' }
  if (kind === 'shape') return { text: 'shapes', asks: isGroup('shape'), kind: 'several-group' }
  if (name) return { text: plural(name), asks: isGroup(group), kind: 'several-group' }
  return { text: random.pick(['objects', 'things']), asks: isAnything, kind: 'several-all' }
}

function adjective(random: KeyedRandom, { colour, pattern, size }: SceneObject): Phrase | null {
  const u = random.next()
  if (colour && u < 0.6) return { text: colour, asks: isColour(colour) }
  if (pattern && u < 0.8) return { text: pattern, asks: isPattern(pattern) }
  return size === 'medium' ? null : { text: size, asks: isSize(size) }
}

/** "all the cats", "the cats", "both cats", "the three cats", "every one of the cats" */
function counted(random: KeyedRandom, nouns: string, asks: ObjectProperty, objects: Objects): string {
  const count = all(asks, objects)?.length ?? 0
  const u = random.next()
  if (count === 2 && u < 0.35)
    return random.pick([`both ${nouns}`, `both of the ${nouns}`, `the two ${nouns}`])
  const number = NUMBERS[count]
  if (number && count > 2 && u < 0.2) return random.pick([`the ${number} ${nouns}`, `all ${number} ${nouns}`])
  return random.pick([
    `all the ${nouns}`,
    `all the ${nouns}`,
    `all ${nouns}`,
    `the ${nouns}`,
    `every one of the ${nouns}`,
  ])
}

/** Numbers as words. */
export const NUMBERS: readonly string[] = 'zero one two three four five six seven eight nine ten'.split(' ')

// ---- Writers

type Writer = (random: KeyedRandom, object: SceneObject, objects: Objects) => SeveralCandidate | null

const relation: Writer = (random, object, objects) => {
  const other = random.pick(objects)
  const name = onlyName(random, other, objects)
  if (!name || other === object) return null
  const direction = random.pick(DIRECTIONS)
  const link = random.pick(direction.wordings)
  const beside: ObjectProperty = (o) => (o === other ? 'no' : direction.asks(o, other))
  if (random.chance(0.35))
    return { kind: 'several-relation', text: `everything ${link} the ${name}`, asks: beside }
  const head = noun(random, object)
  const text = `all the ${head.text} ${link} the ${name}`
  return { kind: 'several-relation', text, asks: and(head.asks, beside) }
}

// A relation is rarely clear for all objects, so it gets three turns
const WRITERS: readonly Writer[] = [
  relation,
  relation,
  relation,
  (random, object, objects) => {
    const { text, asks, kind } = noun(random, object)
    return { kind, text: counted(random, text, asks, objects), asks }
  },
  (random, object, objects) => {
    const [head, which] = [noun(random, object), adjective(random, object)]
    if (!which || head.kind === 'several-all') return null
    const asks = and(head.asks, which.asks)
    return {
      kind: 'several-attribute',
      text: counted(random, `${which.text} ${head.text}`, asks, objects),
      asks,
    }
  },
  (_, { colour }) => {
    if (!colour) return null
    return { kind: 'several-attribute', text: `all the ${colour} ones`, asks: isColour(colour) }
  },
  (random, object) => {
    const region = random.pick(REGIONS.filter(({ form }) => form === 'side'))
    const place = random.pick(region.wordings)
    const head = noun(random, object)
    if (random.chance(0.4)) return { kind: 'several-place', text: `everything ${place}`, asks: region.asks }
    const text = `${random.pick(['all the', 'the'])} ${head.text} ${place}`
    return { kind: 'several-place', text, asks: and(head.asks, region.asks) }
  },
  (random, object) => {
    const head = noun(random, object)
    if (head.kind === 'several-all') return null
    const no: Phrase =
      random.chance(0.6) || !object.pattern
        ? pick(random.pick(COLOUR_NAMES), isColour)
        : pick(random.pick(['plain', 'striped', 'dotted'] as const), isPattern)
    const text = `all the ${head.text} that are not ${no.text}`
    return { kind: 'several-negation', text, asks: and(head.asks, not(no.asks)) }
  },
  (_, { category }, objects) => {
    const name = onlyCategory(category, objects)
    if (!name) return null
    return { kind: 'several-negation', text: `everything but the ${name}`, asks: not(isCategory(category)) }
  },
  (random, { category }) => {
    const known = FACT_PLURALS.filter(({ fact }) => FACTS[fact]?.yes.includes(category))
    if (known.length === 0) return null
    const { fact, words } = random.pick(known)
    const { yes = [], maybe } = FACTS[fact] ?? {}
    const asks: ObjectProperty = (o) =>
      yes.includes(o.category) ? 'yes' : maybe?.includes(o.category) ? 'unsure' : 'no'
    return { kind: 'several-fact', text: random.pick(words), asks }
  },
  (random) => ({
    kind: 'several-all',
    text: random.pick(['everything', 'all objects', 'all the things']),
    asks: isAnything,
  }),
]

const pick = <T extends Colour | Pattern>(text: T, asks: (value: T) => ObjectProperty): Phrase => ({
  text,
  asks: asks(text),
})

function onlyCategory(category: string, objects: Objects): string | null {
  return objects.filter((o) => o.category === category).length === 1 ? category : null
}

/** A name that only this object answers to. */
export function onlyName(
  random: KeyedRandom,
  { category, colour }: SceneObject,
  objects: Objects,
): string | null {
  const names: Phrase[] = [{ text: category, asks: isCategory(category) }]
  if (colour) names.push({ text: `${colour} ${category}`, asks: and(isCategory(category), isColour(colour)) })
  const good = names.filter(({ asks }) => onlyAnswer(asks, objects) !== null)
  return good.length > 0 ? random.pick(good).text : null
}

/** Facts in the plural, by one of the wordings that FACTS has for one. */
const FACT_PLURALS: readonly { readonly fact: number; readonly words: readonly string[] }[] = [
  ['something that flies', ['all the things that can fly', 'everything that flies']],
  ['something that has wings', ['everything that has wings', 'all the ones with wings']],
  ['the bird', ['the birds', 'all the birds']],
  ['something to eat', ['everything you could eat', 'all the things to eat']],
  ['the fruit', ['the fruits', 'all the fruits']],
  ['something that has wheels', ['everything with wheels', 'all the things that have wheels']],
  ['something to wear', ['everything you can wear', 'all the things to wear']],
  ['the flower', ['the flowers', 'all the flowers']],
  ['the living thing', ['the living things', 'everything that is alive']],
  ['the pet', ['the pets', 'all the pets']],
  ['something to make music with', ['everything that makes music', 'all the things to make music with']],
].map(([wording, words]) => ({
  fact: FACTS.findIndex(({ wordings }) => wordings.includes(wording as string)),
  words: words as readonly string[],
}))

// ---- The other one of two

/** "the other star, not the red one": of two of a category, that which the words don't describe. */
export function otherOnes(random: KeyedRandom, objects: Objects): PhraseAsk[] {
  const asks: PhraseAsk[] = []
  for (const category of CATEGORIES) {
    const pair = objects.flatMap((o, i) => (o.category === category ? [i] : []))
    if (pair.length !== 2) continue
    for (const [one, target] of [pair, pair.toReversed()] as [number, number][]) {
      const text = otherThan(random, category, objects[one] as SceneObject, objects[target] as SceneObject)
      if (text) asks.push({ task: 'phrase', kind: 'other-one', text, targets: [target] })
    }
  }
  return asks
}

function otherThan(
  random: KeyedRandom,
  category: string,
  one: SceneObject,
  other: SceneObject,
): string | null {
  const tells: Phrase[] = []
  if (one.colour) tells.push(pick(one.colour, isColour))
  if (one.pattern) tells.push(pick(one.pattern, isPattern))
  if (one.size !== 'medium') tells.push({ text: one.size, asks: isSize(one.size) })
  const places = REGIONS.filter(({ form }) => form === 'side').map(
    ({ wordings: [text = ''], asks }): Phrase => ({ text, asks }),
  )
  const good = (list: readonly Phrase[]) =>
    list.filter(({ asks }) => asks(one) === 'yes' && asks(other) === 'no')
  const [kinds, sides] = [good(tells), good(places)]
  if (kinds.length > 0 && (sides.length === 0 || random.chance(0.6))) {
    const { text } = random.pick(kinds)
    return random.pick([
      `the other ${category}, not the ${text} one`,
      `not the ${text} ${category} but the other one`,
      `the other one of the two ${plural(category)}, not the ${text} one`,
    ])
  }
  if (sides.length === 0) return null
  const { text } = random.pick(sides)
  return random.pick([
    `the other ${category}, not the one ${text}`,
    `not the ${category} ${text} but the other one`,
  ])
}
