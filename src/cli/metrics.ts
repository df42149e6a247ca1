// Measures of masks (spec, section 9.3): intersections and unions in pixels of the original image.

import { entryOf } from '../check.ts'

/** 1 where a mask is, 0 elsewhere. */
export type Bits = ArrayLike<number>

/** Two masks, one over the other, in pixels. */
export interface Overlap {
  /** Pixels in both masks. */
  readonly intersection: number
  /** Pixels in either mask; 0 if both are empty. */
  readonly union: number
}

/** The measures of a data set. */
export interface Metrics {
  /** The number that the measures are over. */
  readonly sentences: number
  /** Sum of intersections by sum of unions: large objects count more. */
  readonly cIoU: number
  /** Mean IoU. */
  readonly gIoU: number
  /** Share of sentences with an IoU of at least one half. */
  readonly half: number
}

/**
 * The overlap of two masks of one size.
 *
 * @param ignored pixels that count in neither
 */
export function overlap(a: Bits, b: Bits, ignored?: Bits): Overlap {
  let intersection = 0
  let union = 0
  for (let i = 0; i < a.length; i++) {
    if (ignored?.[i]) continue
    if (a[i] && b[i]) intersection++
    if (a[i] || b[i]) union++
  }
  return { intersection, union }
}

/** Intersection over union, from 0 to 1. Two empty masks agree. */
export function iouOf({ intersection, union }: Overlap): number {
  return union === 0 ? 1 : intersection / union
}

/** The measures over all sentences. */
export function metricsOf(overlaps: readonly Overlap[]): Metrics {
  const sum = (of: (one: Overlap) => number): number => overlaps.reduce((total, one) => total + of(one), 0)
  const sentences = overlaps.length
  const union = sum((one) => one.union)
  return {
    sentences,
    cIoU: union === 0 ? 1 : sum((one) => one.intersection) / union,
    gIoU: sum(iouOf) / sentences,
    half: sum((one) => (iouOf(one) >= 0.5 ? 1 : 0)) / sentences,
  }
}

/** The results of this model on the sentences that another model failed at. */
export interface Rescue {
  /** The IoU below which a sentence counts as failed. */
  readonly threshold: number
  /** The number that the other model failed at. */
  readonly sentences: number
  /** Their mean IoU with the other model; null of no sentence. */
  readonly before: number | null
  /** Their mean IoU with this model; null of no sentence. */
  readonly after: number | null
  /** The share of them that reach the threshold with this one. */
  readonly rescued: number | null
}

/** The thresholds that are reported. */
const THRESHOLDS = [0.5, 0.2]

/** @param before the other model's overlaps, of the same sentences in the same order */
export function rescueOf(before: readonly Overlap[], after: readonly Overlap[]): Rescue[] {
  const pairs = after.map((one, i) => ({ old: iouOf(entryOf(before, i)), own: iouOf(one) }))
  return THRESHOLDS.map((threshold) => {
    const failed = pairs.filter(({ old }) => old < threshold)
    const mean = (of: (pair: (typeof failed)[number]) => number): number | null =>
      failed.length === 0 ? null : failed.reduce((sum, pair) => sum + of(pair), 0) / failed.length
    return {
      threshold,
      sentences: failed.length,
      before: mean(({ old }) => old),
      after: mean(({ own }) => own),
      rescued: mean(({ own }) => (own >= threshold ? 1 : 0)),
    }
  })
}
