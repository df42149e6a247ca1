// The figures of everything that scenes of the second generation are asked, from the rows of the answers.

import { expectDefined } from '../../../check.ts'
import { iouOf, type Metrics, metricsOf, type Overlap } from '../../metrics.ts'
import type { AskRow, ListRow, PhraseRow } from './row.ts'

/** A figure from 0 to 1; null if there is nothing to measure. */
export type Figure = number | null

/** The figure of each kind of ask, and the number of them. */
export type KindFigures = Readonly<Record<string, { readonly count: number; readonly figure: Figure }>>

/** The figures, by what was asked; a part is absent if nothing of it was. */
export interface AskFigures {
  /** Sentences of the first generation, each about one object. */
  readonly sentences?: Metrics & {
    /** The share that is found. */
    readonly found: Figure
    /** The AUC of their scores against those of what isn't there. */
    readonly auc: Figure
    /** Mean boundary IoU, with boundary refinement and without. */
    readonly boundary: { readonly refined: Figure; readonly raw: Figure }
  }
  /** Whether what isn't there is told from what is: sentences, "the other one" and words for several objects. */
  readonly presence?: {
    readonly absent: number
    readonly present: number
    /** The share of pairs in which what is there has the higher score. */
    readonly auc: Figure
    /** The share of what isn't there that isn't found. */
    readonly refused: Figure
    /** The share of what is there that is found. */
    readonly found: Figure
    /** The share that isn't found, of each kind of what isn't there. */
    readonly kinds: KindFigures
    /** The share that isn't found in pictures of another world. */
    readonly foreign: Figure
  }
  /** Words for several objects: the union of all that was found beside all that was meant. */
  readonly several?: {
    readonly phrases: number
    readonly cIoU: Figure
    readonly gIoU: Figure
    /** The share with the right number of instances. */
    readonly rightNumber: Figure
  }
  /** Other wordings of sentences. */
  readonly wordings?: {
    readonly wordings: number
    readonly found: Figure
    /** The share whose mask is of the object that the sentence's mask is of. */
    readonly same: Figure
    readonly cIoU: Figure
  }
  /** Gestures at objects: cIoU of each kind. */
  readonly regions?: {
    readonly regions: number
    readonly found: Figure
    readonly kinds: KindFigures
    readonly background: {
      readonly regions: number
      /** The share with which nothing is found. */
      readonly refused: Figure
    }
  }
  /** Lists of names, long ones in which each object has its name: panoptic quality over all names together. */
  readonly lists?: { readonly lists: number; readonly pq: Figure }
  /** Short lists, which leave most objects out. */
  readonly shortLists?: { readonly lists: number; readonly pq: Figure }
  /** Questions: the share of answers that are right to the letter. */
  readonly questions?: { readonly questions: number; readonly right: Figure; readonly kinds: KindFigures }
  /** Descriptions of scenes. */
  readonly descriptions?: {
    readonly descriptions: number
    readonly phrases: number
    /** The share of phrases whose mask is of an object that they name. */
    readonly right: Figure
    /** The share of objects that a right phrase is about. */
    readonly named: Figure
  }
  /** Pictures: whether the checkpoint takes them for its world. */
  readonly pictures?: {
    readonly scenes: number
    readonly known: Figure
    readonly others: number
    /** The share of pictures of another world that it doesn't take for its own. */
    readonly refused: Figure
    readonly kinds: KindFigures
  }
}

/** The figures of these rows. */
export function figuresOf(rows: readonly AskRow[]): AskFigures {
  const of = <T extends AskRow['task']>(task: T): Extract<AskRow, { task: T }>[] =>
    rows.filter((row): row is Extract<AskRow, { task: T }> => row.task === task)
  const phrases = of('phrase')
  const sentences = phrases.filter(({ boundary }) => boundary !== undefined)
  const absent = phrases.filter(({ targets }) => targets === 0)
  const wordings = phrases.filter(({ kind }) => kind === 'wording')
  const several = phrases.flatMap((row) => (row.several ? [{ ...row.several, targets: row.targets }] : []))
  const [regions, chats] = [of('region'), of('chat')]
  const lists = of('categories').filter(({ kind }) => kind === 'list')
  const shortLists = of('categories').filter(({ kind }) => kind === 'short-list')
  const [descriptions, pictures] = [of('grounded'), of('picture')]
  const gestures = regions.filter(({ kind }) => kind !== 'nothing')
  const atBackground = regions.filter(({ kind }) => kind === 'nothing')
  const scenes = pictures.filter(({ kind }) => kind === 'scene')
  const others = pictures.filter(({ kind }) => kind !== 'scene')
  const isRight = ({ said, answer }: (typeof chats)[number]): boolean => said === answer

  return {
    ...(sentences.length > 0 && {
      sentences: {
        ...metricsOf(overlapsOf(sentences)),
        found: shareOf(sentences, isFound),
        auc: auc(scoresOf(sentences), scoresOf(absent)),
        boundary: {
          refined: meanOf(sentences, ({ boundary }) => expectDefined(boundary, 'a figure').refined),
          raw: meanOf(sentences, ({ boundary }) => expectDefined(boundary, 'a figure').raw),
        },
      },
    }),
    ...(absent.length > 0 && { presence: presenceOf(phrases, absent) }),
    ...(several.length > 0 && {
      several: {
        phrases: several.length,
        cIoU: metricsOf(several.map(({ union }) => union)).cIoU,
        gIoU: meanOf(several, ({ union }) => iouOf(union)),
        rightNumber: shareOf(several, ({ instances, targets }) => instances === targets),
      },
    }),
    ...(wordings.length > 0 && {
      wordings: {
        wordings: wordings.length,
        found: shareOf(wordings, isFound),
        same: sameObject(wordings, sentences),
        cIoU: metricsOf(overlapsOf(wordings)).cIoU,
      },
    }),
    ...(regions.length > 0 && {
      regions: {
        regions: gestures.length,
        found: shareOf(gestures, isFound),
        kinds: byKind(gestures, (some) => metricsOf(overlapsOf(some)).cIoU),
        background: { regions: atBackground.length, refused: shareOf(atBackground, isRefused) },
      },
    }),
    ...(lists.length > 0 && { lists: { lists: lists.length, pq: panopticQuality(lists) } }),
    ...(shortLists.length > 0 && {
      shortLists: { lists: shortLists.length, pq: panopticQuality(shortLists) },
    }),
    ...(chats.length > 0 && {
      questions: {
        questions: chats.length,
        right: shareOf(chats, isRight),
        kinds: byKind(chats, (some) => shareOf(some, isRight)),
      },
    }),
    ...(descriptions.length > 0 && {
      descriptions: {
        descriptions: descriptions.length,
        phrases: sumOf(descriptions, (row) => row.phrases),
        right: quotient(
          sumOf(descriptions, (row) => row.right),
          sumOf(descriptions, (row) => row.phrases),
        ),
        named: quotient(
          sumOf(descriptions, (row) => row.named),
          sumOf(descriptions, (row) => row.objects),
        ),
      },
    }),
    ...(pictures.length > 0 && {
      pictures: {
        scenes: scenes.length,
        known: shareOf(scenes, ({ isKnown }) => isKnown),
        others: others.length,
        refused: shareOf(others, ({ isKnown }) => !isKnown),
        kinds: byKind(others, (some) => shareOf(some, ({ isKnown }) => !isKnown)),
      },
    }),
  }
}

