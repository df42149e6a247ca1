// Regions of an image that was looked at: what the user pointed at, or everything like it.
//
// A region becomes rows of the language model, sampled from the image's own rows at the region's pixels; they stand in
// the prompt where the words of a phrase would. The decoder and its scores are those of phrases. What differs is the
// choice: the one mask that fits the region (X-SAM's interactive segmentation), or all masks that look like what is
// there (its visually grounded one).

import { describe } from '../../check.ts'
import { UsageError } from '../../errors.ts'
import { expectOptions, FLAG, type Kind, type Kinds, TEXT } from '../../options.ts'
import type { TaskOptions } from '../../progress.ts'
import { plan } from '../../tensor/plan.ts'
import { callScene } from '../calls.ts'
import { gridSide } from '../checkpoint/config.ts'
import { type Region, type Shapes, shapesOf } from '../input/region.ts'
import { type FramedRegion, frameRegion, regionPixels, samplePoints } from '../input/region-frame.ts'
import { type RegionPromptOptions, regionPrompt } from '../input/region-prompt.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import { type Box, boxOf } from '../picture.ts'
import { qualityPlan, samplerPlan } from '../plans.ts'
import {
  type Candidate,
  floats,
  type Mask,
  type MaskOptions,
  type MaskOutput,
  type RefinedMask,
  type Times,
} from '../segmentation.ts'
import { type Decoded, decode } from './decode.ts'
import { expectTask } from './expect-task.ts'
import { candidate, finish, MASK_KINDS } from './finish.ts'
import { boxOverlap, chooseOption, likelyPairs, maskOverlap, type Option } from './region-choice.ts'

/** Options of {@link Scene.segmentRegion}. */
export interface RegionOptions<O extends MaskOutput = 'host'> extends MaskOptions<O>, RegionPromptOptions {
  /** true: everything like the regions, instead of what was pointed at. */
  readonly like?: boolean | undefined
  /**
   * For clicks. true: of the masks that the clicks are inside of, the one with the highest score; by default, as in
   * X-SAM, the one that overlaps most with the small disc around the click, which is often the smallest.
   */
  readonly hit?: boolean | undefined
  /** The least score of an answer that is there; by default the config's, `presence.threshold`. */
  readonly threshold?: number | undefined
  /** With the semantic flow (true) or without (false); by default as the checkpoint was trained. */
  readonly flow?: boolean | undefined
}

/** What the user pointed at. */
export interface RegionSegmentation<O extends MaskOutput = 'host'> extends RefinedMask<O> {
  /** Whether something was found there: the score reaches the threshold, and the mask meets the region. */
  readonly found: boolean
  /** The prompt's text, from the question to the answer. */
  readonly text: string
  /** Index of the query that was chosen, from 0 to N - 1. */
  readonly query: number
  /** Its probability times the quality of its mask: the mean probability of the pixels inside. In [0, 1]. */
  readonly score: number
  /** Softmax of the region against background, in [0, 1]. */
  readonly probability: number
  /**
   * Intersection over union with the region: of the boxes around mask and region, or of their pixels where the config's
   * `compat` is 'main'.
   */
  readonly overlap: number
  /** All queries by their probability, which is their score here, best first. */
  readonly candidates: readonly Candidate[]
  /** The part of SAM's square that holds the image, [height, width] in its pixels. */
  readonly canvas: readonly [number, number]
  /** The times of the steps. */
  readonly times: Times
}

/** An object like one of the regions. */
export interface RegionInstance<O extends MaskOutput = 'host'> extends RefinedMask<O> {
  /** The region that it is like, counted from 0. */
  readonly region: number
  /** Index of its query, from 0 to N - 1. */
  readonly query: number
  /** Its probability times the quality of its mask, in [0, 1]. */
  readonly score: number
  /** Softmax over the regions and the background, in [0, 1]. */
  readonly probability: number
  /** The smallest box around it, or null if its mask is empty. */
  readonly box: Box | null
}

/** Everything like the regions. */
export interface RegionInstances<O extends MaskOutput = 'host'> {
  /** Whether there is any. */
  readonly found: boolean
  /** The prompt's text, from the question to the answer. */
  readonly text: string
  /** The objects, best first. They may overlap, and one query may be like several regions. */
  readonly instances: readonly RegionInstance<O>[]
  /** The part of SAM's square that holds the image, [height, width] in its pixels. */
  readonly canvas: readonly [number, number]
  /** The times of the steps. */
  readonly times: Times
}

