// The plain listener for phrases of the second generation: says which objects a phrase means, by the words alone.
//
// Plurals are read as "the one": whatever the first generation's listener would point at for the singular is meant. It
// shares no code with the writers but the list of facts.

import { FACTS } from '../../../src/scenes/catalogue.ts'
import type { SceneObject } from '../../../src/scenes/scene.ts'
import { listen } from '../listener.ts'

type Objects = readonly SceneObject[]

const IRREGULAR: readonly (readonly [RegExp, string])[] = [
  [/\bcacti\b/, 'cactus'],
  [/\bcrosses\b/, 'cross'],
  [/\bbuses\b/, 'bus'],
  [/\bbutterflies\b/, 'butterfly'],
  [/\bstrawberries\b/, 'strawberry'],
  [/\bwrenches\b/, 'wrench'],
  [/\bdresses\b/, 'dress'],
  [/\bpieces of\b/, 'piece of'],
]
const KEPT = /^(?:scissors|stripes|dots|cactus|cross|bus|dress|is)$/

const FACT_OF: readonly (readonly [RegExp, string])[] = [
  [/can fly|that flies/, 'something that flies'],
  [/wings/, 'something that has wings'],
  [/\bbirds\b/, 'the bird'],
  [/could eat|things to eat/, 'something to eat'],
  [/\bfruits\b/, 'the fruit'],
  [/wheels/, 'something that has wheels'],
  [/can wear|to wear/, 'something to wear'],
  [/\bflowers\b/, 'the flower'],
  [/living things|is alive/, 'the living thing'],
  [/\bpets\b/, 'the pet'],
  [/music/, 'something to make music with'],
]

/** "all the red stars" -> "the red star" */
function singular(text: string): string {
  const bare = text
    .replace(/^(?:every one of the|both of the|both|all the|all|the) (?=\w)/, '')
    .replace(/^(?:two|three|four|five|six|seven|eight|nine) /, '')
  const one = IRREGULAR.reduce((words, [from, to]) => words.replace(from, to), bare)
  const words = one.split(' ').map((word) => (KEPT.test(word) ? word : word.replace(/s$/, '')))
  return `the ${words.join(' ').replace(/that are not/, 'that is not')}`
}

/** The objects that a phrase means, by the independent listener. */
export function listenToSeveral(text: string, objects: Objects): SceneObject[] {
  const fact = FACT_OF.find(([pattern]) => pattern.test(text))
  if (fact) {
    const { yes = [] } = FACTS.find(({ wordings }) => wordings.includes(fact[1])) ?? {}
    return objects.filter((o) => yes.includes(o.category))
  }
  if (/^(?:everything|all objects|all the things)$/.test(text)) return [...objects]
  const but = /^everything but the (.+)$/.exec(text)
  if (but) return objects.filter((o) => o.category !== but[1])
  const everything = /^everything (.+)$/.exec(text)
  return listen(everything ? `the object ${everything[1]}` : singular(text), objects)
}

/** "the other star, not the red one" -> the star that isn't it. */
export function listenToOther(text: string, objects: Objects): SceneObject[] {
  const parts =
    /^the other (?<noun>.+), not the (?<what>.+) one$/.exec(text) ??
    /^the other (?<noun>.+), not the one (?<place>.+)$/.exec(text) ??
    /^not the (?<noun>.+) (?<place>(?:on|at) the \w+) but the other one$/.exec(text) ??
    /^not the (?<what>\w+) (?<noun>.+) but the other one$/.exec(text)
  const groups = parts?.groups ?? {}
  const noun = (groups['noun'] ?? '').replace(/^one of the two /, '')
  const name = noun === groups['noun'] ? `the ${noun}` : singular(`the ${noun}`)
  const { what, place } = groups
  const named = listen(what ? name.replace('the ', `the ${what} `) : `${name} ${place}`, objects)
  return listen(name, objects).filter((o) => !named.includes(o))
}
