// Every argument of every op is checked: what isn't a tensor, a type, a shape, an option or a number of the right kind is refused
// with ERR_USAGE or ERR_SHAPE and the op's name. Nothing computes something else in silence, and no mistake of a caller is told
// as a fault of the engine.

import { describe, expect, test } from 'vitest'
import * as engine from '../../src/engine.ts'
import { FlowSegError, ShapeError, UsageError } from '../../src/errors.ts'
import { recordWith } from '../../src/gpu/recorder.ts'
import { attention, maskBits } from '../../src/ops/attention/attention.ts'
import { deformableAttention } from '../../src/ops/attention/deformable.ts'
import { rope } from '../../src/ops/attention/rope.ts'
import { conv2d } from '../../src/ops/conv/conv.ts'
import { activate, add, greater, mix, mul, sub, swiglu } from '../../src/ops/elementwise/elementwise.ts'
import { cosineLogits } from '../../src/ops/head/cosine.ts'
import { dilate, erode } from '../../src/ops/image/morphology.ts'
import { resize } from '../../src/ops/image/resize.ts'
import { copyRows, gather } from '../../src/ops/layout/gather.ts'
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
import { argmax, maxLast, meanRows, normalizeRows, softmax, sumLast } from '../../src/ops/reduce/reduce.ts'
import { type Inputs, waysIn } from '../../src/tensor/plan.ts'
import {
  columns,
  type DType,
  expectShape,
  expectType,
  lastDim,
  param,
  reshape,
  rowsOf,
  type Shape,
  scope,
  type Tensor,
  tensor,
} from '../../src/tensor/tensor.ts'

/** Records, and never runs. */
function recorded<T>(build: (inputs: Inputs) => T): T {
  return recordWith((r) => build(waysIn(r, 'test').argument)).result
}

/** A tensor of a plan that was recorded before. */
const FOREIGN = recorded(({ input }) => input('x', [4, 8]))

interface Call {
  readonly name: string
  /** Tensors, the first arguments by position; u32 where it says so. */
  readonly tensors: readonly (readonly [shape: Shape, dtype?: DType, kind?: 'bound'])[]
  /** Arguments after the tensors: numbers, pairs, and options last if there are any. */
  readonly rest?: readonly unknown[]
  readonly op: (...args: never[]) => unknown
}

