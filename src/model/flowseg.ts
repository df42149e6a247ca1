// FlowSeg, the whole, in three steps:
//
//   look     once an image: both encoders, the pixel decoder, and the language model over everything up to
//            and including the image
//   read     once a sentence: the language model over the rest -> C and S
//   segment  once a sentence: the decoder with the semantic flow; then, for the chosen query, boundary
//            refinement and the way back to the image's own pixels
//
// A Scene holds what `look` found, so a second sentence about the same image costs only `read` and `segment`.

import type { Mat3 } from 'wgpu-matrix'
import { FlowSegError, WeightsError } from '../errors.ts'
import { Gpu, type OpenOptions, openGpu } from '../gpu/gpu.ts'
import type { MemoryReport } from '../gpu/memory.ts'
import type { PlanInfo } from '../gpu/plan.ts'
import { type Folder, type FolderLocation, openFolder, readJson } from '../io/folder.ts'
import { decodeImage, type Image } from '../io/image.ts'
import { type Checkpoint, openSafetensors } from '../io/safetensors.ts'
import { loadTokenizer, type Tokenizer } from '../io/tokenizer.ts'
import { QUANTIZED, type Quantized } from '../ops/quantize.ts'
import {
  allocate,
  type Inputs,
  type Outputs,
  type Plan,
  plan,
  precompile,
  release,
  type Tensor,
} from '../ops/tensor.ts'
import { type TuneOptions, type Tuning, tune } from '../ops/tune.ts'
import type { TaskOptions } from '../progress.ts'
import { abreast } from './abreast.ts'
import { type Config, featureSizes, parseConfig } from './config.ts'
import { rank } from './matching.ts'
import { type MadeParts, makeParts } from './parts.ts'
import { PlanCache } from './plan-cache.ts'
import {
  cacheShapes,
  finishPlan,
  type ImageSize,
  lookPlan,
  type Parts,
  readInputs,
  readPlan,
  segmentPlan,
  workload,
} from './plans.ts'
import { type PreparedImage, type PrepareOptions, prepareImage } from './preprocess.ts'
import { buildPrompt, type Prompt, type PromptOptions } from './prompt.ts'
import { floats, flowLayers, type RefinedMask, type Segmentation, unpackMask } from './segmentation.ts'
import { Turnstile } from './turnstile.ts'
import { type LoadedWeights, type PlaceOptions, placeWeights } from './weights.ts'

export type { Candidate, FlowLayer, Mask, RefinedMask, Segmentation, Times } from './segmentation.ts'

export interface LoadOptions extends TaskOptions {
  /** An engine of the caller's; it is not closed with the model. Otherwise one is opened with these options. */
  readonly gpu?: Gpu | OpenOptions
  /**
   * Hold the matrices of both encoders and of the language model in 8 or 4 bits: a quarter or an eighth of their f32, for
   * masks that differ a little. As they are stored by default.
   */
  readonly quantize?: Quantized | undefined
}

export interface LookOptions extends TaskOptions, PrepareOptions {}

export interface SegmentOptions extends TaskOptions, PromptOptions {
  /** Also tell what happened in every layer. */
  readonly flow?: boolean
}

/** Plans kept ready for other lengths and image sizes. */
const PLANS_KEPT = 6

interface Assembled {
  readonly gpu: Gpu
  readonly ownsGpu: boolean
  readonly tokenizer: Tokenizer
  readonly loaded: LoadedWeights
  readonly made: MadeParts
  readonly look: Plan
  /** Token ids before the image. */
  readonly before: Uint32Array
}

export class FlowSeg {
  readonly config: Config
  readonly gpu: Gpu
  readonly tokenizer: Tokenizer
  /** The checkpoint has no tensors of the flow: this is X-SAM, the baseline. */
  readonly baseline: boolean
  /** What a user should know about this checkpoint, in sentences. */
  readonly notes: readonly string[]
  readonly #made: Assembled
  readonly #plans = new PlanCache(PLANS_KEPT)
  /** C and S of the last sentence of each length, for the next one to overwrite. */
  readonly #language = new Map<number, Readonly<Record<string, Tensor>>>()
  readonly #turn = new Turnstile()
  readonly #scenes = new Set<Scene>()
  #closed = false

  private constructor(made: Assembled) {
    this.#made = made
    this.config = made.made.parts.config
    this.gpu = made.gpu
    this.tokenizer = made.tokenizer
    this.baseline = made.made.parts.baseline
    this.notes = [...made.gpu.notes, ...notesOn(made.loaded)]
  }

