// A variant can be forced by name exactly if it exists: the table that openGpu checks names every variant of every
// family.

import { expect, test } from 'vitest'
import { VARIANTS } from '../../src/gpu/adapter.ts'
import { WEIGHT_LAYOUTS } from '../../src/kernels/packed.ts'
import { KERNEL_FAMILIES } from '../../src/ops/families.ts'
import { TILE_TYPES } from '../../src/ops/matmul/tiled.ts'

test('the table of variants is that of the families', () => {
  const named = KERNEL_FAMILIES.map(({ name, variants }) => [name, variants.map((variant) => variant.name)])
  expect(VARIANTS).toEqual({
    ...Object.fromEntries(named),
    weights: [...WEIGHT_LAYOUTS],
    tiles: [...TILE_TYPES],
  })
})

test('what no GPU has measured says so: all variants for GPUs, and the threads of a row that GPUs take', () => {
  const named = KERNEL_FAMILIES.flatMap(({ name, variants }) =>
    variants.filter((one) => one.measuredOnGpu === false).map((one) => `${name}/${one.name}`),
  )
  expect(named).toEqual([
    'matmul/tiled',
    'matmul/gemv',
    'conv/tiled',
    'attention/tiled',
    ...['layerNorm', 'rmsNorm', 'softmax', 'reduce', 'argmax', 'normalizeRows'].map((op) => `${op}/shared`),
  ])
})
