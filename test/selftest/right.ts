// Ops on random awkward shapes, by every variant: what the tests of a family need not loop over themselves.

import { expect } from 'vitest'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { SelfTestOptions } from '../../src/selftest/options.ts'
import { failureText } from '../../src/selftest/report.ts'
import { selfTest } from '../../src/selftest/self-test.ts'
import { runtime, thorough, variable } from '../runtime.ts'
import { anyGpu } from '../support.ts'

/**
 * Fails with a line per wrong case. FLOWSEG_SEED draws other ones.
 *
 * @param options.count on the first adapter in Node; other adapters and runtimes take a third: what another compiler of
 *   WGSL
 *   may get wrong is a kernel, not the size of an edge
 * @param options.variants in Chromium, whose compilers are those of SwiftShader in Node, only what is taken there
 *   anyway, unless tests are thorough; that all are WGSL to it, test/gpu/kernel.test.ts tests
 */
export async function expectRight(gpu: Gpu, options: SelfTestOptions): Promise<void> {
  const { count = 1 } = options
  const isFirst = runtime === 'node' && gpu === (await anyGpu())
  const takesFew = runtime === 'browser' && !thorough
  const { results, passed } = await selfTest(gpu, {
    ...(takesFew && { variants: 'default' }),
    ...options,
    count: isFirst ? count : Math.ceil(count / 3),
    seed: Number(variable('FLOWSEG_SEED') || 1),
  })
  expect(results.filter(({ status }) => status === 'failed').map(failureText)).toEqual([])
  expect(passed).toBeGreaterThan(0)
}
