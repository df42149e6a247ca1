// One of everything: small plans that together use every kernel in every prelude combination. Tests compile them
// all (test/gpu/kernel.test.ts).

import { type AttentionBias, attention, maskBits } from '../../src/ops/attention/attention.ts'
import { deformableAttention } from '../../src/ops/attention/deformable.ts'
import { rope } from '../../src/ops/attention/rope.ts'
import { conv2d } from '../../src/ops/conv/conv.ts'
import type { Activation } from '../../src/ops/elementwise/activation.ts'
import { activate, add, greater, mix, mul, sub, swiglu } from '../../src/ops/elementwise/elementwise.ts'
import { cosineLogits } from '../../src/ops/head/cosine.ts'
import { maskLabels } from '../../src/ops/head/mask-labels.ts'
import { maskOwners } from '../../src/ops/head/mask-owners.ts'
import { maskBytes, maskPixels } from '../../src/ops/head/mask-pixels.ts'
import { maskQuality } from '../../src/ops/head/mask-quality.ts'
import type { CanvasPlace } from '../../src/ops/head/place.ts'
import { sampleRegions } from '../../src/ops/head/sample-regions.ts'
import { dilate, erode } from '../../src/ops/image/morphology.ts'
import { resampleColumns, resampleRows } from '../../src/ops/image/resample.ts'
import { resize } from '../../src/ops/image/resize.ts'
import { gather } from '../../src/ops/layout/gather.ts'
import {
  concatColumns,
  concatRows,
  depthToSpace,
  joinWindows,
  sliceRows,
  spaceToDepth,
  splitWindows,
  transpose,
} from '../../src/ops/layout/layout.ts'
import { gatedLinear, linear, matmul } from '../../src/ops/matmul/matmul.ts'
import { groupNorm, layerNorm, rmsNorm } from '../../src/ops/norm/norm.ts'
import { magnitude } from '../../src/ops/reduce/magnitude.ts'
import {
  argmax,
  maxLast,
  meanRows,
  meanSpans,
  normalizeRows,
  softmax,
  sumLast,
} from '../../src/ops/reduce/reduce.ts'
import { columns, type DType, param, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { copyChunks, multiplyAdds } from '../../src/tuning/ceilings.ts'

/** Makes an input of the plan, or a packed weight. */
type In = (shape: readonly number[], dtype?: DType, form?: 'packed') => Tensor

export interface Case {
  readonly name: string
  readonly build: (input: In) => Tensor
}

/** Channels that go in vec4s, and channels that don't. */
const WIDTHS = [8, 3]
/** Rows and columns for one lane, four and sixty-four, with vec4s and without. */
const ROWS: [rows: number, C: number][] = [
  [5, 8],
  [30, 100],
  [3, 1024],
  [5, 3],
  [30, 25],
  [3, 257],
]

const KINDS: Activation[] = ['none', 'relu', 'gelu', 'geluTanh', 'silu', 'sigmoid', 'tanh']
const FLOATS: DType[] = ['f32', 'f16', 'bf16']
const WEIGHTS: DType[] = ['f32', 'f16', 'bf16', 'int8', 'int4']
/** For every tile, with vec4s and without. */
const PRODUCTS: [M: number, N: number, K: number][] = [
  [1, 64, 16],
  [1, 3, 7],
  [5, 8, 4],
  [40, 33, 12],
  [100, 90, 7],
  [300, 256, 8],
  [520, 512, 8],
]

function place(width: number): CanvasPlace {
  return { map: [20, 20], canvas: [80, 80], crop: [80, 60], size: [21, width] }
}

function each<T>(values: readonly T[], name: string, build: (value: T, input: In) => Tensor): Case[] {
  return values.map((value) => ({
    name: `${name} ${JSON.stringify(value) ?? ''}`,
    build: (input) => build(value, input),
  }))
}

export const CATALOGUE: readonly Case[] = [
  ...each(WIDTHS, 'add', (C, x) => add(x([4, C]), x([4, C]))),
  ...each(WIDTHS, 'add, broadcast', (C, x) => add(x([4, C]), x([C]))),
  ...each(WIDTHS, 'sub', (C, x) => sub(x([4, C]), x([4, C]))),
  ...each(WIDTHS, 'sub, broadcast', (C, x) => sub(x([4, C]), x([C]))),
  ...each(WIDTHS, 'mul', (C, x) => mul(x([4, C]), x([4, C]))),
  ...each(WIDTHS, 'mul, broadcast', (C, x) => mul(x([4, C]), x([C]))),
  ...each([add, sub, mul], 'of one element', (op, x) => op(x([2, 4]), x([1]))),
  ...each([add, sub, mul], 'of one element, odd', (op, x) => op(x([5]), x([1]))),
  ...each(KINDS, 'activate', (kind, x) => activate(x([8]), kind)),
  ...each(KINDS, 'activate, odd', (kind, x) => activate(x([7]), kind)),
  ...each(WIDTHS, 'greater', (C, x) => greater(x([C]), 0.1)),
  ...each(WIDTHS, 'magnitude', (C, x) => magnitude(x([C]))),
  ...each(WIDTHS, 'swiglu', (C, x) => swiglu(x([3, C]), x([3, C]))),
  ...each(WIDTHS, 'swiglu of columns', (C, x) => {
    const fused = x([3, 2 * C])
    return swiglu(columns(fused, 0, C), columns(fused, C, C))
  }),
  ...each(WIDTHS, 'mix', (C, x) => mix(x([C]), x([C]), x([C]))),

  ...each(ROWS, 'layerNorm', ([N, C], x) => layerNorm(x([N, C]), x([C]), x([C]), 1e-6)),
  ...each(ROWS, 'layerNorm of a sum', ([N, C], x) =>
    layerNorm(x([N, C]), x([C]), x([C]), 1e-6, { residual: x([N, C]) }),
  ),
  ...each(ROWS, 'rmsNorm', ([N, C], x) => rmsNorm(x([N, C]), x([C]), 1e-6)),
  ...each(
    [
      [8, 2],
      [6, 2],
      [640, 1],
    ],
    'groupNorm',
    ([C, groups], x) => groupNorm(x([20, C!]), groups!, x([C!]), x([C!]), 1e-5),
  ),
  ...each(KINDS, 'groupNorm and', (activation, x) =>
    groupNorm(x([30, 8]), 2, x([8]), x([8]), 1e-5, { activation }),
  ),

  ...each(ROWS, 'softmax', ([N, C], x) => softmax(x([N, C]))),
  ...each(ROWS, 'sumLast', ([N, C], x) => sumLast(x([N, C]))),
  ...each(ROWS, 'maxLast', ([N, C], x) => maxLast(x([N, C]))),
  ...each(ROWS, 'argmax', ([N, C], x) => argmax(x([N, C]))),
  ...each(ROWS, 'normalizeRows', ([N, C], x) => normalizeRows(x([N, C]))),
  ...each(WIDTHS, 'meanRows', (C, x) => meanRows(x([9, C]))),
  ...each(WIDTHS, 'meanSpans', (C, x) => meanSpans(x([9, C]), x([5, 2], 'u32'))),

  ...each(FLOATS, 'gather', (dtype, x) => gather(x([5, 6], dtype), x([7], 'u32'))),
  ...each(FLOATS, 'gather, in fours', (dtype, x) => gather(x([5, 8], dtype), x([7], 'u32'))),
  ...each(WIDTHS, 'splitWindows', (C, x) => splitWindows(x([5, 7, C]), 3)),
  ...each(WIDTHS, 'joinWindows', (C, x) => joinWindows(x([6, 9, C]), 3, [5, 7])),
  ...each(WIDTHS, 'spaceToDepth', (C, x) => spaceToDepth(x([4, 6, C]))),
  ...each(WIDTHS, 'depthToSpace', (C, x) => depthToSpace(x([4, 6, 4 * C]))),
  ...each(WIDTHS, 'transpose', (C, x) => transpose(x([2, 12, C]))),
  ...each(WIDTHS, 'concatRows', (C, x) => concatRows(x([2, C]), x([3, C]))),
  ...each(WIDTHS, 'concatColumns', (C, x) => concatColumns(x([3, C]), x([3, 4]))),
  ...each(WIDTHS, 'sliceRows', (C, x) => sliceRows(x([6, C]), 1, 3)),

  ...each([...WIDTHS, 1], 'resize', (C, x) => resize(x([2, 6, 5, C]), [9, 4], { crop: [5, 5] })),
  ...each([dilate, erode], 'morphology', (op, x) => op(x([9, 11]))),
  ...each([dilate, erode], 'morphology, in fours', (op, x) => op(x([9, 12]))),

  ...each(
    FLOATS.flatMap((dtype) => PRODUCTS.map((sizes) => ({ dtype, sizes }))),
    'linear',
    ({ dtype, sizes: [M, N, K] }, x) => linear(x([M, K]), x([N, K], dtype)),
  ),
  ...each(KINDS, 'linear, bias, residual and', (activation, x) =>
    linear(x([9, 8]), x([12, 8]), { bias: x([12]), activation, residual: x([9, 12]) }),
  ),
  ...each(
    WEIGHTS.flatMap((dtype) => PRODUCTS.map((sizes) => ({ dtype, sizes }))),
    'linear, packed',
    ({ dtype, sizes: [M, N, K] }, x) => linear(x([M, K]), x([N, K], dtype, 'packed')),
  ),
  ...each(
    (['int8', 'int4'] as const).flatMap((dtype) => [1, 40, 520].map((M) => ({ dtype, M }))),
    'linear, quantised',
    ({ dtype, M }, x) => linear(x([M, 64]), { ...x([512, 64], dtype), scales: x([512, 2]) }),
  ),
  ...each(PRODUCTS, 'gatedLinear', ([M, N, K], x) => gatedLinear(x([M, K]), x([N, K]), x([N, K]))),
  ...each(PRODUCTS, 'gatedLinear, packed', ([M, N, K], x) =>
    gatedLinear(x([M, K]), x([N, K], 'f32', 'packed'), x([N, K], 'f32', 'packed')),
  ),
  ...each(PRODUCTS, 'matmul', ([M, N, K], x) => matmul(x([2, M, K]), x([2, K, N]))),
  ...each(PRODUCTS, 'matmul, transposed', ([M, N, K], x) =>
    matmul(x([2, M, K]), x([N, K]), { transposeB: true }),
  ),
  ...each(
    FLOATS.flatMap((dtype) => [4, 3].map((I) => ({ dtype, I }))),
    'conv2d',
    ({ dtype, I }, x) => conv2d(x([9, 8, I]), x([5, 3, 3, I], dtype), { padding: 1, bias: x([5]) }),
  ),
  ...each(
    FLOATS.flatMap((dtype) => [4, 3].map((I) => ({ dtype, I }))),
    'conv2d, packed',
    ({ dtype, I }, x) => conv2d(x([9, 8, I]), x([5, 3, 3, I], dtype, 'packed'), { padding: 1, bias: x([5]) }),
  ),
  ...each([4, 3], 'conv2d of patches', (I, x) => conv2d(x([8, 8, I]), x([5, 4, 4, I]), { stride: 4 })),
  ...each([32, 64, 72, 128], 'attention with heads of', (d, x) =>
    attention({ query: x([40, 2 * d]), key: x([300, 2 * d]), value: x([300, 2 * d]), heads: 2 }),
  ),
  ...each([1, 300], 'attention, grouped heads and a cache, queries', (Tq, x) =>
    attention({
      query: x([Tq, 64]),
      key: x([512, 32]),
      value: x([512, 32]),
      heads: 4,
      kvHeads: 2,
      bias: { kind: 'causal', start: 7 },
    }),
  ),
  ...each(['length', 'mask'] as const, 'attention with', (kind, x) => {
    const bias: AttentionBias =
      kind === 'length' ? { kind, length: 33 } : { kind, bits: maskBits(x([12, 200])) }
    return attention({ query: x([12, 64]), key: x([200, 64]), value: x([200, 64]), heads: 2, bias })
  }),
  ...each(
    [
      [3, 5],
      [8, 8],
    ] as const,
    'attention on a map',
    ([H, W], x) => {
      const T = H * W
      const bias: AttentionBias = {
        kind: 'relative',
        height: x([2 * H - 1, 16]),
        width: x([2 * W - 1, 16]),
        size: [H, W],
      }
      return attention({ query: x([2, T, 32]), key: x([2, T, 32]), value: x([2, T, 32]), heads: 2, bias })
    },
  ),
  ...each([16, 24, 12], 'rope', (d, x) => rope(x([5, 2 * d]), { heads: 2, theta: 1e6, position: 3 })),
  ...each([1, 3], 'deformableAttention, levels', (L, x) => {
    const levels = (
      [
        [2, 2],
        [4, 4],
        [8, 8],
      ] as const
    ).slice(0, L)
    const T = levels.reduce((sum, [H, W]) => sum + H * W, 0)
    return deformableAttention(x([T, 32]), x([T, 4 * L * 2 * 2]), x([T, 4 * L * 2]), {
      heads: 4,
      points: 2,
      levels,
    })
  }),
  ...each([256], 'cosineLogits', (C, x) => cosineLogits(x([9, C]), x([2, C]), x([1]), 500)),
  ...each(
    WIDTHS.flatMap((C) => (['max', 'mean'] as const).map((pool) => ({ C, pool }))),
    'sampleRegions',
    ({ C, pool }, x) => sampleRegions(x([3, 4, C]), x([2, 5, 2]), { pool }),
  ),
  ...each([1, 40], 'attention under a window, queries', (Tq, x) =>
    attention({
      query: x([Tq, 64]),
      key: x([512, 64]),
      value: x([512, 64]),
      heads: 2,
      bias: { kind: 'causal', start: param('position'), window: 30 },
    }),
  ),
  ...each([33], 'maskPixels', (W, x) => maskPixels(x([20, 20]), [15, 20], [21, W])),
  ...each([33], 'maskQuality', (W, x) =>
    maskQuality(x([20, 20]), x([Math.ceil((21 * W) / 32)], 'u32'), place(W)),
  ),
  ...each([8, 9], 'maskLabels', (N, x) => maskLabels(x([N, 400]), x([N, 3]), place(33), { grid: 'canvas' })),
  ...each([33], 'maskOwners', (W, x) => maskOwners(x([5, 400]), x([5]), 4, place(W)).owners),
  ...each([33], 'maskBytes', (W, x) => maskBytes(x([Math.ceil((21 * W) / 32)], 'u32'), [21, W], 256)),
  ...each([9], 'resampleRows', (W, x) => {
    const strip = { capacity: 5, rows: 5, first: 1, stride: 7, red: 0 }
    const y = tensor([6, W], 'u32')
    resampleRows({ pixels: x([35], 'u32'), ...strip }, x([W, 6], 'u32'), y)
    return y
  }),
  ...each([9], 'resampleColumns', (W, x) =>
    resampleColumns(x([6, W], 'u32'), x([8, 6], 'u32'), x([3, 256]), 12),
  ),
  ...each([10, 24], 'ceiling, multiply-adds', (chains) => written((y) => multiplyAdds(y, 64, chains))),
  ...each([2], 'ceiling, copied chunks', (chunks, x) =>
    written((y) => copyChunks(x([4096]), y, chunks * 8192)),
  ),
]

/** A tensor that an op writes which makes none. */
function written(write: (y: Tensor) => void): Tensor {
  const y = tensor([4096])
  write(y)
  return y
}
