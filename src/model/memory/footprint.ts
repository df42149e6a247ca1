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

/** Tokens before the image in the prompts of both chats. */
const BEFORE = 3

/** The sizes of a sentence, as `readInputs` pads them. */
export interface SentenceSize {
  /** Tokens after the image. */
  readonly tokens: number
  /** Rows of C. */
  readonly names: number
}

/**
 * A short sentence and a longer one: plans of both stay on the device when both were asked. At true size those of a
 * second length take 43 MB (Qwen3-4B on lavapipe, November 2026).
 */
const USUAL: readonly SentenceSize[] = [
  { tokens: 40, names: 16 },
  { tokens: 48, names: 32 },
]

/** The form of the weights, the image and the sentences. */
interface FootprintOptions {
  /** Hold the large matrices in so many bits, as `FlowSeg.load` does. */
  readonly quantize?: Quantized | undefined
  /** The image; 1024 x 1024 by default. */
  readonly width?: number
  readonly height?: number
  /** Tokens before the image. */
  readonly before?: number
  /** The sentences that are asked, one size each; by default two of usual lengths. */
  readonly sentences?: readonly SentenceSize[]
}

/**
 * The most bytes that a model has on a device like this, from loading it to the first answers.
 *
 * @throws WeightsError if the checkpoint doesn't fit the config, LimitError if the device binds less than it needs
 */
export async function deviceFootprint(
  like: Gpu,
  checkpoint: Checkpoint,
  config: Config,
  options: FootprintOptions = {},
): Promise<number> {
  const { quantize, width = 1024, height = 1024, before = BEFORE, sentences = USUAL } = options
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

  // 3. Segment: a plan to read with for each size, and one to decode with for each number of rows of C
  let kept = look.info.keptBytes
  const decoded = new Set<number>()
  for (const { tokens, names } of sentences) {
    const T = Math.min(tokens, parts.capacity - parts.prefix)
    const read = await planInTurns(gpu, 'read', (inputs) => readSteps(inputs, T, names, parts))
    const rows = conditionRows(config, names)
    if (decoded.has(rows)) continue
    decoded.add(rows)
    kept += read.info.keptBytes
    await planInTurns(gpu, 'segment', (inputs) => segmentSteps(inputs, rows, false, parts))
  }
  const size = { width, height, scaled: placeImage({ width, height }, config.sam.image).scaled }
  await plan(gpu, 'finish', (inputs) => finishPlan(inputs, size, parts))
  return gpu.memory().peakBytes + kept
}

/** Matrices as they are stored, in 16 or 32 bits; or in few bits, stored so or rounded on their way. */
type WeightForm = 'stored' | 'quantized'

/**
 * Bytes of tensors on their way: those that were read, their form on the device, and the runtime's copies, until
 * the garbage collector gets to them. In few bits there are two tensors for each matrix and more steps for each byte:
 * Qwen3-4B took 170 MB to load in bf16 and 367 MB in int8, the table of tokens included (Node 22, November 2026).
 */
const ON_THEIR_WAY_BYTES: Readonly<Record<WeightForm, number>> = {
  stored: 64 * 2 ** 20,
  quantized: 256 * 2 ** 20,
}
/** Bytes of a token of the vocabulary: its text in two maps and a list, and a merge that makes it. */
const TOKEN_BYTES = 512

/**
 * The most bytes of host memory that loading takes beside the device's: of arrays, objects, and the table of rows.
 */
export function hostFootprint({ llm: { vocab } }: Pick<Config, 'llm'>, form: WeightForm): number {
  return ON_THEIR_WAY_BYTES[form] + HELD_BYTES + vocab * TOKEN_BYTES
}
