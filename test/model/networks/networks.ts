// Shared by the tests of networks: weights by the rule of the golden files, and running a network on arrays.

import type { Gpu } from '../../../src/gpu/gpu.ts'
import { type Config, parseConfig } from '../../../src/model/checkpoint/config.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { type HostWeight, type LoadedWeights, weightsFrom } from '../../../src/model/checkpoint/weights.ts'
import { plan, type RunValues, type Tensors } from '../../../src/tensor/plan.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { type Golden, readFixture } from '../../fixtures/golden.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { readText } from '../../runtime.ts'
import type { HostTensor } from '../../support.ts'

/** The small configuration of the spec's section 14, or the same with a Phi-3 language model. */
export function smallConfig(file: 'small' | 'small-phi3' = 'small'): Config {
  return parseConfig(readFixture(`${file}.json`), `${file}.json`)
}

/** A configuration at its full size, from weights/configs. */
export function realConfig(name: string): Config {
  return configAt(`weights/configs/${name}.json`)
}

/** The configuration in a file of the repository. */
export function configAt(path: string): Config {
  return parseConfig(JSON.parse(readText(path)), path)
}

/**
 * The weights of the golden files (see random.ts) whose names begin with one of these prefixes. Those of
 * files with bfloat16 are stored so where the engine keeps stored types.
 */
export function goldenWeights(
  gpu: Gpu,
  stored: Golden['weights'],
  config: Config,
  ...prefixes: string[]
): Promise<LoadedWeights> {
  const tensors = new Map<string, HostWeight>()
  for (const { name, shape, kind, used } of parameters(config)) {
    if (!used || !prefixes.some((prefix) => name.startsWith(prefix))) continue
    const data = weightTensor(name, shape, stored)
    const short = stored === 'bf16' && (kind === 'matrix' || kind === 'conv')
    tensors.set(name, short ? { data: upperHalves(data), shape, dtype: 'BF16' } : { data, shape })
  }
  return weightsFrom(gpu, tensors, config)
}

/** Of values that are bfloat16 already; 100 million of them at true width, so a plain loop. */
function upperHalves(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint16Array(words.length)
  for (let i = 0; i < words.length; i++) bits[i] = words[i]! >>> 16
  return bits
}

/** Runs a function of tensors on arrays. */
export async function compute<Name extends string, Read extends Tensors>(
  gpu: Gpu,
  inputs: Readonly<Record<Name, HostTensor>>,
  build: (tensors: Readonly<Record<Name, Tensor>>) => Read,
  values: RunValues = {},
): Promise<{ readonly [Output in keyof Read]: Float32Array }> {
  const ready = await plan(gpu, 'test', (inputsOf) => {
    const tensors = Object.entries<HostTensor>(inputs).map(([name, { data, shape }]): [string, Tensor] => [
      name,
      inputsOf.input(name, shape, data instanceof Uint32Array ? 'u32' : 'f32'),
    ])
    return { read: build(Object.fromEntries(tensors) as Record<Name, Tensor>) }
  })
  try {
    const data = Object.fromEntries(Object.entries<HostTensor>(inputs).map(([name, x]) => [name, x.data]))
    const { read } = await ready.run({ ...values, inputs: data })
    return read as { readonly [Output in keyof Read]: Float32Array }
  } finally {
    ready.release()
  }
}
