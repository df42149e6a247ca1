// Every argument of every op is checked: what isn't a tensor, a type, a shape, an option or a number of the right kind
// is refused with ERR_USAGE or ERR_SHAPE and the op's name. Nothing computes something else in silence, and no mistake
// of a caller is told as a fault of the engine.

import { describe, expect, test } from 'vitest'
import * as engine from '../../src/engine.ts'
import { FlowSegError, ShapeError, UsageError } from '../../src/errors.ts'
import { attention, maskBits } from '../../src/ops/attention/attention.ts'
import { deformableAttention } from '../../src/ops/attention/deformable.ts'
import { rope } from '../../src/ops/attention/rope.ts'
import { conv2d } from '../../src/ops/conv/conv.ts'
import { activate, add, greater, mix, mul, sub, swiglu } from '../../src/ops/elementwise/elementwise.ts'
import { cosineLogits } from '../../src/ops/head/cosine.ts'
import { sampleRegions } from '../../src/ops/head/sample-regions.ts'
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
import {
  argmax,
  maxLast,
  meanRows,
  meanSpans,
  normalizeRows,
  softmax,
  sumLast,
} from '../../src/ops/reduce/reduce.ts'
import { columns, type DType, reshape, type Shape, type Tensor } from '../../src/tensor/tensor.ts'
import { FOREIGN, recorded, thrownBy } from './recorded.ts'

interface Call {
  readonly name: string
  /** Tensors, the first arguments by position; u32 where it says so. */
  readonly tensors: readonly (readonly [shape: Shape, dtype?: DType, kind?: 'bound'])[]
  /** Arguments after the tensors: numbers, pairs, and options last if there are any. */
  readonly rest?: readonly unknown[]
  readonly op: (...args: never[]) => unknown
}

/** As JavaScript calls it. */
const loosely = (op: unknown) => op as (...args: unknown[]) => unknown

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
  { name: 'sampleRegions', tensors: [[[2, 3, 8]], [[2, 4, 2]]], rest: [{ pool: 'max' }], op: sampleRegions },
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
  { name: 'layerNorm', tensors: [[[4, 8]], [[8]], [[8]]], rest: [1e-6, {}], op: layerNorm },
  { name: 'rmsNorm', tensors: [[[4, 8]], [[8]]], rest: [1e-6], op: rmsNorm },
  {
    name: 'groupNorm',
    tensors: [[[4, 8]], [[8]], [[8]]],
    rest: [1e-6, 2, { activation: 'relu' }],
    op: (
      x: Tensor,
      weight: Tensor,
      bias: Tensor,
      eps: number,
      groups: number,
      options: object,
      ...more: never[]
    ) => loosely(groupNorm)(x, groups, weight, bias, eps, options, ...more),
  },
  { name: 'softmax', tensors: [[[4, 8]]], op: softmax },
  { name: 'sumLast', tensors: [[[4, 8]]], op: sumLast },
  { name: 'maxLast', tensors: [[[4, 8]]], op: maxLast },
  { name: 'argmax', tensors: [[[4, 8]]], op: argmax },
  { name: 'normalizeRows', tensors: [[[4, 8]]], op: normalizeRows },
  { name: 'meanRows', tensors: [[[4, 8]]], rest: [{ length: 2 }], op: meanRows },
  { name: 'meanSpans', tensors: [[[4, 8]], [[3, 2], 'u32']], op: meanSpans },
  { name: 'resize', tensors: [[[4, 8, 2]]], rest: [[3, 5], { crop: [2, 2] }], op: resize },
  { name: 'rope', tensors: [[[4, 8]]], rest: [{ heads: 2, theta: 1e4, position: 3 }], op: rope },
  { name: 'maskBits', tensors: [[[4, 40]]], op: maskBits },
  {
    name: 'attention',
    tensors: [[[4, 8]], [[6, 8]], [[6, 8]]],
    rest: [{ heads: 2, kvHeads: 2, scale: 0.5, bias: { kind: 'causal', start: 2 } }],
    op: (query: Tensor, key: Tensor, value: Tensor, options: object, ...more: never[]) => {
      const isObject = typeof options === 'object' && options !== null && !Array.isArray(options)
      return loosely(attention)(
        isObject && !('storage' in options) ? { query, key, value, ...options } : options,
        ...more,
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

/**
 * Functions that make no tensor from tensors; plan-values.test.ts and own-kernel.test.ts have those that aren't below.
 */
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

  test('wants no more than it takes', () => {
    for (const more of [{ axis: 0 }, { epsilon: 5 }, 3, -1.5, [0, 0], 'f32', null]) {
      const error = thrownBy(() => calling(call, (args) => [...args, more]))
      expect(error, `${JSON.stringify(more)} as well: ${error}`).toBeInstanceOf(UsageError)
      // It takes any number of tensors
      if (name === 'concatRows') continue
      const most = name === 'attention' ? 1 : tensors.length + rest.length
      expect((error as Error).message).toContain(`${name}: argument ${most + 1} is `)
      expect((error as Error).message).toContain(`there are at most ${most}.`)
    }
    if (name !== 'concatRows') expect(() => calling(call, (args) => [...args, undefined])).not.toThrow()
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
