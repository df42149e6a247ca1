// The memory that a model will take on a device, before anything of it is there: the model is placed, with the plans
// and tensors of an image and of a sentence, on a device that only counts (src/gpu/dry-gpu.ts). Of the checkpoint only
// headers are read.

import { dryGpu } from '../../gpu/dry-gpu.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { Checkpoint } from '../../io/checkpoint/checkpoint.ts'
import type { Quantized } from '../../kernels/quantize.ts'
import { plan, planInTurns } from '../../tensor/plan.ts'
import { allocate } from '../../tensor/tensor.ts'
import type { Config } from '../checkpoint/config.ts'
import { makeParts } from '../checkpoint/parts.ts'
import { HELD_BYTES } from '../checkpoint/token-embeddings.ts'
import { placeWeights } from '../checkpoint/weights.ts'
import { Preprocessor, placeImage } from '../input/preprocess.ts'
import { cacheShapes, conditionRows, finishPlan, lookSteps, readSteps, segmentSteps } from '../plans.ts'

/** Tokens before the image in the prompts of both chats, and after it in those of usual sentences, padding included. */
const BEFORE = 3
const AFTER = 40
/** Rows of C of such a sentence, padding included. */
const NAMES = 16

/** The form of the weights, the image and the sentence. */
interface FootprintOptions {
  /** Hold the large matrices in so many bits, as `FlowSeg.load` does. */
  readonly quantize?: Quantized | undefined
  /** The image; 1024 x 1024 by default. */
  readonly width?: number
  readonly height?: number
  /** Tokens before the image. */
  readonly before?: number
  /** Tokens after it, and rows of C, as `readInputs` pads them. */
  readonly tokens?: number
  readonly names?: number
}

/**
 * The most bytes that a model has on a device like this, from loading it to the first answer.
 *
 * @throws WeightsError if the checkpoint doesn't fit the config, LimitError if the device binds less than it needs
 */
export async function deviceFootprint(
  like: Gpu,
  checkpoint: Checkpoint,
  config: Config,
  options: FootprintOptions = {},
): Promise<number> {
  const { quantize, width = 1024, height = 1024, before = BEFORE, tokens = AFTER, names = NAMES } = options
  const gpu = dryGpu(like)
  // 1. Load
  const loaded = await placeWeights(gpu, checkpoint, config, { quantize })
  const { parts } = await makeParts(gpu, loaded, config, before)
  const look = await planInTurns(gpu, 'look', (inputs) => lookSteps(inputs, parts))

  // 2. Look: pixels, keys and values, and what is kept of the image
  await new Preprocessor(gpu, config).run({ width, height, rgb: new Uint8Array(width * height * 3) })
  for (const [label, shape] of Object.entries(cacheShapes(parts))) {
    await allocate(gpu, shape, parts.cacheType, { label, owner: 'scene' })
  }

  // 3. Segment
  const read = await planInTurns(gpu, 'read', (inputs) => readSteps(inputs, tokens, names, parts))
  const rows = conditionRows(config, names)
  await planInTurns(gpu, 'segment', (inputs) => segmentSteps(inputs, rows, false, parts))
  const size = { width, height, scaled: placeImage({ width, height }, config.sam.image).scaled }
  await plan(gpu, 'finish', (inputs) => finishPlan(inputs, size, parts))
  return gpu.memory().peakBytes + look.info.keptBytes + read.info.keptBytes
}

/** Bytes of a tensor on its way: the bytes read, their form on the device, and the runtime's copy. */
const ON_THEIR_WAY_BYTES = 64 * 2 ** 20
/** Bytes of a token of the vocabulary: its text in two maps and a list, and a merge that makes it. */
const TOKEN_BYTES = 512

/** The most bytes of host memory that loading takes beside the device's: of arrays, objects, and the table of rows. */
export function hostFootprint({ llm: { vocab } }: Pick<Config, 'llm'>): number {
  return ON_THEIR_WAY_BYTES + HELD_BYTES + vocab * TOKEN_BYTES
}
