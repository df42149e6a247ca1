// The part of `flowseg inspect` that says what a model takes, before anything of it is downloaded: on disk, on the
// device and on the host, as it is stored and held in fewer bits.

import { NoAdapterError } from '../../errors.ts'
import { type Gpu, openGpu } from '../../gpu/gpu.ts'
import { formatBytes } from '../../gpu/memory.ts'
import type { Checkpoint } from '../../io/checkpoint/checkpoint.ts'
import { QUANTIZED, type Quantized } from '../../kernels/quantize.ts'
import type { Config } from '../../model/checkpoint/config.ts'
import { storedQuantized } from '../../model/checkpoint/stored.ts'
import { planConversion } from '../../model/convert/convert-plan.ts'
import { parseRecipe } from '../../model/convert/recipe.ts'
import { deviceFootprint, hostFootprint } from '../../model/memory/footprint.ts'
import { reasonOf } from '../../printable.ts'
import type { Given } from '../args.ts'
import { engineOptions } from '../engine.ts'
import type { Terminal } from './terminal.ts'

/** Bytes that a form of the weights takes. */
export interface Need {
  /** The type that they are held in: as the checkpoint has them, or in few bits. */
  readonly weights: 'as stored' | Quantized
  /** Bytes of the weights' files: to download, or after `flowseg convert`. */
  readonly disk: number
  /** The most on the device, from loading to the first answers. */
  readonly device: number
  /** The most of arrays and objects while loading. */
  readonly host: number
}

/**
 * The bytes that each form of the weights takes on an adapter; or, in `unknown`, the reason why they can't be computed.
 */
export type Needs =
  | { readonly adapter: string; readonly forms: readonly Need[] }
  | { readonly unknown: string }

/** @param checkpoint fits the config */
export async function needsOf(
  checkpoint: Checkpoint,
  config: Config,
  args: Given,
  terminal: Terminal,
): Promise<Needs> {
  let gpu: Gpu
  const own = args.text('adapter') === undefined ? terminal.gpu : undefined
  try {
    gpu = own ?? (await openGpu(engineOptions(args, terminal)))
  } catch (cause) {
    if (!(cause instanceof NoAdapterError)) throw cause
    return { unknown: reasonOf(cause) }
  }
  try {
    const forms: Need[] = []
    const isQuantized = storedQuantized(checkpoint).size > 0
    for (const quantize of [undefined, ...(isQuantized ? [] : QUANTIZED)]) {
      const device = await deviceFootprint(gpu, checkpoint, config, { quantize })
      forms.push({
        weights: quantize ?? 'as stored',
        disk: diskBytes(checkpoint, config, quantize),
        device,
        host: hostFootprint(config, quantize || isQuantized ? 'quantized' : 'stored'),
      })
    }
    return { adapter: gpu.name, forms }
  } finally {
    if (!own) gpu.close()
  }
}

function diskBytes(checkpoint: Checkpoint, config: Config, quantize: Quantized | undefined): number {
  if (quantize === undefined) {
    return [...checkpoint.tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0)
  }
  // Each header holds the original's fingerprint of 64 digits; their values don't change the size
  const settings = { recipe: parseRecipe(quantize), shardBytes: 2 ** 30, source: '0'.repeat(64), all: false }
  return planConversion(checkpoint, config, settings).bytes
}

/** Lines of a table. */
export function needRows({ forms }: Extract<Needs, { adapter: string }>): string[][] {
  return forms.map(({ weights, disk, device, host }) => [
    weights,
    `${formatBytes(disk)} on disk`,
    `${formatBytes(device)} on the device`,
    `up to ${formatBytes(host)} on the host`,
  ])
}
