// Referring sentences: what somebody might ask for in a scene, each with exactly one answer.
//
// A sentence is words plus a question to the scene's facts that says yes, no or "unsure" of every
// object. Places, sizes and groups have a band of unsure between yes and no. A sentence is kept only
// when one object says yes and all others a plain no: whoever reads it can't be misled by a margin.
// We draw many candidates for every kind and prefer those that need all of their words.

import { COLOUR_NAMES, FACTS, GROUP_NOUNS, type Pattern, WITHOUT_ARTICLE } from './catalogue.ts'
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
  type Phrase,
  REGIONS,
  SIDES,
  sure,
} from './questions.ts'
import { KeyedRandom } from './random.ts'
import { type SceneObject, SPLIT_SEEDS, type SyntheticScene } from './scene.ts'

/** The kinds of sentences, by what they tell their object by. */
export const SENTENCE_KINDS = [
  'category',
  'colour',
  'size',
  'pattern',
  'place',
  'relation',
  'ordinal',
  'negation',
  'reasoning',
] as const

/** One of SENTENCE_KINDS. */
export type SentenceKind = (typeof SENTENCE_KINDS)[number]

/** A sentence that means exactly one object of a scene. */
export interface Sentence {
  /** Lower case, without a full stop. */
  readonly text: string
  /** The kind of words that single the object out. */
  readonly kind: SentenceKind
  /** Index of the object it means. */
  readonly target: number
}

/** The objects that the first `end` characters of a sentence have named: the noun's objects, the landmark. */
export interface Mention {
  /** Characters from the start of the sentence to the end of the words that name them. */
  readonly end: number
  /** Indices, ascending; several where the words alone mean several. */
  readonly objects: readonly number[]
}

/** A sentence with the steps to its answer, for training. */
export interface ExplainedSentence extends Sentence {
  /** On the way to the answer, in the order of the words; empty if none are named. */
  readonly mentions: readonly Mention[]
  /** The objects that an order counts: the first, the second, ... up to the one that is meant. */
  readonly counted?: readonly number[] | undefined
}

interface SentenceCandidate extends Phrase {
  readonly kind: SentenceKind
  /** The rest without the words that make its kind; null when it has no such words. */
  readonly bare: ObjectProperty | null
  /** Forms of a kind take turns, so that an easy one ("nearest to") doesn't crowd out a rare one ("above"). */
  readonly form?: string
  /** Nobody says "the smallest cat" of the only cat: dropped unless its words are needed. */
  readonly isPicky?: boolean
  /** Phrases inside of the text, in its order, that name objects on the way to the answer. */
  readonly names?: readonly Phrase[]
  readonly counted?: readonly SceneObject[]
}

interface Found {
  readonly sentence: ExplainedSentence
  readonly form: string
}

/** Candidates drawn for every kind. */
const DRAWS = 90

/** 8 to 14 sentences (fewer in a scene that offers fewer), of as many kinds as the scene allows. */
export function writeSentences(scene: SyntheticScene): Sentence[] {
  const random = new KeyedRandom(SPLIT_SEEDS[scene.split], scene.index, 7919)
  const candidates = findSentences(random, scene.objects)

  // Deal them out kind by kind and form by form, each time the one whose object was asked for least
  const wanted = random.int(8, 14)
  const asked = scene.objects.map(() => 0)
  const sentences: Sentence[] = []
  for (let round = 0; round < 4 && sentences.length < wanted; round++) {
    for (const kind of random.shuffle(SENTENCE_KINDS)) {
      const left = candidates.get(kind) as Found[]
      if (left.length === 0 || sentences.length === wanted) continue
      const form = random.pick([...new Set(left.map((one) => one.form))])
      const timesAsked = ({ sentence }: Found) => asked[sentence.target] as number
      const least = left
        .filter((one) => one.form === form)
        .reduce((a, b) => (timesAsked(b) < timesAsked(a) ? b : a))
      left.splice(left.indexOf(least), 1)
      asked[least.sentence.target] = timesAsked(least) + 1
      const { text, target } = least.sentence
      sentences.push({ text, kind, target })
    }
  }
  return sentences
}

/** Every sentence that the draws for a scene find, some sixty: what a language model learns from. */
export function everySentence(scene: SyntheticScene): ExplainedSentence[] {
  const random = new KeyedRandom(SPLIT_SEEDS[scene.split], scene.index, 7919)
  return [...findSentences(random, scene.objects).values()].flat().map(({ sentence }) => sentence)
}

