// Regions of an image that was looked at: what the user pointed at, or everything like it.
//
// A region becomes rows of the language model, sampled from the image's own rows at the region's pixels; they stand in
// the prompt where the words of a phrase would. The decoder and its scores are those of phrases. What differs is the
// choice: the one mask that fits the region (X-SAM's interactive segmentation), or all masks that look like what is
// there (its visually grounded one).

import { describe, entryOf, expectDefined } from '../../check.ts'
import { UsageError } from '../../errors.ts'
import { boxOf } from '../../masks/picture.ts'
import { expectOptions, FLAG, type OptionKind, type OptionKinds, SHARE, TEXT } from '../../options.ts'
import type { TaskOptions } from '../../progress.ts'
import { plan } from '../../tensor/plan.ts'
import { callScene } from '../calls.ts'
import { gridSide } from '../checkpoint/config.ts'
import { type Prompt, roomAfterImage } from '../input/prompt.ts'
import { type Gestures, gesturesOf, type Region } from '../input/region.ts'
import { type FramedRegion, frameRegion, regionPixels, samplePoints } from '../input/region-frame.ts'
import { type RegionPromptOptions, regionPrompt } from '../input/region-prompt.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import { type Instance, withMask } from '../output/answers.ts'
import { bestPairs, classProbabilities } from '../output/classes.ts'
import { masksOf, type QueryMask } from '../output/masks.ts'
import { overlapOf } from '../output/overlap.ts'
import { samplerPlan } from '../plans.ts'
import {
  type Candidate,
  type FlowLayer,
  floats,
  flowLayers,
  type MaskOptions,
  type MaskOutput,
  packMask,
  type RefinedMask,
  type Times,
  unpackMask,
} from '../segmentation.ts'
import { type Decoded, decode } from './decode.ts'
import { expectTask } from './expect-task.ts'
import { candidate, destroyMask, finish, MASK_KINDS } from './finish.ts'
import { boxOverlap, chooseMask, type MeasuredMask } from './region-choice.ts'

/** Options of {@link Scene.segmentRegion}. */
export interface RegionOptions<O extends MaskOutput = 'host'> extends MaskOptions<O>, RegionPromptOptions {
  /** true: find everything that is like the regions, instead of the object that was pointed at. */
  readonly like?: boolean | undefined
  /**
   * For clicks. true: of the masks that the clicks are inside of, the one with the highest score; by default, as in
   * X-SAM, the one that overlaps most with the small disc around the click, which is often the smallest.
   */
  readonly hit?: boolean | undefined
  /** The least score of an answer that is there; by default the config's, `presence.threshold`. */
  readonly threshold?: number | undefined
  /**
   * A whole number: the points where regions are sampled are drawn at random, as in X-SAM, in a way that depends on it.
   * By default they are spread evenly.
   */
  readonly seed?: number | undefined
  /**
   * true: decode with the semantic flow, and report every layer. false: decode without it, as X-SAM, the baseline. By
   * default it is on if the checkpoint's flow was trained on regions.
   */
  readonly flow?: boolean | undefined
}

/** The rows of C that stand for a region: its marker, its rows and its end marker. */
export interface RegionRows {
  /** Index of the region, from 0. */
  readonly region: number
  /** [begin, end) among the rows of C. */
  readonly rows: readonly [begin: number, end: number]
}

/** The flow of an answer about regions. */
export interface RegionFlow {
  /** The predictions of each decoder layer. */
  readonly layers: readonly FlowLayer[]
  /** The regions in the order in which the model read them. */
  readonly phrases: readonly RegionRows[]
}

/** The parts that all answers about regions have. */
export interface RegionAnswer {
  /** True if anything was found. */
  readonly found: boolean
  /** The prompt's text, from the question to the answer. */
  readonly text: string
  /** The part of SAM's square that holds the image, [height, width] in its pixels. */
  readonly canvas: readonly [number, number]
  /** The flow through the decoder's layers, if it was asked for, and which rows of C are of which region. */
  readonly flow?: RegionFlow
  /** The times of the steps. */
  readonly times: Times
}

/**
 * The object that the user pointed at. `found` is true if its score reaches the threshold and its mask meets the
 * region; if it is false, the mask is still that of the best candidate.
 */
export interface RegionSegmentation<O extends MaskOutput = 'host'> extends RegionAnswer, RefinedMask<O> {
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
}

/** An object like one of the regions; its score is its probability times the quality of its mask. */
export interface RegionInstance extends Instance {
  /** The region that it is like, counted from 0. */
  readonly region: number
  /** Softmax over the regions and the background, in [0, 1]. */
  readonly probability: number
  /** The mean probability of the pixels inside of the mask, in [0, 1]. */
  readonly quality: number
}

/** Everything like the regions. */
export interface RegionInstances extends RegionAnswer {
  /** The objects, the surest first. They may overlap, and one query may be like several regions. */
  readonly instances: readonly RegionInstance[]
}

