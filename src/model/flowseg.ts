// FlowSeg, the whole, in three steps:
//
//   look     once per image: both encoders, the pixel decoder, and the language model over everything up to
//            and including the image
//   read     once per sentence: the language model over the rest -> C and S
//   segment  once per sentence: the decoder with the semantic flow; then, for the chosen query, boundary
//            refinement and the way back to the image's own pixels
//
// A Scene holds what `look` computed, so a second sentence about the same image costs only `read` and `segment`.

import { closeWhenDisposed } from '../dispose.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { MemoryReport } from '../gpu/memory.ts'
import type { PlanInfo } from '../gpu/plan/plan.ts'
import { EMBEDDED } from '../io/embedded.ts'
import type { FolderLocation } from '../io/folder.ts'
import type { Tokenizer } from '../io/text/tokenizer.ts'
import type { Quantized } from '../kernels/quantize.ts'
import { expectOptions } from '../options.ts'
import type { Tuning } from '../tuning/report.ts'
import { TUNE_KINDS, type TuneOptions, tune } from '../tuning/tune.ts'
import { callModel, modelClosed } from './calls.ts'
import type { Config } from './checkpoint/config.ts'
import type { ImageInput } from './input/image-input.ts'
import { type LoadedModel, type LoadOptions, loadModel } from './load.ts'
import { closeScene, type LookOptions, look } from './look.ts'
import { workload } from './plans.ts'
import { Scene } from './scene.ts'

export type { Mask } from '../masks/mask.ts'
export type { Category, CategoryKind, CategoryList, CategoryWording } from './input/categories.ts'
export type { ImageInput, RgbaImage } from './input/image-input.ts'
export type { RegionPromptOptions } from './input/region-prompt.ts'
export type { LoadOptions } from './load.ts'
export type { LookOptions } from './look.ts'
export type {
  CategoryAnswers,
  CategoryFlow,
  CategoryInstance,
  CategoryMode,
  CategoryRows,
  Instance,
  InstanceMap,
  LabelMap,
  PanopticMap,
  PanopticSegment,
  Segment,
  SemanticMap,
  SemanticSegment,
} from './output/answers.ts'
export { Scene } from './scene.ts'
export type {
  AllSegmentation,
  Candidate,
  FlowLayer,
  MaskBuffer,
  MaskOptions,
  MaskOutput,
  Masks,
  MaskTexture,
  RefinedMask,
  Segmentation,
  Times,
} from './segmentation.ts'
export type { Answer, AnswerFlow, AskOptions, GroundedPhrase, PhraseRows } from './tasks/ask.ts'
export type { CategoryOptions } from './tasks/categories.ts'
export type {
  RegionAnswer,
  RegionFlow,
  RegionInstance,
  RegionInstances,
  RegionOptions,
  RegionRows,
  RegionSegmentation,
} from './tasks/region.ts'
export type { SegmentOptions } from './tasks/sentence.ts'
export type { AnswerPart } from './words/answer.ts'
export type { AnswerEnd } from './words/generate.ts'
export type { SamplingOptions } from './words/sample.ts'

/**
 * A model that is loaded: it looks at images, and its scenes answer sentences.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { FlowSeg } from 'flowseg'
 *
 * const model = await FlowSeg.load()
 * const sample = new URL(import.meta.resolve('flowseg/examples/scene.png'))
 * const scene = await model.look(await readFile(sample))
 * const { mask, score } = await scene.segment('the dotted shape')
 * console.log(mask.area > 0, score > 0.5) // true true
 * model.close() // its scenes close with it
 * ```
 */
export class FlowSeg {
  /** The same as {@link FlowSeg.close}, for `using`. */
  declare readonly [Symbol.dispose]: () => void
  /** The checkpoint's config.json. */
  readonly config: Config
  /** The device that the model computes on. */
  readonly gpu: Gpu
  /** The language model's tokenizer. */
  readonly tokenizer: Tokenizer
  /** The checkpoint has no tensors of the flow: this is X-SAM, the baseline. */
  readonly baseline: boolean
  /**
   * The parts of the model whose matrices are held in few bits, and in which: `{ llm: 'int4', sam: 'int8' }`. They were
   * stored so, or were rounded when the model was loaded; what isn't listed is as it was stored.
   */
  readonly quantized: Readonly<Record<string, Quantized>>
  /** Notes on this checkpoint for the user, in sentences. */
  readonly notes: readonly string[]
  readonly #model: LoadedModel

