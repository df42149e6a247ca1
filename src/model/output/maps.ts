// The decoder's queries become one of three answers: a semantic, an instance or a panoptic map.

import { entryOf } from '../../check.ts'
import type { TaskOptions } from '../../progress.ts'
import { plan } from '../../tensor/plan.ts'
import { finestSize } from '../checkpoint/config.ts'
import type { Category } from '../input/categories.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import { unpackMask } from '../segmentation.ts'
import {
  type CategoryAnswers,
  type CategoryInstance,
  type CategoryMode,
  type PanopticSegment,
  type Segment,
  type SemanticSegment,
  withMask,
} from './answers.ts'
import { bestPairs, likelyQueries, surest } from './classes.ts'
import { extentsOf, type Labels, maskOfLabel, paintMasks, unpackLabels } from './label-map.ts'
import { type DecodedMasks, masksOf, refinedOf } from './masks.ts'
import { segmentsOf } from './panoptic.ts'
import { panopticPlan, semanticPlan } from './plans.ts'

/** The decoder's output for a list of categories, and the list. */
export interface DecodedCategories {
  /** The model, whose plans finish the masks. */
  readonly model: Pick<LoadedModel, 'gpu' | 'parts' | 'plans'>
  /** The scene, for its size and the features that refine masks. */
  readonly scene: Pick<SceneState, 'size' | 'image'>
  /** The masks of all queries. */
  readonly decoded: DecodedMasks
  /** The categories of the list, in its order: K of them. */
  readonly categories: readonly Category[]
  /** [N, K] */
  readonly probabilities: Float64Array
  /** The score from which an object or a segment is found, from 0 to 1. */
  readonly threshold: number
  /** Fill, number and list the segments of a panoptic map as X-SAM does. */
  readonly asXSam: boolean
  /** Progress and the signal of the call. */
  readonly task: TaskOptions
}

/** The fields of an answer that come from what was found. */
export type MapOf<M extends CategoryMode> = Omit<
  CategoryAnswers[M],
  'categories' | 'unknownWords' | 'text' | 'flow' | 'times'
>

/** The map of a mode. The caller has the model's turn. */
export function categoryMap<M extends CategoryMode>(mode: M, found: DecodedCategories): Promise<MapOf<M>> {
  const makers: { [P in CategoryMode]: (found: DecodedCategories) => Promise<MapOf<P>> } = {
    semantic,
    instance: instances,
    panoptic,
  }
  return makers[mode](found)
}

async function semantic(found: DecodedCategories): Promise<MapOf<'semantic'>> {
  const { model, scene, decoded, categories, probabilities, task } = found
  const { gpu, parts, plans } = model
  const { width, height } = scene.size
  const K = categories.length
  const ready = await plans.get(`semantic ${width} ${height} ${K}`, () =>
    plan(gpu, 'semantic', (inputs) => semanticPlan(inputs, scene.size, K, parts), task),
  )
  const inputs = { masks: decoded.masks, weights: Float32Array.from(probabilities) }
  const { read } = await ready.run({ ...task, inputs })
  const map = { width, height, labels: unpackLabels(read.labels as Uint32Array, width * height) }
  const { ofClass, ofQuery } = surest(probabilities, K)
  const segments = extentsOf(map, K).flatMap((extent, id): SemanticSegment[] => {
    if (extent.area === 0) return []
    return [segment(map, { id, ...labelOf(categories, id), ...extent, score: ofClass[id] ?? 0 })]
  })
  return {
    mode: 'semantic',
    ...map,
    found: await isAnyThere(ofQuery, found),
    segments: segments.sort((a, b) => b.area - a.area || a.id - b.id),
  }
}

/**
 * Whether a query is likely enough of a category, and its mask has a pixel. The map itself doesn't tell: each of its
 * pixels has a category, be it ever so unlikely.
 */
async function isAnyThere(
  ofQuery: Float64Array,
  { model, scene, decoded, threshold, task }: DecodedCategories,
): Promise<boolean> {
  for (const { query } of bestPairs(ofQuery, 1, threshold)) {
    for (const { area } of await masksOf(model, scene, decoded, [query], task)) if (area > 0) return true
  }
  return false
}

