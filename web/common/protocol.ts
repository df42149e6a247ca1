// The messages between the page and the model's worker. Everything here survives structured cloning; large things
// (pixels, masks, bitmaps) are transferred.

import type {
  Answer,
  AnswerPart,
  Box,
  CategoryList,
  CategoryMode,
  ImageWorld,
  KnowsConfig,
  Point,
  Progress,
  Rgb,
  TaskName,
} from '../../src/index.ts'

/** Progress of the engine's work, and of the studio's own downloads. */
export interface Step extends Omit<Progress, 'phase'> {
  readonly phase: Progress['phase'] | 'download'
}

/** The place that weights come from. */
export type WeightsPlace =
  | { readonly kind: 'embedded' }
  | { readonly kind: 'files'; readonly files: readonly File[] }
  | WeightsAddress

/** An address, or a place on Hugging Face's hub with what it takes to get in there. */
export interface WeightsAddress {
  readonly kind: 'url'
  readonly url: string
  readonly token?: string | undefined
  /** The address of a mirror. */
  readonly endpoint?: string | undefined
}

/** The model to load, and the way to hold its weights. */
export interface LoadRequest {
  readonly place: WeightsPlace
  readonly quantize?: 'int8' | 'int4' | undefined
}

/** A model that was loaded, in words and numbers for the page. */
export interface ModelFacts {
  readonly name: string
  readonly adapter: string
  /** Computed by the processor, as there is no GPU. */
  readonly software: boolean
  readonly baseline: boolean
  readonly notes: readonly string[]
  /** Held on the device. */
  readonly bytes: number
  readonly queries: number
  readonly layers: number
  /** The tasks that it was trained on. */
  readonly tasks: readonly TaskName[]
  /** What it says that it knows, if it does. */
  readonly knows: KnowsConfig | undefined
}

/** What an answer says of what the model doesn't know. */
export interface Caveats {
  /** How far the image is from those of training; undefined where the checkpoint doesn't tell. */
  readonly world: ImageWorld | undefined
  /** Words of the question that it doesn't know. */
  readonly unknownWords: readonly string[]
}

/** An image that was opened. */
export interface PictureFacts {
  readonly name: string
  readonly width: number
  readonly height: number
  /** It was transparent in places, and was composited onto white. */
  readonly isFlattened: boolean
  /** To show; smaller than the image where that is huge. */
  readonly bitmap: ImageBitmap
}

/** A grey map that is inside where it is above one half; `scale` leads from the image's [0, 1] to the map's. */
export interface MaskPreview {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array<ArrayBuffer>
  readonly scale: readonly [x: number, y: number]
}

/** Colours as RGBA, multiplied by their opacity: transparent where no object is. */
export interface ColourMap extends MaskPreview {}

/** One of several objects of an answer. */
export interface ObjectFacts {
  readonly name: string
  readonly score: number | undefined
  readonly found: boolean
  readonly colour: Rgb
  /** Pixels inside, and what part of the image that is. */
  readonly area: number
  readonly share: number
}

/** A question besides a plain sentence, whose answer is a list of objects. */
export type ObjectsAsk =
  /** The object in a region, or with `like` all objects that are like it. */
  | {
      readonly kind: 'region'
      readonly region: { readonly point: Point } | { readonly box: Box }
      readonly like: boolean
    }
  | { readonly kind: 'categories'; readonly list: CategoryList | string }
  | { readonly kind: 'question'; readonly question: string }
  /** A sentence to find, and why it means what is found. */
  | { readonly kind: 'explanation'; readonly sentence: string }
  | { readonly kind: 'description' }

/** The answer to it. */
export interface ObjectsAnswer extends Caveats {
  readonly ask: ObjectsAsk
  readonly found: boolean
  readonly objects: readonly ObjectFacts[]
  readonly colours: ColourMap
  /** Milliseconds besides those of looking at the image. */
  readonly ms: number
  /** The kind of answer and the number of names, for a list of categories. */
  readonly categories?: { readonly mode: CategoryMode; readonly asked: number }
  /** The text of an answer in words, in parts of which some are objects. */
  readonly words?: {
    readonly text: string
    readonly parts: readonly AnswerPart[]
    /** The reason why it has no more tokens. */
    readonly end: Answer['end']
    readonly tokens: number
  }
}

/** The object or the candidate at a place. */
export type Under =
  | { readonly kind: 'object'; readonly index: number }
  | {
      readonly kind: 'candidate'
      readonly query: number
      readonly rank: number
      readonly score: number
      readonly preview: MaskPreview
    }

/** Another candidate of the answer, with its pictures. */
export interface CandidateFacts {
  readonly query: number
  readonly score: number
  /** Its mask before boundary refinement. */
  readonly preview: MaskPreview
  readonly picture: Blob
}

