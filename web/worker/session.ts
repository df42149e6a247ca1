// The state of the model's worker: one model, one image, one answer. Only this file and tasks.ts call the engine.
//
// Requests may come in any order: an image is opened while weights are still loading, a sentence waits for both. A new
// image or model makes what was seen before worthless; it is let go as soon as nobody works on it.

import {
  boxOf,
  caveatFields,
  type FlowLayer,
  FlowSeg,
  type Image,
  type ImageWorld,
  loadTuned,
  type Mask,
  OutOfMemoryError,
  openGpu,
  type Point,
  type RefinedMask,
  type Scene,
  type Segmentation,
  WeightsError,
} from '../../src/index.ts'
import { RequestError } from '../common/failures.ts'
import type {
  AnswerFacts,
  CandidateFacts,
  ColourMap,
  EdgeFacts,
  LayerFacts,
  LoadRequest,
  MaskPreview,
  ModelFacts,
  ObjectsAnswer,
  ObjectsAsk,
  PictureFacts,
  Requests,
  Shown,
  Step,
  Under,
  WeightsAddress,
} from '../common/protocol.ts'
import { FOUND } from '../pixels/colours.ts'
import { openPicture, type Picture } from '../pixels/decode.ts'
import { flattened } from '../pixels/flatten.ts'
import { maskOf } from '../pixels/mask-of.ts'
import {
  insideOf,
  previewOfBits,
  previewOfLogits,
  previewPicture,
  smallImage,
} from '../pixels/mask-preview.ts'
import type { Objects } from '../pixels/objects-of.ts'
import { viewOf } from '../pixels/pixels.ts'
import { embeddedFiles, forgetEmbedded } from './embedded.ts'
import { saved } from './save.ts'
import { savedObjects } from './save-objects.ts'
import { askScene, instancesOf, type ObjectsTask } from './tasks.ts'

/** A request's signal, and somebody who watches. */
export interface Task {
  readonly signal: AbortSignal
  readonly onProgress: (step: Step) => void
}

/** Candidates that get a picture at a time, and whose scores in each layer are charted. */
const CANDIDATES = 12
/** The side of the small pictures in pixels: twice what the page gives them. */
const PICTURE_SIDE = 224

/** The place of a query in the current sentence's ranking. */
export interface Chosen extends RefinedMask {
  readonly query: number
  readonly score: number
  readonly rank: number
  readonly isPicked: boolean
}

type PreviewOf = (all: Float32Array, query: number) => MaskPreview

/** The image that is asked about, and a small copy for previews. */
type OpenPicture = Picture & { readonly small: Image }

/** The answer about the present picture. It may outlive its model, but not the picture. */
interface Answer {
  readonly of: FlowSeg
  readonly picture: OpenPicture
  readonly result: Segmentation
  readonly chosen: Chosen
  readonly world: ImageWorld | undefined
}

/** Several objects that were found in the present picture. */
interface Several {
  readonly picture: OpenPicture
  readonly objects: Objects
  /** The question, in words. */
  readonly title: string
  /** Fields of a saved file that say what the model knows. */
  readonly caveats: object
}

/** One look, which several may wait for: it goes on when they give up, as the next sentence will need it. */
interface Look {
  readonly of: FlowSeg
  readonly picture: Picture
  readonly scene: Promise<Scene>
  readonly stop: AbortController
  readonly watchers: Set<Task['onProgress']>
}

/** The worker's model, image and answer. */
export class Session {
  /** Called when the device is gone; not when we closed it ourselves. */
  onLost: (message: string) => void = () => undefined
  model: FlowSeg | undefined
  #picture: OpenPicture | undefined
  #look: Look | undefined
  #answer: Answer | undefined
  /** The answer's objects, or an answer that has only objects. */
  #several: Several | undefined

