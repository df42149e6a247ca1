// The kernel tests, for everyone: every op, variant and weight type on this adapter, against float64 references.
//
// Problems are drawn at random from a seed, at sizes where kernels are most often wrong. Each is computed twice, as the
// same input must give the same bits. What it takes (cases and references) is loaded when it is called.

import type { Gpu } from '../gpu/gpu.ts'
import { expectGpu } from '../tensor/check.ts'
import type { SelfTestOptions } from './options.ts'
import type { SelfTestSummary } from './results.ts'

/**
 * Tests the kernels on this adapter.
 *
 * A variant that does not fit a problem here is skipped, and the result says so. For one that fits none of the problems
 * of an op more are drawn; the summary lists those that never ran (`neverRan`).
 *
 * @returns what passed, failed and was skipped; a wrong kernel is a result, not an error
 * @throws the signal's reason; DeviceLostError; UsageError if an option isn't one of these
 */
export async function selfTest(gpu: Gpu, options: SelfTestOptions = {}): Promise<SelfTestSummary> {
  expectGpu('selfTest', gpu)
  const { testKernels } = await import('./run.ts')
  return testKernels(gpu, options)
}
