// Weights of the right shapes and sizes for a model that nobody has to download: to time its parts. They are the
// same every time, and none is zero or anything else that a processor takes a shortcut for.

import { entryOf } from '../../check.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { Config } from './config.ts'
import { type Parameter, parameters } from './parameters.ts'
import { type HostWeight, type LoadedWeights, weightsFrom } from './weights.ts'

/**
 * @param prefixes of the tensors' names, such as 'segmentor.encoder.layers.0.'
 * @param dtype    of matrices and convolutions; all else is f32, as ever
 * @throws OutOfMemoryError, LimitError
 */
export function randomWeights(
  gpu: Gpu,
  config: Config,
  prefixes: readonly string[],
  dtype: 'f32' | 'bf16' = 'f32',
): Promise<LoadedWeights> {
  const wanted = parameters(config).filter(
    ({ name, used }) => used && prefixes.some((prefix) => name.startsWith(prefix)),
  )
  const tensors = wanted.map((parameter, i): [string, HostWeight] => {
    const { name, shape, kind } = parameter
    const data = valuesOf(parameter, i + 1)
    const isShort = dtype === 'bf16' && (kind === 'matrix' || kind === 'conv')
    return [name, isShort ? { data: upperHalves(data), shape, dtype: 'BF16' } : { data, shape }]
  })
  return weightsFrom(gpu, new Map(tensors), config)
}

/** Scales of norms near 1, all else so small that what it is multiplied with keeps its size. */
function valuesOf({ name, shape, kind }: Parameter, seed: number): Float32Array {
  const size = shape.reduce((product, n) => product * n, 1)
  if (kind === 'vector') return noise(size, seed, 0.1, name.endsWith('.weight') ? 1 : 0)
  return noise(size, seed, Math.sqrt((3 * entryOf(shape, 0)) / size))
}

/**
 * Numbers in [centre - scale, centre + scale), the same for the same seed, at least 2^-24 of scale from centre.
 */
export function noise(size: number, seed: number, scale = 1, centre = 0): Float32Array {
  const data = new Float32Array(size)
  let state = Math.imul(seed, 0x9e3779b1)
  for (let i = 0; i < size; i++) {
    // A linear congruential generator (Numerical Recipes); its lowest bits repeat, so they are dropped
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    data[i] = centre + scale * (((state >> 8) + 0.5) / 2 ** 23)
  }
  return data
}

/** bfloat16, cut off: a hundred million of them at true width, so a plain loop. */
function upperHalves(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer)
  const bits = new Uint16Array(words.length)
  for (let i = 0; i < words.length; i++) bits[i] = words[i]! >>> 16
  return bits
}
