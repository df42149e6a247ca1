// The report of the tuner, as callers and commands read it.

import type { Tuned } from '../gpu/tuned.ts'
import type { WeightLayout } from '../kernels/packed.ts'

/** The result of `tune`. */
export interface Tuning {
  /** The choices, for `openGpu({ tuned })`, and to be saved. */
  readonly tuned: Tuned
  /** The classes of problems, the largest first. */
  readonly classes: readonly ClassReport[]
  /** The layout that weights should have, if there were any to try. */
  readonly weights: WeightsReport | undefined
  /** Seconds that it took. */
  readonly seconds: number
  /** True if everything was reached in the time given. */
  readonly complete: boolean
  /** Milliseconds of all that was timed, with the defaults. */
  readonly before: number
  /** Milliseconds of all that was timed, with the choices. */
  readonly after: number
}

/** A class of problems of one family. */
export interface ClassReport {
  /** The kernel family: 'matmul', for instance. */
  readonly family: string
  /** The shapes that the problems of the class share, rounded. */
  readonly shapes: string
  /** The layout of its weights, if both were tried; rows come first, then packed weights. */
  readonly layout: WeightLayout | undefined
  /** Number of them in the plans. */
  readonly count: number
  /** The variants that can run here, the one that the cost model prefers first. */
  readonly candidates: readonly CandidateReport[]
  /** The variant that was chosen; undefined if none is left. */
  readonly choice: string | undefined
  /** The reason for the choice, in words. */
  readonly why: string
  /** True if the weights got the other layout, so that this class won't come up. */
  readonly skipped: boolean
}

/** The verdict on a variant in a class. */
export interface CandidateReport {
  /** The variant's name. */
  readonly name: string
  /** The time by the cost model, relative to the cheapest candidate's 1. */
  readonly predicted: number
  /** Median milliseconds, if it was timed. */
  readonly ms?: number
  /** Billions of floating-point operations per second, if it was timed. */
  readonly gflops?: number
  /**
   * 'timed'; 'pruned' as the cost model predicts it to be hopeless; 'vetoed' for wrong values; or 'untried', as time
   * ran out or it can't run.
   */
  readonly verdict: 'timed' | 'pruned' | 'vetoed' | 'untried'
  /** The reason why it was vetoed or couldn't be tried. */
  readonly reason?: string
  /** false if the variant is made for GPUs, and no GPU has measured it before; else absent. */
  readonly measuredOnGpu?: false
}

/** The layout that weights should have, and the times that it rests on. */
export interface WeightsReport {
  /** The layout that was chosen. */
  readonly choice: WeightLayout
  /** The reason for the choice, in words. */
  readonly why: string
  /** Milliseconds of the timed products with weights in rows. */
  readonly rowsMs: number | undefined
  /** Milliseconds of the timed products with packed weights. */
  readonly packedMs: number | undefined
}
