// Questions to an object: yes, no or unsure.
//
// A question is what a phrase asks of each object of a scene. Sizes, groups and places have a band of
// unsure between yes and no, so that a sentence built on them can be dropped when anybody falls into it.

import { type Colour, GROUP_MAYBE, type Pattern } from './catalogue.ts'
import { icon } from './icons.ts'
import { type SceneObject, SIZE } from './scene.ts'

/** An answer; `unsure` where people might disagree. */
export type TruthValue = 'yes' | 'no' | 'unsure'
/** A property that an object has or lacks. */
export type ObjectProperty = (object: SceneObject) => TruthValue

/** Words and what they ask. */
export interface Phrase {
  /** Words that stand in a sentence: 'red circle'. */
  readonly text: string
  /** Says of each object of the scene whether the words are true of it. */
  readonly asks: ObjectProperty
}

/** Pixels by which one object must be further along an axis than the next to be called so. */
export const CLEAR_GAP = 14

/** The one object that says yes when all others say no, else null. */
export function onlyAnswer(asks: ObjectProperty, objects: readonly SceneObject[]): number | null {
  let answer: number | null = null
  for (const [i, object] of objects.entries()) {
    const truth = asks(object)
    if (truth === 'unsure' || (truth === 'yes' && answer !== null)) return null
    if (truth === 'yes') answer = i
  }
  return answer
}

/** 'no' if one of the answers is no, else 'unsure' if one of them is, else 'yes'. */
export const and =
  (...questions: ObjectProperty[]): ObjectProperty =>
  (object) => {
    const truths = questions.map((asks) => asks(object))
    return truths.includes('no') ? 'no' : truths.includes('unsure') ? 'unsure' : 'yes'
  }

/** The opposite answer; 'unsure' stays. */
export const not =
  (asks: ObjectProperty): ObjectProperty =>
  (object) => {
    const truth = asks(object)
    return truth === 'yes' ? 'no' : truth === 'no' ? 'yes' : 'unsure'
  }

/** The answer of a property that nobody disputes. */
export const sure = (isTrue: boolean): TruthValue => (isTrue ? 'yes' : 'no')

/** yes at `good` and beyond, no at `bad` and beyond on the other side, unsure between. */
export function graded(value: number, good: number, bad: number): TruthValue {
  if (good > bad) return value >= good ? 'yes' : value <= bad ? 'no' : 'unsure'
  return value <= good ? 'yes' : value >= bad ? 'no' : 'unsure'
}

/** The colour of a shape. Of an icon, a colour that it shows among others is unsure. */
export const isColour =
  (colour: Colour): ObjectProperty =>
  (object) =>
    object.colour
      ? sure(object.colour === colour)
      : icon(object.category).colours.includes(colour)
        ? 'unsure'
        : 'no'

/** The size; of a medium object both are unsure. */
export const isSize =
  (size: 'small' | 'large'): ObjectProperty =>
  (object) =>
    object.size === 'medium' ? 'unsure' : sure(object.size === size)

/** The filling of a shape; that of an icon is unsure. */
export const isPattern =
  (pattern: Pattern): ObjectProperty =>
  (object) =>
    object.pattern ? sure(object.pattern === pattern) : 'unsure'

/** The category, by its name. */
export const isCategory =
  (category: string): ObjectProperty =>
  (object) =>
    sure(object.category === category)

/** The group that the category belongs to; unsure where people might count it among another. */
export const isGroup =
  (group: SceneObject['group']): ObjectProperty =>
  (object) =>
    object.group === group ? 'yes' : GROUP_MAYBE[group]?.includes(object.category) ? 'unsure' : 'no'

/** Any object. */
export const isAnything: ObjectProperty = () => 'yes'

// ---- Places

interface Side {
  readonly name: string
  readonly most: string
  readonly furthest: string
  /** Greater is further. */
  readonly along: (object: SceneObject) => number
}

/** The sides of the picture, for superlatives. */
export const SIDES: readonly Side[] = [
  { name: 'left', most: 'leftmost', furthest: 'furthest to the left', along: (o) => -o.centre[0] },
  { name: 'right', most: 'rightmost', furthest: 'furthest to the right', along: (o) => o.centre[0] },
  { name: 'top', most: 'highest', furthest: 'closest to the top', along: (o) => -o.centre[1] },
  { name: 'bottom', most: 'lowest', furthest: 'closest to the bottom', along: (o) => o.centre[1] },
]

const across = (o: SceneObject) => o.centre[0] / SIZE
const down = (o: SceneObject) => o.centre[1] / SIZE