const SEED: OptionKind = {
  is: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  what: 'a whole number of at least 0',
}
const REGION_KINDS: OptionKinds<RegionOptions<MaskOutput>> = {
  ...MASK_KINDS,
  like: FLAG,
  hit: FLAG,
  threshold: SHARE,
  seed: SEED,
  flow: FLAG,
  template: TEXT,
  answer: TEXT,
}

/** See Scene.segmentRegion. */
export async function segmentRegion<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  region: Region | readonly Region[],
  callOptions: RegionOptions<O>,
): Promise<RegionSegmentation<O> | RegionSegmentation<O>[] | RegionInstances> {
  expectOptions('segmentRegion', callOptions, REGION_KINDS)
  const options = { ...callOptions } // as they are now: regions are asked one by one
  expectTask(model.parts.config, 'regions')
  const { like, hit, output, signal } = options
  signal?.throwIfAborted()
  if (like && hit) {
    throw new UsageError('segmentRegion: `hit` chooses one mask, `like` asks for all. Leave one of them out.')
  }
  if (like && (output ?? 'host') !== 'host') {
    throw new UsageError(
      `segmentRegion: with \`like\` masks are in host memory, not in a ${output}: leave \`output\` out.`,
    )
  }
  const regions = captureRegions(region, scene, hit ?? false)
  const { tokenizer, parts } = model
  const room = roomAfterImage(parts.config, parts.prefix)
  const prompt = regionPrompt(tokenizer, parts.config, like ? regions.length : 1, room, options)
  if (like) return likeRegions(model, scene, { regions, prompt }, options)
  const answers: RegionSegmentation<O>[] = []
  try {
    for (const one of regions)
      answers.push(await pointedAt(model, scene, { regions: [one], prompt }, options))
  } catch (error) {
    // Nobody gets the masks before, which may be on the device
    for (const { mask } of answers) destroyMask(mask)
    throw error
  }
  const [first] = answers
  return !Array.isArray(region) && first ? first : answers
}

/** Regions, and the prompt that has places for their rows. */
interface Asked {
  readonly regions: readonly Gestures[]
  readonly prompt: Prompt
}

/** Checks all regions, and takes what it needs of them: nothing that the caller changes later matters. */
function captureRegions(region: unknown, { size }: SceneState, hit: boolean): Gestures[] {
  const isList = Array.isArray(region)
  const regions: readonly unknown[] = isList ? region : [region]
  if (regions.length === 0) {
    throw new UsageError('segmentRegion: the list of regions is empty, expected at least one.')
  }
  return regions.map((one, i) => {
    const what = isList ? `segmentRegion: region ${i}` : 'segmentRegion'
    if (typeof one !== 'object' || one === null) {
      throw new UsageError(`${what} is ${describe(one)}, expected an object such as { point: [x, y] }.`)
    }
    const gestures = gesturesOf(what, one, size)
    if (hit && gestures.clicks.length === 0) {
      throw new UsageError(`${what}: \`hit\` needs a point: the place that the mask must hold.`)
    }
    return gestures
  })
}

/** X-SAM's interactive segmentation: one region, one mask. */
function pointedAt<O extends MaskOutput>(
  model: LoadedModel,
  scene: SceneState,
  asked: Asked,
  options: RegionOptions<O>,
): Promise<RegionSegmentation<O>> {
  const { onProgress, signal, output, hit = false } = options
  const task = { onProgress, signal }
  const { config } = model.parts
  const { threshold = config.presence.threshold } = options
  return callScene(model, scene, task, async () => {
    const { decoded, frames, answer } = await decodeRegions(model, scene, asked, options, task)
    const clicks = asked.regions.flatMap((region) => region.clicks)

    // 1. Scores. No quality is above 1, so a query whose probability is below all that counts can't be chosen
    const overlap = overlapWith(entryOf(frames, 0), scene, config.compat)
    const likely = bestPairs(classProbabilities(decoded.logits, 1), 1, 0)
    const measured: (MeasuredMask & { readonly probability: number })[] = []
    let best = 0
    for (const { query, probability } of likely) {
      if (probability < threshold && probability < best) break
      for (const mask of await masksOf(model, scene, decoded, [query], task)) {
        const score = probability * mask.quality
        const isHit = clicks.every((pixel) => isInside(mask, pixel, scene.size.width))
        measured.push({ query, probability, score, overlap: overlap(mask), isHit })
        best = Math.max(best, score)
      }
    }

    // 2. The choice, finished as an answer of one mask is: that way only one is held, where it is wanted
    const chosen = chooseMask(measured, threshold, hit)
    if (!chosen) throw new Error('segmentRegion: the model has no queries')
    const { isHit, ...choice } = chosen
    const { mask, logits } = await finish(model, scene, decoded, chosen.query, { ...task, output })
    return {
      ...answer(),
      found: chosen.score >= threshold && (hit ? isHit : chosen.overlap > 0),
      ...choice,
      mask,
      logits,
      candidates: likely.map(({ query, probability }) =>
        candidate(model, scene, decoded, { query, score: probability }),
      ),
    }
  })
}

