// Cases of matrix products: every weight type and layout, epilogues, batches and both orders of b.

import type { WeightLayout } from '../../kernels/packed.ts'
import { ACTIVATIONS, type Activation } from '../../ops/elementwise/activation.ts'
import { gatedLinear, linear, matmul } from '../../ops/matmul/matmul.ts'
import { differenceBy, type KernelCase, type KernelTest, kernelCase, normOf } from '../case.ts'
import { type Random, WEIGHT_TYPES, type WeightType } from '../random.ts'
import { at } from '../references/at.ts'
import { ACTIVATION_FORMULAS } from '../references/elementwise.ts'
import { batchedReference, productReference } from '../references/matmul.ts'

/** Some thousand f32 additions of both signs err by less than 1e-6 of the norm. */
const TOLERANCE = 2e-6
/** Multiply-adds of a reference: some milliseconds. */
const BUDGET = 4e6
/** The names of the activations, for problems to draw from. */
export const ACTIVATION_NAMES: readonly Activation[] = Object.keys(ACTIVATIONS) as Activation[]

/**
 * Most of M, N and K: few rows, which a variant of its own serves; some; and many, for several of the largest tiles.
 */
const RANGES = [
  [16, 2060, 1100],
  [16, 300, 1100],
  [300, 300, 1100],
  [300, 300, 300],
  [600, 600, 40],
] as const

function productSizes(random: Random, step = 1): [M: number, N: number, K: number] {
  const [mostM, mostN, mostK] = random.pick(RANGES)
  for (;;) {
    const [M, N, K] = [random.size(mostM), random.size(mostN), random.size(mostK, step)]
    if (M * N * K <= BUDGET) return [M, N, K]
  }
}

/** Rows of quantised weights are whole words of int8 unless they are packed. */
function stepOf(type: WeightType, layout: WeightLayout): number {
  return (type === 'int8' || type === 'int4') && layout === 'rows' ? 4 : 1
}

/**
 * The norm that a product x w^T has on average, when signs are drawn at random. Sums of many terms that happen to
 * cancel are no more exact than others, so errors are shares of this where a product of a few outputs is smaller.
 */
function usualNorm(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  [M, N, K]: readonly [number, number, number],
): number {
  const squares = (values: ArrayLike<number>, rows: number, k: number): number => {
    let sum = 0
    for (let row = 0; row < rows; row++) sum += at(values, row * K + k) ** 2
    return sum
  }
  let sum = 0
  for (let k = 0; k < K; k++) sum += squares(x, M, k) * squares(w, N, k)
  return Math.sqrt(sum)
}

/** @param usual is called once, for the first result */
function atLeast(usual: () => number): NonNullable<KernelCase['measure']> {
  let norm: number | undefined
  return (actual, expected) => {
    norm ??= usual()
    return differenceBy(Math.max(norm, normOf(expected)) || 1)(actual, expected)
  }
}

function drawLinear(random: Random, type: WeightType, layout: WeightLayout): KernelCase {
  const [M, N, K] = productSizes(random, stepOf(type, layout))
  // Each epilogue is a kernel of its own, which takes longer to compile than to test
  const isPlain = random.whole(0, 2) > 0
  const activation = isPlain ? 'none' : random.pick(ACTIVATION_NAMES)
  const [hasBias, hasResidual] = isPlain ? [false, false] : [random.flip(), random.flip()]
  const x = random.tensor([M, K], 3)
  const weight = random.weight([N, K], type, layout)
  const [bias, residual] = [random.tensor([N]), random.tensor([M, N])]
  const parts = [
    `${M} x ${N} x ${K}`,
    ...(hasBias ? ['bias'] : []),
    ...(activation === 'none' ? [] : [activation]),
    ...(hasResidual ? ['residual'] : []),
  ]
  return kernelCase({
    shape: parts.join(', '),
    inputs: { x, weight, bias, residual },
    run: (t) =>
      linear(t.x, t.weight, {
        activation,
        ...(hasBias ? { bias: t.bias } : {}),
        ...(hasResidual ? { residual: t.residual } : {}),
      }),
    reference: () =>
      productReference(x.data, weight.values, [M, N, K]).map((sum, i) => {
        const value = ACTIVATION_FORMULAS[activation](sum + (hasBias ? at(bias.data, i % N) : 0))
        return value + (hasResidual ? at(residual.data, i) : 0)
      }),
    tolerance: TOLERANCE,
    measure: atLeast(() => usualNorm(x.data, weight.values, [M, N, K])),
  })
}