const onLeft: ObjectProperty = (o) => graded(across(o), 0.4, 0.56)
const onRight: ObjectProperty = (o) => graded(across(o), 0.6, 0.44)
const atTop: ObjectProperty = (o) => graded(down(o), 0.4, 0.56)
const atBottom: ObjectProperty = (o) => graded(down(o), 0.6, 0.44)
const inMiddle: ObjectProperty = (o) =>
  graded(Math.max(Math.abs(across(o) - 0.5), Math.abs(down(o) - 0.5)), 0.13, 0.23)

const corner = (horizontal: 'left' | 'right', vertical: 'top' | 'bottom'): PictureRegion => ({
  asks: (o) => {
    const x = horizontal === 'left' ? across(o) : 1 - across(o)
    const y = vertical === 'top' ? down(o) : 1 - down(o)
    return graded(Math.max(x, y), 0.35, 0.48)
  },
  wordings: [`in the ${vertical} ${horizontal} corner`, `in the ${vertical} ${horizontal}`],
  form: 'corner',
})

interface PictureRegion {
  readonly asks: ObjectProperty
  readonly wordings: readonly string[]
  readonly form: 'side' | 'middle' | 'corner'
}

/** The parts of the picture that a sentence names. */
export const REGIONS: readonly PictureRegion[] = [
  { asks: onLeft, wordings: ['on the left', 'on the left side'], form: 'side' },
  { asks: onRight, wordings: ['on the right', 'on the right side'], form: 'side' },
  { asks: atTop, wordings: ['at the top', 'in the upper half'], form: 'side' },
  { asks: atBottom, wordings: ['at the bottom', 'in the lower half'], form: 'side' },
  { asks: inMiddle, wordings: ['in the middle', 'in the center'], form: 'middle' },
  corner('left', 'top'),
  corner('right', 'top'),
  corner('left', 'bottom'),
  corner('right', 'bottom'),
]

/** Yes within 45 degrees of the axis and clearly apart, no on the other side. */
function towards(dx: number, dy: number): TruthValue {
  if (dx >= 18 && Math.abs(dy) <= dx) return 'yes'
  return dx <= -4 ? 'no' : 'unsure'
}

/** The directions from one object to another, and their wordings. */
export const DIRECTIONS: readonly {
  asks: (object: SceneObject, other: SceneObject) => TruthValue
  wordings: readonly string[]
}[] = [
  {
    asks: (o, other) => towards(other.centre[0] - o.centre[0], other.centre[1] - o.centre[1]),
    wordings: ['left of', 'to the left of'],
  },
  {
    asks: (o, other) => towards(o.centre[0] - other.centre[0], other.centre[1] - o.centre[1]),
    wordings: ['right of', 'to the right of'],
  },
  {
    asks: (o, other) => towards(other.centre[1] - o.centre[1], other.centre[0] - o.centre[0]),
    wordings: ['above'],
  },
  {
    asks: (o, other) => towards(o.centre[1] - other.centre[1], other.centre[0] - o.centre[0]),
    wordings: ['below', 'under'],
  },
]

/** Yes for the one with the most `along` of those asked for, if it leads by `gap`; nobody else might be. */
export function extreme(
  objects: readonly SceneObject[],
  asks: ObjectProperty,
  along: (o: SceneObject) => number,
  gap: number,
): ObjectProperty {
  const rivals = objects.filter((o) => asks(o) !== 'no')
  const most = Math.max(...rivals.map(along))
  return (object) => (along(object) === most ? 'yes' : along(object) > most - gap ? 'unsure' : 'no')
}

/** The nearest by centres and by rims, each with a margin. */
export function nearest(
  objects: readonly SceneObject[],
  asks: ObjectProperty,
  other: SceneObject,
): ObjectProperty {
  const rivals = objects.filter((o) => asks(o) !== 'no')
  const centreBest = Math.min(...rivals.map((o) => distance(o, other)))
  const gapBest = Math.min(...rivals.map((o) => gapBetween(o, other)))
  return (object) => {
    const isBest = distance(object, other) === centreBest && gapBetween(object, other) === gapBest
    if (isBest) return 'yes'
    const isFar =
      distance(object, other) > centreBest + CLEAR_GAP && gapBetween(object, other) > gapBest + CLEAR_GAP
    return isFar ? 'no' : 'unsure'
  }
}

function distance(a: SceneObject, b: SceneObject): number {
  return Math.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])
}

/** Between the rims, as if both were round. */
export function gapBetween(a: SceneObject, b: SceneObject): number {
  return distance(a, b) - a.radius - b.radius
}