  /**
   * Loads a checkpoint: config.json, tokenizer.json, tokenizer_config.json and model.safetensors (or its
   * shards with model.safetensors.index.json) in one folder.
   *
   * @param source a path, a URL, files chosen in a browser, or a Folder
   * @throws WeightsError  naming the file, tensor or option and what is wrong with it
   * @throws NoAdapterError, OutOfMemoryError, LimitError
   */
  static async load(source: FolderLocation | Folder, options: LoadOptions = {}): Promise<FlowSeg> {
    const { onProgress, signal, quantize } = options
    signal?.throwIfAborted()
    expectQuantized(quantize)

    // 1. The small files, which say whether the rest makes sense
    const folder = openFolder(source)
    const config = parseConfig(
      await readJson(folder, 'config.json', signal),
      `${folder.describe}/config.json`,
    )
    const tokenizer = loadTokenizer(
      await folder.readText('tokenizer.json', signal),
      await folder.readText('tokenizer_config.json', signal),
      config.llm.vocab,
    )

    // 2. The weights
    const checkpoint = await openSafetensors(folder, { signal })
    try {
      const ownsGpu = !(options.gpu instanceof Gpu)
      const gpu = options.gpu instanceof Gpu ? options.gpu : await openGpu(options.gpu)
      try {
        const how = { onProgress, signal, quantize }
        return await FlowSeg.#assemble(gpu, ownsGpu, config, tokenizer, checkpoint, how)
      } catch (error) {
        if (ownsGpu) gpu.close()
        throw error
      }
    } finally {
      await checkpoint.close()
    }
  }