async function instances(found: DecodedCategories): Promise<MapOf<'instance'>> {
  const { model, scene, decoded, categories, probabilities, threshold, task } = found
  const { width, height } = scene.size
  const pairs = bestPairs(probabilities, categories.length, threshold)
  // X-SAM's main branch drops stuff here: it has used up places among the best
  const isMain = model.parts.config.compat === 'main'
  const meant = pairs.filter(({ category }) => !isMain || entryOf(categories, category).kind === 'thing')
  const masks = await masksOf(model, scene, decoded, new Set(meant.map(({ query }) => query)), task)
  const maskOf = new Map(masks.map((mask) => [mask.query, mask]))
  const scored = meant
    .flatMap((pair) => {
      const mask = maskOf.get(pair.query)
      return mask ? [{ ...pair, ...mask, score: pair.probability * mask.quality }] : []
    })
    .filter(({ score }) => score >= threshold)
    .sort((a, b) => b.score - a.score || a.query - b.query || a.category - b.category)
  return {
    mode: 'instance',
    width,
    height,
    labels: paintMasks(scored, width * height),
    found: scored.some(({ area }) => area > 0),
    instances: scored.map(({ bits, category, ...fields }): CategoryInstance => {
      return withMask({ ...fields, ...labelOf(categories, category) }, () => unpackMask(bits, width, height))
    }),
  }
}

/** Rows of masks are padded to a multiple of this, so that few plans serve all lists. */
const MASK_BUCKET = 16

async function panoptic(found: DecodedCategories): Promise<MapOf<'panoptic'>> {
  const { model, scene, decoded, categories, probabilities, threshold, asXSam, task } = found
  const { gpu, parts, plans } = model
  const { width, height } = scene.size
  const kept = likelyQueries(probabilities, categories.length, threshold)
  if (kept.length === 0) {
    const labels = new Uint16Array(width * height)
    return { mode: 'panoptic', width, height, labels, found: false, segments: [] }
  }

  // 1. The queries that are kept, and who owns which pixels
  const queries = kept.map(({ query }) => query)
  const refined = await refinedOf(model, scene, decoded, queries, task)
  const rows = Math.ceil(kept.length / MASK_BUCKET) * MASK_BUCKET
  const [H, W] = finestSize(parts.config)
  const masks = new Float32Array(rows * H * W)
  refined.forEach((logits, i) => masks.set(logits, i * H * W))
  const scores = Float32Array.from({ length: rows }, (_, i) => kept[i]?.probability ?? 0)
  const ready = await plans.get(`panoptic ${width} ${height} ${rows} ${asXSam}`, () =>
    plan(gpu, 'panoptic', (inputs) => panopticPlan(inputs, scene.size, rows, !asXSam, parts), task),
  )
  const { read } = await ready.run({ ...task, inputs: { masks, scores }, params: { count: kept.length } })
  const [own, full] = totals(read.counts, rows)

  // 2. Those that own enough are segments
  const isStuff = (category: number): boolean => entryOf(categories, category).kind === 'stuff'
  const { entries, ids } = segmentsOf(kept, { own, full }, isStuff, asXSam)
  const labels = unpackLabels(read.owners as Uint32Array, width * height).map((owner) => ids[owner] ?? 0)
  const map = { width, height, labels }
  const extents = extentsOf(map, Math.max(0, ...ids) + 1)
  return {
    mode: 'panoptic',
    ...map,
    found: entries.length > 0,
    segments: entries.map(({ category, ...entry }): PanopticSegment => {
      const { box } = entryOf(extents, entry.id)
      return segment(map, { ...entry, ...labelOf(categories, category), box })
    }),
  }
}

/** The counts of all workgroups together: pixels that a mask owns, and pixels where it is likely. */
function totals(counts: ArrayLike<number>, rows: number): [own: number[], full: number[]] {
  const sums = Array.from({ length: 2 * rows }, () => 0)
  Array.from(counts).forEach((count, i) => {
    sums[i % (2 * rows)] = entryOf(sums, i % (2 * rows)) + count
  })
  return [sums.slice(0, rows), sums.slice(rows)]
}

function segment<F extends { readonly id: number }>(map: Labels, fields: F): F & Pick<Segment, 'mask'> {
  return withMask(fields, () => maskOfLabel(map, fields.id))
}

function labelOf(
  categories: readonly Category[],
  category: number,
): Pick<Segment, 'category' | 'name' | 'kind'> {
  const { name, kind } = entryOf(categories, category)
  return { category, name, kind }
}
