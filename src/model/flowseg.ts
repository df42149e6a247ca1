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
import { maskRowBytes, takesBitmaps } from '../gpu/pixels.ts'
import type { PlanInfo } from '../gpu/plan.ts'
import { Download } from '../io/download.ts'
import { type Folder, type FolderLocation, openFolder } from '../io/folder.ts'
import { DamagedError } from '../io/source.ts'
import type { Tokenizer } from '../io/tokenizer.ts'
import { giveBuffer, giveTexture } from '../ops/give.ts'
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
import { type Config, featureSizes } from './config.ts'
import { type ModelFiles, openModel } from './files.ts'
import { type ImageInput, openImage } from './image-input.ts'
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
import { type Placement, type PrepareOptions, Preprocessor, placeImage } from './preprocess.ts'
import { buildPrompt, type Prompt, type PromptOptions } from './prompt.ts'
import {
  floats,
  flowLayers,
  type MaskOptions,
  type MaskOutput,
  type Masks,
  type RefinedMask,
  type Segmentation,
  unpackMask,
} from './segmentation.ts'
import { expectFinite } from './stages.ts'
import { Turnstile } from './turnstile.ts'
import { type LoadedWeights, type PlaceOptions, placeWeights } from './weights.ts'

export type { ImageInput, RgbaImage } from './image-input.ts'
export type {
  Candidate,
  FlowLayer,
  Mask,
  MaskBuffer,
  MaskOptions,
  MaskOutput,
  Masks,
  MaskTexture,
  RefinedMask,
  Segmentation,
  Times,
} from './segmentation.ts'

export interface LoadOptions extends TaskOptions {
  /** An engine of the caller's; it is not closed with the model. Otherwise one is opened with these options. */
  readonly gpu?: Gpu | OpenOptions
  /**
   * Hold the matrices of both encoders and of the language model in 8 or 4 bits: a quarter or an eighth of their f32, for
   * masks that differ a little. As they are stored by default.
   */
  readonly quantize?: Quantized | undefined
  /**
   * Where weights from a URL are kept for the next visit: in the browser's origin private file system by default, if
   * there is one.
   */
  readonly cache?: 'opfs' | 'none' | undefined
  /** Ask the browser not to evict them when it runs short of space. Some ask the user. */
  readonly persist?: boolean | undefined
  /** Sent with every request for weights, `{ authorization: 'Bearer …' }` for instance. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface LookOptions extends TaskOptions, PrepareOptions {}

export interface SegmentOptions<O extends MaskOutput = 'host'> extends MaskOptions<O>, PromptOptions {
  /** Also tell what happened in every layer. */
  readonly flow?: boolean
}

/** Each finds one damaged tensor, or file, at most. */
const MAX_ATTEMPTS = 4
/** Plans kept ready for other lengths and image sizes. */
const PLANS_KEPT = 6

