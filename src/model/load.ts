// Loads a model from files to the device: its weights, the plans that every image needs, and the state that scenes and
// sentences share. Kernels compile while weights stream.

import { allOrAbort } from '../async/all-or-abort.ts'
import { Queue } from '../async/queue.ts'
import { expectDefined } from '../check.ts'
import { Gpu, type OpenOptions, openGpu } from '../gpu/gpu.ts'
import {
  CACHE_PLACES,
  type CachePlace,
  expectLocation,
  type Folder,
  type FolderLocation,
  openFolder,
} from '../io/folder.ts'
import { Download } from '../io/http/download.ts'
import { DamagedError } from '../io/source.ts'
import type { Tokenizer } from '../io/text/tokenizer.ts'
import { QUANTIZED, type Quantized } from '../kernels/quantize.ts'
import {
  COUNT,
  expectOptions,
  FLAG,
  NAME,
  OBJECT,
  type OptionKinds,
  oneOf,
  TASK_KINDS,
  TEXT,
  TEXTS,
} from '../options.ts'
import { firstOf } from '../printable.ts'
import type { TaskOptions } from '../progress.ts'
import { type Plan, planInTurns, precompile, precompileInTurns } from '../tensor/plan.ts'
import { release, type Tensor } from '../tensor/tensor.ts'
import { visionRows, writesWords } from './checkpoint/config.ts'
import { type ModelFiles, openModel } from './checkpoint/files.ts'
import { LanguageHead } from './checkpoint/language-head.ts'
import { type MadeParts, makeParts } from './checkpoint/parts.ts'
import type { TokenEmbeddings } from './checkpoint/token-embeddings.ts'
import type { LoadedWeights, PlaceOptions } from './checkpoint/weights.ts'
import { Preprocessor } from './input/preprocess.ts'
import { buildPrompt } from './input/prompt.ts'
import { KnownWords } from './knows/words.ts'
import { World } from './knows/world.ts'
import type { SceneState } from './look.ts'
import { placeWithRoom } from './memory/room.ts'
import { PlanCache } from './plan-cache.ts'
import {
  conditionRows,
  finishPlan,
  lookSteps,
  type Parts,
  readInputs,
  readSteps,
  segmentSteps,
} from './plans.ts'
import { SceneLimit } from './scene-limit.ts'

/** Limits on the scenes and calls that a model takes at a time. */
export interface CallerLimits {
  /**
   * Scenes that may be open at a time; a look beyond them waits until one is closed. By default as many as together
   * take half of the memory that the model takes without them, and scenes that nobody asks anything for a while don't
   * count.
   */
  readonly maxScenes?: number | undefined
  /**
   * Looks, and calls on scenes, that may wait or run at a time; the next one of its kind is refused with a BusyError.
   */
  readonly maxPending?: number | undefined
}

/** Options of {@link FlowSeg.load}: the engine, the form of the weights, caching, progress, and limits on calls. */
export interface LoadOptions extends TaskOptions, CallerLimits {
  /** An engine of the caller's; it is not closed with the model. Otherwise one is opened with these options. */
  readonly gpu?: Gpu | OpenOptions
  /**
   * Hold the matrices of both encoders and of the language model in 8 or 4 bits: a quarter or an eighth of their f32,
   * for masks that differ a little. As they are stored by default.
   */
  readonly quantize?: Quantized | undefined
  /**
   * The place where weights from a URL are cached for the next visit. 'disk', the default, is the user's cache folder
   * in Node and Deno, and the origin private file system in browsers; 'none' caches nothing.
   */
  readonly cache?: CachePlace | undefined
  /** Ask the browser not to evict them when it runs short of space. Some ask the user. */
  readonly persist?: boolean | undefined
  /**
   * Sent with every request for weights, `{ authorization: 'Bearer …' }` for instance, but never to another origin that
   * the server redirects to.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * For weights from Hugging Face (`hf:owner/name`) that are private or gated: a token of the user's account. It is
   * sent to the hub alone, and not kept. In Node, Deno and Bun it is HF_TOKEN by default.
   */
  readonly token?: string | undefined
  /**
   * The address of a mirror of Hugging Face's hub. In Node, Deno and Bun it is HF_ENDPOINT by default, and else
   * https://huggingface.co.
   */
  readonly endpoint?: string | undefined
}

const LOAD_KINDS: OptionKinds<LoadOptions> = {
  ...TASK_KINDS,
  gpu: OBJECT,
  quantize: oneOf(...QUANTIZED),
  cache: oneOf(...CACHE_PLACES),
  persist: FLAG,
  headers: TEXTS,
  token: TEXT,
  endpoint: NAME,
  maxScenes: COUNT,
  maxPending: COUNT,
}

