// Arguments that ops refuse, case by case: the error's class, and the words that name what is wrong.

import { expect, test } from 'vitest'
import { ShapeError, UsageError } from '../../src/errors.ts'
import { attention } from '../../src/ops/attention/attention.ts'
import { deformableAttention } from '../../src/ops/attention/deformable.ts'
import { rope } from '../../src/ops/attention/rope.ts'
import { conv2d } from '../../src/ops/conv/conv.ts'
import { swiglu } from '../../src/ops/elementwise/elementwise.ts'
import { resize } from '../../src/ops/image/resize.ts'
import { copyRows } from '../../src/ops/layout/gather.ts'
import { concatRows } from '../../src/ops/layout/layout.ts'
import { linear, matmul } from '../../src/ops/matmul/matmul.ts'
import { rmsNorm } from '../../src/ops/norm/norm.ts'
import { softmax } from '../../src/ops/reduce/reduce.ts'
import {
  expectShape,
  expectType,
  lastDim,
  param,
  reshape,
  rowsOf,
  scope,
  type Tensor,
  tensor,
} from '../../src/tensor/tensor.ts'
import { recorded, thrownBy } from './recorded.ts'

type Row = readonly [
  call: string,
  build: (x: (...shape: number[]) => Tensor) => unknown,
  error: typeof UsageError,
  words: string,
]

const any = (value: unknown): never => value as never
const attend = (x: (...shape: number[]) => Tensor, more: object) =>
  attention({ query: x(4, 8), key: x(6, 8), value: x(6, 8), heads: 2, ...more })

