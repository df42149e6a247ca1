// A self-test as text: what a bug report should contain.

import { ENGINE_VERSION } from '../gpu/tuned.ts'
import { printable } from '../printable.ts'
import type { KernelResult, NeverRan, SelfTestSummary } from './results.ts'

/** 'linear f32 by matmul/registers, 3 x 5 x 7: the error is 1.0e-2' */
export function failureText({ op, variant, type, layout, shape, reason }: KernelResult): string {
  const by = variant === undefined ? '' : ` by ${variant}`
  return `${subjectText({ op, type, layout })}${by}, ${shape}: ${reason}`
}

/** 'linear f32 packed' */
function subjectText({ op, type, layout }: Pick<KernelResult, 'op' | 'type' | 'layout'>): string {
  return `${op} ${type}${layout === 'packed' ? ' packed' : ''}`
}

/** A line per variant: 'matmul/gemv with matmul bf16, linear f32 packed' */
function neverRanTexts(all: readonly NeverRan[]): string[] {
  const subjects: Record<string, string[]> = {}
  for (const one of all) (subjects[one.variant ?? 'any kernel'] ??= []).push(subjectText(one))
  return Object.entries(subjects).map(([variant, some]) => `${variant} with ${some.join(', ')}`)
}

/** Failures in a report, at most: what is wrong everywhere needs no list of it. */
const MOST_FAILURES = 40

/** The report of a self-test as text, to paste into an issue. */
export function reportText(summary: Omit<SelfTestSummary, 'report'>): string {
  const { passed, failed, skipped, results, neverRan, seed, adapter, driver, runtime, seconds, complete } =
    summary
  const failures = results.filter(({ status }) => status === 'failed')
  return [
    `flowseg ${ENGINE_VERSION} self-test, seed ${seed}`,
    `adapter  ${printable(adapter, 200)}`,
    `driver   ${printable(driver || 'unknown', 200)}`,
    `runtime  ${printable(runtime, 200)}`,
    `${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds.toFixed(1)} s${complete ? '' : ', stopped early'}`,
    ...failures.slice(0, MOST_FAILURES).map((result) => `FAILED   ${printable(failureText(result), 300)}`),
    ...(failures.length > MOST_FAILURES ? [`and ${failures.length - MOST_FAILURES} more`] : []),
    ...neverRanTexts(neverRan).map((text) => `never ran  ${printable(text, 600)}`),
    '',
  ].join('\n')
}
