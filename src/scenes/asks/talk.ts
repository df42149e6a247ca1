// Questions with short true answers, and descriptions whose phrases name one object each.

import { COLOUR_NAMES, GROUP_NOUNS, SPRITE_NAMES, WITHOUT_ARTICLE } from '../catalogue.ts'
import {
  and,
  DIRECTIONS,
  isAnything,
  isCategory,
  isColour,
  isGroup,
  type ObjectProperty,
  onlyAnswer,
  type Phrase,
  REGIONS,
} from '../questions.ts'
import type { KeyedRandom } from '../random.ts'
import type { SceneObject, SyntheticScene } from '../scene.ts'
import type { ChatAsk, GroundedAsk } from './ask.ts'
import { NUMBERS, onlyName } from './several.ts'
import { CATEGORIES, otherQuestion, plural, unknownThing } from './words.ts'

type Objects = readonly SceneObject[]

/** Questions of every kind that the scene allows, each once. */
export function questions(
  random: KeyedRandom,
  { objects, foreign }: SyntheticScene,
  isForTests: boolean,
): ChatAsk[] {
  const isStrange = foreign !== undefined && foreign !== 'empty'
  const asks = new Map<string, ChatAsk>()
  const add = (kind: ChatAsk['kind'], text: string, answer: string | null, from: Objects = []): void => {
    const targets = from.map((o) => objects.indexOf(o)).sort((a, b) => a - b)
    if (answer !== null) asks.set(text, { task: 'chat', kind, text, answer, targets })
  }
  for (let draw = 0; draw < 5; draw++) {
    const { text, asks: asked, many } = random.pick(NOUNS)(random, objects, isStrange)
    const meant = those(asked, objects)
    if (!meant) continue
    const how = random.pick([
      `How many ${many} are there?`,
      `how many ${many} do you see`,
      `How many ${many}?`,
    ])
    add('count', how, `${capital(NUMBERS[meant.length] ?? 'many')}.`, meant)
    const is = random.pick([
      `Is there ${withArticle(text)}?`,
      `is there ${withArticle(text)} in the picture?`,
    ])
    add('there', is, meant.length > 0 ? 'Yes.' : 'No.', meant)
  }
  const unknown = unknownThing(random, isForTests)
  if (!isStrange) add('there', `Is there ${withArticle(unknown)}?`, 'No.')
  if (random.chance(0.3)) add('foreign', `${capital(otherQuestion(random, isForTests))}?`, 'I do not know.')

  for (let draw = 0; draw < 6 && objects.length > 0; draw++) {
    const object = random.pick(objects)
    const name = onlyName(random, object, objects)
    if (!name) continue
    const plain = onlyAnswer(isCategory(object.category), objects) === null ? null : object.category
    if (object.colour && plain) {
      const how = random.pick([
        `What color is the ${plain}?`,
        `What colour is the ${plain}?`,
        `which color has the ${plain}`,
      ])
      add('colour', how, `${capital(object.colour)}.`, [object])
    }
    if (object.pattern)
      add('pattern', `Is the ${name} plain, striped or dotted?`, `${capital(object.pattern)}.`, [object])
    add('place', `Where is the ${name}?`, placeOf(object), [object])
    const direction = random.pick(DIRECTIONS)
    const link = random.pick(direction.wordings)
    const others = objects.filter((o) => o !== object)
    const there = those((o) => direction.asks(o, object), others)
    if (there && there.length <= 3)
      add('beside', `What is ${link} the ${name}?`, list(there.sort(fromLeft)), there)
  }
  return [...asks.values()]
}

// ---- Counting