/** Wordings aren't counted as present: their sentences are. */
function presenceOf(
  phrases: readonly PhraseRow[],
  absent: readonly PhraseRow[],
): NonNullable<AskFigures['presence']> {
  const present = phrases.filter(({ targets, kind }) => targets > 0 && kind !== 'wording')
  const elsewhere = absent.filter(({ isForeign }) => isForeign)
  return {
    absent: absent.length,
    present: present.length,
    auc: auc(scoresOf(present), scoresOf(absent)),
    refused: shareOf(absent, isRefused),
    found: shareOf(present, isFound),
    kinds: byKind(absent, (some) => shareOf(some, isRefused)),
    foreign: shareOf(elsewhere, isRefused),
  }
}

/** A wording whose mask is of no object is of none that is the same. */
function sameObject(wordings: readonly PhraseRow[], sentences: readonly PhraseRow[]): Figure {
  const key = (scene: number, text = ''): string => `${scene} ${text}`
  const objects = new Map(sentences.map(({ scene, text, object }) => [key(scene, text), object]))
  return shareOf(
    wordings,
    ({ scene, from, object = -1 }) => object >= 0 && object === objects.get(key(scene, from)),
  )
}

/**
 * The sum of the true positives' IoUs, divided by their number and half of that of all others (Kirillov et al. 2019);
 * not averaged over categories, since a name of a list is asked for a few times only.
 */
function panopticQuality(rows: readonly ListRow[]): Figure {
  const ious = rows.flatMap(({ truePositives }) => truePositives)
  const wrong = sumOf(rows, ({ falsePositives, falseNegatives }) => falsePositives + falseNegatives)
  return quotient(
    sumOf(ious, (iou) => iou),
    ious.length + wrong / 2,
  )
}

/** The area under the ROC curve: the share of pairs in which the first has the higher score, and half of equal ones. */
export function auc(positive: readonly number[], negative: readonly number[]): Figure {
  const all = [
    ...positive.map((score) => ({ score, isPositive: true })),
    ...negative.map((score) => ({ score, isPositive: false })),
  ].sort((a, b) => a.score - b.score)
  let [pairs, below] = [0, 0]
  for (let i = 0; i < all.length; ) {
    const { score } = expectDefined(all[i], 'a score')
    let [same, higher] = [0, 0] // the negative and the positive ones of this score
    for (; all[i]?.score === score; i++) {
      if (all[i]?.isPositive) higher++
      else same++
    }
    pairs += higher * (below + same / 2)
    below += same
  }
  return quotient(pairs, positive.length * negative.length)
}

function isFound({ found }: { readonly found: boolean }): boolean {
  return found
}

function isRefused({ found }: { readonly found: boolean }): boolean {
  return !found
}

function scoresOf(rows: readonly PhraseRow[]): number[] {
  return rows.map(({ score }) => score)
}

function overlapsOf(rows: readonly { readonly answer?: Overlap }[]): Overlap[] {
  return rows.flatMap(({ answer }) => (answer ? [answer] : []))
}

function byKind<T extends { readonly kind: string }>(
  rows: readonly T[],
  figure: (some: readonly T[]) => Figure,
): KindFigures {
  const kinds = [...new Set(rows.map(({ kind }) => kind))].sort()
  const entries = kinds.map((kind) => {
    const some = rows.filter((row) => row.kind === kind)
    return [kind, { count: some.length, figure: figure(some) }] as const
  })
  return Object.fromEntries(entries)
}

function sumOf<T>(rows: readonly T[], value: (row: T) => number): number {
  return rows.reduce((sum, row) => sum + value(row), 0)
}

function meanOf<T>(rows: readonly T[], value: (row: T) => number): Figure {
  return quotient(sumOf(rows, value), rows.length)
}

function shareOf<T>(rows: readonly T[], is: (row: T) => boolean): Figure {
  return quotient(rows.filter(is).length, rows.length)
}

function quotient(part: number, whole: number): Figure {
  return whole === 0 ? null : part / whole
}
