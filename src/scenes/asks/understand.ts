// The meaning of a sentence of the first generation: a question about each object, read from the words.
//
// The writers of sentences.ts know the meaning as they write. This file reads it from the words, with the same margins,
// so that a sentence whose words were changed can be judged: does it still mean an object, and might a reader think so?

import {
  COLOUR_NAMES,
  type Colour,
  FACTS,
  GROUP_NOUNS,
  type Group,
  PATTERNS,
  type Pattern,
} from '../catalogue.ts'
import {
  and,
  CLEAR_GAP,
  DIRECTIONS,
  extreme,
  gapBetween,
  graded,
  isAnything,
  isCategory,
  isColour,
  isGroup,
  isPattern,
  isSize,
  nearest,
  not,
  type ObjectProperty,
  onlyAnswer,
  REGIONS,
  SIDES,
  sure,
} from '../questions.ts'
import type { SceneObject } from '../scene.ts'
import { CATEGORIES } from './words.ts'

type Objects = readonly SceneObject[]

/** Nobody. */
const isNobody: ObjectProperty = () => 'no'
const RANKS = ['first', 'second', 'third', 'fourth', 'fifth']

const RELATION =
  /^the (.+?) (nearest to|closest to|next to|to the left of|left of|to the right of|right of|above|below|under) the (.+)$/

/**
 * The question that `text` asks of each object; null if it doesn't have the form of a sentence, or a part of it names
 * something that isn't exactly one object.
 */
export function understand(text: string, objects: Objects): ObjectProperty | null {
  const fact = FACTS.find(({ wordings }) => wordings.includes(text))
  if (fact) {
    return ({ category }) =>
      fact.yes.includes(category) ? 'yes' : fact.maybe?.includes(category) ? 'unsure' : 'no'
  }
  return (
    relation(text, objects) ??
    negation(text, objects) ??
    order(text, objects) ??
    (text.startsWith('the ') ? described(text.slice(4), objects) : null)
  )
}

/** The number of objects that a question means: 'one', 'none', or 'unclear'. */
export function answerOf(asks: ObjectProperty, objects: Objects): 'one' | 'none' | 'unclear' {
  if (onlyAnswer(asks, objects) !== null) return 'one'
  return objects.every((o) => asks(o) === 'no') ? 'none' : 'unclear'
}

function relation(text: string, objects: Objects): ObjectProperty | null {
  const parts = RELATION.exec(text)
  if (!parts || /the (?:top|bottom|left|right)$/.test(text)) return null
  const [, head = '', link = '', name = ''] = parts
  const [heads, names] = [described(head, objects), described(name, objects)]
  if (!heads || !names) return null
  const index = onlyAnswer(names, objects)
  const other = index === null ? undefined : objects[index]
  if (!other) return answerOf(names, objects) === 'none' ? isNobody : null
  const among = and(
    heads,
    not((o) => sure(o === other)),
  )
  if (/nearest|closest/.test(link)) {
    return answerOf(among, objects) === 'none' ? isNobody : and(among, nearest(objects, among, other))
  }
  if (link === 'next to') return and(among, (o) => graded(gapBetween(o, other), 22, 50))
  const direction = DIRECTIONS.find(({ wordings }) => wordings.includes(link))
  return direction ? and(among, (o) => direction.asks(o, other)) : null
}

function negation(text: string, objects: Objects): ObjectProperty | null {
  const parts = /^the (.+) that (?:is|are) (not )?(.+)$/.exec(text)
  if (!parts) return null
  const [, head = '', no, what = ''] = parts
  const heads = described(head, objects)
  const place = REGIONS.find(({ wordings }) => wordings.includes(what))
  const property = place?.asks ?? word(what.replace(/^an? /, ''))
  if (!heads || !property) return null
  return and(heads, no ? not(property) : property)
}