  private constructor(model: LoadedModel) {
    this.#model = model
    this.config = model.parts.config
    this.gpu = model.gpu
    this.tokenizer = model.tokenizer
    this.baseline = model.parts.baseline
    this.notes = model.notes
    this.quantized = Object.fromEntries(model.quantized)
  }

  /** Loads the model that comes with the package. */
  static load(): Promise<FlowSeg>
  /**
   * Loads a checkpoint: config.json, tokenizer.json, tokenizer_config.json and model.safetensors or pytorch_model.bin
   * (or the shards of either with their .index.json) in one folder; or the file of weights in such a folder.
   *
   * @param source EMBEDDED, the model that comes with the package; a path; a URL; `hf:owner/name[/path][@revision]`, a
   *   repository on Hugging Face; files, a drop or a folder's handle that the user chose in a browser; or a Folder. A
   *   drop must be given in its event's handler, before anything is awaited: it is empty afterwards
   * @throws WeightsError  naming the file, tensor or option and what is wrong with it
   * @throws UsageError     naming an option that doesn't exist or has a wrong value
   * @throws NoAdapterError, OutOfMemoryError, LimitError
   *
   * @example
   * ```ts
   * import { EMBEDDED, FlowSeg } from 'flowseg'
   *
   * const steps = new Set<string>()
   * const model = await FlowSeg.load(EMBEDDED, {
   *   quantize: 'int8',
   *   onProgress: ({ phase }) => steps.add(phase),
   * })
   * console.log(model.config.name, model.baseline) // flowseg-nano false
   * console.log([...steps].join()) // upload,compile
   * model.close()
   * ```
   */
  static load(source: FolderLocation, options?: LoadOptions): Promise<FlowSeg>
  static async load(...args: readonly unknown[]): Promise<FlowSeg> {
    // A place that is undefined is a mistake, such as a variable that isn't set: only no place at all is the default
    const [source, options = {}] = args.length === 0 ? [EMBEDDED] : args
    return new FlowSeg(await loadModel(source as FolderLocation, options as LoadOptions))
  }

  /**
   * Looks at an image, once for any number of sentences. Close the scene to free its memory.
   *
   * @param input the image as it is now: it is read before the promise is returned, also while other work of this model
   *   is under way. It is not closed
   * @throws ImageError
   * @throws NumericError when a number isn't finite; nothing is kept of the scene then
   *
   * @example
   * ```ts
   * import { FlowSeg } from 'flowseg'
   *
   * const model = await FlowSeg.load()
   * const [width, height] = [64, 48]
   * const scene = await model.look({ width, height, rgb: new Uint8Array(height * width * 3) })
   * console.log(scene.width, scene.height) // 64 48
   * scene.close() // frees what was kept of the image
   * model.close()
   * ```
   */
  async look(input: ImageInput, options: LookOptions = {}): Promise<Scene> {
    return new Scene(this.#model, await look(this.#model, input, options))
  }

  /** Bytes on the device, by owner. */
  memory(): MemoryReport {
    return this.gpu.memory()
  }

  /** Calls that wait or run: looks, calls on scenes, tuning. */
  get pending(): number {
    return this.#model.queue.pending
  }

  /** The plans that are ready, with the cost of every dispatch. */
  plans(): PlanInfo[] {
    const { preprocessor, look, plans } = this.#model
    return [...preprocessor.infos(), look.info, ...plans.infos()]
  }

  /**
   * Finds the fastest variants of the kernels for this model on its adapter; `tuned` of the result is for
   * `openGpu({ tuned })`, or for saveTuned. This model goes on as it was loaded: load it again to have them.
   */
  async tune(options: TuneOptions = {}): Promise<Tuning> {
    expectOptions('tune', options, TUNE_KINDS)
    return callModel(this.#model, options, () => tune(this.gpu, workload(this.#model.parts), options))
  }

  /** Frees the model and its scenes, once work under way is done; and the device, if the model opened it. */
  close(): void {
    const model = this.#model
    if (model.closed) return
    model.closed = true
    model.queue.drop(modelClosed())
    for (const scene of model.scenes.open) closeScene(model, scene)
    model.queue.afterwards(() => model.release())
  }

  static {
    closeWhenDisposed(FlowSeg.prototype)
  }
}