type Noun = Phrase & { readonly many: string }
const NOUNS: readonly ((random: KeyedRandom, objects: Objects, isStrange: boolean) => Noun)[] = [
  (random, objects, isStrange) => {
    const names = isStrange ? SPRITE_NAMES : CATEGORIES
    const category =
      objects.length > 0 && random.chance(0.6) ? random.pick(objects).category : random.pick(names)
    return { text: category, many: plural(category), asks: isCategory(category) }
  },
  (random, objects, isStrange) => {
    if (isStrange) return groupNoun(random)
    const colour = random.pick(COLOUR_NAMES)
    const category = objects.length > 0 ? random.pick(objects).category : random.pick(CATEGORIES)
    if (SPRITE_NAMES.includes(category) || random.chance(0.4))
      return {
        text: `${colour} shape`,
        many: `${colour} shapes`,
        asks: and(isGroup('shape'), isColour(colour)),
      }
    const asks = and(isCategory(category), isColour(colour))
    return { text: `${colour} ${category}`, many: `${colour} ${plural(category)}`, asks }
  },
  (random) => groupNoun(random),
  (random, _, isStrange) => {
    if (isStrange) return groupNoun(random)
    const word = random.pick(['object', 'thing'])
    return { text: word, many: `${word}s`, asks: isAnything }
  },
]

function groupNoun(random: KeyedRandom): Noun {
  const [group, text] = random.pick(Object.entries(GROUP_NOUNS)) as [SceneObject['group'], string]
  return { text, many: plural(text), asks: isGroup(group) }
}

/** All that say yes; null where somebody is unsure. */
function those(asks: ObjectProperty, objects: Objects): SceneObject[] | null {
  return objects.some((o) => asks(o) === 'unsure') ? null : objects.filter((o) => asks(o) === 'yes')
}

// ---- Places

/** "On the left.", "In the top left.", "In the middle." where it is clear. */
function placeOf(object: SceneObject): string | null {
  const isIn = (form: string) =>
    REGIONS.find((region) => region.form === form && region.asks(object) === 'yes')
  const sides = REGIONS.filter(({ form, asks }) => form === 'side' && asks(object) === 'yes')
  const region = isIn('middle') ?? isIn('corner') ?? (sides.length === 1 ? sides[0] : undefined)
  const words = region?.form === 'corner' ? region.wordings[1] : region?.wordings[0]
  return words === undefined ? null : `${capital(words)}.`
}

/** "A red star and a cat.", or "Nothing." */
const list = (objects: Objects): string =>
  objects.length === 0 ? 'Nothing.' : `${capital(listed(objects.map(nameOf)))}.`

const fromLeft = (a: SceneObject, b: SceneObject) => a.centre[0] - b.centre[0] || a.centre[1] - b.centre[1]

/** "a red star", "a cat": what it is called whatever stands beside it. */
export function nameOf({ category, colour, pattern }: SceneObject): string {
  const adjectives = [pattern === 'plain' ? null : pattern, colour].filter((word) => word !== null)
  return withArticle([...adjectives, category].join(' '))
}

/** "a, b and c" */
function listed(names: readonly string[]): string {
  const [last = ''] = names.slice(-1)
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`
}

function withArticle(noun: string): string {
  if (WITHOUT_ARTICLE.has(noun)) return noun
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

// ---- Descriptions

/**
 * All objects from left to right, in X-SAM's form: "<p>a cat</p> , <p>a red star</p>  and <p>a dog</p> . <SEG>." Each
 * phrase is followed by a space, as in its training texts. Of several objects with one name the phrase says the place.
 */
export function description({ objects }: SyntheticScene): GroundedAsk {
  const task = { task: 'grounded', kind: 'description' } as const
  if (objects.length === 0) return { ...task, answer: 'i see nothing that i know.', targets: [] }
  const row = objects.map((object, index) => ({ object, index })).sort((a, b) => fromLeft(a.object, b.object))
  const phrases = row.map(({ object }) => {
    const name = nameOf(object)
    const isShared = objects.some((o) => o !== object && nameOf(o) === name)
    const place = isShared ? placeOf(object) : null
    return `<p>${place === null ? name : `${name} ${place.slice(0, -1).toLowerCase()}`}</p> `
  })
  const [last = ''] = phrases.slice(-1)
  const all = phrases.length === 1 ? last : `${phrases.slice(0, -1).join(', ')} and ${last}`
  return { ...task, answer: `${all}. <SEG>.`, targets: row.map(({ index }) => index) }
}