  /** Loads a model; the present one stays until the new one is ready, or until its memory is needed. */
  async load({ place, quantize }: LoadRequest, { signal, onProgress }: Task): Promise<ModelFacts> {
    await expectAdapter()
    const source =
      place.kind === 'embedded'
        ? await embeddedFiles({ signal, onProgress })
        : place.kind === 'files'
          ? place.files
          : place.url
    const { token, endpoint }: Partial<WeightsAddress> = place.kind === 'url' ? place : {}
    const load = (): Promise<FlowSeg> =>
      FlowSeg.load(source, { signal, onProgress, quantize, token, endpoint, gpu: { tuned: loadTuned } })
    const model = await load().catch(async (error: unknown) => {
      if (error instanceof WeightsError && place.kind === 'embedded') await forgetEmbedded()
      if (!(error instanceof OutOfMemoryError) || !this.model) throw error
      this.#leave()
      return load()
    })
    this.#leave()
    this.model = model
    void model.gpu.device.lost.then(({ reason, message }) => {
      if (this.model !== model) return
      this.#leave()
      this.onLost(`The browser says: ${message || reason}`)
    })
    const { config, gpu, baseline, notes } = model
    return {
      name: config.name,
      adapter: adapterName(gpu),
      software: gpu.adapter.software,
      baseline,
      notes,
      bytes: model.memory().bytes,
      queries: config.head.queries,
      layers: config.head.decoderLayers,
      tasks: config.tasks,
      knows: config.knows,
    }
  }