interface Assembled {
  readonly gpu: Gpu
  readonly ownsGpu: boolean
  readonly tokenizer: Tokenizer
  readonly loaded: LoadedWeights
  readonly made: MadeParts
  readonly preprocessor: Preprocessor
  readonly look: Plan
  /** Token ids before the image. */
  readonly before: Uint32Array
  /** On how the files were read. */
  readonly notes: readonly string[]
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
    this.notes = [...made.gpu.notes, ...made.notes, ...notesOn(made.loaded)]
  }

  /**
   * Loads a checkpoint: config.json, tokenizer.json, tokenizer_config.json and model.safetensors (or its
   * shards with model.safetensors.index.json) in one folder.
   *
   * @param source a path; a URL; files, a drop or a folder's handle that the user chose in a browser; or a Folder. A drop
   *   must be given in its event's handler, before anything is awaited: it is empty afterwards
   * @throws WeightsError  naming the file, tensor or option and what is wrong with it
   * @throws NoAdapterError, OutOfMemoryError, LimitError
   */
  static async load(source: FolderLocation | Folder, options: LoadOptions = {}): Promise<FlowSeg> {
    const { onProgress, signal, quantize, cache, persist, headers } = options
    signal?.throwIfAborted()
    expectQuantized(quantize)

    const download = new Download(onProgress)
    const folder = openFolder(source, { cache, persist, headers, download })
    for (let attempt = 1; ; attempt++) {
      try {
        return await FlowSeg.#load(folder, download, options)
      } catch (error) {
        // Damaged blocks of an earlier visit were dropped: now they are downloaded again
        if (!(error instanceof DamagedError && error.wasKept) || attempt === MAX_ATTEMPTS) throw error
        download.reset()
      }
    }
  }

  static async #load(folder: Folder, download: Download, options: LoadOptions): Promise<FlowSeg> {
    const { onProgress, signal, quantize } = options
    const { config, tokenizer, checkpoint } = await openModel(folder, { download, signal })
    try {
      const ownsGpu = !(options.gpu instanceof Gpu)
      const gpu = options.gpu instanceof Gpu ? options.gpu : await openGpu(options.gpu)
      try {
        // Bytes on their way are told once: as a download, or else as an upload
        const how = { onProgress, isDownload: download.total > 0, signal, quantize }
        const { notes = [] } = folder
        return await FlowSeg.#assemble(gpu, ownsGpu, { config, tokenizer, checkpoint, notes }, how)
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
    { config, tokenizer, checkpoint, notes }: ModelFiles & Required<Pick<Folder, 'notes'>>,
    options: PlaceOptions & { readonly isDownload: boolean },
  ): Promise<FlowSeg> {
    const { onProgress, isDownload, signal } = options
    const loaded = await placeWeights(gpu, checkpoint, config, options)
    const preprocessor = new Preprocessor(gpu, config)
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
          await loaded.stream({ onProgress: isDownload ? undefined : onProgress, signal: stop })
          streaming = false
        },
        async (stop) => {
          const given = { onProgress: compiling, signal: stop }
          await preprocessor.precompile(given)
          look = await plan(gpu, 'look', (inputs) => lookPlan(inputs, parts), given)
          warmUp(gpu, tokenizer, parts).catch(() => undefined)
        },
      )
      return new FlowSeg({ gpu, ownsGpu, tokenizer, loaded, made, preprocessor, look: look!, before, notes })
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
   * @param input what it looks at, as it is when the look begins: at once, unless other work of this model is under way.
   *   It must stay open until the look is done, and is not closed then
   * @throws ImageError
   * @throws NumericError when a number isn't finite; nothing is kept of the scene then
   */
  async look(input: ImageInput, options: LookOptions = {}): Promise<Scene> {
    return this.#inTurn(options, async () => {
      const started = performance.now()
      const { onProgress, signal, padding } = options
      const { look, before, preprocessor } = this.#made
      const image = await openImage(input, takesBitmaps(this.gpu))
      const owned: Record<string, Tensor> = {}
      try {
        const { width, height } = image.pixels
        const placement = placeImage(image.pixels, this.config.sam.image)
        const pixels = await preprocessor.run(image.pixels, { padding, signal })
        const cache = await this.#makeCache()
        Object.assign(owned, cache)
        const values = { inputs: { before }, bound: { ...cache, ...pixels }, owner: 'scene' }
        const { kept, read } = await look.run({ onProgress, signal, ...values })
        Object.assign(owned, kept)
        expectFinite(read, this.gpu.name)
        // Who gave up meanwhile doesn't wait for a scene, and so would never close it
        this.#expectOpen()
        signal?.throwIfAborted()
        const size = { width, height, scaled: placement.scaled }
        const lookMs = performance.now() - started
        const state = { size, ...placement, image: kept, cache, lookMs }
        const scene: Scene = new Scene(state, {
          segment: (sentence, more) => this.#segment(scene, state, sentence, more),
          close: () => this.#free(scene, state),
        })
        this.#scenes.add(scene)
        return scene
      } catch (error) {
        this.#releaseAll(owned)
        throw error
      } finally {
        image.close()
      }
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
    const { preprocessor, look } = this.#made
    return [...preprocessor.infos(), look.info, ...this.#plans.infos()]
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
    const { preprocessor, look, made, loaded, ownsGpu } = this.#made
    this.#turn.afterwards(() => {
      this.#plans.clear()
      for (const kept of this.#language.values()) this.#releaseAll(kept)
      preprocessor.release()
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

  async #segment<O extends MaskOutput = 'host'>(
    scene: Scene,
    state: SceneState,
    sentence: string,
    options: SegmentOptions<O>,
  ): Promise<Segmentation<O>> {
    const { onProgress, signal, flow: every = false, output } = options
    const task = { onProgress, signal }
    signal?.throwIfAborted()
    expectOutput(output)
    const prompt = buildPrompt(this.tokenizer, sentence, this.config, options)
    const run = async (): Promise<Segmentation<O>> => {
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
      expectFinite(read, this.gpu.name)

      // 2. The best one, refined and brought back to the image
      const ranking = rank(floats(read, 'logits'))
      const masks = floats(read, 'masks')
      const best = ranking[0]!
      const { mask, logits } = await this.#finish(state, masks, best.query, { ...task, output })

      const { decoderLayers, hidden } = this.config.head
      return {
        sentence,
        text: prompt.text,
        ...best,
        mask,
        logits,
        canvas: state.size.scaled,
        candidates: ranking.map((match) => {
          const refined = async <P extends MaskOutput = 'host'>(
            more: MaskOptions<P> = {},
          ): Promise<RefinedMask<P>> => {
            expectOutput(more.output)
            return this.#inTurn(more, () => this.#finish(state, masks, match.query, more), scene)
          }
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
    const { kept, read: magnitudes } = await read.run({ ...task, ...values })
    this.#language.set(K, kept)
    expectFinite(magnitudes, this.gpu.name)
    const condition = kept['condition']!
    const length = this.config.flow.condition === 'tokens' ? span : condition.shape[0]!
    return { condition, seg: kept['seg']!, length }
  }

  /** Boundary refinement of one query's mask, and back to the image's pixels. */
  async #finish<O extends MaskOutput = 'host'>(
    { size, image }: SceneState,
    masks: Float32Array,
    query: number,
    { output, ...task }: MaskOptions<O>,
  ): Promise<RefinedMask<O>> {
    const [height, width] = featureSizes(this.config).at(-1)!
    const raw = masks.slice(query * height * width, (query + 1) * height * width)
    const where: MaskOutput = output ?? 'host'
    const rowBytes = where === 'host' ? undefined : maskRowBytes(size.width)
    const finish = await this.#plans.get(`finish ${size.width} ${size.height} ${rowBytes}`, () =>
      plan(this.gpu, 'finish', (inputs) => finishPlan(inputs, size, this.#parts, rowBytes), task),
    )
    const { compressed } = image
    const bound = compressed ? { compressed } : {}
    const { read, kept } = await finish.run({ ...task, inputs: { logits: raw }, bound, owner: 'mask' })
    try {
      expectFinite(read, this.gpu.name)
    } catch (error) {
      this.#releaseAll(kept)
      throw error
    }
    const refined = compressed ? floats(read, 'refined') : raw
    const band = compressed ? floats(read, 'band') : new Float32Array(height * width)
    const makers: { [P in MaskOutput]: () => Masks[P] | Promise<Masks[P]> } = {
      host: () => unpackMask(read['bits']!, size.width, size.height),
      texture: async () => ({
        width: size.width,
        height: size.height,
        texture: await giveTexture(this.gpu, kept['bytes']!, size),
      }),
      buffer: () => ({
        width: size.width,
        height: size.height,
        buffer: giveBuffer(this.gpu, kept['bytes']!),
        bytesPerRow: rowBytes!,
      }),
    }
    const mask = (await makers[where]()) as Masks[O]
    return { mask, logits: { height, width, raw, refined, band } }
  }
}

/** What a scene holds on to. */
interface SceneState extends Placement {
  readonly size: ImageSize
  readonly image: Readonly<Record<string, Tensor>>
  readonly cache: Readonly<Record<string, Tensor>>
  readonly lookMs: number
}

/** What a scene asks its model to do. */
interface SceneTasks {
  readonly segment: <O extends MaskOutput = 'host'>(
    sentence: string,
    options: SegmentOptions<O>,
  ) => Promise<Segmentation<O>>
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
   * @throws PromptError   when the sentence can't be used
   * @throws NumericError  when a number isn't finite; scene and model can be used on
   */
  async segment<O extends MaskOutput = 'host'>(
    sentence: string,
    options: SegmentOptions<O> = {},
  ): Promise<Segmentation<O>> {
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

function expectOutput(output: string | undefined): void {
  if (output === undefined || output === 'host' || output === 'texture' || output === 'buffer') return
  throw new FlowSegError('ERR_USAGE', `segment: output is '${output}', expected host, texture or buffer.`)
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