const CALLS: readonly Call[] = [
  { name: 'add', tensors: [[[4, 8]], [[8]]], op: add },
  { name: 'sub', tensors: [[[4, 8]], [[8]]], op: sub },
  { name: 'mul', tensors: [[[4, 8]], [[1]]], op: mul },
  { name: 'greater', tensors: [[[4, 8]]], rest: [0.5], op: greater },
  { name: 'activate', tensors: [[[4, 8]]], rest: ['relu'], op: activate },
  { name: 'swiglu', tensors: [[[4, 8]], [[4, 8]]], op: swiglu },
  { name: 'mix', tensors: [[[4, 8]], [[4, 8]], [[4, 8]]], op: mix },
  { name: 'linear', tensors: [[[4, 8]], [[3, 8]]], rest: [{ activation: 'gelu' }], op: linear },
  { name: 'gatedLinear', tensors: [[[4, 8]], [[3, 8]], [[3, 8]]], op: gatedLinear },
  { name: 'matmul', tensors: [[[4, 8]], [[3, 8]]], rest: [{ transposeB: true, scale: 2 }], op: matmul },
  {
    name: 'conv2d',
    tensors: [[[5, 6, 4]], [[3, 2, 2, 4]]],
    rest: [{ stride: 1, padding: 1, activation: 'relu' }],
    op: conv2d,
  },
  { name: 'cosineLogits', tensors: [[[4, 8]], [[2, 8]], [[1]]], rest: [100], op: cosineLogits },
  {
    name: 'deformableAttention',
    tensors: [[[6, 8]], [[6, 8]], [[6, 4]]],
    rest: [{ heads: 2, points: 2, levels: [[2, 3]] }],
    op: deformableAttention,
  },
  { name: 'gather', tensors: [[[5, 8]], [[3], 'u32']], op: gather },
  { name: 'copyRows', tensors: [[[2, 8]], [[4, 8], 'f32', 'bound']], rest: [1], op: copyRows },
  { name: 'concatColumns', tensors: [[[4, 8]], [[4, 3]]], op: concatColumns },
  { name: 'concatRows', tensors: [[[4, 8]], [[2, 8]]], op: concatRows },
  { name: 'depthToSpace', tensors: [[[2, 2, 8]]], op: depthToSpace },
  { name: 'spaceToDepth', tensors: [[[2, 4, 3]]], op: spaceToDepth },
  { name: 'splitWindows', tensors: [[[5, 7, 4]]], rest: [3], op: splitWindows },
  { name: 'joinWindows', tensors: [[[6, 9, 4]]], rest: [3, [5, 7]], op: joinWindows },
  { name: 'sliceRows', tensors: [[[6, 8]]], rest: [1, 2], op: sliceRows },
  { name: 'transpose', tensors: [[[4, 8]]], op: transpose },
  { name: 'dilate', tensors: [[[4, 8]]], op: dilate },
  { name: 'erode', tensors: [[[4, 8]]], op: erode },
  { name: 'layerNorm', tensors: [[[4, 8]], [[8]], [[8]]], rest: [1e-6], op: layerNorm },
  { name: 'rmsNorm', tensors: [[[4, 8]], [[8]]], rest: [1e-6], op: rmsNorm },
  {
    name: 'groupNorm',
    tensors: [[[4, 8]], [[8]], [[8]]],
    rest: [1e-6, 2, { activation: 'relu' }],
    op: (x: Tensor, weight: Tensor, bias: Tensor, eps: number, groups: number, options: object) =>
      groupNorm(x, groups, weight, bias, eps, options),
  },
  { name: 'softmax', tensors: [[[4, 8]]], op: softmax },
  { name: 'sumLast', tensors: [[[4, 8]]], op: sumLast },
  { name: 'maxLast', tensors: [[[4, 8]]], op: maxLast },
  { name: 'argmax', tensors: [[[4, 8]]], op: argmax },
  { name: 'normalizeRows', tensors: [[[4, 8]]], op: normalizeRows },
  { name: 'meanRows', tensors: [[[4, 8]]], rest: [{ length: 2 }], op: meanRows },
  { name: 'resize', tensors: [[[4, 8, 2]]], rest: [[3, 5], { crop: [2, 2] }], op: resize },
  { name: 'rope', tensors: [[[4, 8]]], rest: [{ heads: 2, theta: 1e4, position: 3 }], op: rope },
  { name: 'maskBits', tensors: [[[4, 40]]], op: maskBits },
  {
    name: 'attention',
    tensors: [[[4, 8]], [[6, 8]], [[6, 8]]],
    rest: [{ heads: 2, kvHeads: 2, scale: 0.5, bias: { kind: 'causal', start: 2 } }],
    op: (query: Tensor, key: Tensor, value: Tensor, options: object) => {
      const isObject = typeof options === 'object' && options !== null && !Array.isArray(options)
      return attention(
        (isObject && !('storage' in options) ? { query, key, value, ...options } : options) as never,
      )
    },
  },
  { name: 'columns', tensors: [[[4, 8]]], rest: [2, 4], op: columns },
  { name: 'reshape', tensors: [[[4, 8]]], rest: [[2, 16]], op: reshape },
]

/** Calls an op with some of its arguments replaced. */
function calling(
  { tensors, rest = [], op }: Call,
  change: (args: unknown[]) => unknown[],
  dtypes: readonly (DType | undefined)[] = [],
): unknown {
  return recorded((ways) => {
    const args = tensors.map(([shape, dtype, kind = 'input'], i) =>
      ways[kind as 'input'](`x${i}`, shape, dtypes[i] ?? dtype),
    )
    return (op as (...all: unknown[]) => unknown)(...change([...args, ...rest]))
  })
}

/** What it throws; an error that fails the test if it throws nothing. */
function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return new Error('nothing was thrown')
}

/** That it is a caller's mistake, told as one. */
function expectRefused(call: () => unknown, what: string): void {
  const error = thrownBy(call)
  expect(error, `${what}: ${error}`).toBeInstanceOf(FlowSegError)
  expect(['ERR_USAGE', 'ERR_SHAPE'], `${what}: ${error}`).toContain((error as FlowSegError).code)
}

const replaced = (at: number, value: unknown) => (args: unknown[]) => args.with(at, value)

const NO_TENSORS: readonly unknown[] = [
  undefined,
  null,
  7,
  'x',
  [1, 2, 3],
  new Float32Array(4),
  { shape: [4, 8], dtype: 'f32', size: 32 },
  Promise.resolve(FOREIGN),
  FOREIGN,
]