const PROBABILITY: Kind = {
  is: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  what: 'a number from 0 to 1',
}
const REGION_KINDS: Kinds<RegionOptions<MaskOutput>> = {
  ...MASK_KINDS,
  like: FLAG,
  hit: FLAG,
  threshold: PROBABILITY,
  flow: FLAG,
  template: TEXT,
  answer: TEXT,
}

/** A region as it was when it was given, on the model's canvas. */
interface Captured extends Pick<Shapes, 'clicks'> {
  readonly frame: FramedRegion
}

/** See Scene.segmentRegion. */
export async function segmentRegion<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  region: Region | readonly Region[],
  options: RegionOptions<O>,
): Promise<RegionSegmentation<O> | RegionSegmentation<O>[] | RegionInstances<O>> {
  expectOptions('segmentRegion', options, REGION_KINDS)
  expectTask(model.parts.config, 'regions')
  options.signal?.throwIfAborted()
  const captured = captureRegions(region, scene, options.hit ?? false)
  if (options.like) {
    if (options.hit) {
      throw new UsageError(
        'segmentRegion: `hit` chooses one mask, `like` asks for all. Leave one of them out.',
      )
    }
    return likeRegions(model, scene, captured, options)
  }
  const answers: RegionSegmentation<O>[] = []
  for (const one of captured) answers.push(await pointedAt(model, scene, one, options))
  const [first] = answers
  return !Array.isArray(region) && first ? first : answers
}

/** Checks all regions and draws them, so that nothing that the caller changes later matters. */
function captureRegions(region: unknown, scene: SceneState, hit: boolean): Captured[] {
  const isList = Array.isArray(region)
  const regions: readonly unknown[] = isList ? region : [region]
  if (regions.length === 0) {
    throw new UsageError('segmentRegion: the list of regions is empty, expected at least one.')
  }
  const { size, scaled } = scene
  const checked = regions.map((one, i) => {
    const what = isList ? `segmentRegion: region ${i}` : 'segmentRegion'
    if (typeof one !== 'object' || one === null) {
      throw new UsageError(`${what} is ${describe(one)}, expected an object such as { point: [x, y] }.`)
    }
    const shapes = shapesOf(what, one as Region, size)
    if (hit && shapes.clicks.length === 0) {
      throw new UsageError(`${what}: \`hit\` needs a point: the place that the mask must hold.`)
    }
    return shapes
  })
  return checked.map(({ shapes, clicks }) => ({ clicks, frame: frameRegion(shapes, size, scaled) }))
}

/** X-SAM's interactive segmentation: one region, one mask. */
function pointedAt<O extends MaskOutput>(
  model: LoadedModel,
  scene: SceneState,
  region: Captured,
  options: RegionOptions<O>,
): Promise<RegionSegmentation<O>> {
  const { onProgress, signal, output, hit = false } = options
  const task = { onProgress, signal }
  const { config } = model.parts
  const { threshold = config.presence.threshold } = options
  return callScene(model, scene, task, async () => {
    const { decoded, text, times } = await decodeRegions(model, scene, [region], options, task)

    // 1. Scores. No quality is above 1, so a query whose probability is below all that counts can't be chosen
    const fits = overlapWith(region.frame, scene, config.compat)
    const likely = likelyPairs(decoded.logits, 1)
    const measured: Option[] = []
    let best = 0
    for (const { query, probability } of likely) {
      if (probability < threshold && probability < best) break
      const { mask, logits } = await finish(model, scene, decoded, query, { signal })
      const score = probability * (await qualityOf(model, scene, logits.refined, mask, task))
      const isHit = region.clicks.every(([x, y]) => mask.data[y * mask.width + x] === 1)
      measured.push({ query, score, overlap: fits(mask), isHit })
      best = Math.max(best, score)
    }

    // 2. The choice, finished again: as texture or buffer if that is wanted, and no more than one mask is held
    const chosen = chooseOption(measured, threshold, hit)
    if (!chosen) throw new Error('segmentRegion: the model has no queries')
    const { query, score, overlap, isHit } = chosen
    const { mask, logits } = await finish(model, scene, decoded, query, { ...task, output })
    return {
      found: score >= threshold && (hit ? isHit : overlap > 0),
      text,
      query,
      score,
      probability: likely.find((pair) => pair.query === query)?.probability ?? 0,
      overlap,
      mask,
      logits,
      candidates: likely.map((pair) =>
        candidate(model, scene, decoded, { query: pair.query, score: pair.probability }),
      ),
      canvas: scene.scaled,
      times: times(),
    }
  })
}

