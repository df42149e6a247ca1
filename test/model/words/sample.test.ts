// Tokens are drawn by their probabilities, from the likeliest only where that is asked for, and the same by seed.

import { expect, test } from 'vitest'
import { Sampler } from '../../../src/model/words/sample.ts'
import { uniform } from '../../support.ts'

const LOGITS = Float32Array.from([0, 2, 1, -1, 2, -30])

/** The share of draws of each id. */
function shares(sampler: Sampler, draws = 20_000): number[] {
  const counts = Array.from(LOGITS, () => 0)
  for (let i = 0; i < draws; i++) counts[sampler.draw(LOGITS)]! += 1 / draws
  return counts
}

test.each([0.5, 1, 3])('as often as likely, temperature %d', (temperature) => {
  const weights = [...LOGITS].map((logit) => Math.exp(logit / temperature))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  shares(new Sampler({ temperature })).forEach((share, id) =>
    expect(share, `${id}`).toBeCloseTo(weights[id]! / total, 1.7),
  )
})

test('of the likeliest only; the lower id of equals', () => {
  expect(shares(new Sampler({ topK: 1 }))[1]).toBeCloseTo(1)
  const three = shares(new Sampler({ topK: 3 }))
  expect([three[0], three[3], three[5]]).toEqual([0, 0, 0])
  expect(three[1]! / three[4]!).toBeCloseTo(1, 0.8)
  // e^2, e^2, e, 1: the first two have 0.79 of the probability
  const nucleus = shares(new Sampler({ topP: 0.75 }))
  expect([nucleus[0], nucleus[2], nucleus[3]]).toEqual([0, 0, 0])
  expect(shares(new Sampler({ topP: 0.81 }))[2]).toBeGreaterThan(0.1)
  expect(shares(new Sampler({ topP: 1e-9 }))[1]).toBeCloseTo(1)
})

test('a cold sampler takes the likeliest, however far the logits are', () => {
  const sampler = new Sampler({ temperature: 1e-4 })
  const logits = Float32Array.from([300, -3e4, 299, 200])
  for (let i = 0; i < 100; i++) expect(sampler.draw(logits)).toBe(0)
})

test('the seed decides', () => {
  const drawn = (seed: number): number[] => {
    const sampler = new Sampler({ temperature: 1, seed })
    return Array.from({ length: 50 }, () => sampler.draw(LOGITS))
  }
  expect(drawn(1)).toEqual(drawn(1))
  expect(drawn(1)).not.toEqual(drawn(2))
})

test('of a whole vocabulary the likeliest are the same as by sorting all of it', () => {
  const logits = uniform(4_000, 3, 12)
  const sorted = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b)
  for (const [topK, topP] of [
    [1, 1],
    [40, 1],
    [1_500, 1],
    [Infinity, 0.5],
    [Infinity, 0.9999],
    [300, 0.9],
  ] as const) {
    const weights = sorted.slice(0, topK).map((id) => Math.exp(logits[id]! / 2))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    let count = 0
    for (let sum = 0; count < weights.length && (count === 0 || sum < topP * total); count++)
      sum += weights[count]!
    const allowed = new Set(sorted.slice(0, count))
    const sampler = new Sampler({ temperature: 2, topK, topP })
    for (let i = 0; i < 60; i++) expect(allowed.has(sampler.draw(logits)), `${topK} ${topP}`).toBe(true)
  }
})
