// Results summed up, for a table.

import type { KernelResult } from './results.ts'

/** Results of one op by one variant, with weights of one type and layout. */
export interface ResultGroup {
  /** The op: 'linear'. */
  readonly op: string
  /** Its family: 'matmul'. */
  readonly family: string
  /** The variant that computed it; undefined for ops that have one kernel only. */
  readonly variant: string | undefined
  /** The type of its weights. */
  readonly type: string
  /** Number of cases that were right. */
  readonly passed: number
  /** Number of cases that were wrong. */
  readonly failed: number
  /** Number of cases that can't run here. */
  readonly skipped: number
  /** The largest error; undefined if nothing ran. */
  readonly error: number | undefined
  /** The largest error that is right. */
  readonly tolerance: number
  /** Milliseconds of all cases together. */
  readonly ms: number
}

/** The results summed up, a row per op, variant, type and layout; in the order in which they came. */
export function groupResults(results: readonly KernelResult[]): ResultGroup[] {
  const groups = new Map<string, ResultGroup>()
  for (const result of results) {
    const { op, family, variant, type, layout, status, error, tolerance, ms = 0 } = result
    const kind = layout === 'packed' ? `${type} packed` : type
    const key = [op, variant, kind].join(' ')
    const known = groups.get(key)
    const count = (which: KernelResult['status']): number => (known?.[which] ?? 0) + Number(status === which)
    groups.set(key, {
      op,
      family,
      variant,
      type: kind,
      passed: count('passed'),
      failed: count('failed'),
      skipped: count('skipped'),
      error: error === undefined ? known?.error : Math.max(error, known?.error ?? 0),
      tolerance: Math.max(tolerance, known?.tolerance ?? 0),
      ms: (known?.ms ?? 0) + ms,
    })
  }
  return [...groups.values()]
}