/** Draws candidates and keeps the sure ones; those with idle words are kept now and then. */
function findSentences(random: KeyedRandom, objects: readonly SceneObject[]): Map<SentenceKind, Found[]> {
  const candidates = new Map<SentenceKind, Found[]>(SENTENCE_KINDS.map((kind) => [kind, []]))
  if (objects.length === 0) return candidates
  const seen = new Set<string>()
  for (const [kind, write] of Object.entries(writers) as [SentenceKind, Writer][]) {
    for (let draw = 0; draw < DRAWS; draw++) {
      const candidate = write(random, random.pick(objects), objects)
      if (!candidate || seen.has(candidate.text)) continue
      seen.add(candidate.text)
      const target = onlyAnswer(candidate.asks, objects)
      if (target === null) continue
      const isIdle = candidate.bare !== null && onlyAnswer(candidate.bare, objects) !== null
      if (isIdle && (candidate.isPicky || !random.chance(0.15))) continue
      const { text, form = kind } = candidate
      const mentions = findMentions(text, candidate.names ?? [], objects)
      const counted = candidate.counted?.map((one) => objects.indexOf(one))
      candidates.get(kind)?.push({ sentence: { text, kind, target, mentions, counted }, form })
    }
  }
  return candidates
}

function findMentions(text: string, names: readonly Phrase[], objects: readonly SceneObject[]): Mention[] {
  let end = 0
  return names.map((name) => {
    end = text.indexOf(name.text, end) + name.text.length
    return { end, objects: objects.flatMap((o, i) => (name.asks(o) === 'yes' ? [i] : [])) }
  })
}

// ---- Nouns

/** A category, "shape", a group or "object": a noun that fits the object, mostly the plainest. */
function noun(random: KeyedRandom, object: SceneObject): Phrase {
  const u = random.next()
  const group = GROUP_NOUNS[object.group]
  if (u < 0.62) return { text: object.category, asks: isCategory(object.category) }
  if (u < 0.86 && object.kind === 'shape') return { text: 'shape', asks: isGroup('shape') }
  if (u < 0.86 && group) return { text: group, asks: isGroup(object.group) }
  return anything(random)
}

function anything(random: KeyedRandom): Phrase {
  return { text: random.pick(['object', 'object', 'thing']), asks: isAnything }
}

/** A noun with an adjective or none: what a place, a relation or an order picks from. */
function described(random: KeyedRandom, object: SceneObject): Phrase {
  const head = noun(random, object)
  if (!object.colour || head.asks === isAnything || random.chance(0.6)) return head
  const adjective: Phrase = random.chance(0.7)
    ? { text: object.colour, asks: isColour(object.colour) }
    : { text: object.pattern as string, asks: isPattern(object.pattern as Pattern) }
  return { text: `${adjective.text} ${head.text}`, asks: and(head.asks, adjective.asks) }
}

/** A short phrase that only `object` answers to, or null. */
function landmark(random: KeyedRandom, object: SceneObject, objects: readonly SceneObject[]): string | null {
  const phrases: Phrase[] = [{ text: object.category, asks: isCategory(object.category) }]
  if (object.colour) {
    const text = `${object.colour} ${object.category}`
    phrases.push({ text, asks: and(isCategory(object.category), isColour(object.colour)) })
  }
  const good = phrases.filter((phrase) => onlyAnswer(phrase.asks, objects) !== null)
  return good.length > 0 ? random.pick(good).text : null
}

// ---- Writers: each makes a candidate about `object`, or null when it can't

type Writer = (
  random: KeyedRandom,
  object: SceneObject,
  objects: readonly SceneObject[],
) => SentenceCandidate | null

