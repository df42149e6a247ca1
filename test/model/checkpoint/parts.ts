// The parts that plans are built from, as FlowSeg makes them, for the tests of the plans and of the whole.

import type { Gpu } from '../../../src/gpu/gpu.ts'
import { type Config, featureSizes, visionTokens } from '../../../src/model/checkpoint/config.ts'
import { sineEmbedding } from '../../../src/model/checkpoint/sine.ts'
import { cacheShapes, type Parts } from '../../../src/model/plans.ts'
import {
  type Inputs,
  type Outputs,
  type Plan,
  plan,
  type RunResult,
  type RunValues,
  type Tensors,
} from '../../../src/tensor/plan.ts'
import { allocate, release, type Tensor, upload } from '../../../src/tensor/tensor.ts'
import { goldenWeights } from '../networks/networks.ts'

/** The parts that plans are built from, and the rows of tokens, with zeros up to `count`. */
export interface TestParts extends Parts {
  readonly embed: (ids: ArrayLike<number>, count?: number) => Promise<Float32Array<ArrayBuffer>>
}

/** All weights by the golden files' rule, and a KV cache for so many tokens before the image and after it. */
export async function assemble(
  gpu: Gpu,
  config: Config,
  before: number,
  after: number,
): Promise<{ parts: TestParts; cache: Record<string, Tensor>; free: () => void }> {
  const loaded = await goldenWeights(gpu, 'f32', config, '')
  const d = config.head.hidden
  const sines: Tensor[] = []
  for (const [H, W] of featureSizes(config)) {
    sines.push(await upload(gpu, sineEmbedding(H, W, d), [H * W, d], 'f32'))
  }
  const { weights, baseline } = loaded
  const prefix = before + visionTokens(config)
  const embed: TestParts['embed'] = (ids, count) => loaded.embeddings!.rows(ids, count)
  const parts: TestParts = {
    config,
    weights,
    baseline,
    sines,
    prefix,
    capacity: prefix + after,
    cacheType: 'f32',
    embed,
  }
  const cache: Record<string, Tensor> = {}
  for (const [name, shape] of Object.entries(cacheShapes(parts)))
    cache[name] = await allocate(gpu, shape, 'f32')
  return {
    parts,
    cache,
    free: () => {
      for (const x of [...sines, ...Object.values(cache)]) release(gpu, x)
      loaded.release()
    },
  }
}

/** Makes a plan, runs it and lets it go; what it kept is the caller's. */
export async function runOnce<Read extends Tensors, Keep extends Tensors>(
  gpu: Gpu,
  build: (inputs: Inputs) => Outputs<Read, Keep>,
  values: RunValues<string, string, Keep>,
): Promise<RunResult<Read, Keep>> {
  const ready: Plan<Read, Keep> = await plan(gpu, 'test', build)
  try {
    return await ready.run(values)
  } finally {
    ready.release()
  }
}

export function freeAll(gpu: Gpu, tensors: Readonly<Record<string, Tensor>>): void {
  for (const x of Object.values(tensors)) release(gpu, x)
}
