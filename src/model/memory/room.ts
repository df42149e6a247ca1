// Checks that a device has room for a model before a byte of its weights is read. The weights get their memory at once;
// the memory for an image and a sentence is allocated as well, and released until it is needed.

import { LimitError, OutOfMemoryError } from '../../errors.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { type BufferRequest, formatBytes } from '../../gpu/memory.ts'
import type { Checkpoint } from '../../io/checkpoint/checkpoint.ts'
import { QUANTIZED } from '../../kernels/quantize.ts'
import { printable } from '../../printable.ts'
import type { Config } from '../checkpoint/config.ts'
import { storedQuantized } from '../checkpoint/stored.ts'
import { type PlacedWeights, type PlaceOptions, placeWeights } from '../checkpoint/weights.ts'
import { deviceFootprint } from './footprint.ts'

/** A smaller model takes nobody's memory, and is loaded sooner than it is counted. */
const LARGE_BYTES = 2 ** 30
/** A buffer of the memory that is asked for and given back. */
const RESERVED_BYTES = 2 ** 28

/**
 * Places weights where there is room for them and for all that first answers take.
 *
 * @param asked whether to ask for the memory of first answers too; by default of large models
 * @throws as `placeWeights`; the OutOfMemoryError or LimitError says what the model takes, and in fewer bits
 */
export async function placeWithRoom(
  gpu: Gpu,
  checkpoint: Checkpoint,
  config: Config,
  options: PlaceOptions,
  asked?: boolean,
): Promise<PlacedWeights> {
  const { bytes: before } = gpu.memory()
  let placed: PlacedWeights | undefined
  try {
    placed = await placeWeights(gpu, checkpoint, config, options)
    const weights = gpu.memory().bytes - before
    if (asked ?? weights >= LARGE_BYTES) {
      const all = await deviceFootprint(gpu, checkpoint, config, { quantize: options.quantize })
      await reserve(gpu, all - weights)
    }
    return placed
  } catch (error) {
    placed?.release()
    if (!(error instanceof OutOfMemoryError || error instanceof LimitError)) throw error
    const Same = error instanceof LimitError ? LimitError : OutOfMemoryError
    const advice = await adviceFor(gpu, checkpoint, config, options)
    throw new Same(`${error.message} ${advice}`, { cause: error })
  }
}

/** @throws OutOfMemoryError if the device hasn't so much left */
async function reserve(gpu: Gpu, bytes: number): Promise<void> {
  const requests: BufferRequest[] = []
  for (let left = bytes; left > 0; left -= RESERVED_BYTES) {
    requests.push({
      label: 'room for first answers',
      bytes: Math.min(left, RESERVED_BYTES),
      usage: GPUBufferUsage.STORAGE,
      owner: 'room',
    })
  }
  for (const buffer of await gpu.buffers.allocate(requests)) gpu.buffers.release(buffer)
  await gpu.idle()
}

async function adviceFor(
  gpu: Gpu,
  checkpoint: Checkpoint,
  config: Config,
  { quantize }: PlaceOptions,
): Promise<string> {
  const takes = async (bits: PlaceOptions['quantize']): Promise<number | undefined> =>
    deviceFootprint(gpu, checkpoint, config, { quantize: bits }).catch(() => undefined)
  const own = await takes(quantize)
  const whole =
    own === undefined
      ? ''
      : `${printable(config.name, 80)} takes ${formatBytes(own)} from loading it to its first answers. `
  if (storedQuantized(checkpoint).size > 0) return `${whole}Its weights are in few bits already.`.trim()
  const smaller: string[] = []
  for (const bits of QUANTIZED) {
    const bytes = await takes(bits)
    if (bytes !== undefined && bytes < (own ?? Infinity)) smaller.push(`${bits} ${formatBytes(bytes)}`)
  }
  if (smaller.length === 0) return whole.trim()
  return (
    `${whole}Held in fewer bits it takes less: ${smaller.join(', ')}. Load it so ({ quantize: 'int4' }, or --quantize int4), ` +
    'or convert it once with `flowseg convert SOURCE OUT --quantize int4`.'
  )
}
