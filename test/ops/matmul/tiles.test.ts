// The variants of matrix products that are made for GPUs take weights in shards, in place and cut, and are taken on GPUs only.
// That they equal their formulas says matmul.test.ts.

import { expect, test } from 'vitest'
import { type AdapterFacts, PLAIN_ADAPTER } from '../../../src/gpu/adapter.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { ranked } from '../../../src/kernels/variants.ts'
import { linear, matmulFamily } from '../../../src/ops/matmul/matmul.ts'
import type { Product } from '../../../src/ops/matmul/product.ts'
import { quadTile, tileCounts, tileGrid } from '../../../src/ops/matmul/registers.ts'
import { productReference } from '../../../src/selftest/references/matmul.ts'
import { type DType, release, upload } from '../../../src/tensor/tensor.ts'
import { adapterNames, expectClose, planOf, random, uniform } from '../../support.ts'

/** A few thousand f32 additions of both signs err by less than 1e-6 of the norm; ten times that is a fault. */
const RTOL = 2e-6

for (const name of adapterNames()) {
  for (const matmul of ['tiles', 'rows']) {
    test(`${matmul} of a weight in shards, in place, and cut, on ${name || 'any adapter'}`, async () => {
      const small = await openGpu({
        ...(name ? { adapter: name } : {}),
        bindingLimit: 2048,
        variants: { matmul },
      })
      try {
        // An adapter that seems to manage a thousand FLOP/s
        for (let i = 0; i < 60; i++) small.rate.learn(1e7, 1e4)
        const [M, N, K] = [3, 101, 20]
        const values = uniform(N * K, 2)
        const sharded = await upload(small, values, [N, K], 'f32', { sharded: true })
        expect(sharded.shards?.length).toBeGreaterThan(1)
        const inputs = { x: random([M, K], 1), bias: random([N], 3), square: random([K, K], 4) }
        const { plan: made, run } = await planOf(small, inputs, (t) => {
          const h = linear(t['x']!, t['square']!, { residual: linear(t['x']!, t['square']!) })
          return { h, y: linear(h, sharded, { bias: t['bias']!, residual: linear(h, sharded) }) }
        })
        for (const { kernel } of made.info.dispatches) expect(kernel).toMatch(`matmul/${matmul}`)
        const { h, y } = await run()
        const hExpected = productReference(inputs.x.data, inputs.square.data, [M, K, K]).map((v) => 2 * v)
        expectClose(h!, hExpected, RTOL)
        const yExpected = productReference(hExpected, values, [M, N, K]).map(
          (v, i) => 2 * v + inputs.bias.data[i % N]!,
        )
        expectClose(y!, yExpected, RTOL)
        made.release()
        release(small, sharded)
      } finally {
        small.close()
      }
    })
  }
}

test('GPUs take rows, then tiles; software adapters neither', () => {
  const x = { shape: [], size: 0, storage: { kind: 'input', bytes: 0, label: '' } } as const
  const product = (M: number, dtype: DType): Product => ({
    a: { ...x, dtype: 'f32' },
    b: { ...x, dtype },
    y: { ...x, dtype: 'f32' },
    M,
    N: 1024,
    K: 1024,
    bIsNK: true,
  })
  const names = (M: number, adapter: AdapterFacts, dtype: DType = 'f32'): string[] =>
    ranked(matmulFamily, product(M, dtype), adapter).map((v) => v.name)
  const subgroups: AdapterFacts = {
    ...PLAIN_ADAPTER,
    features: { f16: true, subgroups: true, timestamps: false },
    subgroupSize: 32,
    countsSubgroups: true,
  }
  expect(names(1, PLAIN_ADAPTER)).toEqual(['rows', 'tiles', 'registers'])
  expect(names(300, PLAIN_ADAPTER, 'f16')).toEqual(['tiles', 'tiles-half', 'registers'])
  expect(names(1, subgroups)).toEqual(['rows-subgroup', 'rows', 'tiles', 'registers', 'few', 'subgroup'])
  expect(names(16, subgroups).slice(0, 2)).toEqual(['rows-subgroup', 'rows'])
  expect(names(300, subgroups)).toEqual(['tiles', 'registers', 'subgroup'])
  for (const subgroupSize of [4, 8]) {
    for (const M of [1, 16, 300]) {
      const facts = { ...subgroups, subgroupSize, software: true }
      expect(['few', 'quads', 'subgroup', 'registers']).toContain(names(M, facts)[0])
      expect(names(M, facts).at(-1)).toMatch(/rows|tiles/)
    }
  }
  expect(names(300, { ...subgroups, subgroupSize: 4, software: true })[0]).toBe('quads')
  // Quads of eight lanes would be right, and leave half of each subgroup idle
  expect(names(300, { ...subgroups, subgroupSize: 8, software: true })).not.toContain('quads')
})

test('a quad is a workgroup for each square of 16 x 16, and no more', () => {
  const tile = quadTile(300, 70)
  expect(tileCounts(tile, 300, 70)).toEqual({ tiles_m: 19, tiles_n: 5 })
  expect(tileGrid(tile, 300, 70, 3)).toEqual([8, 12, 3]) // 96 for 95
})
