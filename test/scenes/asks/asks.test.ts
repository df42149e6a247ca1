// Questions about scenes of the second generation have true answers: an independent listener and the id map agree.
// Every kind has its share, absent sentences are as near to true ones as they claim, and nothing depends on chance.

import { expect, test } from 'vitest'
import type { Ask, ChatAsk, PhraseAsk } from '../../../src/scenes/asks/ask.ts'
import { PHRASE_KINDS } from '../../../src/scenes/asks/ask.ts'
import { everyAsk } from '../../../src/scenes/asks/every.ts'
import { type Gesture, pixelsOf, runsOf } from '../../../src/scenes/asks/gestures.ts'
import { answerOf, understand } from '../../../src/scenes/asks/understand.ts'
import { reworded, wordings } from '../../../src/scenes/asks/wording.ts'
import { CATEGORIES, gibberish, plural, SYNONYMS, unknownThing } from '../../../src/scenes/asks/words.ts'
import { isHeldOutPair, isHeldOutShape, SHAPES } from '../../../src/scenes/catalogue.ts'
import { onlyAnswer } from '../../../src/scenes/questions.ts'
import { KeyedRandom } from '../../../src/scenes/random.ts'
import { rasteriseScene } from '../../../src/scenes/rasterise.ts'
import { makeScene, SIZE, SPLITS, type Split, type SyntheticScene } from '../../../src/scenes/scene.ts'
import { everySentence, writeSentences } from '../../../src/scenes/sentences.ts'
import { HELD_OUT_FOREIGN } from '../../../src/scenes/world/foreign.ts'
import { addSecondStyle } from '../../../src/scenes/world/second-style.ts'
import { listen } from '../listener.ts'
import { listenToOther, listenToSeveral } from './second-listener.ts'

addSecondStyle()

interface Asked {
  readonly scene: SyntheticScene
  readonly ids: Uint8Array
  readonly asks: readonly Ask[]
}

function asked(split: Split, count: number): Asked[] {
  return Array.from({ length: count }, (_, i) => {
    const scene = makeScene(split, i)
    const { ids, visible } = rasteriseScene(scene)
    const objects = scene.objects.map((o, k) => ({ ...o, box: visible[k]?.box ?? o.box }))
    return { scene, ids, asks: everyAsk(scene, everySentence(scene), { objects, ids }) }
  })
}

const train = asked('train2', 50)
const tests = asked('test2', 25)
const all = [...train, ...tests]

const phrases = ({ asks }: Asked): PhraseAsk[] => asks.filter((ask) => ask.task === 'phrase')
const where = ({ split, index }: SyntheticScene, text: string) => `${split} ${index}: ${text}`

test('the listener finds all that phrases for several objects mean, and the other one of two', () => {
  let heard = 0
  for (const one of all) {
    const { objects } = one.scene
    for (const { kind, text, plain = text, targets } of phrases(one)) {
      if (!kind.startsWith('several') && kind !== 'other-one') continue
      const meant = (kind === 'other-one' ? listenToOther : listenToSeveral)(plain, objects)
      const indices = meant.map((o) => objects.indexOf(o)).sort((a, b) => a - b)
      expect(indices, where(one.scene, plain)).toEqual(targets)
      heard++
    }
  }
  expect(heard).toBeGreaterThan(500)
})

test('sentences without a referent mean nothing to the listener, and half of them are one word from a true one', () => {
  let [near, heard] = [0, 0]
  for (const one of all) {
    const { objects } = one.scene
    const truths = new Set(everySentence(one.scene).map(({ text }) => text))
    for (const { kind, text, plain = text, targets, from } of phrases(one)) {
      if (!kind.startsWith('absent')) continue
      expect(targets).toEqual([])
      heard++
      if (kind === 'absent-several')
        expect(listenToSeveral(plain, objects), where(one.scene, plain)).toEqual([])
      if (kind === 'absent-attribute' || kind === 'absent-word') {
        expect(listenOrNobody(plain, objects), where(one.scene, plain)).toEqual([])
      }
      if (kind !== 'absent-word') continue
      near++
      expect(truths, where(one.scene, plain)).toContain(from)
      const [a, b] = [plain.split(' '), (from ?? '').split(' ')]
      expect(Math.abs(a.length - b.length), plain).toBeLessThanOrEqual(3) // "in the middle" for "on the left"
      expect(plain).not.toBe(from)
    }
  }
  expect(near / heard).toBeGreaterThan(0.4)
})

