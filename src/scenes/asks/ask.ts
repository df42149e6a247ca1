// Questions about a scene beyond sentences that mean one object, with their true answers (second generation).
//
//   phrase       words for any number of objects: none, one in other words than usual, several
//   categories   a list of names, some of which aren't there
//   region       a gesture at an object, or at the background
//   chat         a question with a short answer
//   grounded     a description whose phrases each name an object
//
// Objects are counted from 0, in painting order. Each ask is a line of data; the question's words around it are the
// model's own prompts.

import type { Gesture } from './gestures.ts'

/** The kinds of phrases: which way they mean none, one or several objects. */
export const PHRASE_KINDS = [
  // One object
  'wording',
  'other-one',
  // None
  'absent-category',
  'absent-attribute',
  'absent-word',
  'absent-unknown',
  'absent-gibberish',
  'absent-question',
  'absent-several',
  // Several
  'several-category',
  'several-attribute',
  'several-group',
  'several-place',
  'several-relation',
  'several-negation',
  'several-fact',
  'several-all',
] as const
/** One of PHRASE_KINDS. */
export type PhraseKind = (typeof PHRASE_KINDS)[number]

/** Words for objects. */
export interface PhraseAsk {
  /** The tag of the union Ask. */
  readonly task: 'phrase'
  /** How the words were made, and whether they mean none, one or several objects. */
  readonly kind: PhraseKind
  /** The words alone, without a prompt around them. */
  readonly text: string
  /** Indices of all that it means, ascending. */
  readonly targets: readonly number[]
  /** The sentence that it says in other words, or that is true and one word away from it. */
  readonly from?: string
  /** The phrase as it was written, of one that was reworded afterwards. */
  readonly plain?: string
}

/** Names of categories, each there or not. */
export interface ListAsk {
  /** The tag of the union Ask. */
  readonly task: 'categories'
  /** 3 to 12 names, of which a third is absent; or 1 to 4, each as likely there as not. */
  readonly kind: 'list' | 'short-list'
  /** In random order, the absent ones among them; no object answers to two. */
  readonly names: readonly string[]
  /** For each name, the indices of its objects. */
  readonly targets: readonly (readonly number[])[]
}

/** A gesture that points at something. */
export interface RegionAsk {
  /** The tag of the union Ask. */
  readonly task: 'region'
  /** The shape of the gesture; 'nothing' is a point, a box or a scribble on the background. */
  readonly kind: 'point' | 'box' | 'scribble' | 'mask' | 'nothing'
  /** In pixels of the picture. */
  readonly gesture: Gesture
  /** Index of the object; null for the background. */
  readonly target: number | null
  /** Indices of all objects of its category, itself included. */
  readonly alike: readonly number[]
}

/** A question that is answered in words. */
export interface ChatAsk {
  /** The tag of the union Ask. */
  readonly task: 'chat'
  /** The thing asked about: 'foreign' is a question that the picture can't answer. */
  readonly kind: 'count' | 'colour' | 'pattern' | 'there' | 'beside' | 'place' | 'foreign'
  /** The question, with its question mark or without. */
  readonly text: string
  /** A short sentence: 'Yes.', 'Three.', 'I do not know.' */
  readonly answer: string
  /** Indices of the objects that the answer is read from. */
  readonly targets: readonly number[]
}

/** A description. */
export interface GroundedAsk {
  /** The tag of the union Ask. */
  readonly task: 'grounded'
  /** The only kind there is. */
  readonly kind: 'description'
  /** With <p> and </p> around each phrase. */
  readonly answer: string
  /** For each phrase, the index of its object. */
  readonly targets: readonly number[]
}

/** Anything that a scene is asked. */
export type Ask = PhraseAsk | ListAsk | RegionAsk | ChatAsk | GroundedAsk
