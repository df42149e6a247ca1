// The tuner finds the fastest variants of the kernel families on this adapter.
//
// It records plans and sees the problems that come up, one per class of shapes (problems.ts). The variants that the
// cost model finds hopeless are left out; the others are checked against a variant that runs anywhere, twice, and timed
// in turns (measure.ts). A variant that computes wrong values is vetoed. A variant replaces the default only if it is
// faster by more than the noise (choose.ts). Problems with weights are timed with the weights in rows and packed, which
// decides for the whole model.

import { describe, entryOf } from '../check.ts'
import { UsageError } from '../errors.ts'
import { type AdapterFacts, Choices } from '../gpu/adapter.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { expectKind, expectOptions, FUNCTION, type OptionKinds, SECONDS, TASK_KINDS } from '../options.ts'
import type { TaskOptions } from '../progress.ts'
import { expectGpu } from '../tensor/check.ts'
import type { Inputs } from '../tensor/plan.ts'
import { conclude, layoutDecided } from './choose.ts'
import { measure } from './measure.ts'
import { type Comparison, collect, isIn, isOpen, type ProblemClass, secondsOf } from './problems.ts'
import type { Tuning } from './report.ts'

const LEAST_SLICE_MS = 300
/** The share of the time that is left which a measurement may need: the estimate may be several times too low. */
const LARGEST_SHARE = 0.3

/** Options of {@link tune}: its time limit, progress and signal. */
export interface TuneOptions extends TaskOptions {
  /** The most seconds that tuning takes; 30 by default. Classes that aren't reached keep their defaults. */
  readonly seconds?: number
}

/** The kinds of the options of `tune`, for whoever passes them on. */
export const TUNE_KINDS: OptionKinds<TuneOptions> = { ...TASK_KINDS, seconds: SECONDS }

/** A function that records a plan, as for `plan`. */
export type Build = (inputs: Inputs) => unknown

/**
 * Finds the fastest variants for what these plans compute.
 *
 * Results stay within 1e-5 of those of the defaults, and a choice gives the same bits every time.
 *
 * @throws the signal's reason; DeviceLostError; UsageError if an argument is none of these
 */
export async function tune(gpu: Gpu, builds: readonly Build[], options: TuneOptions = {}): Promise<Tuning> {
  expectGpu('tune', gpu)
  if (!Array.isArray(builds)) {
    throw new UsageError(
      `tune: builds is ${describe(builds)}, expected an array of functions, each as for plan().`,
    )
  }
  builds.forEach((build, i) => expectKind(`tune: build ${i}`, build, FUNCTION))
  expectOptions('tune', options, TUNE_KINDS)
  const { seconds = 30, onProgress, signal } = options
  const started = performance.now()
  const deadline = started + 1000 * seconds
  // As if nothing had been chosen yet, whatever the Gpu was opened with
  const adapter: AdapterFacts = { ...gpu.adapter, choices: new Choices() }
  const problems = collect(gpu, adapter, builds)

  const total = problems.length
  const left = [...problems]
  while (left.length > 0 && performance.now() < deadline) {
    signal?.throwIfAborted()
    // Those where there is something to choose come first
    const layout = layoutDecided(problems, adapter)
    const comparisonsOf = ({ comparisons }: ProblemClass): Comparison[] =>
      comparisons.filter((comparison) => layout === undefined || isIn(comparison, layout))
    const now = performance.now()
    const isOpenNow = (problem: ProblemClass): boolean => comparisonsOf(problem).some(isOpen)
    const fitsIn = (problem: ProblemClass): boolean =>
      secondsOf(gpu, problem, comparisonsOf(problem)) < (LARGEST_SHARE * (deadline - now)) / 1000
    const problem = left.find((one) => isOpenNow(one) && fitsIn(one)) ?? left.find(fitsIn)
    if (problem === undefined) break
    left.splice(left.indexOf(problem), 1)
    const comparisons = comparisonsOf(problem)
    const what = `${problem.family.name} ${entryOf(comparisons, 0).shapes}`
    onProgress?.({ phase: 'tune', what, loaded: total - left.length - 1, total })

    // A share of the time that is left, but at least what small problems take
    const share = problem.weight / left.reduce((sum, { weight }) => sum + weight, problem.weight)
    const soft = now + Math.max(LEAST_SLICE_MS, share * (deadline - now))
    await measure(gpu, { ...problem, comparisons }, adapter, { soft, hard: deadline }, signal)
  }
  onProgress?.({ phase: 'tune', what: 'done', loaded: total, total })
  return conclude(gpu, adapter, problems, (performance.now() - started) / 1000)
}
