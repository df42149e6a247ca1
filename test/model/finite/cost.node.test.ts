// The check that all numbers are finite (src/model/stages.ts) costs at most 1 % of a look, and of a sentence: of the
// bytes that their dispatches move, which is what the check's time goes into, and of their operations. It is counted at
// every published size and for the checkpoint that comes along, in plans that are made and never run. Small models of
// other tests say nothing about it: there is less of everything else in them.

import { describe, expect, test } from 'vitest'
import { dryGpu } from '../../../src/gpu/dry-gpu.ts'
import type { DispatchInfo } from '../../../src/gpu/plan/info.ts'
import type { Checkpoint, TensorEntry } from '../../../src/io/checkpoint/checkpoint.ts'
import type { Config } from '../../../src/model/checkpoint/config.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { makeParts } from '../../../src/model/checkpoint/parts.ts'
import { placeWeights } from '../../../src/model/checkpoint/weights.ts'
import { placeImage } from '../../../src/model/input/preprocess.ts'
import {
  conditionRows,
  finishPlan,
  lookPlan,
  type Parts,
  readPlan,
  segmentPlan,
} from '../../../src/model/plans.ts'
import { type Inputs, type Outputs, plan } from '../../../src/tensor/plan.ts'
import { anyGpu } from '../../support.ts'
import { configAt } from '../networks/networks.ts'

const FLOWSEG_NANO = 'weights/flowseg-nano/config.json'
const PUBLISHED = ['flowseg-qwen3-1.7b', 'flowseg-qwen3-4b', 'flowseg-phi3'].map(
  (name) => `weights/configs/${name}.json`,
)

/** Rows of C and tokens after the image: fewer than those of any sentence, so that the check's share is the largest. */
const [NAMES, TOKENS] = [16, 16]
/** Shares of the work. */
const MOST = 0.01

/** A checkpoint of this config that has headers, and no values. */
function headersOf(config: Config, dtype: 'F32' | 'BF16'): Checkpoint {
  const nobody = (): never => {
    throw new Error('Only headers are read.')
  }
  const entries = parameters(config)
    .filter(({ used }) => used)
    .map(({ name, shape }): [string, TensorEntry] => {
      const end = shape.reduce((product, n) => product * n, dtype === 'F32' ? 4 : 2)
      return [name, { name, dtype, shape, file: 'model.safetensors', begin: 0, end }]
    })
  return {
    name: config.name,
    tensors: new Map(entries),
    metadata: new Map(),
    read: nobody,
    slices: nobody,
    close: nobody,
  }
}

/** The parts of an answer, in plans that aren't run. */
const PLANS: Readonly<Record<string, (inputs: Inputs, parts: Parts) => Outputs>> = {
  look: lookPlan,
  read: (inputs, parts) => readPlan(inputs, TOKENS, NAMES, parts),
  segment: (inputs, parts) => segmentPlan(inputs, conditionRows(parts.config, NAMES), false, parts),
  finish: (inputs, parts) => {
    // A small image: a large one is more work, and no more to check
    const image = { width: 64, height: 64 }
    const { scaled } = placeImage(image, parts.config.sam.image)
    return finishPlan(inputs, { ...image, scaled }, parts)
  },
}

/** The check's share of all these dispatches. */
function shareOf(dispatches: readonly DispatchInfo[], what: 'bytes' | 'flops'): number {
  const sum = (some: readonly DispatchInfo[]): number => some.reduce((total, each) => total + each[what], 0)
  return sum(dispatches.filter(isCheck)) / sum(dispatches)
}

const isCheck = ({ kernel }: DispatchInfo): boolean => kernel.startsWith('reduce/magnitude')

describe('of a look and of a sentence, the check is at most 1 %:', () => {
  test.each([[FLOWSEG_NANO, 'F32'] as const, ...PUBLISHED.map((path) => [path, 'BF16'] as const)])(
    '%s, stored in %s',
    async (path, dtype) => {
      const config = configAt(path)
      const gpu = dryGpu(await anyGpu())
      const placed = await placeWeights(gpu, headersOf(config, dtype), config)
      const { parts } = await makeParts(gpu, placed, config, 3)
      const dispatches: Record<string, readonly DispatchInfo[]> = {}
      for (const [name, build] of Object.entries(PLANS)) {
        const { info } = await plan(gpu, name, (inputs) => build(inputs, parts))
        // A segment's results are read whole, and the host checks them
        expect(info.dispatches.some(isCheck), name).toBe(name !== 'segment')
        dispatches[name] = info.dispatches
      }

      const { look, ...rest } = dispatches
      for (const all of [look!, Object.values(rest).flat()]) {
        expect(shareOf(all, 'bytes')).toBeLessThanOrEqual(MOST)
        expect(shareOf(all, 'flops')).toBeLessThanOrEqual(MOST)
      }
    },
  )
})
