// Masks of several queries at the image's size, as bits, each with what it is worth.

import { type Box, boxOf } from '../../masks/picture.ts'
import type { TaskOptions } from '../../progress.ts'
import { plan } from '../../tensor/plan.ts'
import { finestSize } from '../checkpoint/config.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import { floats, unpackMask } from '../segmentation.ts'
import { expectFiniteStages } from '../stages.ts'
import type { MaskBits } from './overlap.ts'
import { instancePlan, refinePlan } from './plans.ts'

/** The parts of a model and of a scene that masks are made of. */
type MaskModel = Pick<LoadedModel, 'gpu' | 'parts' | 'plans'>
type MaskScene = Pick<SceneState, 'size' | 'image'>

/** The masks of the decoder's output. */
export interface DecodedMasks {
  /** Mask logits [N, H * W]. */
  readonly masks: Float32Array
  /** True without the semantic flow, and so without refinement at the boundary. */
  readonly baseline: boolean
}

/** A query's mask. */
export interface QueryMask extends MaskBits {
  /** Its index, from 0 to N - 1. */
  readonly query: number
  /** The smallest box around it, or null when it is empty. */
  readonly box: Box | null
  /** The mean probability of the pixels inside; 0 of an empty mask. */
  readonly quality: number
}

/** Added to a mask's area, so that an empty mask has a quality: X-SAM's. */
const NO_PIXELS = 1e-6

/** The masks of these queries, refined at their boundaries. The caller has the model's turn. */
export async function masksOf(
  model: MaskModel,
  scene: MaskScene,
  decoded: DecodedMasks,
  queries: Iterable<number>,
  task: TaskOptions,
): Promise<QueryMask[]> {
  const { gpu, parts, plans } = model
  const { width, height } = scene.size
  const { baseline } = decoded
  const result: QueryMask[] = []
  for (const query of queries) {
    const ready = await plans.get(`instance ${width} ${height} ${baseline}`, () =>
      plan(gpu, 'instance', (inputs) => instancePlan(inputs, scene.size, { ...parts, baseline }), task),
    )
    const logits = logitsOf(model, decoded, query)
    const { read } = await ready.run({ ...task, inputs: { logits }, bound: featuresOf(scene, baseline) })
    expectFiniteStages(read, gpu.name)
    const bits = read.bits as Uint32Array
    const mask = unpackMask(bits, width, height)
    const [certainty = 0] = read.certainty
    const quality = certainty / (mask.area + NO_PIXELS)
    result.push({ query, bits, area: mask.area, box: boxOf(mask), quality })
  }
  return result
}

/** The mask logits of these queries, one after the other, refined at their boundaries. */
export async function refinedOf(
  model: MaskModel,
  scene: MaskScene,
  decoded: DecodedMasks,
  queries: readonly number[],
  task: TaskOptions,
): Promise<Float32Array[]> {
  if (decoded.baseline) return queries.map((query) => logitsOf(model, decoded, query))
  const { gpu, parts, plans } = model
  const result: Float32Array[] = []
  for (const query of queries) {
    const ready = await plans.get('refine', () =>
      plan(gpu, 'refine', (inputs) => refinePlan(inputs, { ...parts, baseline: false }), task),
    )
    const logits = logitsOf(model, decoded, query)
    const { read } = await ready.run({ ...task, inputs: { logits }, bound: featuresOf(scene, false) })
    expectFiniteStages(read, gpu.name)
    result.push(floats(read, 'refined'))
  }
  return result
}

function logitsOf({ parts }: MaskModel, { masks }: DecodedMasks, query: number): Float32Array {
  const [H, W] = finestSize(parts.config)
  return masks.slice(query * H * W, (query + 1) * H * W)
}

/** The features of the image that boundary refinement reads; none for the baseline. */
function featuresOf({ image }: MaskScene, baseline: boolean): SceneState['image'] {
  const { compressed } = image
  return compressed && !baseline ? { compressed } : {}
}
