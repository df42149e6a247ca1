// One of everything: small plans that together use every kernel in every prelude combination. Tests compile them
// all where nothing runs (test/gpu/kernel.test.ts), and run them with their grids folded (test/ops/fold.test.ts).

import type { Activation } from '../../src/ops/activation.ts'
import { ACTIVATIONS } from '../../src/ops/activation.ts'
import { activate, add, greater, mix, mul, sub, swiglu } from '../../src/ops/elementwise.ts'
import { gather } from '../../src/ops/gather.ts'
import {
  concatColumns,
  concatRows,
  depthToSpace,
  joinWindows,
  sliceRows,
  spaceToDepth,
  splitWindows,
  transpose,
} from '../../src/ops/layout.ts'
import { dilate, erode } from '../../src/ops/morphology.ts'
import { groupNorm, layerNorm, rmsNorm } from '../../src/ops/norm.ts'
import { argmax, maxLast, meanRows, normalizeRows, softmax, sumLast } from '../../src/ops/reduce.ts'
import { resize } from '../../src/ops/resize.ts'
import { columns, type DType, type Tensor } from '../../src/ops/tensor.ts'

/** Makes an input of the plan. */
export type In = (shape: readonly number[], dtype?: DType) => Tensor

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

function each<T>(values: readonly T[], name: string, build: (value: T, input: In) => Tensor): Case[] {
  return values.map((value) => ({
    name: `${name} [${String(value)}]`,
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
  ...each(Object.keys(ACTIVATIONS) as Activation[], 'activate', (kind, x) => activate(x([8]), kind)),
  ...each(Object.keys(ACTIVATIONS) as Activation[], 'activate, odd', (kind, x) => activate(x([7]), kind)),
  ...each(WIDTHS, 'greater', (C, x) => greater(x([C]), 0.1)),
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
    ([C, groups], x) => groupNorm(x([300, C!]), groups!, x([C!]), x([C!]), 1e-5),
  ),
  ...each(Object.keys(ACTIVATIONS) as Activation[], 'groupNorm and', (activation, x) =>
    groupNorm(x([30, 8]), 2, x([8]), x([8]), 1e-5, { activation }),
  ),

  ...each(ROWS, 'softmax', ([N, C], x) => softmax(x([N, C]))),
  ...each(ROWS, 'sumLast', ([N, C], x) => sumLast(x([N, C]))),
  ...each(ROWS, 'maxLast', ([N, C], x) => maxLast(x([N, C]))),
  ...each(ROWS, 'argmax', ([N, C], x) => argmax(x([N, C]))),
  ...each(ROWS, 'normalizeRows', ([N, C], x) => normalizeRows(x([N, C]))),
  ...each(WIDTHS, 'meanRows', (C, x) => meanRows(x([9, C]))),

  ...each(['f32', 'f16', 'bf16'] as DType[], 'gather', (dtype, x) => gather(x([5, 6], dtype), x([7], 'u32'))),
  ...each(WIDTHS, 'splitWindows', (C, x) => splitWindows(x([5, 7, C]), 3)),
  ...each(WIDTHS, 'joinWindows', (C, x) => joinWindows(x([6, 9, C]), 3, [5, 7])),
  ...each(WIDTHS, 'spaceToDepth', (C, x) => spaceToDepth(x([4, 6, C]))),
  ...each(WIDTHS, 'depthToSpace', (C, x) => depthToSpace(x([4, 6, 4 * C]))),
  ...each(WIDTHS, 'transpose', (C, x) => transpose(x([2, 5, C]))),
  ...each(WIDTHS, 'concatRows', (C, x) => concatRows(x([2, C]), x([3, C]))),
  ...each(WIDTHS, 'concatColumns', (C, x) => concatColumns(x([3, C]), x([3, 4]))),
  ...each(WIDTHS, 'sliceRows', (C, x) => sliceRows(x([6, C]), 1, 3)),

  ...each(WIDTHS, 'resize', (C, x) => resize(x([2, 6, 5, C]), [9, 4], { crop: [5, 5] })),
  ...each([dilate, erode], 'morphology', (op, x) => op(x([9, 11]))),
]
