// Every kernel that the library ships, as the plans of the catalogue record them.

import { type AdapterFacts, Choices, PLAIN_ADAPTER } from '../../src/gpu/adapter.ts'
import type { Kernel } from '../../src/gpu/kernel.ts'
import { recordWith } from '../../src/gpu/recorder.ts'
import { SCALE_TYPES } from '../../src/kernels/quantize.ts'
import { weightType } from '../../src/kernels/weight-types.ts'
import { bytesOf, type DType, type Shape, sizeOf, type Tensor } from '../../src/tensor/tensor.ts'
import { CATALOGUE } from './catalogue.ts'

const SUBGROUPS: AdapterFacts = {
  ...PLAIN_ADAPTER,
  features: { f16: true, subgroups: true, timestamps: false },
  subgroupSize: 8,
  readsTextures: true,
}
/** Ops along rows, a thread per row: by default only of many rows, on CPUs. */
const BY_THREADS = Object.fromEntries(
  ['layerNorm', 'rmsNorm', 'softmax', 'reduce', 'argmax', 'normalizeRows'].map((op) => [op, 'thread']),
)
/** Adapters that take every variant there is. */
const ADAPTERS: readonly AdapterFacts[] = [
  PLAIN_ADAPTER,
  {
    ...PLAIN_ADAPTER,
    choices: new Choices({ matmul: 'registers', conv: 'registers', attention: 'registers' }),
  },
  { ...PLAIN_ADAPTER, choices: new Choices({ matmul: 'tiled' }) },
  { ...PLAIN_ADAPTER, choices: new Choices({ matmul: 'tiled', tiles: 'f16' }) },
  { ...SUBGROUPS, countsSubgroups: true },
  { ...SUBGROUPS, software: true },
  { ...SUBGROUPS, software: true, subgroupSize: 4 },
  { ...SUBGROUPS, choices: new Choices({ matmul: 'subgroup' }) },
  { ...PLAIN_ADAPTER, choices: new Choices(BY_THREADS) },
]

/** Every kernel that the catalogue's plans use on one of them, in place or not. */
export function shippedKernels(): Kernel[] {
  const kernels = new Set<Kernel>()
  for (const adapter of ADAPTERS) {
    for (const { name, build } of CATALOGUE) {
      // Only kernels for subgroups read packed weights, and these are packed for eight lanes
      if (adapter.subgroupSize !== 8 && name.includes('packed')) continue
      const { recorder } = recordWith((r) => {
        let inputs = 0
        const input = (shape: Shape, dtype: DType): Tensor => {
          const storage = r.input(`x${inputs++}`, bytesOf(shape, dtype))
          return { shape, dtype, size: sizeOf(shape), storage }
        }
        build((shape, dtype = 'f32', form) => {
          const [N = 1, K = 1] = shape
          const groups = { int8: [N], int4: [N, Math.ceil(K / 32)] }
          const isQuantized = dtype === 'int8' || dtype === 'int4'
          const weight = {
            ...input(shape, dtype),
            ...(isQuantized ? { scales: input(groups[dtype], SCALE_TYPES[dtype]) } : {}),
          }
          if (!form) return weight
          const [, kh = 1, kw = 1, I = 1] = shape
          const { perTexel } = weightType(dtype)
          const texels = shape.length === 2 ? Math.ceil(kh / perTexel) : kh * Math.ceil((kw * I) / perTexel)
          return { ...weight, packed: { lanes: 8, texels, firstRow: 0 } }
        })
      }, adapter)
      for (const dispatch of recorder.dispatches) {
        kernels.add(dispatch.kernel)
        if (dispatch.inPlace) kernels.add(dispatch.kernel.with({ IN_PLACE: true }))
      }
    }
  }
  return [...kernels]
}

/** Those that an adapter can compile. */
export function kernelsFor(adapter: Pick<AdapterFacts, 'features' | 'countsSubgroups'>): Kernel[] {
  const { features, countsSubgroups } = adapter
  return shippedKernels().filter(
    ({ code }) =>
      (features.f16 || !code.includes('enable f16;')) &&
      (features.subgroups || !code.includes('enable subgroups;')) &&
      (countsSubgroups || !/\bsubgroup_id\b/.test(code)),
  )
}
