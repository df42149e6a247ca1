// An image that was looked at, for people to ask about.

import { closeWhenDisposed } from '../dispose.ts'
import type { CategoryList } from './input/categories.ts'
import type { Mat3 } from './input/preprocess.ts'
import type { Region } from './input/region.ts'
import type { ImageWorld } from './knows/world.ts'
import type { LoadedModel } from './load.ts'
import { closeScene, type SceneState } from './look.ts'
import type { CategoryAnswers, CategoryMode } from './output/answers.ts'
import type { AllSegmentation, MaskOutput, Segmentation } from './segmentation.ts'
import { type Answer, type AskOptions, ask, describe, explain } from './tasks/ask.ts'
import { type CategoryOptions, segmentCategories } from './tasks/categories.ts'
import { segmentEach } from './tasks/each.ts'
import {
  type RegionInstances,
  type RegionOptions,
  type RegionSegmentation,
  segmentRegion,
} from './tasks/region.ts'
import { type SegmentOptions, segment } from './tasks/sentence.ts'

/** An image that was looked at. */
export class Scene {
  /** The same as {@link Scene.close}, for `using`. */
  declare readonly [Symbol.dispose]: () => void
  /** Width of the upright image in pixels. */
  readonly width: number
  /** Height of the upright image in pixels. */
  readonly height: number
  /**
   * The matrix from the image's coordinates (x right, y down, the first pixel's centre at 0.5) to the model's canvas,
   * of config.sam.image a side, whose pixels the flow's masks divide evenly; as wgpu-matrix's mat3.
   */
  readonly toModel: Mat3
  /** The inverse of `toModel`. */
  readonly toImage: Mat3
  /** Milliseconds that looking took. */
  readonly lookMs: number
  /** The image's distance from those of training; undefined if the checkpoint has no measure of it. */
  readonly world: ImageWorld | undefined
  readonly #model: LoadedModel
  readonly #state: SceneState

  /** @internal Scenes come from FlowSeg.look. */
  constructor(model: LoadedModel, state: SceneState) {
    this.width = state.size.width
    this.height = state.size.height
    this.toModel = state.toModel
    this.toImage = state.toImage
    this.lookMs = state.lookMs
    this.world = state.world
    this.#model = model
    this.#state = state
  }

  /** True if the scene, or its model, is closed: it answers no more. */
  get closed(): boolean {
    return this.#state.closed
  }

