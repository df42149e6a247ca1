// Ops on random awkward shapes, by every variant: what the tests of a family need not loop over themselves.

import { expect } from 'vitest'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { SelfTestOptions } from '../../src/selftest/options.ts'
import { failureText } from '../../src/selftest/report.ts'
import { selfTest } from '../../src/selftest/self-test.ts'
import { runtime, variable } from '../runtime.ts'

/**
 * Fails with a line per wrong case. FLOWSEG_SEED draws other ones.
 *
 * @param options.count in Node; other runtimes, whose compilers are slower, take a third
 */
export async function expectRight(gpu: Gpu, options: SelfTestOptions): Promise<void> {
  const { count = 1 } = options
  const { results, passed } = await selfTest(gpu, {
    ...options,
    count: runtime === 'node' ? count : Math.ceil(count / 3),
    seed: Number(variable('FLOWSEG_SEED') || 1),
  })
  expect(results.filter(({ status }) => status === 'failed').map(failureText)).toEqual([])
  expect(passed).toBeGreaterThan(0)
}
