// The memory for a large photograph is small: no plan holds a map of all masks, or of all classes, at the image's size.

import { expect, test } from 'vitest'
import type { Config } from '../../../src/model/checkpoint/config.ts'
import { panopticPlan, semanticPlan } from '../../../src/model/output/plans.ts'
import type { Parts } from '../../../src/model/plans.ts'
import { type Inputs, type Outputs, plan } from '../../../src/tensor/plan.ts'
import { anyGpu } from '../../support.ts'

/** 12 megapixels; of each of 200 masks they would take 10 GB. */
const PHOTO = { width: 4000, height: 3000, scaled: [768, 1024] } as const
const MiB = 2 ** 20

test.each(['aaai', 'main'] as const)('133 categories on 12 megapixels, %s', async (compat) => {
  const config = { compat, sam: { image: 1024, patch: 16 }, head: { queries: 200 } } as Config
  const parts = { config, baseline: true } as Parts
  const bytesOf = async (build: (inputs: Inputs) => Outputs): Promise<number> => {
    const ready = await plan(await anyGpu(), 'test', build)
    const { ownBytes } = ready.info
    ready.release()
    return ownBytes
  }
  // Masks go in twice, by row and by pixel, labels come out twice, 24 MB each, and a strip takes up to 32 MiB each time
  expect(await bytesOf((inputs) => semanticPlan(inputs, PHOTO, 133, parts))).toBeLessThan(192 * MiB)
  expect(await bytesOf((inputs) => panopticPlan(inputs, PHOTO, 32, true, parts))).toBeLessThan(64 * MiB)
})
