// Convolution as an implicit matmul: rows are output pixels, the summed axis is the receptive field. What it
// shares with matmul (tiles, loads of weights, the ending) lives there; see shaders/conv2d.wgsl for the idea.

import source from '../../shaders/conv2d.wgsl' with { type: 'text' }
import { ShapeError } from '../errors.ts'
import type { Activation } from './activation.ts'
import { expectOperands, expectVector, linear } from './matmul.ts'
import { endingConstants } from './matmul-product.ts'
import { boundWeight, chooseTile, tileCounts, tileGrid, tileKernel } from './matmul-registers.ts'
import { record, reshape, type Tensor, tensor } from './tensor.ts'

export interface Conv2dOptions {
  /** [O] */
  readonly bias?: Tensor
  /** Pixels from one output to the next, in both directions; 1 by default. */
  readonly stride?: number
  /** Zeros around the image, in pixels; 0 by default. */
  readonly padding?: number
  readonly activation?: Activation
}

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
  const { bias, stride = 1, padding = 0, activation = 'none' } = options
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
  if (!Number.isInteger(stride) || stride < 1 || !Number.isInteger(padding) || padding < 0) {
    throw new ShapeError(
      `conv2d: stride is ${stride} and padding ${padding}, expected integers from 1 and from 0 on.`,
    )
  }
  if (H + 2 * padding < kh || W + 2 * padding < kw) {
    throw new ShapeError(
      `conv2d: a kernel of ${kh} x ${kw} is larger than x, ${H} x ${W} with padding ${padding}.`,
    )
  }
  expectOperands('conv2d', x, 'weight', weight)
  if (bias) expectVector('conv2d', 'bias', bias, O)

  const outH = Math.floor((H + 2 * padding - kh) / stride) + 1
  const outW = Math.floor((W + 2 * padding - kw) / stride) + 1
  if (kh === 1 && kw === 1 && stride === 1 && padding === 0) {
    return linear(x, reshape(weight, [O, I]), { activation, ...(bias ? { bias } : {}) })
  }

  const M = outH * outW
  // One row of pixels is the narrowest tile here
  const tile = chooseTile(M, O, 1, 4)
  const aligned = [W * I, stride * I, kw * I, padding * I].every((n) => n % 4 === 0)
  // The shader counts whole vectors where it can load them
  const unit = aligned ? 4 : 1
  const y = tensor([outH, outW, O])
  record({
    kernel: tileKernel('conv2d', source, tile, weight.dtype, aligned, {
      ...endingConstants(bias, activation, undefined),
      PADDED: padding > 0,
    }),
    reads: { a: x, ...boundWeight(weight, aligned), bias, residual: undefined },
    writes: { y },
    sizes: {
      M,
      N: O,
      ...tileCounts(tile, M, O),
      y_cols: O,
      y_first: 0,
      H,
      row: (W * I) / unit,
      run: (kw * I) / unit,
      kh,
      out_w: outW,
      stride,
      step: (stride * I) / unit,
      padding,
      left_pad: (padding * I) / unit,
    },
    workgroups: tileGrid(tile, M, O),
    cut: 'first_group',
    flops: 2 * M * O * kh * kw * I,
  })
  return y
}