const writers: Record<SentenceKind, Writer> = {
  category(random, object) {
    const group = object.kind === 'sprite' && GROUP_NOUNS[object.group]
    const head: Phrase =
      group && random.chance(0.35)
        ? { text: group, asks: isGroup(object.group) }
        : { text: object.category, asks: isCategory(object.category) }
    return { kind: 'category', text: `the ${head.text}`, asks: head.asks, bare: null }
  },

  colour(random, object) {
    if (!object.colour) return null
    const colour: Phrase = { text: object.colour, asks: isColour(object.colour) }
    const head = noun(random, object)
    if (head.asks !== isAnything) {
      const text = random.chance(0.9)
        ? `the ${colour.text} ${head.text}`
        : `the ${head.text} that is ${colour.text}`
      return { kind: 'colour', text, asks: and(head.asks, colour.asks), bare: head.asks }
    }
    const text = random.chance(0.7) ? `the ${colour.text} one` : `the ${colour.text} ${head.text}`
    return { kind: 'colour', text, asks: colour.asks, bare: null }
  },

  size(random, object, objects) {
    const head = described(random, object)
    if (random.chance(0.4)) {
      const sign = random.chance(0.5) ? 1 : -1
      const word = sign > 0 ? random.pick(['largest', 'biggest']) : 'smallest'
      const asks = and(
        head.asks,
        extreme(objects, head.asks, (o) => sign * Math.log(o.radius), Math.log(1.3)),
      )
      return { kind: 'size', text: `the ${word} ${head.text}`, asks, bare: head.asks, isPicky: true }
    }
    if (object.size === 'medium' || head.asks === isAnything) return null
    const word = object.size === 'small' ? random.pick(['small', 'little']) : random.pick(['large', 'big'])
    return {
      kind: 'size',
      text: `the ${word} ${head.text}`,
      asks: and(head.asks, isSize(object.size)),
      bare: head.asks,
    }
  },

  pattern(random, object) {
    if (!object.pattern) return null
    const pattern: Phrase = { text: object.pattern, asks: isPattern(object.pattern) }
    const isNamed = random.chance(0.75)
    const head: Phrase = isNamed
      ? { text: object.category, asks: isCategory(object.category) }
      : { text: 'shape', asks: isGroup('shape') }
    if (object.colour && random.chance(0.3)) {
      const bare = and(head.asks, isColour(object.colour))
      const text = `the ${pattern.text} ${object.colour} ${head.text}`
      return { kind: 'pattern', text, asks: and(bare, pattern.asks), bare }
    }
    const mark = object.pattern === 'striped' ? 'with stripes' : 'with dots'
    const text =
      object.pattern === 'plain' || random.chance(0.7)
        ? `the ${pattern.text} ${head.text}`
        : `the ${head.text} ${mark}`
    return { kind: 'pattern', text, asks: and(head.asks, pattern.asks), bare: head.asks }
  },

  place(random, object, objects) {
    const head = described(random, object)
    if (random.chance(0.4)) {
      const side = random.pick(SIDES)
      const asks = and(head.asks, extreme(objects, head.asks, side.along, CLEAR_GAP))
      const text = random.chance(0.7) ? `the ${side.most} ${head.text}` : `the ${head.text} ${side.furthest}`
      return { kind: 'place', text, asks, bare: head.asks, form: 'extreme', isPicky: true, names: [head] }
    }
    const region = random.pick(REGIONS)
    const text = `the ${head.text} ${random.pick(region.wordings)}`
    const asks = and(head.asks, region.asks)
    return { kind: 'place', text, asks, bare: head.asks, form: region.form, names: [head] }
  },

  relation(random, object, objects) {
    const other = random.pick(objects)
    const anchor = other === object ? null : landmark(random, other, objects)
    if (!anchor) return null
    const head = described(random, object)
    const isOther: ObjectProperty = (o) => sure(o === other)

    // The other one is never meant itself, whatever the noun
    const among = and(head.asks, not(isOther))
    const names = [head, { text: anchor, asks: isOther }]
    if (random.chance(0.2)) {
      const asks = and(among, nearest(objects, among, other))
      const words = random.pick(['nearest to', 'closest to'])
      return {
        kind: 'relation',
        text: `the ${head.text} ${words} the ${anchor}`,
        asks,
        bare: among,
        form: 'near',
        names,
      }
    }
    if (random.chance(0.2)) {
      const asks = and(among, (o) => graded(gapBetween(o, other), 22, 50))
      return {
        kind: 'relation',
        text: `the ${head.text} next to the ${anchor}`,
        asks,
        bare: among,
        form: 'near',
        names,
      }
    }
    const direction = random.pick(DIRECTIONS)
    const asks = and(among, (o) => direction.asks(o, other))
    const text = `the ${head.text} ${random.pick(direction.wordings)} the ${anchor}`
    return { kind: 'relation', text, asks, bare: among, form: direction.wordings[0] as string, names }
  },

  ordinal(random, object, objects) {
    const head = described(random, object)
    const side = random.pick(SIDES)
    const row = objects.filter((o) => head.asks(o) === 'yes').sort((a, b) => side.along(b) - side.along(a))
    const rank = row.indexOf(object)
    if (rank < 0 || rank >= RANKS.length || row.length < 3) return null
    if (rank === 0 && random.chance(0.5)) return null // the other ranks ask for more counting
    if (objects.some((o) => head.asks(o) === 'unsure')) return null

    // Everyone up to and including the one after must stand clear of the next
    for (let i = 0; i <= rank && i + 1 < row.length; i++) {
      if (side.along(row[i] as SceneObject) - side.along(row[i + 1] as SceneObject) < CLEAR_GAP) return null
    }
    const text = `the ${RANKS[rank]} ${head.text} from the ${side.name}`
    const counted = row.slice(0, rank + 1)
    return { kind: 'ordinal', text, asks: (o) => sure(o === object), bare: null, names: [head], counted }
  },

  negation(random, object, objects) {
    const group = GROUP_NOUNS[object.group]
    const u = random.next()
    if (object.colour && u < 0.45) {
      const head: Phrase = random.chance(0.75)
        ? { text: object.category, asks: isCategory(object.category) }
        : { text: 'shape', asks: isGroup('shape') }
      const others = objects.filter((o) => o.colour && head.asks(o) === 'yes' && o.colour !== object.colour)
      const colour = others.length > 0 ? random.pick(others).colour : random.pick(COLOUR_NAMES)
      if (!colour) return null
      const asks = and(head.asks, not(isColour(colour)))
      return {
        kind: 'negation',
        text: `the ${head.text} that is not ${colour}`,
        asks,
        bare: head.asks,
        isPicky: true,
        names: [head],
      }
    }
    if (object.pattern && u < 0.65) {
      const head = described(random, object)
      const pattern = random.pick(['plain', 'striped', 'dotted'] as const)
      if (head.asks === isAnything || head.text.includes(pattern)) return null
      const asks = and(head.asks, not(isPattern(pattern)))
      return {
        kind: 'negation',
        text: `the ${head.text} that is not ${pattern}`,
        asks,
        bare: head.asks,
        isPicky: true,
        names: [head],
      }
    }
    if (u < 0.85) {
      const head: Phrase | null =
        object.kind === 'shape'
          ? random.chance(0.5) && object.colour
            ? { text: `${object.colour} shape`, asks: and(isGroup('shape'), isColour(object.colour)) }
            : { text: 'shape', asks: isGroup('shape') }
          : group
            ? { text: group, asks: isGroup(object.group) }
            : null
      const others = head
        ? objects.filter((o) => head.asks(o) === 'yes' && o.category !== object.category)
        : []
      if (!head || others.length === 0) return null
      const { category } = random.pick(others)
      const asks = and(head.asks, not(isCategory(category)))
      return {
        kind: 'negation',
        text: `the ${head.text} that is not ${withArticle(category)}`,
        asks,
        bare: head.asks,
        isPicky: true,
        names: [head],
      }
    }
    const head = described(random, object)
    const region = random.pick(REGIONS)
    const asks = and(head.asks, not(region.asks))
    const text = `the ${head.text} that ${head.text === 'scissors' ? 'are' : 'is'} not ${random.pick(region.wordings)}`
    return { kind: 'negation', text, asks, bare: head.asks, isPicky: true, names: [head] }
  },

  reasoning(random, object) {
    const known = FACTS.filter((fact) => fact.yes.includes(object.category))
    if (known.length === 0) return null
    const fact = random.pick(known)
    const asks: ObjectProperty = ({ category }) =>
      fact.yes.includes(category) ? 'yes' : fact.maybe?.includes(category) ? 'unsure' : 'no'
    return { kind: 'reasoning', text: random.pick(fact.wordings), asks, bare: null }
  },
}

const RANKS = ['first', 'second', 'third', 'fourth', 'fifth'] as const

function withArticle(category: string): string {
  if (WITHOUT_ARTICLE.has(category)) return category
  return `${/^[aeiou]/.test(category) ? 'an' : 'a'} ${category}`
}
