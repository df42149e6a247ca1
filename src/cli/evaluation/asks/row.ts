// A row for each answer about a scene of the second generation: all that figures are computed from. The kinds of asks
// are those of src/scenes/asks/ask.ts.

import type { Overlap } from '../../metrics.ts'

/** The answer to words for none, one or several objects. */
export interface PhraseRow {
  readonly scene: number
  readonly task: 'phrase'
  readonly kind: string
  readonly text: string
  /** The sentence that it says in other words. */
  readonly from?: string
  /** The number of objects that it means. */
  readonly targets: number
  /** True if the picture is of another world. */
  readonly isForeign: boolean
  readonly score: number
  readonly found: boolean
  /** The mask beside the object, if it means one. */
  readonly answer?: Overlap
  /** The object that the mask overlaps most, from 0, if it means one; -1 if there is none. */
  readonly object?: number
  /** Boundary IoU with boundary refinement and without, of a sentence of the first generation. */
  readonly boundary?: { readonly refined: number; readonly raw: number }
  /** The union of all that was found beside all that was meant, if it means several. */
  readonly several?: { readonly instances: number; readonly union: Overlap }
}

/** The answer to a gesture at an object, or at the background. */
export interface RegionRow {
  readonly scene: number
  readonly task: 'region'
  readonly kind: string
  readonly score: number
  readonly found: boolean
  /** Absent for a gesture at the background. */
  readonly answer?: Overlap
}

/** The answer to a list of names. A segment is right if its IoU with an object of its name is above one half. */
export interface ListRow {
  readonly scene: number
  readonly task: 'categories'
  readonly kind: 'list' | 'short-list'
  /** IoUs of the true positives. */
  readonly truePositives: readonly number[]
  readonly falsePositives: number
  readonly falseNegatives: number
}

/** The answer to a question, in words. */
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
  /** Phrases whose mask is of an object that they name. */
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
