// The answers to lists of categories, and to sentences that mean several objects. Masks are kept as bits, an eighth of
// their bytes, and unpacked where somebody asks for one.

import type { Mask } from '../../masks/mask.ts'
import type { Box } from '../../masks/picture.ts'
import type { Category, CategoryKind } from '../input/categories.ts'
import type { FlowLayer, Times } from '../segmentation.ts'

/** One object of several. */
export interface Instance {
  /** The mask at the image's size. */
  readonly mask: Mask
  /** Pixels inside of the mask. */
  readonly area: number
  /** The smallest box around the mask, or null when it is empty. */
  readonly box: Box | null
  /** The model's confidence in it, in [0, 1]. */
  readonly score: number
  /** The query whose mask it is, from 0 to N - 1. */
  readonly query: number
}

/** An object of a category; its score is the probability of the category times the quality of the mask. */
export interface CategoryInstance extends Instance {
  /** Index of its category in the answer's `categories`. */
  readonly category: number
  /** The category's name, as it was given. */
  readonly name: string
  /** The category's kind: 'thing' or 'stuff'. */
  readonly kind: CategoryKind
  /** Probability that the query is of the category, in [0, 1]. */
  readonly probability: number
  /** The mean probability of the pixels inside of the mask, in [0, 1]. */
  readonly quality: number
}

/** All pixels of one label. */
export interface Segment {
  /** Its pixels' value in `labels`. */
  readonly id: number
  /** Index of its category in the answer's `categories`. */
  readonly category: number
  /** The category's name, as it was given. */
  readonly name: string
  /** The category's kind: 'thing' or 'stuff'. */
  readonly kind: CategoryKind
  /** Area in pixels. */
  readonly area: number
  /** The smallest box around it, or null when it has no pixel. */
  readonly box: Box | null
  /** The mask at the image's size. */
  readonly mask: Mask
}

/** A segment of a semantic map: all pixels of one category. */
export interface SemanticSegment extends Segment {
  /**
   * The largest probability of the category among all queries, in [0, 1]. A pixel goes to the likeliest category of the
   * list, so a low score says that its pixels have no better one.
   */
  readonly score: number
}

/** A segment of a panoptic map. */
export interface PanopticSegment extends Segment {
  /** The model's confidence in it, in [0, 1]; of fused stuff the highest of its queries' scores. */
  readonly score: number
  /** The queries that it is made of. */
  readonly queries: readonly number[]
}

/** The rows of C that stand for a category. */
export interface CategoryRows {
  /** Index of the category. */
  readonly category: number
  /** [begin, end) among the rows of C. */
  readonly rows: readonly [begin: number, end: number]
}

/** The flow of an answer to a list of categories. */
export interface CategoryFlow {
  /** The predictions of each decoder layer. */
  readonly layers: readonly FlowLayer[]
  /** The categories in the order in which the model read them. */
  readonly phrases: readonly CategoryRows[]
}

/** The parts that all answers to lists of categories have. */
export interface LabelMap {
  /** Width of the image in pixels. */
  readonly width: number
  /** Height of the image in pixels. */
  readonly height: number
  /** [height, width]: a value per pixel, whose meaning depends on `mode`. */
  readonly labels: Uint16Array
  /**
   * True if anything of the list was found: an object with pixels whose score reaches the threshold. A semantic map
   * gives every pixel a category all the same; there, it is true if a query that is as likely as the threshold says has
   * a mask with pixels.
   */
  readonly found: boolean
  /** The list that was asked for, things first. */
  readonly categories: readonly Category[]
  /** Words of its names that the checkpoint doesn't know; none where its config has no `knows.words`. */
  readonly unknownWords: readonly string[]
  /** The prompt's text, from the question to the answer. */
  readonly text: string
  /** The flow through the decoder's layers, if it was asked for. */
  readonly flow?: CategoryFlow
  /** The times of the steps. */
  readonly times: Times
}

/** A category for each pixel: `labels` are indices of `categories`. */
export interface SemanticMap extends LabelMap {
  /** The kind of this answer. */
  readonly mode: 'semantic'
  /** The categories that have pixels, the largest first. */
  readonly segments: readonly SemanticSegment[]
}

/** Objects that may overlap: in `labels` 0 is none, and i is instances[i - 1], the surer one on top. */
export interface InstanceMap extends LabelMap {
  /** The kind of this answer. */
  readonly mode: 'instance'
  /** The objects, by falling score. */
  readonly instances: readonly CategoryInstance[]
}

/** Each pixel in at most one segment: in `labels` 0 is void, any other value the `id` of a segment. */
export interface PanopticMap extends LabelMap {
  /** The kind of this answer. */
  readonly mode: 'panoptic'
  /** The segments in the order of their queries. */
  readonly segments: readonly PanopticSegment[]
}

/** The answer to each mode. */
export interface CategoryAnswers {
  /** One map of categories. */
  readonly semantic: SemanticMap
  /** A list of objects. */
  readonly instance: InstanceMap
  /** A map of segments. */
  readonly panoptic: PanopticMap
}

/** The kind of answer to a list of categories. */
export type CategoryMode = keyof CategoryAnswers

/** The same fields with a mask that is unpacked when it is asked for. */
export function withMask<T extends object>(fields: T, unpack: () => Mask): T & { readonly mask: Mask } {
  let mask: Mask | undefined
  // The accessor is enumerable and the object's own: structuredClone and JSON take it for the mask
  return Object.defineProperty({ ...fields }, 'mask', {
    enumerable: true,
    get: () => (mask ??= unpack()),
  }) as T & { readonly mask: Mask }
}
