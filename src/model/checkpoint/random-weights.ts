// Weights of the right shapes and sizes for a model that nobody has to download: to time its parts. They are the
// same every time, and none is zero or anything else that a processor takes a shortcut for.

import { entryOf } from '../../check.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { viewOf } from '../../view.ts'
import type { Config } from './config.ts'
import { type Parameter, parameters } from './parameters.ts'
import { type HostWeight, type LoadedWeights, weightsFrom } from './weights.ts'

/**
 * @param prefixes of the tensors' names, such as 'segmentor.encoder.layers.0.'; or a name of what no mask needs
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
    ({ name, used }) =>
      (used || prefixes.includes(name)) && prefixes.some((prefix) => name.startsWith(prefix)),
  )
  const tensors = wanted.map((parameter, i): [string, HostWeight] => {
    const { name, shape, kind } = parameter
    const data = valuesOf(parameter, i + 1)
    const isShort = dtype === 'bf16' && (kind === 'matrix' || kind === 'conv')
    return [name, isShort ? { data: upperHalves(data), shape, dtype: 'BF16' } : { data, shape }]
  })
  return weightsFrom(gpu, new Map(tensors), config)
}

function valuesOf(parameter: Parameter, seed: number): Float32Array<ArrayBuffer> {
  const { scale, centre } = distributionOf(parameter)
  return new Noise(seed).next(
    parameter.shape.reduce((product, n) => product * n, 1),
    scale,
    centre,
  )
}

/** Scales of norms near 1, all else so small that what it is multiplied with keeps its size. */
export function distributionOf({ name, shape, kind }: Parameter): { scale: number; centre: number } {
  if (kind === 'vector') return { scale: 0.1, centre: name.endsWith('.weight') ? 1 : 0 }
  const size = shape.reduce((product, n) => product * n, 1)
  return { scale: Math.sqrt((3 * entryOf(shape, 0)) / size), centre: 0 }
}

/** A sequence of numbers that look random, the same for the same seed. */
export class Noise {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1)
  }

  /** The next numbers in [centre - scale, centre + scale), at least 2^-24 of scale from centre. */
  next(size: number, scale = 1, centre = 0): Float32Array<ArrayBuffer> {
    const data = new Float32Array(size)
    let state = this.#state
    for (let i = 0; i < size; i++) {
      // A linear congruential generator (Numerical Recipes); its lowest bits repeat, so they are dropped
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      data[i] = centre + scale * (((state >> 8) + 0.5) / 2 ** 23)
    }
    this.#state = state
    return data
  }

  /** The same as bfloat16, cut off. */
  nextBf16(size: number, scale = 1, centre = 0): Uint16Array<ArrayBuffer> {
    return upperHalves(this.next(size, scale, centre))
  }
}

/** Numbers in [centre - scale, centre + scale), the same for the same seed. */
export function noise(size: number, seed: number, scale = 1, centre = 0): Float32Array {
  return new Noise(seed).next(size, scale, centre)
}

/** bfloat16, cut off: of each little-endian word the second half. */
function upperHalves(values: Float32Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  const bytes = viewOf(values)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < halves.length; i++) halves[i] = bytes.getUint16(4 * i + 2, true)
  return halves
}
