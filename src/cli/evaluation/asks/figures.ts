// The figures of everything that scenes of the second generation are asked, from the rows of the answers.

import { expectDefined } from '../../../check.ts'
import { iouOf, type Metrics, metricsOf, type Overlap } from '../../metrics.ts'
import type { AskRow, PhraseRow } from './row.ts'

/** A share from 0 to 1; null of nothing. */
export type Share = number | null

/** The figures, by what was asked; a part is absent if nothing of it was. */
export interface AskFigures {
  /** Sentences as those of the first generation, each about one object. */
  readonly sentences?: Metrics & {
    /** Mean boundary IoU, with boundary refinement and without. */
    readonly edges: { readonly refined: Share; readonly raw: Share }
  }
  /** Whether what isn't there is told from what is. */
  readonly presence?: {
    readonly absent: number
    readonly present: number
    /** The share of pairs in which what is there has the higher score. */
    readonly auc: Share
    /** The share of what isn't there that isn't found. */
    readonly refused: Share
    /** The share of what is there that is found. */
    readonly kept: Share
    /** The share that isn't found, of each kind of what isn't there. */
    readonly kinds: Readonly<Record<string, Share>>
    /** The share that isn't found in pictures of something else. */
    readonly foreign: Share
  }
  /** Words for several objects: all that was found, together, beside all that was meant. */
  readonly several?: {
    readonly phrases: number
    readonly cIoU: Share
    readonly gIoU: Share
    /** The share with the right number of instances. */
    readonly number: Share
  }
  /** Other wordings of sentences. */
  readonly wordings?: {
    readonly wordings: number
    readonly cIoU: Share
    /** The share that find the object that the sentence finds. */
    readonly same: Share
  }
  /** Gestures: cIoU of each kind. */
  readonly regions?: {
    readonly regions: number
    readonly kinds: Readonly<Record<string, Share>>
    /** The share of gestures at the background with which nothing is found. */
    readonly nothing: Share
  }
  /** Lists of names: panoptic quality. */
  readonly lists?: { readonly lists: number; readonly pq: Share }
  /** Questions: the share of answers that are right to the letter. */
  readonly questions?: {
    readonly questions: number
    readonly right: Share
    readonly kinds: Readonly<Record<string, Share>>
  }
  /** Descriptions of scenes. */
  readonly descriptions?: {
    readonly descriptions: number
    readonly phrases: number
    /** The share of phrases whose mask is of an object that they name. */
    readonly right: Share
    /** The share of objects that a right phrase is about. */
    readonly named: Share
  }
  /** Pictures: whether the checkpoint takes them for its world. */
  readonly pictures?: {
    readonly scenes: number
    readonly known: Share
    readonly others: number
    /** The share of the others that the checkpoint doesn't take for its world. */
    readonly refused: Share
  }
}