/** One decoder layer as the chosen query lived it. */
export interface LayerFacts {
  /** 0 is before the first. */
  readonly layer: number
  /** The share of vision in the gate; absent where there is none. */
  readonly gate: number | undefined
  /** The distance of the condition from what the sentence said, relative to its length. */
  readonly moved: number
  /** The chosen query's score and rank in this layer; rank counts from 1. */
  readonly score: number
  readonly rank: number
  readonly preview: MaskPreview
  readonly picture: Blob
  /** The leading candidate of this layer, by its final rank, from 1. */
  readonly leader: { readonly query: number; readonly score: number; readonly finalRank: number }
  /** The leader's mask, where it is another one. */
  readonly leaderPreview: MaskPreview | undefined
  /** Scores of the best candidates in this layer, in the order of the final ranking. */
  readonly scores: readonly number[]
}

/** The effect of boundary refinement on the mask. */
export interface EdgeFacts {
  /** The mask before and after boundary refinement, and where it was free to change. */
  readonly before: MaskPreview
  readonly after: MaskPreview
  readonly band: MaskPreview
  /** The size of the band, and the part of it that changed sides, in pixels of the model's grid. */
  readonly cells: number
  readonly flipped: number
  readonly picture: Blob
}

/** An answer with all that the page shows of it. */
export interface AnswerFacts extends Caveats {
  readonly sentence: string
  /** True if the best candidate's score reaches the threshold. */
  readonly found: boolean
  /** It was picked by hand: then its mask is shown in any case. */
  readonly isPicked: boolean
  /** All objects that the sentence means, if they were asked for. */
  readonly all: Pick<ObjectsAnswer, 'objects' | 'colours'> | undefined
  readonly query: number
  readonly score: number
  /** In the final ranking, from 1: more if it was picked by hand. */
  readonly rank: number
  readonly mask: MaskPreview
  /** Pixels inside, and what part of the image that is. */
  readonly area: number
  readonly share: number
  /** [x0, y0, x1, y1) in pixels, or null when the mask is empty. */
  readonly box: readonly [number, number, number, number] | null
  readonly times: { readonly look: number; readonly read: number; readonly segment: number }
  /** The number of candidates: as many as the model has queries. */
  readonly ranked: number
  readonly layers: readonly LayerFacts[]
  /** Absent where the checkpoint has no boundary refinement. */
  readonly edge: EdgeFacts | undefined
}

/** The kinds of file that an answer can be saved as. */
export type SaveKind = 'mask' | 'overlay' | 'cutout' | 'json'

/** One of an answer's masks: the answer itself, its query's mask in a layer, or its mask before boundary refinement. */
export type Shown =
  | { readonly kind: 'answer' | 'unrefined' }
  | { readonly kind: 'layer'; readonly layer: number }

/** Requests by name: what is asked, and what comes back. */
export interface Requests {
  load: { ask: LoadRequest; answer: ModelFacts }
  open: { ask: { image: Blob | ImageBitmap; name: string }; answer: PictureFacts }
  look: { ask: Record<string, never>; answer: Pick<Caveats, 'world'> }
  segment: { ask: { sentence: string; all: boolean }; answer: AnswerFacts }
  objects: { ask: ObjectsAsk; answer: ObjectsAnswer }
  /** The colours with one object highlighted. */
  highlight: { ask: { object: number }; answer: { colours: ColourMap } }
  /** The object or the best candidate at a place of the image, in its pixels. */
  under: { ask: { point: Point }; answer: { under: Under | undefined } }
  /** Some of the candidates, a picture each, from a place in the ranking on that counts from 0. */
  candidates: { ask: { from: number }; answer: { candidates: readonly CandidateFacts[] } }
  pick: { ask: { query: number }; answer: AnswerFacts }
  save: { ask: { kind: SaveKind; opacity: number; shown: Shown }; answer: { blob: Blob; name: string } }
}

/** The kinds of request. */
export type RequestName = keyof Requests

/** An error as it crosses over. */
export interface Failure {
  readonly name: string
  readonly code: string
  readonly message: string
}

/** Messages from the page: requests, and their cancellation. */
export type ToWorker =
  | { [K in RequestName]: { type: 'ask'; id: number; name: K; ask: Requests[K]['ask'] } }[RequestName]
  | { type: 'cancel'; id: number }

/** Messages from the worker: a request's answer, failure or progress, or the loss of the device. */
export type FromWorker =
  | { type: 'answer'; id: number; answer: unknown }
  | { type: 'failure'; id: number; failure: Failure }
  | { type: 'progress'; id: number; progress: Step }
  /** A piece of an answer in words. */
  | { type: 'text'; id: number; text: string }
  | { type: 'lost'; failure: Failure }
