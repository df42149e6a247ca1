// A variant can be forced by name exactly if it exists: the table that openGpu checks names every variant of every
// family.

import { expect, test } from 'vitest'
import { VARIANTS } from '../../src/gpu/adapter.ts'
import { WEIGHT_LAYOUTS } from '../../src/kernels/packed.ts'
import { attentionFamily } from '../../src/ops/attention/attention.ts'
import { convFamily } from '../../src/ops/conv/conv.ts'
import { matmulFamily } from '../../src/ops/matmul/matmul.ts'
import { TILE_TYPES } from '../../src/ops/matmul/tiled.ts'
import { layerNormFamily, rmsNormFamily } from '../../src/ops/norm/norm.ts'
import { argmaxFamily, normalizeFamily, reduceFamily, softmaxFamily } from '../../src/ops/reduce/reduce.ts'

test('the table of variants is that of the families', () => {
  const families = [
    matmulFamily,
    convFamily,
    attentionFamily,
    layerNormFamily,
    rmsNormFamily,
    softmaxFamily,
    reduceFamily,
    argmaxFamily,
    normalizeFamily,
  ]
  const named = families.map(({ name, variants }) => [name, variants.map((variant) => variant.name)])
  expect(VARIANTS).toEqual({
    ...Object.fromEntries(named),
    weights: [...WEIGHT_LAYOUTS],
    tiles: [...TILE_TYPES],
  })
})
