// The adapters that a worker has opened. A file of its own, so that what runs before every file (setup.ts) doesn't
// load the engine and a driver for those that need neither.

import type { Gpu } from '../src/gpu/gpu.ts'

/** By name; '' is any. */
export const opened: Map<string, Promise<Gpu>> = new Map()

/** Name and driver of what this worker has opened so far. */
export async function openedAdapters(): Promise<{ name: string; driver: string }[]> {
  const gpus = await Promise.allSettled(opened.values())
  return gpus.flatMap((gpu) =>
    gpu.status === 'fulfilled' ? [{ name: gpu.value.name, driver: gpu.value.identity.driver }] : [],
  )
}
