// The parts that plans are built from: the weights, the tables that depend on the config alone, and the cache's size.

import type { Gpu } from '../../gpu/gpu.ts'
import { Uploader } from '../../gpu/transfer.ts'
import { writeInto } from '../../kernels/quantize.ts'
import { allocate, release, type Tensor } from '../../tensor/tensor.ts'
import type { Parts } from '../plans.ts'
import { type Config, featureSizes, visionTokens } from './config.ts'
import { sineStrips } from './sine.ts'
import type { LoadedWeights } from './weights.ts'

/** Parts with the tables that were uploaded for them. */
export interface MadeParts {
  /** What plans are built from; valid until `release`. */
  readonly parts: Parts
  /** Frees what was made here; the weights are the caller's. */
  readonly release: () => void
}

/**
 * @param before tokens of the prompt before the image's rows
 * @throws OutOfMemoryError; nothing stays allocated
 */
export async function makeParts(
  gpu: Gpu,
  { weights, baseline }: Pick<LoadedWeights, 'weights' | 'baseline'>,
  config: Config,
  before: number,
): Promise<MadeParts> {
  const sines: Tensor[] = []
  const free = (): void => sines.forEach((sine) => release(gpu, sine))
  try {
    const d = config.head.hidden
    const uploader = new Uploader(gpu)
    for (const [H, W] of featureSizes(config)) {
      const sine = await allocate(gpu, [H * W, d], 'f32', { label: 'sine', owner: 'weights' })
      sines.push(sine)
      let offset = 0
      for (const { buffer } of sineStrips(H, W, d)) {
        await writeInto(uploader, sine, offset, new Uint8Array(buffer))
        offset += buffer.byteLength
      }
    }
  } catch (error) {
    free()
    throw error
  }
  const vision = visionTokens(config)
  const [prefix, capacity] = [before + vision, vision + config.prompt.maxTokens]
  // As exact as the weights: what rounding costs there, it costs here too. Single pieces may have no language model
  const matrix = 'llm.model.layers.0.self_attn.o_proj.weight'
  const cacheType = weights.has(matrix) && weights.tensor(matrix).dtype !== 'f32' ? 'f16' : 'f32'
  return { parts: { config, weights, baseline, sines, prefix, capacity, cacheType }, release: free }
}
