// Lists of categories about a scene, a third of which isn't there.

import { and, isCategory, isColour, type Phrase } from '../questions.ts'
import type { KeyedRandom } from '../random.ts'
import type { SyntheticScene } from '../scene.ts'
import type { ListAsk } from './ask.ts'
import { CATEGORIES, SYNONYMS, unknownThing } from './words.ts'

const [LEAST, MOST] = [3, 12]

/** A list of 3 to 12 names. No object answers to two of them. */
export function categoryList(
  random: KeyedRandom,
  { objects, foreign }: SyntheticScene,
  isForTests: boolean,
): ListAsk {
  const isStrange = foreign !== undefined && foreign !== 'empty'

  // 1. Categories that are there; at times each colour of one is a name of its own
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

  // 2. A third of all names, at least one, is absent
  const kept = there.slice(0, Math.floor((MOST * 2) / 3))
  const wanted =
    kept.length === 0 ? random.int(LEAST, 6) : Math.max(LEAST - kept.length, Math.round(kept.length / 2), 1)
  const gone = CATEGORIES.filter((name) => !objects.some((o) => o.category === name))
  const names = new Set<string>()
  while (names.size < wanted) {
    const isUnknown = !isStrange && random.chance(0.15)
    names.add(isUnknown ? unknownThing(random, isForTests) : random.pick(isStrange ? gone.slice(9) : gone))
  }
  const absent = [...names].map((text): Phrase => ({ text, asks: () => 'no' }))
  const list = random.shuffle([...kept, ...absent])
  return {
    task: 'categories',
    kind: 'list',
    names: list.map(({ text }) => text),
    targets: list.map(({ asks }) => objects.flatMap((o, i) => (asks(o) === 'yes' ? [i] : []))),
  }
}
