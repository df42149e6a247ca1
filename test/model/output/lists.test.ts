// Semantic, instance and panoptic answers equal an independent reference in numpy (training/golden/lists.py): the same
// labels at every pixel, the same instances and segments, in both generations of X-SAM. The small cases are its
// constants.

import { describe, expect, test } from 'vitest'
import type { Config } from '../../../src/model/checkpoint/config.ts'
import type { Category } from '../../../src/model/input/categories.ts'
import { classProbabilities } from '../../../src/model/output/classes.ts'
import { categoryMap, type DecodedCategories } from '../../../src/model/output/maps.ts'
import { PlanCache } from '../../../src/model/plan-cache.ts'
import type { Parts } from '../../../src/model/plans.ts'
import { type Golden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { adapters } from '../../support.ts'

type Pair = readonly [number, number]
type Runs = readonly (readonly [label: number, length: number])[]

interface Case {
  /** Streams of the class logits and masks; or the numbers themselves. */
  readonly classes?: string
  readonly masks?: string
  readonly logits?: readonly (readonly number[])[]
  readonly inside?: readonly (readonly number[])[]
  readonly place: { readonly map: Pair; readonly canvas: Pair; readonly crop: Pair; readonly size: Pair }
  readonly things: readonly number[]
  readonly semantic: Readonly<Record<'aaai' | 'main', Runs>>
  readonly instance: readonly {
    readonly compat: 'aaai' | 'main'
    readonly threshold: number
    readonly instances: readonly (readonly [
      query: number,
      category: number,
      score: number,
      area: number,
      box: unknown,
    ])[]
  }[]
  readonly panoptic: readonly {
    readonly rules: 'own' | 'xsam'
    readonly threshold: number
    readonly labels: Runs
    readonly segments: readonly (readonly [id: number, category: number, score: number, area: number])[]
  }[]
}

const golden = loadGolden('lists')
const cases = Object.entries(golden.facts) as unknown as readonly [name: string, Case][]

for (const gpu of await adapters()) {
  describe(`answers to lists on ${gpu.name}`, () => {
    test.each(cases)('%s', async (_, one) => {
      const { threshold: __, ...found } = await foundIn(golden, one)
      const plans = { aaai: new PlanCache(8), main: new PlanCache(8) }
      const run = (compat: 'aaai' | 'main', threshold: number, asXSam = false): DecodedCategories => ({
        ...found,
        model: { gpu, parts: partsOf(one, found, compat), plans: plans[compat] },
        threshold,
        asXSam,
      })
      try {
        for (const compat of ['aaai', 'main'] as const) {
          const { labels, segments } = await categoryMap('semantic', run(compat, 0.5))
          expect(runsOf(labels)).toEqual(one.semantic[compat])
          expect(segments.reduce((sum, { area }) => sum + area, 0)).toBe(labels.length)
        }
        for (const { compat, threshold, instances } of one.instance) {
          const map = await categoryMap('instance', run(compat, threshold))
          expect(map.instances.map(({ query, category, area, box }) => [query, category, area, box])).toEqual(
            instances.map(([query, category, , area, box]) => [query, category, area, box]),
          )
          map.instances.forEach(({ score }, i) => expect(score).toBeCloseTo(instances[i]![2], 5))
          expect(map.found).toBe(instances.some(([, , , area]) => area > 0))
        }
        for (const { rules, threshold, labels, segments } of one.panoptic) {
          const map = await categoryMap('panoptic', run('aaai', threshold, rules === 'xsam'))
          expect(runsOf(map.labels)).toEqual(labels)
          expect(map.segments.map(({ id, category, area }) => [id, category, area])).toEqual(
            segments.map(([id, category, , area]) => [id, category, area]),
          )
          map.segments.forEach(({ score }, i) => expect(score).toBeCloseTo(segments[i]![2], 6))
          expect(map.found).toBe(segments.length > 0)
        }
      } finally {
        for (const kept of Object.values(plans)) kept.clear()
      }
    })
  })
}

/** The result of a decoder that gave these logits. */
async function foundIn(
  golden: Golden,
  { classes, masks, logits, inside, place, things }: Case,
): Promise<Omit<DecodedCategories, 'model'>> {
  const values = classes ? goldenInput(golden, classes) : Float32Array.from(logits!.flat())
  const maskLogits = masks ? goldenInput(golden, masks) : rows(inside!, place.map)
  const N = maskLogits.length / (place.map[0] * place.map[1])
  const K = values.length / N - 1
  const [height, width] = place.size
  return {
    scene: { size: { width, height, scaled: place.crop }, image: {} },
    decoded: { masks: maskLogits, baseline: true },
    categories: Array.from({ length: K }, (__, k): Category => {
      return { name: `category ${k}`, prompt: `category ${k}`, kind: things.includes(k) ? 'thing' : 'stuff' }
    }),
    probabilities: classProbabilities(values, K),
    threshold: 0.5,
    asXSam: false,
    task: {},
  }
}

/** 20 in the columns that are inside, else -20: every row of a map alike. */
function rows(inside: readonly (readonly number[])[], [H, W]: Pair): Float32Array {
  return Float32Array.from({ length: inside.length * H * W }, (_, i) =>
    inside[Math.floor(i / (H * W))]!.includes(i % W) ? 20 : -20,
  )
}

/** As much of a model as maps of these sizes need: mask logits have twice as many rows as SAM has patches. */
function partsOf(
  { place }: Case,
  { decoded }: Pick<DecodedCategories, 'decoded'>,
  compat: 'aaai' | 'main',
): Parts {
  const [H, W] = place.map
  const [side] = place.canvas
  const sam = { image: side, patch: (2 * side) / H }
  const head = { queries: decoded.masks.length / (H * W) }
  return { config: { compat, sam, head } as Config, baseline: true } as Parts
}

function runsOf(labels: ArrayLike<number>): Runs {
  const runs: [number, number][] = []
  for (const label of Array.from(labels)) {
    const last = runs.at(-1)
    if (last?.[0] === label) last[1]++
    else runs.push([label, 1])
  }
  return runs
}