/** The figures of these rows. */
export function figuresOf(rows: readonly AskRow[]): AskFigures {
  const of = <T extends AskRow['task']>(task: T): Extract<AskRow, { task: T }>[] =>
    rows.filter((row): row is Extract<AskRow, { task: T }> => row.task === task)
  const phrases = of('phrase')
  const plain = phrases.filter(({ edges }) => edges !== undefined)
  const absent = phrases.filter(({ targets }) => targets === 0)
  const wordings = phrases.filter(({ kind }) => kind === 'wording')
  const several = phrases.flatMap((row) => (row.several ? [{ ...row.several, targets: row.targets }] : []))
  const [regions, lists, chats] = [of('region'), of('categories'), of('chat')]
  const [descriptions, pictures] = [of('grounded'), of('picture')]
  const gestures = regions.filter(({ kind }) => kind !== 'nothing')
  const scenes = pictures.filter(({ kind }) => kind === 'scene')
  const others = pictures.filter(({ kind }) => kind !== 'scene')
  const total = <T>(all: readonly T[], one: (row: T) => number): number =>
    all.reduce((sum, row) => sum + one(row), 0)

  return {
    ...(plain.length > 0 && {
      sentences: {
        ...metricsOf(overlapsOf(plain)),
        edges: {
          refined: meanOf(plain, ({ edges }) => expectDefined(edges, 'edges').refined),
          raw: meanOf(plain, ({ edges }) => expectDefined(edges, 'edges').raw),
        },
      },
    }),
    ...(absent.length > 0 && { presence: presenceOf(phrases, absent) }),
    ...(several.length > 0 && {
      several: {
        phrases: several.length,
        cIoU: metricsOf(several.map(({ union }) => union)).cIoU,
        gIoU: meanOf(several, ({ union }) => iouOf(union)),
        number: shareOf(several, ({ instances, targets }) => instances === targets),
      },
    }),
    ...(wordings.length > 0 && {
      wordings: {
        wordings: wordings.length,
        cIoU: metricsOf(overlapsOf(wordings)).cIoU,
        same: sameObject(wordings, plain),
      },
    }),
    ...(regions.length > 0 && {
      regions: {
        regions: regions.length,
        kinds: byKind(gestures, (some) => metricsOf(overlapsOf(some)).cIoU),
        nothing: shareOf(
          regions.filter(({ kind }) => kind === 'nothing'),
          ({ found }) => !found,
        ),
      },
    }),
    ...(lists.length > 0 && { lists: { lists: lists.length, pq: panopticQuality(lists) } }),
    ...(chats.length > 0 && {
      questions: {
        questions: chats.length,
        right: shareOf(chats, ({ said, answer }) => said === answer),
        kinds: byKind(chats, (some) => shareOf(some, ({ said, answer }) => said === answer)),
      },
    }),
    ...(descriptions.length > 0 && {
      descriptions: {
        descriptions: descriptions.length,
        phrases: total(descriptions, (row) => row.phrases),
        right: quotient(
          total(descriptions, (row) => row.right),
          total(descriptions, (row) => row.phrases),
        ),
        named: quotient(
          total(descriptions, (row) => row.named),
          total(descriptions, (row) => row.objects),
        ),
      },
    }),
    ...(pictures.length > 0 && {
      pictures: {
        scenes: scenes.length,
        known: shareOf(scenes, ({ isKnown }) => isKnown),
        others: others.length,
        refused: shareOf(others, ({ isKnown }) => !isKnown),
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
  const isRefused = ({ found }: PhraseRow): boolean => !found
  return {
    absent: absent.length,
    present: present.length,
    auc: auc(
      present.map(({ score }) => score),
      absent.map(({ score }) => score),
    ),
    refused: shareOf(absent, isRefused),
    kept: shareOf(present, ({ found }) => found),
    kinds: byKind(absent, (some) => shareOf(some, isRefused)),
    foreign: shareOf(
      absent.filter(({ isForeign }) => isForeign),
      isRefused,
    ),
  }
}

function sameObject(wordings: readonly PhraseRow[], plain: readonly PhraseRow[]): Share {
  const key = (scene: number, text: string): string => `${scene} ${text}`
  const objects = new Map(plain.map(({ scene, text, object }) => [key(scene, text), object]))
  const pairs = wordings.flatMap(({ scene, from = '', object }) =>
    objects.has(key(scene, from)) ? [{ object, first: objects.get(key(scene, from)) }] : [],
  )
  return shareOf(pairs, ({ object, first }) => object === first)
}

/** The sum of the hits' IoUs, by hits and half of what is surplus or missed (Kirillov et al. 2019). */
function panopticQuality(rows: readonly Extract<AskRow, { task: 'categories' }>[]): Share {
  let [sum, hits, wrong] = [0, 0, 0]
  for (const row of rows) {
    for (const iou of row.hits) sum += iou
    hits += row.hits.length
    wrong += row.surplus + row.missed
  }
  return quotient(sum, hits + wrong / 2)
}

/** The share of pairs in which the first has the higher score, and half of those with equal scores. */
export function auc(positive: readonly number[], negative: readonly number[]): Share {
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

function overlapsOf(rows: readonly { readonly answer?: Overlap }[]): Overlap[] {
  return rows.flatMap(({ answer }) => (answer ? [answer] : []))
}

function byKind<T extends { readonly kind: string }>(
  rows: readonly T[],
  figure: (some: readonly T[]) => Share,
): Record<string, Share> {
  const kinds = [...new Set(rows.map(({ kind }) => kind))].sort()
  return Object.fromEntries(kinds.map((kind) => [kind, figure(rows.filter((row) => row.kind === kind))]))
}

function shareOf<T>(rows: readonly T[], is: (row: T) => boolean): Share {
  return quotient(rows.filter(is).length, rows.length)
}

function meanOf<T>(rows: readonly T[], value: (row: T) => number): Share {
  return quotient(
    rows.reduce((sum, row) => sum + value(row), 0),
    rows.length,
  )
}

function quotient(part: number, whole: number): Share {
  return whole === 0 ? null : part / whole
}
