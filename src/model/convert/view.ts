// A checkpoint under the names of this engine, and in its types: without the prefix that a program put before every
// name, and with f32 in place of f64.

import { type Checkpoint, type TensorEntry, toFloat32 } from '../../io/safetensors.ts'
import { type Config } from '../checkpoint/config.ts'
import { prefixOf } from '../checkpoint/fit.ts'
import { canonicalName, parameters } from '../checkpoint/parameters.ts'

/** A checkpoint as it is converted. */
export interface CheckpointView extends Checkpoint {
  /** The prefix that all names had in the file, which is left out here; undefined if there was none. */
  readonly prefix: string | undefined
}

/**
 * The view of a checkpoint.
 *
 * @param models those that it may be: without a prefix, its names are theirs
 */
export function viewOf(checkpoint: Checkpoint, models: readonly Config[]): CheckpointView {
  const known = new Set(models.flatMap((config) => parameters(config).map(({ name }) => name)))
  const prefix = prefixOf([...checkpoint.tensors.keys()], (name) => known.has(canonicalName(name)))
  const own = (name: string): string => `${prefix ?? ''}${name}`
  const tensors = new Map(
    [...checkpoint.tensors.values()].map((entry): [string, TensorEntry] => {
      const name = entry.name.slice(prefix?.length ?? 0)
      const isDouble = entry.dtype === 'F64'
      const end = isDouble ? entry.begin + (entry.end - entry.begin) / 2 : entry.end
      return [name, { ...entry, name, end, dtype: isDouble ? 'F32' : entry.dtype }]
    }),
  )
  const isDouble = (name: string): boolean => checkpoint.tensors.get(own(name))?.dtype === 'F64'
  return {
    name: checkpoint.name,
    metadata: checkpoint.metadata,
    prefix,
    tensors,
    async read(name, options = {}) {
      if (!isDouble(name)) return checkpoint.read(own(name), options)
      const { offset = 0, length, signal } = options
      const wide = length === undefined ? {} : { length: 2 * length }
      return singles(await checkpoint.read(own(name), { signal, offset: 2 * offset, ...wide }))
    },
    async *slices(name, maxBytes, options) {
      if (!isDouble(name)) {
        yield* checkpoint.slices(own(name), maxBytes, options)
        return
      }
      for await (const { offset, bytes } of checkpoint.slices(own(name), 2 * maxBytes, options)) {
        yield { offset: offset / 2, bytes: singles(bytes) }
      }
    },
    willRead: (names) => checkpoint.willRead?.(names.map(own)),
    verify: async (options) => checkpoint.verify?.(options),
    close: () => checkpoint.close(),
  }
}

function singles(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(toFloat32(bytes, 'F64').buffer)
}