/** A landmark that isn't there means nobody, whatever stands where. */
function listenOrNobody(text: string, objects: SyntheticScene['objects']): unknown[] {
  try {
    return listen(text, objects)
  } catch (error) {
    expect((error as Error).message).toMatch(/means 0 objects/)
    return []
  }
}

test('words are understood as they were written: true sentences mean their object and no other', () => {
  for (const split of SPLITS) {
    for (let i = 0; i < 12; i++) {
      const { objects, ...scene } = makeScene(split, i)
      for (const { text, target } of everySentence({ ...scene, objects })) {
        const asks = understand(text, objects)
        expect(asks, text).not.toBeNull()
        if (asks) expect(onlyAnswer(asks, objects), `${split} ${i}: ${text}`).toBe(target)
      }
    }
  }
  expect(understand('hello world', [])).toBeNull()
  const nobody = understand('the cat left of the dog', [])
  expect(nobody && answerOf(nobody, [])).toBe('none')
})

test('rewordings keep the object, and change the words', () => {
  for (const one of all) {
    const truths = new Map(everySentence(one.scene).map(({ text, target }) => [text, target]))
    for (const { kind, text, targets, from = '' } of phrases(one)) {
      if (kind !== 'wording') continue
      expect(targets).toEqual([truths.get(from)])
      expect(text).not.toBe(from)
    }
  }
  const eight = wordings(new KeyedRandom(1), 'the red star left of the light bulb', 8)
  expect(new Set(eight).size).toBe(8)
  const many = Array.from({ length: 400 }, (_, i) =>
    reworded(new KeyedRandom(2, i), 'the red star left of the light bulb'),
  )
  expect(many.some((text) => text === 'red star left of the light bulb')).toBe(true)
  expect(many.some((text) => text === 'THE RED STAR LEFT OF THE LIGHT BULB')).toBe(true)
  expect(many.some((text) => /^["'\u201c]/.test(text))).toBe(true)
  expect(many.some((text) => text.startsWith('please'))).toBe(true)
  expect(many.every((text) => !/left/i.test(text) || !/right of/i.test(text))).toBe(true)
})

test.each([
  { kind: 'list', least: 3, most: 12, low: 0.28, high: 0.5 },
  { kind: 'short-list', least: 1, most: 4, low: 0.4, high: 0.6 },
])('a $kind has $least to $most names, and no object answers to two', ({ kind, least, most, low, high }) => {
  let [names, absent] = [0, 0]
  for (const { scene, asks } of all) {
    for (const ask of asks) {
      if (ask.task !== 'categories' || ask.kind !== kind) continue
      expect(ask.names.length).toBeGreaterThanOrEqual(least)
      expect(ask.names.length).toBeLessThanOrEqual(most)
      expect(new Set(ask.names).size).toBe(ask.names.length)
      const flat = ask.targets.flat()
      expect(new Set(flat).size).toBe(flat.length)
      for (const [i, name] of ask.names.entries()) {
        const targets = ask.targets[i] ?? []
        const category = CATEGORIES.find((one) => name === one || name.endsWith(` ${one}`))
        if (category && !Object.values(SYNONYMS).flat().includes(name)) {
          const colour = name.slice(0, -category.length).trim()
          const meant = scene.objects.flatMap((o, k) =>
            o.category === category && (colour === '' || o.colour === colour) ? [k] : [],
          )
          expect(targets, where(scene, name)).toEqual(meant)
        }
        if (scene.objects.length === 0) continue
        names++
        if (targets.length === 0) absent++
      }
    }
  }
  expect(absent / names).toBeGreaterThan(low)
  expect(absent / names).toBeLessThan(high)
})

test('gestures touch their object, those at nothing touch none, and some leave the picture', () => {
  let outside = 0
  for (const { scene, ids, asks } of all) {
    for (const ask of asks) {
      if (ask.task !== 'region') continue
      const { gesture, target, alike } = ask
      const touched = new Set<number>()
      const inside = pixelsOf(gesture)
      for (let i = 0; i < inside.length; i++) if (inside[i] && ids[i]) touched.add((ids[i] as number) - 1)
      if (target === null) {
        expect([...touched], where(scene, JSON.stringify(gesture))).toEqual([])
        expect(alike).toEqual([])
        continue
      }
      expect(touched.has(target), where(scene, JSON.stringify(gesture))).toBe(true)
      expect(alike).toContain(target)
      expect(new Set(alike.map((k) => scene.objects[k]?.category))).toEqual(
        new Set([scene.objects[target]?.category]),
      )
      if ('box' in gesture && (Math.min(...gesture.box) < 0 || Math.max(...gesture.box) > SIZE)) outside++
    }
  }
  expect(outside).toBeGreaterThan(3)
})

test('pixels of gestures', () => {
  const count = (gesture: Gesture) => pixelsOf(gesture).reduce((a, b) => a + b, 0)
  expect(count({ point: [100, 100] })).toBe(49) // a disc of radius 4
  expect(count({ point: [0, 0] })).toBe(17)
  expect(count({ box: [-4, 10, 6, 20] })).toBe(60)
  expect(
    count({
      scribble: [
        [10, 10],
        [20, 10],
      ],
    }),
  ).toBe(10 * 5 + 13)
  const mask = pixelsOf({ box: [3, 3, 9, 7] })
  expect(pixelsOf({ runs: runsOf(mask) })).toEqual(mask)
})

test('answers to questions hold, counted from the objects', () => {
  const numbers = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']
  const seen = new Map<ChatAsk['kind'], number>()
  for (const { scene, asks } of all) {
    for (const ask of asks) {
      if (ask.task !== 'chat') continue
      seen.set(ask.kind, (seen.get(ask.kind) ?? 0) + 1)
      expect(ask.answer).toMatch(/^[A-Z][a-z ,]*\.$/)
      const noun = /^how many (.+?)(?: are there| do you see)?\??$/i.exec(ask.text)?.[1]
      if (noun && ask.kind === 'count') {
        const meant = /^(?:objects|things)$/.test(noun)
          ? [...scene.objects]
          : listenToSeveral(`all ${noun}`, scene.objects)
        expect(ask.answer.toLowerCase(), where(scene, ask.text)).toBe(`${numbers[meant.length]}.`)
        expect(ask.targets.length).toBe(meant.length)
      }
      const one = /^what colou?r is the (.+)\?$/i.exec(ask.text)?.[1]
      if (one) {
        const meant = listen(`the ${one}`, scene.objects)
        expect(
          meant.map((o) => `${o.colour}.`),
          where(scene, ask.text),
        ).toEqual([ask.answer.toLowerCase()])
      }
      const there = /^is there (?:an? )?(.+?)(?: in the picture)?\?$/i.exec(ask.text)?.[1]
      if (there && CATEGORIES.includes(there)) {
        const isThere = scene.objects.some(({ category }) => category === there)
        expect(ask.answer, where(scene, ask.text)).toBe(isThere ? 'Yes.' : 'No.')
      }
      const beside = /^What is (.+) (the .+)\?$/.exec(ask.text)
      if (beside && ask.kind === 'beside') {
        const meant = listen(`the object ${beside[1]} ${beside[2]}`, scene.objects)
        for (const k of ask.targets) expect(meant, where(scene, ask.text)).toContain(scene.objects[k])
        expect(meant.length, where(scene, ask.text)).toBe(ask.targets.length)
      }
    }
  }
  for (const kind of ['count', 'colour', 'pattern', 'there', 'beside', 'place', 'foreign'] as const) {
    expect(seen.get(kind) ?? 0, kind).toBeGreaterThan(20)
  }
})

test('a description names every object once, in words that hold', () => {
  for (const { scene, asks } of all) {
    const descriptions = asks.filter((ask) => ask.task === 'grounded')
    expect(descriptions.length).toBe(1)
    for (const { answer, targets } of descriptions) {
      expect(targets.toSorted((a, b) => a - b)).toEqual(scene.objects.map((_, k) => k))
      const names = [...answer.matchAll(/<p>(.+?)<\/p> /g)].map(([, name = '']) => name.replace(/^an? /, ''))
      expect(names.length).toBe(targets.length)
      expect(answer.endsWith(names.length > 0 ? '. <SEG>.' : '.')).toBe(true)
      names.forEach((name, k) => {
        const object = scene.objects[targets[k] ?? -1]
        expect(object && listen(`the ${name}`, scene.objects), where(scene, name)).toContain(object)
      })
    }
  }
})

test('every kind has its share', () => {
  const counts = new Map<string, number>()
  for (const ask of train.flatMap(({ asks }) => asks)) counts.set(ask.kind, (counts.get(ask.kind) ?? 0) + 1)
  const scenes = train.length
  for (const kind of [
    ...PHRASE_KINDS,
    'point',
    'box',
    'scribble',
    'mask',
    'nothing',
    'list',
    'short-list',
    'description',
  ]) {
    expect((counts.get(kind) ?? 0) / scenes, kind).toBeGreaterThan(0.2)
  }
  const foreign = train.filter(({ scene }) => scene.foreign !== undefined).length
  expect(foreign / scenes).toBeGreaterThan(0.02)
  expect(foreign / scenes).toBeLessThan(0.15)
})

test('training sees nothing that is held out for tests', () => {
  const others = Array.from({ length: 80 }, (_, i) => makeScene('train2', i))
  for (const { objects, foreign } of others) {
    expect(foreign && HELD_OUT_FOREIGN.includes(foreign)).not.toBe(true)
    for (const o of objects) {
      expect(o.style).toBeUndefined()
      expect(isHeldOutShape(o.colour ?? '', o.category)).toBe(false)
      for (const other of objects) expect(isHeldOutPair(o.category, other.category)).toBe(false)
    }
  }
  const words = (isForTests: boolean) =>
    new Set(
      Array.from({ length: 600 }, (_, i) =>
        unknownThing(new KeyedRandom(isForTests ? 33 : 3, i), isForTests),
      ).filter((w) => !/ /.test(w)),
    )
  const [known, heldOut] = [words(false), words(true)]
  const shared = [...heldOut].filter((word) => known.has(word))
  expect(shared.filter((word) => word.length > 5)).toEqual([]) // short ones may be made up twice
  expect(makeScene('style2', 3).objects.every(({ style }) => style === 'noto')).toBe(true)
  const foreign = Array.from({ length: 80 }, (_, i) => makeScene('test2', i).foreign)
  expect(foreign.some((kind) => kind && HELD_OUT_FOREIGN.includes(kind))).toBe(true)
})

test('words that name nothing are no words of the world', () => {
  const known = new Set([
    ...CATEGORIES,
    ...CATEGORIES.map(plural),
    ...Object.values(SYNONYMS).flat(),
    ...SHAPES,
  ])
  for (let i = 0; i < 500; i++) {
    expect(known.has(unknownThing(new KeyedRandom(4, i), i % 2 === 0))).toBe(false)
    expect(known.has(gibberish(new KeyedRandom(5, i)))).toBe(false)
  }
  const synonyms = Object.values(SYNONYMS).flat()
  expect(new Set(synonyms).size).toBe(synonyms.length)
  for (const name of CATEGORIES) expect(SYNONYMS[name]?.length ?? 0, name).toBeGreaterThanOrEqual(2)
  expect(synonyms.filter((word) => CATEGORIES.includes(word))).toEqual([])
})

test('the same asks every time', () => {
  for (const split of ['val2', 'style2'] as const) {
    const [a, b] = [asked(split, 3), asked(split, 3)]
    expect(a.map(({ asks }) => asks)).toEqual(b.map(({ asks }) => asks))
    expect(JSON.parse(JSON.stringify(a.map(({ asks }) => asks)))).toEqual(a.map(({ asks }) => asks))
  }
  const empty = Array.from({ length: 60 }, (_, i) => makeScene('test2', i)).find(
    ({ objects }) => objects.length === 0,
  )
  expect(empty && writeSentences(empty)).toEqual([])
})