/** X-SAM's visually grounded segmentation: all regions in one prompt, as categories would be. */
function likeRegions<O extends MaskOutput>(
  model: LoadedModel,
  scene: SceneState,
  regions: readonly Captured[],
  options: RegionOptions<O>,
): Promise<RegionInstances<O>> {
  const { onProgress, signal, output } = options
  const task = { onProgress, signal }
  const { threshold = model.parts.config.presence.threshold } = options
  return callScene(model, scene, task, async () => {
    const { decoded, text, times } = await decodeRegions(model, scene, regions, options, task)
    const qualities = new Map<number, number>()
    const instances: RegionInstance<O>[] = []
    for (const { query, column, probability } of likelyPairs(decoded.logits, regions.length)) {
      if (probability < threshold) break
      const onHost = await finish(model, scene, decoded, query, { signal })
      const quality =
        qualities.get(query) ?? (await qualityOf(model, scene, onHost.logits.refined, onHost.mask, task))
      qualities.set(query, quality)
      const score = probability * quality
      if (score < threshold) continue
      const refined = isOnHost<O>(output)
        ? onHost
        : await finish(model, scene, decoded, query, { ...task, output })
      const box = boxOf(onHost.mask)
      instances.push({ region: column, query, score, probability, box, ...(refined as RefinedMask<O>) })
    }
    return {
      found: instances.length > 0,
      text,
      instances: instances.toSorted((a, b) => b.score - a.score || a.query - b.query || a.region - b.region),
      canvas: scene.scaled,
      times: times(),
    }
  })
}

function isOnHost<O extends MaskOutput>(output: O | undefined): boolean {
  return (output ?? 'host') === 'host'
}

/** Samples the regions, reads the prompt with their rows in it, and decodes it. */
async function decodeRegions(
  model: LoadedModel,
  scene: SceneState,
  regions: readonly Captured[],
  { flow, template, answer }: RegionPromptOptions & { readonly flow?: boolean | undefined },
  task: TaskOptions,
): Promise<{ decoded: Decoded; text: string; times: () => Times }> {
  const started = performance.now()
  const { parts, tokenizer } = model
  const prompt = regionPrompt(tokenizer, parts.config, regions.length, { template, answer })
  const { rows } = parts.config.regions
  const size = rows * parts.config.llm.hidden
  const sampled = new Float32Array(regions.length * size)
  for (const [k, { frame }] of regions.entries()) {
    sampled.set(await sampleRegion(model, scene, frame, task), k * size)
  }
  const sampledMs = performance.now() - started
  const decoded = await decode(model, scene, prompt, { task: 'regions', flow, regions: sampled }, task)
  const read = sampledMs + decoded.times.read
  const times = (): Times => ({ look: scene.lookMs, read, segment: performance.now() - started - read })
  return { decoded, text: prompt.text, times }
}

/** The rows that stand for a region, [rows, H]. */
export async function sampleRegion(
  { gpu, parts, plans }: LoadedModel,
  { tokens }: SceneState,
  frame: FramedRegion,
  task: TaskOptions,
): Promise<Float32Array> {
  if (!tokens)
    throw new Error('segmentRegion: the scene has no rows of SAM: a fault of flowseg, please report it.')
  const { config } = parts
  const points = samplePoints(frame, config.regions, config.sam.image, gridSide(config.sam) / 2)
  const sampler = await plans.get('region', () =>
    plan(gpu, 'region', (from) => samplerPlan(from, parts), task),
  )
  const { read } = await sampler.run({ ...task, inputs: { points }, bound: { 'sam tokens': tokens } })
  return floats(read, 'rows')
}

/** The mean probability of the pixels inside of a mask, 0 if there are none. */
async function qualityOf(
  { gpu, parts, plans }: LoadedModel,
  { size }: SceneState,
  logits: Float32Array,
  mask: Mask,
  task: TaskOptions,
): Promise<number> {
  const ready = await plans.get(`quality ${size.width} ${size.height}`, () =>
    plan(gpu, 'quality', (from) => qualityPlan(from, size, parts), task),
  )
  const { read } = await ready.run({ ...task, inputs: { logits } })
  const [sum = 0] = floats(read, 'sum')
  return sum / (mask.area + 1e-6)
}

/** How much a mask of the image overlaps with a region: by boxes, or in X-SAM's main branch by pixels. */
function overlapWith(
  frame: FramedRegion,
  { size }: SceneState,
  compat: 'aaai' | 'main',
): (mask: Mask) => number {
  const data = regionPixels(frame, size)
  if (compat === 'main') return (mask) => maskOverlap(mask.data, data)
  const { width, height } = size
  const box = boxOf({ width, height, data, area: 0 })
  return (mask) => boxOverlap(boxOf(mask), box)
}
