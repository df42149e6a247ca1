// What a conversion of weights on a server downloads beside what it writes: their blocks are kept in the user's cache.

import { userCache } from '../../cache-folder.ts'
import { cachedWeights } from '../../io/cache/block-cache.ts'
import type { TensorEntry } from '../../io/checkpoint/checkpoint.ts'
import { isUrl } from '../files.ts'

/** Bytes of these tensors of a place that must still come from a server, by what is kept of its files. */
export async function bytesToCome(location: string, entries: readonly TensorEntry[]): Promise<number> {
  if (!isUrl(location)) return 0
  const files = await cachedWeights(location)
  const kept = files.reduce((sum, { bytes }) => sum + bytes, 0)
  return Math.max(0, entries.reduce((sum, { begin, end }) => sum + end - begin, 0) - kept)
}

/** The folder where weights of servers are kept; undefined where nothing can be. It may not exist yet. */
export function downloadFolder(): string | undefined {
  try {
    return userCache({ create: false })
  } catch {
    return undefined
  }
}