const ROWS: readonly Row[] = [
  [
    'conv2d, groups',
    (x) => conv2d(x(4, 4, 2), x(3, 1, 1, 2), any({ groups: 2 })),
    UsageError,
    'It takes: bias, stride, padding and activation.',
  ],
  [
    'conv2d, bias by position',
    (x) => conv2d(x(4, 4, 2), x(3, 1, 1, 2), any(x(3))),
    UsageError,
    'Tensors are passed by name: bias',
  ],
  [
    'conv2d, stride',
    (x) => conv2d(x(4, 4, 2), x(3, 2, 2, 2), { stride: 0 }),
    ShapeError,
    'stride is 0, expected a whole number of at least 1',
  ],
  [
    'conv2d, padding',
    (x) => conv2d(x(4, 4, 2), x(3, 2, 2, 2), { padding: -1 }),
    ShapeError,
    'padding is -1, expected a whole number of at least 0',
  ],
  [
    'conv2d, activation',
    (x) => conv2d(x(4, 4, 2), x(3, 1, 1, 2), any({ activation: 'Relu' })),
    UsageError,
    `activation is "Relu", expected 'none', 'relu', 'gelu'`,
  ],
  [
    'matmul, transposeb',
    (x) => matmul(x(4, 4), x(4, 4), any({ transposeb: true })),
    UsageError,
    'It takes: transposeB and scale.',
  ],
  [
    'linear, int8 without scales',
    (x) => linear(x(4, 4), { ...x(4, 4), dtype: 'int8' }),
    ShapeError,
    'int8 without its scales',
  ],
  [
    'attention, Causal',
    (x) => attend(x, { bias: { kind: 'Causal', start: 0 } }),
    UsageError,
    `is "Causal", expected 'causal', 'length', 'mask' or 'relative'`,
  ],
  ['attention, no kind', (x) => attend(x, { bias: {} }), UsageError, 'kind is undefined'],
  [
    'attention, no length',
    (x) => attend(x, { bias: { kind: 'length' } }),
    UsageError,
    "'length' needs `length`",
  ],
  [
    'attention, no start',
    (x) => attend(x, { bias: { kind: 'causal', length: 3 } }),
    UsageError,
    "there is no option 'length'",
  ],
  ['attention, no bits', (x) => attend(x, { bias: { kind: 'mask' } }), UsageError, 'needs `bits`'],
  [
    'attention, a size',
    (x) => attend(x, { bias: { kind: 'relative', height: x(1, 4), width: x(1, 4), size: 4 } }),
    UsageError,
    'size is 4, expected [height, width]',
  ],
  [
    'attention, a late start',
    (x) => attend(x, { bias: { kind: 'causal', start: 2 ** 32 - 1 } }),
    ShapeError,
    'from 0 to 16777216',
  ],
  [
    'attention, an empty window',
    (x) => attend(x, { bias: { kind: 'causal', start: 2, window: 0 } }),
    ShapeError,
    'window is 0, expected a whole number from 1 to 16777216',
  ],
  [
    'attention, a window of all keys',
    (x) => attend(x, { bias: { kind: 'length', length: 2, window: 3 } }),
    UsageError,
    "there is no option 'window'",
  ],
  ['attention, no heads', (x) => attend(x, { heads: 0 }), ShapeError, 'heads is 0'],
  ['attention, a bare mask', (x) => attend(x, { bias: x(4, 1) }), UsageError, 'kind is undefined'],
  [
    'resize, fractions',
    (x) => resize(x(4, 4, 1), [2.5, 3]),
    ShapeError,
    'the height of size is 2.5, expected a whole number',
  ],
  [
    'resize, one number',
    (x) => resize(x(4, 4, 1), any(8)),
    UsageError,
    'size is 8, expected [height, width]',
  ],
  [
    'resize, a huge size',
    (x) => resize(x(4, 4, 1), [65536, 65536]),
    ShapeError,
    'kernels count at most 4294967295',
  ],
  [
    'rmsNorm, eps',
    (x) => rmsNorm(x(4, 8), x(8), NaN),
    UsageError,
    'eps is NaN, expected a finite number of at least 0',
  ],
  ['rmsNorm, no eps', (x) => rmsNorm(x(4, 8), x(8), any(undefined)), UsageError, 'eps is undefined'],
  [
    'deformableAttention, a fifth level',
    (x) =>
      deformableAttention(x(5, 4), x(5, 10), x(5, 5), {
        heads: 1,
        points: 1,
        levels: [1, 2, 3, 4, 5].map(() => [1, 1] as const),
      }),
    ShapeError,
    '5 levels, expected 1 to 4',
  ],
  ['concatRows of nothing', () => concatRows(), ShapeError, 'expected at least one tensor'],
  [
    'columns past the end',
    (x) => softmax(any({ tensor: x(4, 8), start: 6, count: 4 })),
    UsageError,
    'expected a tensor',
  ],
  [
    'swiglu of forged columns',
    (x) => swiglu({ tensor: x(4, 8), start: 6, count: 4 }, x(4, 4)),
    ShapeError,
    '[6, 10) is outside of the last axis',
  ],
  [
    'rope of forged columns',
    (x) => rope({ tensor: x(4, 8), start: 0.5, count: 4 }, { heads: 1, theta: 1e4, position: 0 }),
    ShapeError,
    'start is 0.5',
  ],
  ['rope, a param without a name', () => param(any(undefined)), UsageError, 'the name is undefined'],
  ['rope, half a param', () => param('position', 0.5), UsageError, 'is 0.5, expected a whole number'],
  [
    'copyRows into an intermediate',
    (x) => copyRows(x(2, 8), softmax(x(4, 8)), 0),
    ShapeError,
    'must outlive the plan',
  ],
  [
    'tensor, a type',
    () => tensor([2], any('float32')),
    UsageError,
    'the type is "float32", expected f32, u32, f16, bf16, int8 or int4',
  ],
  ['tensor, a fraction', () => tensor([2, 1.5]), ShapeError, 'axis 1 of the tensor, [2, 1.5], is 1.5'],
  ['tensor, negative', () => tensor([-2]), ShapeError, 'is -2, expected a whole number'],
  ['tensor, empty', () => tensor([3, 0]), ShapeError, 'is 0, expected a whole number of at least 1'],
  ['tensor, a text', () => tensor(any('2')), UsageError, 'is "2", expected an array such as [2, 3]'],
  ['tensor, past 2^53', () => tensor([2 ** 27, 2 ** 27]), ShapeError, 'kernels count at most'],
  ['reshape to a fraction', (x) => reshape(x(4), [1.6, 2.5]), ShapeError, 'is 1.6'],
  [
    'expectType of nothing',
    () => expectType('mine', 'x', any(undefined), 'f32'),
    UsageError,
    'mine: x is undefined, expected a tensor.',
  ],
  ['expectShape of nothing', () => expectShape('mine', 'x', any(null), [2]), UsageError, 'mine: x is null'],
  ['lastDim of nothing', () => lastDim(any(undefined)), UsageError, 'expected a tensor'],
  ['rowsOf of nothing', () => rowsOf(any([])), UsageError, 'x is [], expected a tensor'],
  [
    'scope without a function',
    () => scope('part', any(undefined)),
    UsageError,
    'build is undefined, expected a function',
  ],
  [
    'a promise',
    (x) => softmax(any(Promise.resolve(x(2)))),
    UsageError,
    'x is a Promise, expected a tensor: await it before',
  ],
  [
    'escape sequences',
    (x) => conv2d(x(4, 4, 2), x(3, 1, 1, 2), any({ '\u001b[2J': 2 })),
    UsageError,
    "no option '\\e[2J'",
  ],
  [
    'a sharded tensor',
    (x) => softmax({ ...x(4, 8), shards: [] }),
    ShapeError,
    'lies in 0 buffers, which gather and linear can read',
  ],
]

test.each(ROWS)('%s', (_, build, Kind, words) => {
  const error = recorded(({ input }) => {
    let count = 0
    return thrownBy(() => build((...shape) => input(`x${count++}`, shape)))
  })
  expect(error).toBeInstanceOf(Kind)
  expect(String(error)).toContain(words)
})

test('ops outside of a plan say where to call them', () => {
  const x = recorded(({ input }) => input('x', [4, 8]))
  expect(() => softmax(x)).toThrow(UsageError)
  expect(() => softmax(x)).toThrow(
    'call them inside of the function that is passed to plan(gpu, name, build)',
  )
})