/** X-SAM's visually grounded segmentation: all regions in one prompt, as categories would be. */
function likeRegions(
  model: LoadedModel,
  scene: SceneState,
  asked: Asked,
  options: RegionOptions<MaskOutput>,
): Promise<RegionInstances> {
  const { onProgress, signal } = options
  const task = { onProgress, signal }
  const { threshold = model.parts.config.presence.threshold } = options
  const { width, height } = scene.size
  return callScene(model, scene, task, async () => {
    const { decoded, answer } = await decodeRegions(model, scene, asked, options, task)
    const K = asked.regions.length
    const pairs = bestPairs(classProbabilities(decoded.logits, K), K, threshold)
    const masks = await masksOf(model, scene, decoded, new Set(pairs.map(({ query }) => query)), task)
    const maskOf = new Map(masks.map((mask) => [mask.query, mask]))
    const instances = pairs.flatMap(({ query, category: region, probability }): RegionInstance[] => {
      const queryMask = maskOf.get(query)
      if (!queryMask) return []
      const score = probability * queryMask.quality
      if (score < threshold) return []
      const { bits, ...fields } = queryMask
      return [withMask({ ...fields, region, probability, score }, () => unpackMask(bits, width, height))]
    })
    return {
      ...answer(),
      found: instances.some(({ area }) => area > 0),
      instances: instances.sort((a, b) => b.score - a.score || a.query - b.query || a.region - b.region),
    }
  })
}

/** Samples the regions, reads the prompt with their rows in it, and decodes it. */
async function decodeRegions(
  model: LoadedModel,
  scene: SceneState,
  { regions, prompt }: Asked,
  { flow, seed }: RegionOptions<MaskOutput>,
  task: TaskOptions,
): Promise<{
  readonly decoded: Decoded
  readonly frames: readonly FramedRegion[]
  readonly answer: () => Omit<RegionAnswer, 'found'>
}> {
  const started = performance.now()
  const { parts } = model
  const frames = regions.map(({ gestures }) => frameRegion(gestures, scene.size, scene.scaled))
  const size = parts.config.regions.rows * parts.config.llm.hidden
  const rows = new Float32Array(regions.length * size)
  for (const [k, frame] of frames.entries()) {
    rows.set(await sampleRegion(model, scene, frame, { ...task, seed }), k * size)
  }
  const sampled = performance.now() - started
  const decoded = await decode(
    model,
    scene,
    prompt,
    { task: 'regions', flow, every: flow, regions: rows },
    task,
  )
  const read = sampled + decoded.times.read
  const { language, baseline } = decoded
  const { decoderLayers, hidden } = parts.config.head
  const { length } = language
  const layers = (): FlowLayer[] =>
    flowLayers(decoded.read, decoderLayers + 1, length * hidden, baseline, regions.length)
  const phrases = language.spans.map((span, region): RegionRows => ({ region, rows: span }))
  return {
    decoded,
    frames,
    answer: () => ({
      text: prompt.text,
      canvas: scene.size.scaled,
      ...(flow ? { flow: { layers: layers(), phrases } } : {}),
      times: { look: scene.lookMs, read, segment: performance.now() - started - read },
    }),
  }
}

/** The rows that stand for a region, [rows, H]. */
export async function sampleRegion(
  { gpu, parts, plans }: LoadedModel,
  { tokens }: SceneState,
  frame: FramedRegion,
  { seed, ...task }: TaskOptions & { readonly seed?: number | undefined } = {},
): Promise<Float32Array> {
  const { config } = parts
  const points = samplePoints(frame, config.regions, config.sam.image, gridSide(config.sam) / 2, seed)
  const sampler = await plans.get('region', () =>
    plan(gpu, 'region', (from) => samplerPlan(from, parts), task),
  )
  const bound = { 'sam tokens': expectDefined(tokens, "the scene's rows of SAM") }
  const { read } = await sampler.run({ ...task, inputs: { points }, bound })
  return floats(read, 'rows')
}

/**
 * A function from a mask to its overlap with a region: intersection over union of their boxes, or in X-SAM's main
 * branch of their pixels.
 */
function overlapWith(
  frame: FramedRegion,
  { size: { width, height } }: SceneState,
  compat: 'aaai' | 'main',
): (mask: QueryMask) => number {
  const data = regionPixels(frame, { width, height })
  const area = data.reduce((sum, v) => sum + v, 0)
  if (compat === 'main') {
    const region = { bits: packMask(data), area }
    return (mask) => overlapOf(mask, region)
  }
  const box = boxOf({ width, height, data })
  return (mask) => boxOverlap(mask.box, box)
}

function isInside({ bits }: QueryMask, [x, y]: readonly [number, number], width: number): boolean {
  const i = y * width + x
  return ((expectDefined(bits[i >>> 5], 'a word of the mask') >>> (i & 31)) & 1) === 1
}