function drawGated(random: Random, type: WeightType, layout: WeightLayout): KernelCase {
  const [M, N, K] = productSizes(random, stepOf(type, layout))
  const x = random.tensor([M, K], 3)
  const [gate, up] = [random.weight([N, K], type, layout), random.weight([N, K], type, layout)]
  return kernelCase({
    shape: `${M} x ${N} x ${K}`,
    inputs: { x, gate, up },
    run: (t) => gatedLinear(t.x, t.gate, t.up),
    reference: () => {
      const sums = productReference(x.data, up.values, [M, N, K])
      return productReference(x.data, gate.values, [M, N, K]).map(
        (v, i) => ACTIVATION_FORMULAS.silu(v) * at(sums, i),
      )
    },
    tolerance: TOLERANCE,
    // silu halves numbers around 0
    measure: atLeast(
      () =>
        (usualNorm(x.data, gate.values, [M, N, K]) * usualNorm(x.data, up.values, [M, N, K])) /
        (2 * Math.sqrt(M * N)),
    ),
  })
}

/** The batches of a and b; 0 for none. */
const BATCHES: readonly (readonly [a: number, b: number])[] = [
  [0, 0],
  [3, 3],
  [1, 2],
  [0, 2],
  [5, 5],
]
/** Those of one b for all of a. */
const ONE_WEIGHT: typeof BATCHES = [
  [0, 0],
  [4, 0],
  [4, 1],
]

function drawMatmul(random: Random, type: WeightType): KernelCase {
  // Some variants take one [N, K] for all of a only, as a weight is
  const isLikeWeight = random.flip()
  const transposeB = isLikeWeight || random.flip()
  const [aBatch, bBatch] = random.pick(isLikeWeight ? ONE_WEIGHT : BATCHES)
  const batches = Math.max(aBatch, bBatch, 1)
  // Few rows, and whole texels of K: each a condition of some variant's
  const [mostM, step] = [random.pick([4, 140]), random.pick([1, 8])]
  const drawSizes = (): [number, number, number] => [
    random.size(mostM),
    random.size(140),
    random.size(300, step),
  ]
  let [M, N, K] = drawSizes()
  while (M * N * K > BUDGET / batches) [M, N, K] = drawSizes()
  const shape = (batch: number, matrix: number[]): number[] => (batch > 0 ? [batch, ...matrix] : matrix)
  const a = random.tensor(shape(aBatch, [M, K]), 3)
  const b = random.weight(shape(bBatch, transposeB ? [N, K] : [K, N]), type)
  const scale = random.pick([1, 0.125])
  return kernelCase({
    shape: `[${a.shape.join(', ')}] by [${b.shape.join(', ')}]${transposeB ? ', transposed' : ''}${scale === 1 ? '' : ', scaled'}`,
    inputs: { a, b },
    run: (t) => matmul(t.a, t.b, { transposeB, scale }),
    reference: () => batchedReference(a.data, b.values, [M, N, K], batches, transposeB).map((v) => scale * v),
    tolerance: TOLERANCE,
  })
}

/** The tests of the ops in src/ops/matmul. */
export const MATMUL: readonly KernelTest[] = [
  { name: 'linear', draw: drawLinear, types: WEIGHT_TYPES, packs: true },
  { name: 'gatedLinear', draw: drawGated, types: WEIGHT_TYPES, packs: true },
  { name: 'matmul', draw: drawMatmul, types: ['f32', 'f16', 'bf16'] },
]
