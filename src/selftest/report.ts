// A self-test as text: what a bug report should contain.

import { ENGINE_VERSION } from '../gpu/tuned.ts'
import { printable } from '../printable.ts'
import type { KernelResult, SelfTestSummary } from './results.ts'

/** Results of one op by one variant, with weights of one type and layout. */
export interface ResultGroup {
  readonly op: string
  readonly family: string
  readonly variant: string | undefined
  readonly type: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** The largest error; undefined if nothing ran. */
  readonly error: number | undefined
  readonly tolerance: number
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

/** 'linear f32 by matmul/registers, 3 x 5 x 7: the error is 1.0e-2' */
export function failureText({ op, variant, type, layout, shape, reason }: KernelResult): string {
  const by = variant === undefined ? '' : ` by ${variant}`
  return `${op} ${type}${layout === 'packed' ? ' packed' : ''}${by}, ${shape}: ${reason}`
}

/** Failures in a report, at most: what is wrong everywhere needs no list of it. */
const MOST_FAILURES = 40

export function reportText(summary: Omit<SelfTestSummary, 'report'>): string {
  const { passed, failed, skipped, results, seed, adapter, driver, runtime, seconds, complete } = summary
  const failures = results.filter(({ status }) => status === 'failed')
  return [
    `flowseg ${ENGINE_VERSION} self-test, seed ${seed}`,
    `adapter  ${printable(adapter, 200)}`,
    `driver   ${printable(driver || 'unknown', 200)}`,
    `runtime  ${printable(runtime, 200)}`,
    `${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds.toFixed(1)} s${complete ? '' : ', stopped early'}`,
    ...failures.slice(0, MOST_FAILURES).map((result) => `FAILED   ${printable(failureText(result), 300)}`),
    ...(failures.length > MOST_FAILURES ? [`and ${failures.length - MOST_FAILURES} more`] : []),
    '',
  ].join('\n')
}
