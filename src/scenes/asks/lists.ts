// Lists of categories about a scene. A third of the names of a long one isn't there, and every object has a name in it;
// a short one leaves most objects out.

import { and, isCategory, isColour, type Phrase } from '../questions.ts'
import type { KeyedRandom } from '../random.ts'
import type { SyntheticScene } from '../scene.ts'
import type { ListAsk } from './ask.ts'
import { CATEGORIES, SYNONYMS, unknownThing } from './words.ts'

const [LEAST, MOST] = [3, 12]
const MOST_OF_SHORT = 4

/** A list of 3 to 12 names. No object answers to two of them. */
export function categoryList(random: KeyedRandom, scene: SyntheticScene, isForTests: boolean): ListAsk {
  // A third of all names, at least one, is absent
  const kept = namesOf(random, scene).slice(0, Math.floor((MOST * 2) / 3))
  const wanted =
    kept.length === 0 ? random.int(LEAST, 6) : Math.max(LEAST - kept.length, Math.round(kept.length / 2), 1)
  const absent = absentNames(random, scene, wanted, isForTests)
  return asked('list', random.shuffle([...kept, ...absent]), scene)
}

/** A list of 1 to 4 names, each as likely as not to be there. */
export function shortList(random: KeyedRandom, scene: SyntheticScene, isForTests: boolean): ListAsk {
  const count = random.int(1, MOST_OF_SHORT)
  const there = Array.from({ length: count }, () => random.chance(0.5)).filter(Boolean).length
  const kept = namesOf(random, scene).slice(0, there)
  const absent = absentNames(random, scene, count - kept.length, isForTests)
  return asked('short-list', random.shuffle([...kept, ...absent]), scene)
}

function asked(kind: ListAsk['kind'], names: readonly Phrase[], { objects }: SyntheticScene): ListAsk {
  return {
    task: 'categories',
    kind,
    names: names.map(({ text }) => text),
    targets: names.map(({ asks }) => objects.flatMap((o, i) => (asks(o) === 'yes' ? [i] : []))),
  }
}

/** The categories that are there, in any order; at times each colour of one is a name of its own. */
function namesOf(random: KeyedRandom, { objects }: SyntheticScene): Phrase[] {
  const there: Phrase[] = []
  for (const category of random.shuffle([...new Set(objects.map((o) => o.category))])) {
    const colours = [
      ...new Set(objects.flatMap((o) => (o.category === category && o.colour ? [o.colour] : []))),
    ]
    if (colours.length > 1 && random.chance(0.5)) {
      for (const colour of colours)
        there.push({ text: `${colour} ${category}`, asks: and(isCategory(category), isColour(colour)) })
    } else {
      const isOther = random.chance(0.12)
      const text = isOther ? random.pick(SYNONYMS[category] ?? [category]) : category
      there.push({ text, asks: isCategory(category) })
    }
  }
  return there
}

function absentNames(
  random: KeyedRandom,
  { objects, foreign }: SyntheticScene,
  count: number,
  isForTests: boolean,
): Phrase[] {
  const isStrange = foreign !== undefined && foreign !== 'empty'
  const gone = CATEGORIES.filter((name) => !objects.some((o) => o.category === name))
  const names = new Set<string>()
  while (names.size < count) {
    const isUnknown = !isStrange && random.chance(0.15)
    names.add(isUnknown ? unknownThing(random, isForTests) : random.pick(isStrange ? gone.slice(9) : gone))
  }
  return [...names].map((text): Phrase => ({ text, asks: () => 'no' }))
}
