// Convolution as an implicit matmul: rows are output pixels, the summed axis is the receptive field. The kernels are
// matmul's, which find the rows in an image: see shaders/conv/patch.wgsl.

import { expectNames, expectNoMore, expectWhole, namesOf } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { about, type KernelFamily, recordBest } from '../../kernels/variants.ts'
import { expectTensor } from '../../tensor/check.ts'
import { reshape, type Tensor, tensor } from '../../tensor/tensor.ts'
import { type Activation, expectActivation } from '../elementwise/activation.ts'
import { expectOperands, expectVector, linear } from '../matmul/matmul.ts'
import type { ImageSizes, Product } from '../matmul/product.ts'
import { registers } from '../matmul/registers.ts'
import { subgroup } from '../matmul/subgroup.ts'
import { tiled } from '../matmul/tiled.ts'

/** Options of {@link conv2d}: bias, stride, padding and activation. */
export interface Conv2dOptions {
  /** [O], added to the sums. */
  readonly bias?: Tensor
  /** Pixels from one output to the next, in both directions; 1 by default. */
  readonly stride?: number
  /** Zeros around the image, in pixels; 0 by default. */
  readonly padding?: number
  /** Applied after the bias; none by default. */
  readonly activation?: Activation
}

const OPTIONS = namesOf<Conv2dOptions>({ bias: true, stride: true, padding: true, activation: true })

/**
 * 2-D convolution (cross-correlation, as in PyTorch) of a channels-last map:
 * y = activation(x * weight + bias)
 *
 * @param x      [H, W, I]
 * @param weight [O, kh, kw, I], f32, f16 or bf16
 * @returns      [H', W', O], H' = floor((H + 2 padding - kh) / stride) + 1
 * @throws ShapeError if a shape or type doesn't fit
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  expectNoMore('conv2d', arguments, 3)
  expectTensor('conv2d', 'x', x)
  expectTensor('conv2d', 'weight', weight)
  expectNames('conv2d', options, OPTIONS)
  const { bias, stride = 1, padding = 0, activation = 'none' } = options
  expectActivation('conv2d', activation)
  const [H = 0, W = 0, I = 0] = x.shape
  const [O = 0, kh = 0, kw = 0, weightI = 0] = weight.shape
  if (x.shape.length !== 3)
    throw new ShapeError(`conv2d: x is [${x.shape.join(', ')}], expected [H, W, channels].`)
  if (weight.shape.length !== 4 || weightI !== I) {
    throw new ShapeError(
      `conv2d: weight is [${weight.shape.join(', ')}], expected [O, kh, kw, ${I}] for x [${x.shape.join(', ')}]. ` +
        'Both are channels-last; PyTorch stores weights [O, I, kh, kw].',
    )
  }
  expectWhole('conv2d', 'stride', stride)
  expectWhole('conv2d', 'padding', padding, 0)
  if (H + 2 * padding < kh || W + 2 * padding < kw) {
    throw new ShapeError(
      `conv2d: a kernel of ${kh} x ${kw} is larger than x, ${H} x ${W} with padding ${padding}.`,
    )
  }
  expectOperands('conv2d', x, 'weight', weight)
  if (bias !== undefined) expectVector('conv2d', 'bias', bias, O)

  const outH = Math.floor((H + 2 * padding - kh) / stride) + 1
  const outW = Math.floor((W + 2 * padding - kw) / stride) + 1
  if (kh === 1 && kw === 1 && stride === 1 && padding === 0) {
    return linear(x, reshape(weight, [O, I]), { activation, ...(bias ? { bias } : {}) })
  }

  const y = tensor([outH, outW, O])
  const run = kw * I
  const image = { H, row: W * I, run, outW, stride, step: stride * I, padding, leftPad: padding * I }
  recordBest(convFamily, {
    a: x,
    b: weight,
    y,
    M: outH * outW,
    N: O,
    K: kh * run,
    bIsNK: true,
    bias,
    activation,
    image,
  })
  return y
}

/** A convolution, checked: the matrix product that it is. */
type Convolution = Product & { readonly image: ImageSizes }

/** The kernels of convolutions. */
export const convFamily: KernelFamily<Convolution> = {
  name: 'conv',
  variants: [subgroup, tiled, registers],
  classOf: ({ b, M, N, K, image }) => {
    return `${about(M)}x${about(N)}x${K / image.run} rows of ${about(image.run)} ${b.dtype}${b.packed ? ' packed' : ''}`
  },
  weights: ({ b, K, image }) => [{ tensor: b, runs: K / image.run }],
}