/** Each finds one damaged tensor, or file, at most. */
const MAX_ATTEMPTS = 4
/** Plans kept ready for other lengths and image sizes. */
const PLANS_KEPT = 8

/** The tensors and plans on the device that all scenes of a model share. */
export interface LoadedModel {
  /** The device of all its tensors; `release` closes it only if it was opened for this model. */
  readonly gpu: Gpu
  /** The config, the weights and the sizes that plans are built from. */
  readonly parts: Parts
  /** The checkpoint's own. */
  readonly tokenizer: Tokenizer
  /** Makes the encoders' input; used by one look at a time. */
  readonly preprocessor: Preprocessor
  /** The plan that looks at an image, ready from the start. */
  readonly look: Plan
  /** Rows of tokens, on the host. */
  readonly embeddings: TokenEmbeddings
  /** The head of the language model, on the device once words were asked for. */
  readonly head: LanguageHead
  /** The embedded tokens before the image. */
  readonly before: Float32Array
  /** Things that a person should know of the device, the files and the weights, in sentences. */
  readonly notes: readonly string[]
  /** The words that it was trained on; all words count as known where nobody says. */
  readonly words: KnownWords
  /** The images that it was trained on, if the checkpoint says. */
  readonly world: World | undefined
  /** The types of few bits, by component. */
  readonly quantized: LoadedWeights['quantized']
  /** The plans of sentences and of image sizes. */
  readonly plans: PlanCache
  /** C and S of the last sentence of each length, for the next one to overwrite. */
  readonly language: Map<number, Readonly<Record<string, Tensor>>>
  /** Plans and their memory are shared: one task at a time. */
  readonly queue: Queue
  /** The scenes that are open, and whether a look must wait for room. */
  readonly scenes: SceneLimit<SceneState>
  /** The most calls per lane that may wait or run; Infinity by default. */
  readonly maxPending: number
  /** Takes no more tasks. */
  closed: boolean
  /** Frees all of it, and the device if it was opened for this model. */
  release(): void
}

/** See FlowSeg.load. */
export async function loadModel(source: FolderLocation | Folder, options: LoadOptions): Promise<LoadedModel> {
  expectLocation('FlowSeg.load', source)
  expectOptions('FlowSeg.load', options, LOAD_KINDS)
  const { onProgress, signal, cache, persist, headers, token, endpoint } = options
  signal?.throwIfAborted()

  const download = new Download(onProgress)
  const folder = openFolder(source, { cache, persist, headers, token, endpoint, download })
  for (let attempt = 1; ; attempt++) {
    try {
      return await openAndPlace(folder, download, options)
    } catch (error) {
      // Damaged blocks of an earlier visit were dropped: now they are downloaded again
      if (!(error instanceof DamagedError && error.wasKept) || attempt === MAX_ATTEMPTS) throw error
      download.reset()
    }
  }
}

async function openAndPlace(folder: Folder, download: Download, options: LoadOptions): Promise<LoadedModel> {
  const { onProgress, signal, quantize, maxScenes, maxPending } = options
  const { config, tokenizer, checkpoint } = await openModel(folder, { download, signal })
  try {
    const ownsGpu = !(options.gpu instanceof Gpu)
    const gpu = options.gpu instanceof Gpu ? options.gpu : await openGpu(options.gpu)
    try {
      // Progress counts bytes once: as a download, or else as an upload
      const how = { onProgress, isDownload: download.total > 0, signal, quantize, maxScenes, maxPending }
      // A folder's are not complete before all was read
      const { notes = [] } = folder
      const model = await assemble(gpu, ownsGpu, { config, tokenizer, checkpoint, notes }, how)
      if (!model.embeddings.isStreamed && !writesWords(config)) await checkpoint.close()
      return model
    } catch (error) {
      if (ownsGpu) gpu.close()
      throw error
    }
  } catch (error) {
    await checkpoint.close()
    throw error
  }
}