/** No argument beside tensors may be one of these. */
const JUNK: readonly unknown[] = [
  NaN,
  Infinity,
  -1,
  -1.5,
  'junk',
  null,
  {},
  { groups: 2 },
  [],
  [2.5, 3],
  [0, 3],
  [1, 2, 3],
  true,
  2n,
]

/** Functions that make no tensor from tensors; plan-values.test.ts and own-kernel.test.ts have those that aren't below. */
const OTHERS = [
  'allocate',
  'expectShape',
  'expectType',
  'firstDim',
  'groupResults',
  'kernel',
  'kernelCase',
  'lastDim',
  'openGpu',
  'param',
  'plan',
  'record',
  'release',
  'rowsOf',
  'scope',
  'selfTest',
  'tensor',
  'tune',
  'upload',
]

test('every op that is exported is here', () => {
  const functions = Object.entries(engine).filter(
    ([name, value]) => typeof value === 'function' && /^[a-z]/.test(name),
  )
  expect(functions.map(([name]) => name).sort()).toEqual([...CALLS.map(({ name }) => name), ...OTHERS].sort())
})

describe.each(CALLS)('$name', (call) => {
  const { name, tensors, rest = [] } = call

  test('records as it is', () => {
    expect(() => calling(call, (args) => args)).not.toThrow()
  })

  test('wants tensors, and its own plan’s', () => {
    for (const at of tensors.keys()) {
      for (const junk of NO_TENSORS) {
        const error = thrownBy(() => calling(call, replaced(at, junk)))
        expect(error, `${String(junk)} for tensor ${at}: ${error}`).toBeInstanceOf(UsageError)
      }
    }
  })

  test('wants their types, whole, in one buffer, and with elements', () => {
    for (const [at, [shape, dtype = 'f32']] of tensors.entries()) {
      const others = tensors.map(() => undefined)
      const other = dtype === 'f32' ? 'u32' : 'f32'
      if (!['columns', 'reshape', 'sliceRows'].includes(name)) {
        const error = thrownBy(() => calling(call, (args) => args, others.with(at, other as never)))
        expect(error, `${other} for tensor ${at}: ${error}`).toBeInstanceOf(ShapeError)
      }
      for (const [axis] of shape.entries()) {
        const empty = { ...call, tensors: tensors.with(at, [shape.with(axis, 0), dtype]) }
        expect(thrownBy(() => calling(empty, (args) => args))).toBeInstanceOf(ShapeError)
        // Nor one that was put together by hand
        const forged = (x: Tensor): Tensor => ({ ...x, shape: shape.with(axis, 0), size: 0 })
        expect(
          thrownBy(() => calling(call, (args) => args.with(at, forged(args[at] as Tensor)))),
        ).toBeInstanceOf(ShapeError)
      }
      const larger = (x: Tensor): Tensor => ({
        ...x,
        shape: shape.with(0, 1000),
        size: (x.size / shape[0]!) * 1000,
      })
      expectRefused(
        () => calling(call, (args) => args.with(at, larger(args[at] as Tensor))),
        'a forged shape',
      )
    }
  })

  test('wants its numbers and options', () => {
    for (const [i, value] of rest.entries()) {
      const at = tensors.length + i
      const isOptions = typeof value === 'object' && !Array.isArray(value)
      for (const junk of JUNK) {
        if (name === 'greater' && typeof junk === 'number' && junk < 0) continue
        if (isOptions && typeof junk === 'object' && JSON.stringify(junk) === '{}') continue // no options at all
        expectRefused(() => calling(call, replaced(at, junk)), `${String(junk)} for argument ${at}`)
      }
      if (!isOptions) continue
      expectRefused(() => calling(call, (args) => args.with(at, args[0])), 'a tensor for options')
      for (const key of Object.keys(value as object)) {
        for (const junk of JUNK) {
          const isRight =
            (junk === true && key === 'transposeB') || (key === 'scale' && (junk === -1 || junk === -1.5))
          if (!isRight)
            expectRefused(
              () => calling(call, replaced(at, { ...(value as object), [key]: junk })),
              `${key}: ${String(junk)}`,
            )
        }
      }
      const error = thrownBy(() => calling(call, replaced(at, { ...(value as object), misspelt: 1 })))
      expect(error).toBeInstanceOf(UsageError)
      expect(String(error)).toContain("there is no option 'misspelt'")
      expect(String(error)).toContain(name)
    }
  })
})

// ---------------------------------------------------------------------------------------------------------

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
