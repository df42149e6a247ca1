// Turns the pixels that each kept query owns into segments: one per thing, one per class of stuff (spec of the tasks,
// 2.5). A pixel belongs to the likeliest query whose mask it is in; in X-SAM to the likeliest query, be it ever so
// unlikely, so that what no category names is given to those that are listed.

import { entryOf } from '../../check.ts'
import type { Pair } from './classes.ts'

/** A query must own more than this share of the pixels in its mask. */
const OVERLAP = 0.8

/** The pixels of the kept queries. */
export interface OwnCounts {
  /** Pixels whose owner a query is. */
  readonly own: readonly number[]
  /** Pixels in its mask; in X-SAM those where its score times its mask's probability is at least 0.5. */
  readonly full: readonly number[]
}

/** A segment of a panoptic map, in numbers. */
export interface SegmentEntry {
  /** The label, from 1 on; 0 is void. */
  readonly id: number
  /** The class, from 0 to K - 1. */
  readonly category: number
  /** The largest probability of its queries. */
  readonly score: number
  /** Pixels. */
  readonly area: number
  /** The queries that it is made of. */
  readonly queries: readonly number[]
}

/** The segments of a panoptic map, and the id that the pixels of each kept query get. */
export interface Segments {
  /** In the order in which their labels were given out. */
  readonly entries: readonly SegmentEntry[]
  /** The label of each kept query; 0, which is void, if it makes no segment. */
  readonly ids: readonly number[]
}

/**
 * @param kept     in the order of the queries
 * @param isStuff  of a class: all of it is one segment
 * @param asXSam   as X-SAM numbers them: fused stuff is listed once per query, scores have 6 decimals, and ids may
 *   collide, as its counter is set back when stuff is met again
 */
export function segmentsOf(
  kept: readonly Pair[],
  { own, full }: OwnCounts,
  isStuff: (category: number) => boolean,
  asXSam: boolean,
): Segments {
  const entries: SegmentEntry[] = []
  const fused = new Map<number, number>() // ids of stuff, by class
  let last = 0
  const ids = kept.map(({ query, category, probability }, k): number => {
    const area = entryOf(own, k)
    if (!isSegment(area, entryOf(full, k))) return 0
    const before = isStuff(category) ? fused.get(category) : undefined
    const id = before ?? last + 1
    if (before === undefined || asXSam) last = id
    if (isStuff(category)) fused.set(category, id)
    const score = asXSam ? Math.round(probability * 1e6) / 1e6 : probability
    const at = asXSam || before === undefined ? -1 : entries.findIndex((entry) => entry.id === id)
    if (at < 0) entries.push({ id, category, score, area, queries: [query] })
    else entries[at] = joined(entryOf(entries, at), { score, area, query })
    return id
  })
  return { entries, ids }
}

/** X-SAM's quotient is of 32 bits and compared in 64: exactly 4/5, 0.80000001 then, passes. */
function isSegment(own: number, full: number): boolean {
  return own > 0 && full > 0 && Math.fround(own / full) > OVERLAP
}

function joined(
  entry: SegmentEntry,
  { score, area, query }: { readonly score: number; readonly area: number; readonly query: number },
): SegmentEntry {
  return {
    ...entry,
    score: Math.max(entry.score, score),
    area: entry.area + area,
    queries: [...entry.queries, query],
  }
}