  #leave(): void {
    this.#forgetLook()
    const { model } = this
    this.model = undefined
    model?.close()
  }

  /** Opens an image; needs no model. */
  async open(image: Blob | ImageBitmap, name: string): Promise<PictureFacts> {
    let opened = await openPicture(image, name)
    // After openPicture, since that refuses damaged files
    const onWhite = 'size' in image ? await flattened(image) : undefined
    if (onWhite) {
      opened.shown.close()
      if ('close' in opened.picture.pixels) opened.picture.pixels.close()
      opened = await openPicture(onWhite, name)
    }
    const { picture, shown } = opened
    this.#leavePicture()
    this.#picture = { ...picture, small: smallImage(shown, PICTURE_SIDE) }
    this.#answer = undefined
    this.#several = undefined
    const { width, height } = picture
    return { name, width, height, isFlattened: onWhite !== undefined, bitmap: shown }
  }

  /** Its pixels can be let go once nobody looks at them. */
  #leavePicture(): void {
    const pixels = this.#picture?.pixels
    const scene = this.#look?.scene
    this.#forgetLook()
    const close = (): void => {
      if (pixels && 'close' in pixels) pixels.close()
    }
    if (scene) void scene.then(close, close)
    else close()
  }

  /** Looks at the image, once. @returns how far it is from those of training */
  async look(task: Task): Promise<ImageWorld | undefined> {
    return (await this.#seen(task)).world
  }

  async #seen({ signal, onProgress }: Task): Promise<Scene> {
    const { model } = this
    const picture = this.#picture
    if (!model || !picture) throw new RequestError('ERR_EARLY', 'There is no model or no image yet.')
    let look = this.#look
    if (look?.of !== model || look.picture !== picture) {
      this.#forgetLook()
      const stop = new AbortController()
      const watchers = new Set<Task['onProgress']>()
      const tell: Task['onProgress'] = (step) => watchers.forEach((watch) => watch(step))
      const scene = model.look(picture.pixels, { signal: stop.signal, onProgress: tell })
      const mine = { of: model, picture, scene, stop, watchers }
      scene.catch(() => {
        if (this.#look === mine) this.#look = undefined // so that the next one tries again
      })
      this.#look = look = mine
    }
    look.watchers.add(onProgress)
    try {
      return await orAborted(look.scene, signal)
    } finally {
      look.watchers.delete(onProgress)
    }
  }

  #forgetLook(): void {
    const look = this.#look
    this.#look = undefined
    look?.stop.abort()
    look?.scene.then(
      (scene) => scene.close(),
      () => undefined,
    )
  }

  async segment({ sentence, all }: Requests['segment']['ask'], task: Task): Promise<AnswerFacts> {
    const scene = await this.#seen(task)
    const { model } = this
    const picture = this.#picture
    const { signal, onProgress } = task
    const result = await scene.segment(sentence, { signal, onProgress, flow: true, all })
    if (!model || !picture) throw new RequestError('ERR_EARLY', 'There is no model or no image yet.')
    const { query, score, mask, logits } = result
    const chosen = { query, score, rank: 1, isPicked: false, mask, logits }
    const answer = { of: model, picture, result, chosen, world: scene.world }
    return this.#choose(answer, all ? instancesOf(scene, result) : undefined)
  }

  /** Asks something other than a sentence. */
  async objects(ask: ObjectsAsk, task: ObjectsTask): Promise<ObjectsAnswer> {
    const scene = await this.#seen(task)
    const { model } = this
    const picture = this.#picture
    const { answer, objects } = await askScene(scene, ask, task)
    task.signal.throwIfAborted()
    if (!model || !picture || picture !== this.#picture) {
      throw new RequestError('ERR_EARLY', 'Another image was opened meanwhile.')
    }
    this.#answer = undefined
    const isInWords = ask.kind !== 'region' && ask.kind !== 'description'
    const { world, unknownWords } = answer
    const caveats = caveatFields(model.config, { world, unknownWords: isInWords ? unknownWords : undefined })
    this.#several = { picture, objects, title: titleOf(ask), caveats }
    return answer
  }

  /** The colours of the objects with one of them highlighted. */
  highlight(object: number): ColourMap {
    if (!this.#several) throw new RequestError('ERR_EARLY', 'There are no objects yet.')
    return this.#several.objects.colours(object)
  }

  /** The object at a place of the image, or the best candidate whose mask is there. */
  under([x, y]: Point): Under | undefined {
    if (this.#several) {
      const { objects } = this.#several
      const index = objects.at(x, y)
      return index === undefined ? undefined : { kind: 'object', index }
    }
    const answer = this.#answer
    const last = answer?.result.flow?.at(-1)
    if (!answer || !last) return undefined
    const { picture, result, chosen, of } = answer
    const previewOf = previewsOf(chosen, scaleOf(of, result))
    for (const [i, { query, score }] of result.candidates.entries()) {
      const preview = previewOf(last.masks, query)
      if (!insideOf(preview, x / picture.width, y / picture.height)) continue
      return { kind: 'candidate', query, rank: i + 1, score, preview }
    }
    return undefined
  }

  /** The next ones, from a place in the ranking on. */
  candidates(from: number): CandidateFacts[] {
    const { of, picture, result, chosen } = this.#expectAnswer()
    const last = result.flow?.at(-1)
    if (!last) return []
    const previewOf = previewsOf(chosen, scaleOf(of, result))
    return result.candidates.slice(from, from + CANDIDATES).map(({ query, score }) => {
      const preview = previewOf(last.masks, query)
      return { query, score, preview, picture: previewPicture(picture.small, preview, FOUND) }
    })
  }

  /** Another candidate's mask for the same sentence. */
  async pick(query: number, task: Task): Promise<AnswerFacts> {
    const { of, picture, result, world } = this.#expectAnswer()
    if (of !== this.model)
      throw new RequestError('ERR_EARLY', 'This candidate is of other weights: ask again.')
    const index = result.candidates.findIndex((candidate) => candidate.query === query)
    const candidate = result.candidates[index]
    if (!candidate) throw new RequestError('ERR_EARLY', `The answer has no candidate ${query}: ask again.`)
    const { score } = candidate
    const { signal, onProgress } = task
    const refined = await candidate.refined({ signal, onProgress })
    const chosen = { query, score, rank: index + 1, isPicked: true, ...refined }
    return this.#choose({ of, picture, result, chosen, world })
  }

  async save(ask: Requests['save']['ask']): Promise<Requests['save']['answer']> {
    if (this.#several && ask.shown.kind === 'answer') return savedObjects(ask, this.#several)
    const answer = this.#expectAnswer()
    return saved(ask, answer, caveatsOf(answer), maskShown(answer, ask.shown))
  }

  #expectAnswer(): Answer {
    if (!this.#answer) throw new RequestError('ERR_EARLY', 'There is no answer yet.')
    return this.#answer
  }

  #choose(answer: Answer, objects?: Objects): AnswerFacts {
    const { of, picture, result, chosen, world } = answer
    if (picture !== this.#picture) throw new RequestError('ERR_EARLY', 'Another image was opened meanwhile.')
    this.#answer = answer
    this.#several =
      objects && objects.list.length > 0
        ? { picture, objects, title: result.sentence, caveats: caveatsOf(answer) }
        : undefined
    const { small } = picture
    const scale = scaleOf(of, result)
    const previewOf = previewsOf(chosen, scale)
    const layers = (result.flow ?? []).map((layer) =>
      layerFacts(layer, result, chosen.query, previewOf, small),
    )
    const { mask } = chosen
    return {
      sentence: result.sentence,
      unknownWords: result.unknownWords,
      world,
      found: result.found,
      isPicked: chosen.isPicked,
      all: objects && { objects: objects.facts(), colours: objects.colours() },
      query: chosen.query,
      score: chosen.score,
      rank: chosen.rank,
      mask: previewOfBits(mask.data, mask.width, mask.height),
      area: mask.area,
      share: mask.area / (mask.width * mask.height),
      box: boxOf(mask),
      times: result.times,
      ranked: result.candidates.length,
      layers,
      edge: edgeFacts(chosen, scale, small),
    }
  }
}

/** The fields of a saved answer that say what the model knows. */
function caveatsOf({ of, world, result }: Answer): object {
  return caveatFields(of.config, { world, unknownWords: result.unknownWords })
}

/** The question, in words. */
function titleOf(ask: ObjectsAsk): string {
  switch (ask.kind) {
    case 'question':
      return ask.question
    case 'explanation':
      return ask.sentence
    case 'region':
      return ask.like ? 'like it' : 'region'
    default:
      return ask.kind
  }
}

/** Called before the download, which would be useless without an adapter. @throws NoAdapterError */
async function expectAdapter(): Promise<void> {
  const gpu = await openGpu()
  gpu.close()
}

/** A query's mask out of a layer's. */
function previewsOf({ logits: { width, height } }: Chosen, scale: MaskPreview['scale']): PreviewOf {
  return (all, query) =>
    previewOfLogits(all.subarray(query * width * height, (query + 1) * width * height), width, height, scale)
}

/** From the image's [0, 1] to the part of the model's canvas that holds it. */
function scaleOf({ config }: FlowSeg, { canvas: [height, width] }: Segmentation): MaskPreview['scale'] {
  const side = config.sam.image
  return [width / side, height / side]
}

function maskShown({ of, result, chosen }: Answer, shown: Shown): Mask {
  const { query, mask, logits, isPicked } = chosen
  if (shown.kind === 'answer') return result.found || isPicked ? mask : emptyMask(mask)
  const { width, height } = logits
  const all = shown.kind === 'layer' ? result.flow?.[shown.layer]?.masks : undefined
  const data = all ? all.subarray(query * width * height, (query + 1) * width * height) : logits.raw
  return maskOf({ width, height, data }, of.config.sam.image, result.canvas, mask.width, mask.height)
}

/** The mask of what was not found. */
function emptyMask({ width, height }: Mask): Mask {
  return { width, height, data: new Uint8Array(width * height), area: 0 }
}

/** Browsers hide what could tell people apart, and leave a vendor and a family. */
function adapterName({ name, info }: FlowSeg['gpu']): string {
  return info.device || info.description ? name : [info.vendor, info.architecture].filter(Boolean).join(' ')
}

/** The value of a promise, unless the signal comes first; the work goes on. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason)
    signal.addEventListener('abort', giveUp, { once: true })
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}

function layerFacts(
  { layer, ranking, masks, gate, moved }: FlowLayer,
  { candidates }: Segmentation,
  query: number,
  previewOf: PreviewOf,
  small: Image,
): LayerFacts {
  const scoreOf = new Map(ranking.map((match) => [match.query, match.score]))
  const scoreIn = (query: number): number => {
    const score = scoreOf.get(query)
    if (score === undefined) throw new Error(`Layer ${layer} has no score of query ${query}.`)
    return score
  }
  const [leader] = ranking
  if (!leader) throw new Error(`Layer ${layer} ranks no query.`)
  const preview = previewOf(masks, query)
  return {
    layer,
    gate,
    moved,
    score: scoreIn(query),
    rank: ranking.findIndex((match) => match.query === query) + 1,
    preview,
    picture: previewPicture(small, preview, FOUND),
    leader: { ...leader, finalRank: candidates.findIndex((match) => match.query === leader.query) + 1 },
    leaderPreview: leader.query === query ? undefined : previewOf(masks, leader.query),
    scores: candidates.slice(0, CANDIDATES).map((match) => scoreIn(match.query)),
  }
}

/** The effect of boundary refinement, unless there is none. */
function edgeFacts({ logits }: Chosen, scale: MaskPreview['scale'], small: Image): EdgeFacts | undefined {
  const { width, height, raw, refined, band } = logits
  if (raw === refined) return undefined
  let cells = 0
  let flipped = 0
  const [coarse, fine] = [viewOf(raw), viewOf(refined)]
  for (let i = 0; i < band.length; i++) {
    if (band[i]) cells++
    if (coarse.getFloat32(4 * i, true) > 0 !== fine.getFloat32(4 * i, true) > 0) flipped++
  }
  const after = previewOfLogits(refined, width, height, scale)
  return {
    before: previewOfLogits(raw, width, height, scale),
    after,
    band: previewOfBits(band, width, height, scale),
    cells,
    flipped,
    picture: previewPicture(small, after, FOUND),
  }
}