  /**
   * Finds what a sentence means: the best mask, and whether it is there at all (`found`). With `{ all: true }` also
   * every object that it means, as `instances`, and their `union`: an empty list and an empty mask if there is none.
   *
   * @throws PromptError when the sentence can't be used
   * @throws UsageError when the checkpoint wasn't trained on the task
   * @throws NumericError when a number isn't finite
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { FlowSeg } from 'flowseg'
   *
   * const model = await FlowSeg.load()
   * const sample = new URL(import.meta.resolve('flowseg/examples/scene.png'))
   * const scene = await model.look(await readFile(sample))
   * const { candidates, flow } = await scene.segment('the dotted shape', { flow: true })
   * const second = await candidates[1]?.mask()
   * console.log(second?.data.length === scene.width * scene.height) // true
   * console.log(flow?.[0]?.moved) // 0
   *
   * const { found, instances, union } = await scene.segment('the dotted shape', { all: true })
   * console.log(found, instances.every(({ area }) => area <= union.area)) // true true
   * model.close()
   * ```
   */
  segment<O extends MaskOutput = 'host'>(
    sentence: string,
    options: SegmentOptions<O> & { readonly all: true },
  ): Promise<AllSegmentation<O>>
  /** Without `all`: the best mask alone. */
  segment<O extends MaskOutput = 'host'>(
    sentence: string,
    options?: SegmentOptions<O>,
  ): Promise<Segmentation<O>>
  async segment<O extends MaskOutput = 'host'>(
    sentence: string,
    options: SegmentOptions<O> = {},
  ): Promise<Segmentation<O>> {
    return segment(this.#model, this.#state, sentence, options)
  }

  /**
   * Finds what each of several sentences means, one after the other: the answers are those of {@link Scene.segment}, in
   * the order of the sentences. All sentences are checked before the first is asked.
   *
   * @throws UsageError when there is none, PromptError saying which of them can't be used
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { FlowSeg } from 'flowseg'
   *
   * const model = await FlowSeg.load()
   * const sample = new URL(import.meta.resolve('flowseg/examples/scene.png'))
   * const scene = await model.look(await readFile(sample))
   * const answers = await scene.segmentEach(['the dotted shape', 'the striped shape'])
   * console.log(answers.map(({ sentence }) => sentence).join()) // the dotted shape,the striped shape
   * model.close()
   * ```
   */
  async segmentEach<O extends MaskOutput = 'host'>(
    sentences: readonly string[],
    options: SegmentOptions<O> = {},
  ): Promise<Segmentation<O>[]> {
    return segmentEach(this.#model, this.#state, sentences, options)
  }

  /**
   * Finds all that a list of categories names: a category per pixel ('semantic'), objects ('instance'), or both in one
   * map ('panoptic'). The names are the caller's own: nothing is tied to those of a data set.
   *
   * @param list `{ things: ['person', 'bird'], stuff: ['sky'] }` with either or both; or X-SAM's text,
   *   `'ins: person, bird; sem: sky'`
   * @throws UsageError for a checkpoint that wasn't trained on lists of categories
   * @throws PromptError naming a name that can't be asked for, or how many names fit
   * @throws NumericError when a number isn't finite
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { FlowSeg } from 'flowseg'
   *
   * const model = await FlowSeg.load()
   * const sample = new URL(import.meta.resolve('flowseg/examples/scene.png'))
   * const scene = await model.look(await readFile(sample))
   * const list = { things: ['cactus', 'umbrella', 'rocket'] }
   * const { labels, segments } = await scene.segmentCategories(list, { mode: 'panoptic' })
   * const areaOf = (id: number) => labels.filter((label) => label === id).length
   * console.log(segments.every(({ id, area }) => areaOf(id) === area)) // true
   * console.log(segments.some(({ name }) => name === 'umbrella')) // true
   * model.close()
   * ```
   */
  segmentCategories<M extends CategoryMode>(
    list: CategoryList | string,
    options: CategoryOptions & { readonly mode: M },
  ): Promise<CategoryAnswers[M]>
  /** Without a mode, of things and stuff: a panoptic map. */
  segmentCategories(
    list: {
      readonly things: readonly [string, ...string[]] // an empty list is none
      readonly stuff: readonly [string, ...string[]]
    },
    options?: CategoryOptions & { readonly mode?: undefined },
  ): Promise<CategoryAnswers['panoptic']>
  /** Without a mode, of things alone: objects. */
  segmentCategories(
    list: { readonly things: readonly string[]; readonly stuff?: undefined },
    options?: CategoryOptions & { readonly mode?: undefined },
  ): Promise<CategoryAnswers['instance']>
  /** Without a mode, of stuff alone: a category per pixel. */
  segmentCategories(
    list: { readonly things?: undefined; readonly stuff: readonly string[] },
    options?: CategoryOptions & { readonly mode?: undefined },
  ): Promise<CategoryAnswers['semantic']>
  /** Of a list whose kinds aren't known to TypeScript: `mode` of the answer tells what it is. */
  segmentCategories(
    list: CategoryList | string,
    options?: CategoryOptions,
  ): Promise<CategoryAnswers[CategoryMode]>
  async segmentCategories(
    list: CategoryList | string,
    options: CategoryOptions = {},
  ): Promise<CategoryAnswers[CategoryMode]> {
    return segmentCategories(this.#model, this.#state, list, options)
  }

  /**
   * Finds what the user pointed at: a click, a box, a line drawn over it, or its pixels. Of several regions, each is
   * asked by itself.
   *
   * @throws UsageError when a region can't be used, or the checkpoint wasn't trained on regions
   * @throws NumericError when a number isn't finite
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { FlowSeg } from 'flowseg'
   *
   * const model = await FlowSeg.load()
   * const sample = new URL(import.meta.resolve('flowseg/examples/scene.png'))
   * const scene = await model.look(await readFile(sample))
   * const { mask, found } = await scene.segmentRegion({ point: [158, 95] }) // or a box, a scribble, a mask
   * console.log(found, mask.data[95 * scene.width + 158]) // true 1
   * const { instances } = await scene.segmentRegion({ mask }, { like: true }) // everything like it
   * console.log(instances.every(({ region }) => region === 0)) // true
   * model.close()
   * ```
   */
  segmentRegion(
    regions: Region | readonly Region[],
    options: RegionOptions & { readonly like: true },
  ): Promise<RegionInstances>
  /** Of one region: the object that was pointed at. */
  segmentRegion<O extends MaskOutput = 'host'>(
    region: Region,
    options?: RegionOptions<O> & { readonly like?: false | undefined },
  ): Promise<RegionSegmentation<O>>
  /** Of several regions: an answer for each, in their order. */
  segmentRegion<O extends MaskOutput = 'host'>(
    regions: readonly Region[],
    options?: RegionOptions<O> & { readonly like?: false | undefined },
  ): Promise<RegionSegmentation<O>[]>
  async segmentRegion<O extends MaskOutput = 'host'>(
    region: Region | readonly Region[],
    options: RegionOptions<O> = {},
  ): Promise<RegionSegmentation<O> | RegionSegmentation<O>[] | RegionInstances> {
    return segmentRegion(this.#model, this.#state, region, options)
  }

  /**
   * Answers a question in words. What the words point out has a mask: phrases of the answer that the model marked.
   *
   * @throws PromptError when the question can't be used, or leaves no room for an answer
   * @throws UsageError when the checkpoint wasn't trained to chat
   * @throws WeightsError, OutOfMemoryError when the head of the language model, which the first question loads, isn't
   *   in the checkpoint or doesn't fit
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { FlowSeg } from 'flowseg'
   *
   * const model = await FlowSeg.load()
   * const sample = new URL(import.meta.resolve('flowseg/examples/scene.png'))
   * const scene = await model.look(await readFile(sample))
   * const { text } = await scene.ask('What colour is the circle?')
   * console.log(text) // Yellow.
   * const { phrases } = await scene.describe() // a mask for each thing that it names
   * console.log(phrases.every(({ mask }) => mask.width === scene.width)) // true
   * model.close()
   * ```
   */
  async ask<O extends MaskOutput = 'host'>(
    question: string,
    options: AskOptions<O> = {},
  ): Promise<Answer<O>> {
    return ask(this.#model, this.#state, question, options)
  }

  /**
   * Describes the image, with a mask for each thing that the description names.
   *
   * @throws as {@link Scene.ask}
   */
  async describe<O extends MaskOutput = 'host'>(options: AskOptions<O> = {}): Promise<Answer<O>> {
    return describe(this.#model, this.#state, options)
  }

  /**
   * Finds what a sentence means, as {@link Scene.segment} with the task 'reasoning', and says why: the answer's text is
   * the explanation, and its phrase is the sentence, unless the explanation has phrases of its own.
   *
   * @throws as {@link Scene.ask}
   */
  async explain<O extends MaskOutput = 'host'>(
    sentence: string,
    options: AskOptions<O> = {},
  ): Promise<Answer<O>> {
    return explain(this.#model, this.#state, sentence, options)
  }

  /** Frees what was kept of the image, once work under way is done. */
  close(): void {
    closeScene(this.#model, this.#state)
  }

  static {
    closeWhenDisposed(Scene.prototype)
  }
}
