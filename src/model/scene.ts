// An image that was looked at, for people to ask about.

import { closeWhenDisposed } from '../dispose.ts'
import type { Mat3 } from './input/preprocess.ts'
import type { LoadedModel } from './load.ts'
import { closeScene, type SceneState } from './look.ts'
import type { MaskOutput, Segmentation } from './segmentation.ts'
import { type Answer, type AskOptions, ask, describe, explain } from './tasks/ask.ts'
import { type SegmentOptions, segment } from './tasks/sentence.ts'

/** An image that was looked at. */
export class Scene {
  /** The same as {@link Scene.close}, for `using`. */
  declare readonly [Symbol.dispose]: () => void
  /** The upright image's side in pixels. */
  readonly width: number
  /** The upright image's side in pixels. */
  readonly height: number
  /**
   * From the image's coordinates (x right, y down, the first pixel's centre at 0.5) to the model's canvas, of
   * config.sam.image a side, whose pixels the flow's masks divide evenly; as wgpu-matrix's mat3.
   */
  readonly toModel: Mat3
  /** And back. */
  readonly toImage: Mat3
  /** Milliseconds that looking took. */
  readonly lookMs: number
  readonly #model: LoadedModel
  readonly #state: SceneState

  /** @internal Scenes come from FlowSeg.look. */
  constructor(model: LoadedModel, state: SceneState) {
    this.width = state.size.width
    this.height = state.size.height
    this.toModel = state.toModel
    this.toImage = state.toImage
    this.lookMs = state.lookMs
    this.#model = model
    this.#state = state
  }

  /** A closed scene, or one of a closed model, answers no more. */
  get closed(): boolean {
    return this.#state.closed
  }

  /**
   * Finds what a sentence means.
   *
   * @throws PromptError when the sentence can't be used
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
   * model.close()
   * ```
   */
  async segment<O extends MaskOutput = 'host'>(
    sentence: string,
    options: SegmentOptions<O> = {},
  ): Promise<Segmentation<O>> {
    return segment(this.#model, this.#state, sentence, options)
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
   * import { FlowSeg } from 'flowseg'
   *
   * const model = await FlowSeg.load()
   * const scene = await model.look({ width: 64, height: 48, rgb: new Uint8Array(48 * 64 * 3) })
   * // The model that comes with the package was not trained to write
   * const canWrite = model.config.tasks.includes('chat')
   * const answer = canWrite ? await scene.ask('What is on the table?') : undefined
   * for (const { text, mask } of answer?.phrases ?? []) console.log(text, mask.area)
   * console.log(answer?.text) // undefined
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