  static async #assemble(
    gpu: Gpu,
    ownsGpu: boolean,
    config: Config,
    tokenizer: Tokenizer,
    checkpoint: Checkpoint,
    options: PlaceOptions,
  ): Promise<FlowSeg> {
    const { onProgress, signal } = options
    const loaded = await placeWeights(gpu, checkpoint, config, options)
    let made: MadeParts | undefined
    let look: Plan | undefined
    try {
      // What stands before the image is the same in every prompt
      const before = Uint32Array.from(buildPrompt(tokenizer, 'anything', config).before)
      made = await makeParts(gpu, loaded, config, before.length)
      const { parts } = made

      // Kernels compile while weights stream; nobody waits here for those that sentences need
      let streaming = true
      const compiling: TaskOptions['onProgress'] = (event) => streaming || onProgress?.(event)
      await abreast(
        signal,
        async (stop) => {
          await loaded.stream({ onProgress, signal: stop })
          streaming = false
        },
        async (stop) => {
          const given = { onProgress: compiling, signal: stop }
          look = await plan(gpu, 'look', (inputs) => lookPlan(inputs, parts), given)
          warmUp(gpu, tokenizer, parts).catch(() => undefined)
        },
      )
      return new FlowSeg({ gpu, ownsGpu, tokenizer, loaded, made, look: look!, before })
    } catch (error) {
      look?.release()
      made?.release()
      loaded.release()
      throw error
    }
  }

  /**
   * Looks at an image, once for any number of sentences. Close the scene to free its memory.
   *
   * @param image decoded pixels, or the bytes of a PNG or JPEG file
   * @throws ImageError
   */
  async look(image: Image | Uint8Array, options: LookOptions = {}): Promise<Scene> {
    return this.#inTurn(options, async () => {
      const started = performance.now()
      const pixels = image instanceof Uint8Array ? decodeImage(image) : image
      const { siglip, sam, scaled, toModel, toImage } = prepareImage(pixels, this.config, options)
      const { look, before } = this.#made
      const cache = await this.#makeCache()
      let kept: Readonly<Record<string, Tensor>> = {}
      try {
        const { onProgress, signal } = options
        const values = { inputs: { siglip, sam, before }, bound: cache, owner: 'scene' }
        kept = (await look.run({ onProgress, signal, ...values })).kept
        // Who gave up meanwhile doesn't wait for a scene, and so would never close it
        this.#expectOpen()
        signal?.throwIfAborted()
      } catch (error) {
        this.#releaseAll({ ...cache, ...kept })
        throw error
      }
      const size = { width: pixels.width, height: pixels.height, scaled }
      const lookMs = performance.now() - started
      const state = { size, toModel, toImage, image: kept, cache, lookMs }
      const scene: Scene = new Scene(state, {
        segment: (sentence, more) => this.#segment(scene, state, sentence, more),
        close: () => this.#free(scene, state),
      })
      this.#scenes.add(scene)
      return scene
    })
  }

  get #parts(): Parts {
    return this.#made.made.parts
  }

  /** Bytes on the device, by owner. */
  memory(): MemoryReport {
    return this.gpu.memory()
  }

  /** The plans that are ready, with the cost of every dispatch. */
  plans(): PlanInfo[] {
    return [this.#made.look.info, ...this.#plans.infos()]
  }

  /**
   * Finds the fastest variants of the kernels for this model on its adapter; `tuned` of the result is for
   * `openGpu({ tuned })`, or for rememberTuned. This model goes on as it was loaded: load it again to have them.
   */
  async tune(options: TuneOptions = {}): Promise<Tuning> {
    return this.#inTurn(options, () => tune(this.gpu, workload(this.#parts), options))
  }

  /** Frees the model and its scenes, once work under way is done; and the device, if the model opened it. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const scene of this.#scenes) scene.close()
    const { look, made, loaded, ownsGpu } = this.#made
    this.#turn.afterwards(() => {
      this.#plans.clear()
      for (const kept of this.#language.values()) this.#releaseAll(kept)
      look.release()
      made.release()
      loaded.release()
      if (ownsGpu) this.gpu.close()
    })
  }

  #free(scene: Scene, { image, cache }: SceneState): void {
    this.#scenes.delete(scene)
    this.#turn.afterwards(() => this.#releaseAll({ ...image, ...cache }))
  }

  #releaseAll(tensors: Readonly<Record<string, Tensor>>): void {
    for (const x of Object.values(tensors)) release(this.gpu, x)
  }

  /** Plans and their memory are shared: one task at a time, and none that was given up while it waited. */
  #inTurn<T>({ signal }: TaskOptions, task: () => Promise<T>, scene?: Scene): Promise<T> {
    return this.#turn.take(async () => {
      this.#expectOpen(scene)
      signal?.throwIfAborted()
      return task()
    })
  }

  #expectOpen(scene?: Scene): void {
    if (this.#closed) throw new FlowSegError('ERR_CLOSED', 'This model was closed: load it again.')
    if (scene?.closed) {
      throw new FlowSegError('ERR_CLOSED', 'This scene was closed: call model.look(image) again.')
    }
  }

  async #makeCache(): Promise<Record<string, Tensor>> {
    const cache: Record<string, Tensor> = {}
    try {
      for (const [label, shape] of Object.entries(cacheShapes(this.#parts))) {
        cache[label] = await allocate(this.gpu, shape, 'f32', { label, owner: 'scene' })
      }
      return cache
    } catch (error) {
      this.#releaseAll(cache)
      throw error
    }
  }

  async #segment(
    scene: Scene,
    state: SceneState,
    sentence: string,
    options: SegmentOptions,
  ): Promise<Segmentation> {
    const { onProgress, signal, flow: every = false } = options
    const task = { onProgress, signal }
    signal?.throwIfAborted()
    const prompt = buildPrompt(this.tokenizer, sentence, this.config, options)
    const run = async (): Promise<Segmentation> => {
      const started = performance.now()
      const { condition, seg, length } = await this.#read(state, prompt, task)
      const readDone = performance.now()
      // 1. All queries and their masks
      const rows = condition.shape[0]!
      const segment = await this.#plans.get(`segment ${rows} ${every}`, () =>
        plan(this.gpu, 'segment', (inputs) => segmentPlan(inputs, rows, every, this.#parts), task),
      )
      const { compressed: _, ...image } = state.image
      const bound = { ...image, condition, seg }
      const { read } = await segment.run({ ...task, bound, params: { length } })

      // 2. The best one, refined and brought back to the image
      const ranking = rank(floats(read, 'logits'))
      const masks = floats(read, 'masks')
      const best = ranking[0]!
      const { mask, logits } = await this.#finish(state, masks, best.query, task)

      const { decoderLayers, hidden } = this.config.head
      return {
        sentence,
        text: prompt.text,
        ...best,
        mask,
        logits,
        canvas: state.size.scaled,
        candidates: ranking.map((match) => {
          const refined = async (more: TaskOptions = {}): Promise<RefinedMask> =>
            this.#inTurn(more, () => this.#finish(state, masks, match.query, more), scene)
          return { ...match, refined, mask: async (more) => (await refined(more)).mask }
        }),
        ...(every ? { flow: flowLayers(read, decoderLayers + 1, length * hidden) } : {}),
        times: { look: state.lookMs, read: readDone - started, segment: performance.now() - readDone },
      }
    }
    return this.#inTurn(task, run, scene)
  }

  /** The language model over what follows the image. @returns C and S, until the next sentence, and the rows of C that count */
  async #read(
    { cache }: SceneState,
    prompt: Prompt,
    task: TaskOptions,
  ): Promise<{ condition: Tensor; seg: Tensor; length: number }> {
    const parts = this.#parts
    const { T, K, span, ...inputs } = readInputs(prompt, parts)
    const read = await this.#plans.get(`read ${T} ${K}`, () =>
      plan(this.gpu, 'read', (from) => readPlan(from, T, K, parts), task),
    )
    const into = this.#language.get(K) ?? {}
    const values = { inputs, bound: cache, params: { span }, into, owner: 'sentence' }
    const { kept } = await read.run({ ...task, ...values })
    this.#language.set(K, kept)
    const condition = kept['condition']!
    const length = this.config.flow.condition === 'tokens' ? span : condition.shape[0]!
    return { condition, seg: kept['seg']!, length }
  }

  /** Boundary refinement of one query's mask, and back to the image's pixels. */
  async #finish(
    { size, image }: SceneState,
    masks: Float32Array,
    query: number,
    task: TaskOptions,
  ): Promise<RefinedMask> {
    const [height, width] = featureSizes(this.config).at(-1)!
    const raw = masks.slice(query * height * width, (query + 1) * height * width)
    const finish = await this.#plans.get(`finish ${size.width} ${size.height}`, () =>
      plan(this.gpu, 'finish', (inputs) => finishPlan(inputs, size, this.#parts), task),
    )
    const { compressed } = image
    const bound = compressed ? { compressed } : {}
    const { read } = await finish.run({ ...task, inputs: { logits: raw }, bound })
    const refined = compressed ? floats(read, 'refined') : raw
    const band = compressed ? floats(read, 'band') : new Float32Array(height * width)
    const mask = unpackMask(read['bits']!, size.width, size.height)
    return { mask, logits: { height, width, raw, refined, band } }
  }
}