async function assemble(
  gpu: Gpu,
  ownsGpu: boolean,
  { config, tokenizer, checkpoint, notes }: ModelFiles & Required<Pick<Folder, 'notes'>>,
  options: PlaceOptions & CallerLimits & { readonly isDownload: boolean },
): Promise<LoadedModel> {
  const { onProgress, isDownload, signal } = options
  const loaded = await placeWithRoom(gpu, checkpoint, config, options)
  const preprocessor = new Preprocessor(gpu, config)
  let built: MadeParts | undefined
  let look: Plan | undefined
  try {
    // The prompt before the image is always the same
    const { before } = buildPrompt(tokenizer, 'anything', config)
    built = await makeParts(gpu, loaded, config, before.length)
    const { parts } = built

    // Kernels compile while weights stream; nobody waits here for those that sentences need
    let streaming = true
    const compiling: TaskOptions['onProgress'] = (event) => streaming || onProgress?.(event)
    await allOrAbort(
      signal,
      async (stop) => {
        await loaded.stream({ onProgress: isDownload ? undefined : onProgress, signal: stop })
        streaming = false
      },
      async (stop) => {
        const how = { onProgress: compiling, signal: stop }
        await preprocessor.precompile(how)
        look = await planInTurns(gpu, 'look', (inputs) => lookSteps(inputs, parts), how)
        warmUp(gpu, tokenizer, parts).catch(() => undefined)
      },
    )
    const lookPlan = expectDefined(look, 'the plan of a look')
    const madeParts = built
    const world = config.knows?.world && new World(config, loaded.host, visionRows(config))
    const plans = new PlanCache(PLANS_KEPT)
    const language: LoadedModel['language'] = new Map()
    const embeddings = expectDefined(loaded.embeddings, 'the token embeddings')
    const head = new LanguageHead({ gpu, checkpoint, match: loaded.head, quantize: options.quantize })
    const scenes = new SceneLimit<SceneState>(options.maxScenes, () => gpu.memory().bytes)
    return {
      gpu,
      parts,
      tokenizer,
      preprocessor,
      look: lookPlan,
      embeddings,
      head,
      before: await embeddings.rows(before, before.length, signal),
      notes: [...gpu.notes, ...notes, ...(checkpoint.notes ?? []), ...notesOn(loaded)],
      words: new KnownWords(config.knows?.words ?? []),
      world,
      quantized: loaded.quantized,
      plans,
      language,
      queue: new Queue(),
      scenes,
      maxPending: options.maxPending ?? Infinity,
      closed: false,
      release() {
        plans.clear()
        for (const kept of language.values()) releaseAll(gpu, kept)
        preprocessor.release()
        lookPlan.release()
        head.release()
        madeParts.release()
        loaded.release()
        // Idempotent, and nobody waits for it
        checkpoint.close().catch(() => undefined)
        if (ownsGpu) gpu.close()
      },
    }
  } catch (error) {
    look?.release()
    built?.release()
    loaded.release()
    throw error
  }
}

/** Frees tensors that were kept by name. */
export function releaseAll(gpu: Gpu, tensors: Readonly<Record<string, Tensor>>): void {
  for (const x of Object.values(tensors)) release(gpu, x)
}

/** Sentences of the usual lengths: their kernels for products and attention differ where rows are few. */
const USUAL_SENTENCES = ['the umbrella', 'the red mug left of the laptop']

/**
 * Compiles what the first sentence will need, short or long. A plan made meanwhile waits only for the kernels that are
 * under way; one that fails here fails again there, where the caller gets the error.
 */
async function warmUp(gpu: Gpu, tokenizer: Tokenizer, parts: Parts): Promise<void> {
  const usual = USUAL_SENTENCES.map((sentence) =>
    readInputs(buildPrompt(tokenizer, sentence, parts.config), parts),
  )
  // Any image will do: kernels don't depend on its size
  const { image: side } = parts.config.sam
  const image = { width: side, height: side, scaled: [side, side] } as const
  await Promise.all([
    ...usual.flatMap(({ T, K }) => [
      precompileInTurns(gpu, 'read', (inputs) => readSteps(inputs, T, K, parts)),
      precompileInTurns(gpu, 'segment', (inputs) =>
        segmentSteps(inputs, conditionRows(parts.config, K), false, parts),
      ),
    ]),
    precompile(gpu, 'finish', (inputs) => finishPlan(inputs, image, parts)),
  ])
}

function notesOn({ baseline, unknown }: LoadedWeights): string[] {
  const notes: string[] = []
  if (baseline) {
    notes.push(
      'This checkpoint has no tensors of the semantic flow: it runs as X-SAM, the baseline without SR, CR and BAR.',
    )
  }
  if (unknown.length > 0) {
    notes.push(
      `Left out what this engine doesn't know, ${unknown.length} of the checkpoint's tensors: ${firstOf(unknown, 3)}.`,
    )
  }
  return notes
}
