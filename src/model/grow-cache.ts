// A scene's cache of keys and values has room for a sentence. Generated words and long lists need more: then it is
// replaced by a larger one that begins with the same rows, and the scene keeps that.

import { expectDefined } from '../check.ts'
import { roundUp } from '../gpu/memory.ts'
import type { TaskOptions } from '../progress.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type LoadedModel, releaseAll } from './load.ts'
import { bytesOf, makeCache, type SceneState } from './look.ts'

/** Capacities are multiples of this, so that few plans serve all of them. */
const ROWS = 64

/** Options of `growCache`. */
export interface GrowOptions extends TaskOptions {
  /** Rows that stay; by default those up to the image's last, as every question writes anew what follows. */
  readonly kept?: number
}

/**
 * Gives a scene's cache room for at least so many rows, in a turn of the model. Plans that bind the cache are made for
 * `scene.capacity`.
 *
 * @throws LimitError when the model reads no sequence that long
 * @throws OutOfMemoryError; the scene keeps the cache that it has
 */
export async function growCache(
  model: Pick<LoadedModel, 'gpu' | 'parts'>,
  scene: SceneState,
  rows: number,
  { signal, kept = model.parts.prefix }: GrowOptions = {},
): Promise<void> {
  if (rows <= scene.capacity) return
  signal?.throwIfAborted()
  const { gpu, parts } = model
  const most = Math.max(rows, parts.config.llm.maxPositions)
  const capacity = Math.min(roundUp(rows, ROWS), most)
  const cache = await makeCache(model, capacity)

  const encoder = gpu.device.createCommandEncoder({ label: 'grow cache' })
  for (const [name, x] of Object.entries(scene.cache)) {
    const bytes = (x.storage.bytes / scene.capacity) * kept
    encoder.copyBufferToBuffer(
      bufferOf(x),
      0,
      bufferOf(expectDefined(cache[name], 'the larger cache')),
      0,
      bytes,
    )
  }
  gpu.device.queue.submit([encoder.finish()])

  // A buffer that is destroyed now is still read by what was submitted before
  const before = scene.cache
  scene.cache = cache
  scene.capacity = capacity
  scene.bytes += bytesOf(cache) - bytesOf(before)
  releaseAll(gpu, before)
}

function bufferOf({ storage }: Tensor): GPUBuffer {
  return expectDefined(storage.buffer, 'the buffer of the cache')
}