/** What a scene holds on to. */
interface SceneState extends Pick<PreparedImage, 'toModel' | 'toImage'> {
  readonly size: ImageSize
  readonly image: Readonly<Record<string, Tensor>>
  readonly cache: Readonly<Record<string, Tensor>>
  readonly lookMs: number
}

/** What a scene asks its model to do. */
interface SceneTasks {
  readonly segment: (sentence: string, options: SegmentOptions) => Promise<Segmentation>
  readonly close: () => void
}

/** An image that was looked at. */
export class Scene {
  readonly width: number
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
  readonly #tasks: SceneTasks
  #closed = false

  /** @internal Scenes come from FlowSeg.look. */
  constructor({ size, toModel, toImage, lookMs }: SceneState, tasks: SceneTasks) {
    this.width = size.width
    this.height = size.height
    this.toModel = toModel
    this.toImage = toImage
    this.lookMs = lookMs
    this.#tasks = tasks
  }

  /** A closed scene, or one of a closed model, answers no more. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Finds what a sentence means.
   *
   * @throws PromptError when the sentence can't be used
   */
  async segment(sentence: string, options: SegmentOptions = {}): Promise<Segmentation> {
    return this.#tasks.segment(sentence, options)
  }

  /** Frees what was kept of the image, once work under way is done. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#tasks.close()
  }
}

/** A sentence of the usual length. */
const USUAL_SENTENCE = 'the red mug left of the laptop'

/**
 * Compiles what the first sentence will need. A plan made meanwhile waits only for the kernels that are under way;
 * one that fails here fails again there, where somebody is told.
 */
async function warmUp(gpu: Gpu, tokenizer: Tokenizer, parts: Parts): Promise<void> {
  const { T, K } = readInputs(buildPrompt(tokenizer, USUAL_SENTENCE, parts.config), parts)
  // Any image will do: kernels don't depend on its size
  const { image: side } = parts.config.sam
  const image = { width: side, height: side, scaled: [side, side] } as const
  let rows = K
  const read = (inputs: Inputs): Outputs => {
    const outputs = readPlan(inputs, T, K, parts)
    rows = outputs.keep!['condition']!.shape[0]!
    return outputs
  }
  await Promise.all([
    precompile(gpu, 'read', read),
    precompile(gpu, 'segment', (inputs) => segmentPlan(inputs, rows, false, parts)),
    precompile(gpu, 'finish', (inputs) => finishPlan(inputs, image, parts)),
  ])
}

/** Callers in JavaScript may write anything. */
function expectQuantized(quantize: string | undefined): void {
  if (quantize === undefined || QUANTIZED.some((kind) => kind === quantize)) return
  throw new WeightsError(
    `FlowSeg.load: quantize is '${quantize}', expected ${QUANTIZED.join(' or ')}, or nothing.`,
  )
}

function notesOn({ baseline, unknown }: LoadedWeights): string[] {
  const notes: string[] = []
  if (baseline) {
    notes.push(
      'This checkpoint has no tensors of the semantic flow: it runs as X-SAM, the baseline without SR, CR and BAR.',
    )
  }
  if (unknown.length > 0) {
    const shown = unknown.slice(0, 3).join(', ') + (unknown.length > 3 ? ' ...' : '')
    notes.push(
      `Left out what this engine doesn't know, ${unknown.length} of the checkpoint's tensors: ${shown}`,
    )
  }
  return notes
}
