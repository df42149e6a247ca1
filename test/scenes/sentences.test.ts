// Every sentence has exactly one answer: an independent listener, who knows no margins, finds the same.

import { expect, test } from 'vitest'
import { FACTS, SPRITE_NAMES } from '../../src/scenes/catalogue.ts'
import { makeScene, type Split } from '../../src/scenes/scene.ts'
import { everySentence, SENTENCE_KINDS, writeSentences } from '../../src/scenes/sentences.ts'
import { listen } from './listener.ts'

const written = (split: Split, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const scene = makeScene(split, i)
    return { scene, sentences: writeSentences(scene) }
  })

test.each(['train', 'val', 'test'] as const)(
  'a listener finds the one answer to every %s sentence',
  (split) => {
    for (const { scene, sentences } of written(split, 80)) {
      for (const { text, target } of sentences) {
        const meant = listen(text, scene.objects).map((o) => scene.objects.indexOf(o))
        expect(meant, `${split} ${scene.index}: ${text}`).toEqual([target])
      }
    }
  },
)

test('sentences are many, distinct, of every kind and in few words', () => {
  const all = written('train', 120)
  const kinds = new Map<string, number>()
  const words = new Set<string>()
  for (const { sentences } of all) {
    expect(sentences.length).toBeGreaterThanOrEqual(6)
    expect(sentences.length).toBeLessThanOrEqual(14)
    expect(new Set(sentences.map((s) => s.text)).size).toBe(sentences.length)
    for (const { kind, text } of sentences) {
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
      expect(text).toMatch(/^[a-z ]+$/)
      for (const word of text.split(' ')) words.add(word)
    }
  }
  const total = [...kinds.values()].reduce((a, b) => a + b)
  for (const kind of SENTENCE_KINDS) expect((kinds.get(kind) ?? 0) / total, kind).toBeGreaterThan(0.05)
  expect(words.size).toBeLessThanOrEqual(300)
})

test('most scenes ask for most of their objects', () => {
  const asked = written('train', 60).map(
    ({ scene, sentences }) => new Set(sentences.map((s) => s.target)).size / scene.objects.length,
  )
  expect(asked.reduce((a, b) => a + b) / asked.length).toBeGreaterThan(0.9)
})

test('the same sentences every time', () => {
  const scene = makeScene('test', 3)
  expect(writeSentences(scene)).toEqual(writeSentences(makeScene('test', 3)))
})

test('every sentence found is explained by what its words name, and those written are among them', () => {
  for (const { scene, sentences } of written('train', 20)) {
    const every = everySentence(scene)
    const plain = every.map(({ text, kind, target }) => ({ text, kind, target }))
    for (const sentence of sentences) expect(plain).toContainEqual(sentence)

    for (const { text, kind, target, mentions, counted } of every) {
      let begin = 0
      for (const { end, objects } of mentions) {
        expect(objects.length, text).toBeGreaterThan(0)
        expect(objects.every((i) => i in scene.objects)).toBe(true)
        expect(end, text).toBeGreaterThan(begin)
        expect(end, text).toBeLessThanOrEqual(text.length)
        expect([undefined, ' '], text).toContain(text[end]) // whole words
        begin = end
      }
      expect(counted !== undefined, text).toBe(kind === 'ordinal')
      if (counted) expect(counted.at(-1), text).toBe(target)
    }
  }
})

test('facts speak of sprites that exist, and no wording of two facts', () => {
  const names = new Set(SPRITE_NAMES)
  for (const { yes, maybe = [] } of FACTS) {
    for (const name of [...yes, ...maybe]) expect(names.has(name), name).toBe(true)
    expect(yes.filter((name) => maybe.includes(name))).toEqual([])
  }
  const wordings = FACTS.flatMap((fact) => fact.wordings)
  expect(new Set(wordings).size).toBe(wordings.length)
})
