// Cases of convolution: 1 x 1, 3 x 3, patches and whatever comes, every weight type and layout.

import type { WeightLayout } from '../../kernels/packed.ts'
import { conv2d } from '../../ops/conv/conv.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../case.ts'
import type { Random, WeightType } from '../random.ts'
import { at } from '../references/at.ts'
import { type ConvolutionSize, convReference } from '../references/conv.ts'
import { ACTIVATION_FORMULAS } from '../references/elementwise.ts'
import { ACTIVATION_NAMES } from './matmul.ts'

/** Some thousand f32 additions of both signs err by less than 1e-6 of the norm. */
const TOLERANCE = 2e-6
/** Multiply-adds of a reference: some milliseconds. */
const BUDGET = 3e6

function drawSize(random: Random): ConvolutionSize {
  const kind = random.pick(['point', 'patch', 'square', 'any'] as const)
  const map = (): [number, number] => [random.size(40), random.size(40)]
  if (kind === 'point') {
    // Whole texels of channels are a condition of some variants of a matrix product, which these are with stride 1
    const I = random.size(64, random.pick([1, 8]))
    return { x: [...map(), I], weight: [random.size(140), 1, 1], stride: random.whole(1, 2) }
  }
  if (kind === 'patch') {
    const side = random.pick([2, 4, 14, 16])
    const [down, across] = [random.whole(1, 3), random.whole(1, 3)]
    const rest = random.whole(0, side - 1)
    return {
      x: [side * down + rest, side * across, 3],
      weight: [random.size(48), side, side],
      stride: side,
    }
  }
  if (kind === 'square') {
    const [H, W] = map()
    return {
      x: [H, W, random.size(40)],
      weight: [random.size(70), 3, 3],
      stride: random.whole(1, 2),
      padding: 1,
    }
  }
  const [kh, kw, padding] = [random.whole(1, 5), random.whole(1, 4), random.whole(0, 2)]
  return {
    x: [kh + random.whole(0, 16), kw + random.whole(0, 16), random.size(40)],
    weight: [random.size(40), kh, kw],
    stride: random.whole(1, 3),
    padding,
  }
}

function drawConv(random: Random, type: WeightType, layout: WeightLayout): KernelCase {
  let size = drawSize(random)
  const work = ({ x: [H, W, I], weight: [O, kh, kw], stride = 1 }: ConvolutionSize): number =>
    (H * W * I * O * kh * kw) / stride ** 2
  while (work(size) > BUDGET) size = drawSize(random)
  const { stride = 1, padding = 0 } = size
  const [O, kh, kw] = size.weight
  // Each epilogue is a kernel of its own, which takes longer to compile than to test
  const isPlain = random.whole(0, 2) > 0
  const activation = isPlain ? 'none' : random.pick(ACTIVATION_NAMES)
  const hasBias = !isPlain && random.flip()
  const x = random.tensor(size.x, 3)
  const weight = random.weight([O, kh, kw, size.x[2]], type, layout, kh)
  const bias = random.tensor([O])
  const parts = [
    `${size.x.join(' x ')} by ${O} of ${kh} x ${kw}`,
    ...(stride === 1 ? [] : [`stride ${stride}`]),
    ...(padding === 0 ? [] : [`padding ${padding}`]),
    ...(hasBias ? ['bias'] : []),
    ...(activation === 'none' ? [] : [activation]),
  ]
  return kernelCase({
    shape: parts.join(', '),
    inputs: { x, weight, bias },
    run: (t) => conv2d(t.x, t.weight, { stride, padding, activation, ...(hasBias ? { bias: t.bias } : {}) }),
    reference: () =>
      convReference(x.data, weight.values, size).map((v, i) =>
        ACTIVATION_FORMULAS[activation](v + (hasBias ? at(bias.data, i % O) : 0)),
      ),
    tolerance: TOLERANCE,
  })
}

/** The tests of the ops in src/ops/conv. */
export const CONV: readonly KernelTest[] = [
  { name: 'conv2d', draw: drawConv, types: ['f32', 'f16', 'bf16'], packs: true },
]
