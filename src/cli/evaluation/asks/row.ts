// A row for each answer about a scene of the second generation: all that figures are computed from. The kinds of asks
// are those of src/scenes/asks/ask.ts.

import type { Overlap } from '../../metrics.ts'

/** The answer to words for none, one or several objects. */
export interface PhraseRow {
  /** Index of the scene in its split. */
  readonly scene: number
  /** The tag of the union AskRow. */
  readonly task: 'phrase'
  /** One of PHRASE_KINDS, or one of SENTENCE_KINDS for a sentence of the first generation. */
  readonly kind: string
  /** The words that the model was asked. */
  readonly text: string
  /** The sentence that it says in other words. */
  readonly from?: string
  /** The number of objects that it means. */
  readonly targets: number
  /** True if the picture is of another world. */
  readonly isForeign: boolean
  /** The model's confidence that it is there, from 0 to 1. */
  readonly score: number
  /** True if the model takes it to be there. */
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
  /** Index of the scene in its split. */
  readonly scene: number
  /** The tag of the union AskRow. */
  readonly task: 'region'
  /** The shape of the gesture, or 'nothing'. */
  readonly kind: string
  /** The model's confidence in the mask, from 0 to 1. */
  readonly score: number
  /** True if the score reaches the threshold and the mask meets the gesture. */
  readonly found: boolean
  /** Absent for a gesture at the background. */
  readonly answer?: Overlap
}

/** The answer to a list of names. A segment is right if its IoU with an object of its name is above one half. */
export interface ListRow {
  /** Index of the scene in its split. */
  readonly scene: number
  /** The tag of the union AskRow. */
  readonly task: 'categories'
  /** Whether the list was long or had 4 names at most. */
  readonly kind: 'list' | 'short-list'
  /** IoUs of the true positives. */
  readonly truePositives: readonly number[]
  /** Segments that are right for no object of their name. */
  readonly falsePositives: number
  /** Objects of the list's names that no segment is right for. */
  readonly falseNegatives: number
}

/** The answer to a question, in words. */
export interface ChatRow {
  /** Index of the scene in its split. */
  readonly scene: number
  /** The tag of the union AskRow. */
  readonly task: 'chat'
  /** The subject of the question, as ChatAsk has it. */
  readonly kind: string
  /** The question. */
  readonly text: string
  /** The true answer, as the scene's facts give it. */
  readonly answer: string
  /** The model's answer, without markers. */
  readonly said: string
}

/** A description. */
export interface DescriptionRow {
  /** Index of the scene in its split. */
  readonly scene: number
  /** The tag of the union AskRow. */
  readonly task: 'grounded'
  /** The only kind there is. */
  readonly kind: 'description'
  /** The model's description, without markers. */
  readonly said: string
  /** Phrases of the description that have a mask. */
  readonly phrases: number
  /** Phrases whose mask is of an object that they name. */
  readonly right: number
  /** Objects in the scene. */
  readonly objects: number
  /** Objects that a right phrase is about. */
  readonly named: number
}

/** The picture itself: whether the checkpoint takes it for one of its world. */
export interface PictureRow {
  /** Index of the scene in its split. */
  readonly scene: number
  /** The tag of the union AskRow. */
  readonly task: 'picture'
  /** 'scene', or what it shows instead. */
  readonly kind: string
  /** The picture's distance from those of training, in the checkpoint's own measure. */
  readonly distance: number
  /** True if that is close enough for the checkpoint. */
  readonly isKnown: boolean
}

/** A row of any task. */
export type AskRow = PhraseRow | RegionRow | ListRow | ChatRow | DescriptionRow | PictureRow
