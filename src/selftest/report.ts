// A self-test as text: what a bug report should contain.

import { ENGINE_VERSION } from '../gpu/tuned.ts'
import { printable } from '../printable.ts'
import type { KernelResult, SelfTestSummary } from './results.ts'

/** 'linear f32 by matmul/registers, 3 x 5 x 7: the error is 1.0e-2' */
export function failureText({ op, variant, type, layout, shape, reason }: KernelResult): string {
  const by = variant === undefined ? '' : ` by ${variant}`
  return `${op} ${type}${layout === 'packed' ? ' packed' : ''}${by}, ${shape}: ${reason}`
}

/** Failures in a report, at most: what is wrong everywhere needs no list of it. */
const MOST_FAILURES = 40

/** The report of a self-test as text, to paste into an issue. */
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
