// All objects that a sentence means: the queries that are likely enough, without those that found an object twice.

import type { Mask } from '../../masks/mask.ts'
import type { TaskOptions } from '../../progress.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import type { Match } from '../matching.ts'
import { type Instance, withMask } from '../output/answers.ts'
import { masksOf } from '../output/masks.ts'
import { distinct, unionOf } from '../output/overlap.ts'
import { unpackMask } from '../segmentation.ts'
import type { Decoded } from './decode.ts'

/** Every object that a sentence means. */
export interface Instances {
  /** The surest first; empty when nothing was found. */
  readonly instances: readonly Instance[]
  /** The pixels of all of them together. */
  readonly union: Mask
}

/** The scores from which something is found, and from which it is one more of several. */
export interface Thresholds {
  /** The least score of the best query, from 0 to 1; below it nothing is found. */
  readonly threshold: number
  /** The least score of each further query; `threshold` if that is larger. */
  readonly all: number
}

/**
 * The queries that a sentence means: those with a score of `all`, and the best one, if that reaches the threshold.
 *
 * @param ranking best first
 */
export function meant(ranking: readonly Match[], { threshold, all }: Thresholds): Match[] {
  return ranking.filter(({ score }, i) => (i === 0 ? score >= threshold : score >= Math.max(all, threshold)))
}

/** The masks of these queries, near-duplicates and empty ones left out. The caller has the model's turn. */
export async function instancesOf(
  model: LoadedModel,
  scene: SceneState,
  decoded: Decoded,
  matches: readonly Match[],
  task: TaskOptions,
): Promise<Instances> {
  const { width, height } = scene.size
  const queries = matches.map(({ query }) => query)
  const scores = new Map(matches.map(({ query, score }) => [query, score]))
  const masks = await masksOf(model, scene, decoded, queries, task)
  const objects = distinct(masks.filter(({ area }) => area > 0))
  const words = Math.ceil((width * height) / 32)
  return {
    instances: objects.map(({ query, bits, area, box }): Instance => {
      const score = scores.get(query)
      if (score === undefined) throw new Error(`instancesOf: query ${query} has no score`)
      return withMask({ query, score, area, box }, () => unpackMask(bits, width, height))
    }),
    union: unpackMask(unionOf(objects, words), width, height),
  }
}