function order(text: string, objects: Objects): ObjectProperty | null {
  const parts = /^the (first|second|third|fourth|fifth) (.+) from the (left|right|top|bottom)$/.exec(text)
  if (!parts) return null
  const [, rank = '', head = '', name] = parts
  const heads = described(head, objects)
  const side = SIDES.find((one) => one.name === name)
  if (!heads || !side || objects.some((o) => heads(o) === 'unsure')) return null
  const row = objects.filter((o) => heads(o) === 'yes').sort((a, b) => side.along(b) - side.along(a))
  const at = RANKS.indexOf(rank)
  if (row.length <= at) return isNobody
  const isClear = row
    .slice(0, at + 1)
    .every(
      (o, i) => i + 1 === row.length || side.along(o) - side.along(row[i + 1] as SceneObject) >= CLEAR_GAP,
    )
  return isClear ? (o) => sure(o === row[at]) : null
}

/** Adjectives, a noun, and a place, a mark or a furthest side behind it. */
function described(text: string, objects: Objects): ObjectProperty | null {
  for (const { wordings, asks } of REGIONS) {
    const place = wordings.find((wording) => text.endsWith(` ${wording}`))
    if (place === undefined) continue
    const head = described(text.slice(0, -place.length - 1), objects)
    return head && and(head, asks)
  }
  for (const { furthest, along } of SIDES) {
    if (!text.endsWith(` ${furthest}`)) continue
    const head = described(text.slice(0, -furthest.length - 1), objects)
    return head && most(head, objects, along, CLEAR_GAP)
  }
  const mark = / with (stripes|dots)$/.exec(text)
  if (mark) {
    const head = described(text.slice(0, mark.index), objects)
    return head && and(head, isPattern(mark[1] === 'stripes' ? 'striped' : 'dotted'))
  }
  const noun = NOUNS.find((name) => text === name || text.endsWith(` ${name}`))
  if (noun === undefined) return null
  const adjectives = text.slice(0, -noun.length).trim().split(' ').filter(Boolean)
  const asked = [nounOf(noun)]
  let furthest: ((head: ObjectProperty) => ObjectProperty) | null = null
  for (const adjective of adjectives) {
    const side = SIDES.find((one) => one.most === adjective)
    const sign = /^(largest|biggest)$/.test(adjective) ? 1 : adjective === 'smallest' ? -1 : 0
    if (side) furthest = (head) => most(head, objects, side.along, CLEAR_GAP)
    else if (sign !== 0)
      furthest = (head) => most(head, objects, (o) => sign * Math.log(o.radius), Math.log(1.3))
    else {
      const asks = word(adjective)
      if (!asks) return null
      asked.push(asks)
    }
  }
  const all = and(...asked)
  return furthest ? furthest(all) : all
}

function most(
  head: ObjectProperty,
  objects: Objects,
  along: (o: SceneObject) => number,
  gap: number,
): ObjectProperty {
  return answerOf(head, objects) === 'none' ? isNobody : and(head, extreme(objects, head, along, gap))
}

const GROUPS = new Map<string, Group>([
  ['shape', 'shape'],
  ...Object.entries(GROUP_NOUNS).map(([group, noun]) => [noun, group as Group] as const),
])
const NOUNS = [...CATEGORIES, ...GROUPS.keys(), 'object', 'thing', 'one'].sort((a, b) => b.length - a.length)

function nounOf(noun: string): ObjectProperty {
  const group = GROUPS.get(noun)
  if (group) return isGroup(group)
  return CATEGORIES.includes(noun) ? isCategory(noun) : isAnything
}

/** The question that an adjective, or a noun after "not a", asks; null of other words. */
function word(text: string): ObjectProperty | null {
  if (COLOUR_NAMES.includes(text as Colour)) return isColour(text as Colour)
  if (PATTERNS.includes(text as Pattern)) return isPattern(text as Pattern)
  if (text === 'small' || text === 'little') return isSize('small')
  if (text === 'large' || text === 'big') return isSize('large')
  return NOUNS.includes(text) ? nounOf(text) : null
}
