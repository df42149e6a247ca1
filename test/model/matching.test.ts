// Matching: class logits and scores are the reference's, exactly one query wins, and the two generations of
// X-SAM clamp where theirs do.

import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/model/checkpoint/config.ts'
import { weightsFrom } from '../../src/model/checkpoint/weights.ts'
import { rank } from '../../src/model/matching.ts'
import { classLogits } from '../../src/model/networks/semantic-flow.ts'
import { expectGolden, goldenInput, loadGolden } from '../fixtures/golden.ts'
import { weightTensor } from '../fixtures/random.ts'
import { adapters, anyGpu, expectSameBits, random } from '../support.ts'
import { compute, goldenWeights, smallConfig } from './networks/networks.ts'

const config = smallConfig()
const d = config.head.hidden
const MATCHING = ['segmentor.class_predictor.', 'bg_embeds.']

for (const gpu of await adapters()) {
  test(`class logits and scores on ${gpu.name}`, async () => {
    const golden = loadGolden('matching')
    const { weights, release } = await goldenWeights(gpu, golden.weights, config, ...MATCHING)
    const queries = { data: goldenInput(golden, 'normed'), shape: [12, d] }
    const rows = goldenInput(golden, 'condition')
    const logitsOf = (condition: Float32Array, K: number) =>
      compute(gpu, { queries, condition: { data: condition, shape: [K, d] } }, (t) => ({
        y: classLogits(t['queries'], { condition: t['condition'], length: 5 }, weights, config),
      })).then(({ y }) => y)

    const logits = await logitsOf(rows, 5)
    expectGolden('class', logits, golden, 1e-5)
    const scores = new Float64Array(12)
    for (const { query, score } of rank(logits)) scores[query] = score
    expectGolden('score', scores, golden, 1e-5)

    // Rows of C from `length` on are padding, whatever they hold
    const padded = new Float32Array(16 * d).fill(1e3)
    padded.set(rows)
    expectSameBits(await logitsOf(padded, 16), logits)
    release()
  })
}

test('class logits are clamped at 500, by X-SAM/main at 50', async () => {
  // A query that is the phrase's vector has cosine 1, and its opposite -1
  const gpu = await anyGpu()
  const phrase = random([d])
  const queries = {
    data: Float32Array.from({ length: 2 * d }, (_, i) => (i < d ? 1 : -3) * phrase.data[i % d]!),
    shape: [2, d],
  }
  const logits = async (scale: number, compat: Config['compat']) => {
    const { weights, release } = await weightsFrom(
      gpu,
      new Map([
        ['segmentor.class_predictor.logit_scale', { data: Float32Array.of(Math.log(scale)), shape: [1] }],
        ['bg_embeds.weight', { data: weightTensor('bg_embeds.weight', [1, d]), shape: [1, d] }],
      ]),
      config,
    )
    const condition = { data: phrase.data, shape: [1, d] }
    const { y } = await compute(gpu, { queries, condition }, (t) => ({
      y: classLogits(t['queries'], { condition: t['condition'], length: 1 }, weights, { ...config, compat }),
    }))
    release()
    return [y[0], y[2]]
  }
  const near = (value: number) => [expect.closeTo(value, 3), expect.closeTo(-value, 3)]
  expect(await logits(14, 'aaai')).toEqual(near(14))
  expect(await logits(14, 'main')).toEqual(near(14))
  expect(await logits(100, 'aaai')).toEqual(near(100))
  expect(await logits(100, 'main')).toEqual([50, -50])
  expect(await logits(900, 'aaai')).toEqual([500, -500])
})

describe('rank', () => {
  test('best first', () => {
    const matches = rank(Float32Array.of(0, 1, 3, 1, 2, -1))
    expect(matches.map(({ query }) => query)).toEqual([2, 1, 0])
    expect(matches[0]!.score).toBeCloseTo(1 / (1 + Math.exp(-3)), 12)
  })

  test('of equal scores the lower index first', () => {
    expect(rank([1, 0, 5, 4, 2, 1]).map(({ query }) => query)).toEqual([0, 1, 2])
  })

  test('of X-SAM, scores that are equal in float32 are ties, and the first of them is taken', () => {
    // The scores differ by less than half of the last bit below 1: from a margin of 17.3 on
    const logits = [3, 0, 20, 0, 40, 0, 18, 0, 16, 0]
    expect(rank(logits).map(({ query }) => query)).toEqual([2, 1, 3, 4, 0])
    expect(rank(logits, true).map(({ query }) => query)).toEqual([1, 2, 3, 4, 0])
    expect(rank(logits, true)[0]!.score).toBeCloseTo(1, 8)
  })

  test('of several phrases one, or the best of them, against all others and the background', () => {
    const logits = [0, Math.log(3), 0, 1, 1, 1] // two queries, two phrases
    expect(rank(logits, false, { phrases: 2, phrase: 1 })).toEqual([
      { query: 0, score: expect.closeTo(3 / 5, 12) },
      { query: 1, score: expect.closeTo(1 / 3, 12) },
    ])
    expect(rank(logits, false, { phrases: 2, phrase: 0 }).map(({ query }) => query)).toEqual([1, 0])
    expect(rank(logits, false, { phrases: 2 })).toEqual(rank(logits, false, { phrases: 2, phrase: 1 }))
  })

  test('scores that are 1 in float64 are still ranked, and stay in [0, 1]', () => {
    const matches = rank([100, -100, 500, -500, -500, 500, 200, -200])
    expect(matches.map(({ query }) => query)).toEqual([1, 3, 0, 2])
    expect(matches.map(({ score }) => score)).toEqual([1, 1, 1, expect.closeTo(0, 12)])
  })
})
