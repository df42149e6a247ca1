// Recordings for tests of what ops take: nothing of them runs.

import { recordWith } from '../../src/gpu/recorder.ts'
import { type Inputs, waysIn } from '../../src/tensor/plan.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'

/** Records, and never runs. */
export function recorded<T>(build: (inputs: Inputs) => T): T {
  return recordWith((r) => build(waysIn(r, 'test').argument)).result
}

/** A tensor of a plan that was recorded before. */
export const FOREIGN: Tensor = recorded(({ input }) => input('x', [4, 8]))

/** The error of a call; where it throws none, one that fails the test. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return new Error('nothing was thrown')
}
