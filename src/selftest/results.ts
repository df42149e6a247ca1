// The results of a self-test: one per case and variant, and a summary.

import type { Tuned } from '../gpu/tuned.ts'
import type { WeightLayout } from '../kernels/packed.ts'
import type { WeightType } from './random.ts'

/** One case, computed twice by one variant. */
export interface KernelResult {
  /** The op: 'linear'. */
  readonly op: string
  /** Its family, 'matmul', or 'own'. */
  readonly family: string
  /**
   * The variant that computed it, with its kernel family: 'matmul/registers'. Undefined for ops that have one kernel
   * only.
   */
  readonly variant: string | undefined
  /** The type of its weights; f32 for ops without. */
  readonly type: WeightType
  /** The layout of its weights; undefined for ops without weights that can be packed. */
  readonly layout: WeightLayout | undefined
  /** Sizes and options: '33 x 65 x 36, bias, relu'. */
  readonly shape: string
  /**
   * 'passed' if the error is within the tolerance, 'failed' if it isn't or the case threw, 'skipped' if the case can't
   * run on this adapter.
   */
  readonly status: 'passed' | 'failed' | 'skipped'
  /** The distance of the result from float64: the relative norm, unless the case measures another way. */
  readonly error?: number
  /** The largest error that is right. */
  readonly tolerance: number
  /** Milliseconds of the second run, from the host and back. */
  readonly ms?: number
  /** The reason why it failed or was skipped. */
  readonly reason?: string
}

/** A variant that computed no case of an op. */
export interface NeverRan {
  /** The op: 'linear'. */
  readonly op: string
  /** The type of its weights; f32 for ops without. */
  readonly type: WeightType
  /** The layout of its weights; undefined for ops without weights that can be packed. */
  readonly layout: WeightLayout | undefined
  /** The variant: 'matmul/gemv'. Undefined if the op can't run here at all with such weights. */
  readonly variant: string | undefined
  /** The reason why the last case was skipped. */
  readonly reason: string
}

/** The results of {@link selfTest}, summed up. */
export interface SelfTestSummary {
  /** Number of cases that were right. */
  readonly passed: number
  /** Number of cases that were wrong. */
  readonly failed: number
  /** Number of cases that can't run here. */
  readonly skipped: number
  /** The results, one per case, in the order in which they ran. */
  readonly results: readonly KernelResult[]
  /**
   * The variants that were asked for and computed no case of an op, by type and layout of its weights: none of some
   * fifty cases fits them here. Ops that the time didn't suffice for are missing (see `complete`).
   */
  readonly neverRan: readonly NeverRan[]
  /** The seed that draws the same cases again. */
  readonly seed: number
  /** The adapter's name. */
  readonly adapter: string
  /** The driver and its version, where they are known. */
  readonly driver: string
  /** The WebGPU implementation that speaks to the driver. */
  readonly runtime: string
  /** Seconds that it took. */
  readonly seconds: number
  /** True if all problems were reached in the time given. */
  readonly complete: boolean
  /** The variants that computed something wrong, each with why. */
  readonly vetoes: Readonly<Record<string, string>>
  /** The vetoes in the form that `openGpu({ tuned })` takes, to be kept. */
  readonly tuned: Tuned
  /** Text for a bug report. */
  readonly report: string
}
