// What an answer about a scene of the second generation is worth: all that figures are computed from. The kinds of asks
// are those of src/scenes/asks/ask.ts.

import type { Overlap } from '../../metrics.ts'

/** Words for none, one or several objects. */
export interface PhraseRow {
  readonly scene: number
  readonly task: 'phrase'
  readonly kind: string
  readonly text: string
  /** The sentence that it says in other words. */
  readonly from?: string
  /** The number of objects that it means. */
  readonly targets: number
  /** True if the picture shows something else than objects. */
  readonly isForeign: boolean
  readonly score: number
  readonly found: boolean
  /** The answer's mask beside the object, of words for one. */
  readonly answer?: Overlap
  /** The object that the answer's mask overlaps most, from 0; -1 if there is none. */
  readonly object?: number
  /** IoU of the rims of mask and object, with boundary refinement and without. */
  readonly edges?: { readonly refined: number; readonly raw: number }
  /** All that was found beside all that was meant, of words for several. */
  readonly several?: { readonly instances: number; readonly union: Overlap }
}

/** A gesture at an object, or at the background. */
export interface RegionRow {
  readonly scene: number
  readonly task: 'region'
  readonly kind: string
  readonly score: number
  readonly found: boolean
  /** Absent of the background. */
  readonly answer?: Overlap
}

/** A list of names: what panoptic quality is computed from. */
export interface ListRow {
  readonly scene: number
  readonly task: 'categories'
  readonly kind: 'list'
  /** IoUs of the segments that are right. */
  readonly hits: readonly number[]
  /** Segments that are wrong. */
  readonly surplus: number
  /** Objects that were missed. */
  readonly missed: number
}

/** A question that is answered in words. */
export interface ChatRow {
  readonly scene: number
  readonly task: 'chat'
  readonly kind: string
  readonly text: string
  readonly answer: string
  readonly said: string
}

/** A description. */
export interface DescriptionRow {
  readonly scene: number
  readonly task: 'grounded'
  readonly kind: 'description'
  readonly said: string
  readonly phrases: number
  /** Phrases whose masks are of an object that they name. */
  readonly right: number
  readonly objects: number
  /** Objects that a right phrase is about. */
  readonly named: number
}

/** The picture itself: whether the checkpoint takes it for one of its world. */
export interface PictureRow {
  readonly scene: number
  readonly task: 'picture'
  /** 'scene', or what it shows instead. */
  readonly kind: string
  readonly distance: number
  readonly isKnown: boolean
}

/** A row of any task. */
export type AskRow = PhraseRow | RegionRow | ListRow | ChatRow | DescriptionRow | PictureRow
