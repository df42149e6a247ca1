// Convolution as an implicit matmul: rows are output pixels, the summed axis is the receptive field. What it
// shares with matmul (tiles, loads of weights, the ending) lives there; see shaders/conv/registers.wgsl for the idea.

import source from '../../../shaders/conv/registers.wgsl' with { type: 'text' }
import subgroupSource from '../../../shaders/conv/subgroup.wgsl' with { type: 'text' }
import tilesSource from '../../../shaders/conv/tiles.wgsl' with { type: 'text' }
import activationSource from '../../../shaders/lib/activation.wgsl' with { type: 'text' }
import endingSource from '../../../shaders/matmul/ending.wgsl' with { type: 'text' }
import texelSource from '../../../shaders/matmul/texels.wgsl' with { type: 'text' }
import textureSource from '../../../shaders/matmul/texture.wgsl' with { type: 'text' }
import { expectNames, expectWhole, namesOf } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { recorder } from '../../gpu/recorder.ts'
import { unrolled } from '../../kernels/unroll.ts'
import { type Family, recordBest, type Variant } from '../../kernels/variants.ts'
import { expectTensor } from '../../tensor/check.ts'
import { record, reshape, type Tensor, tensor } from '../../tensor/tensor.ts'
import { type Activation, expectActivation } from '../elementwise/activation.ts'
import { expectOperands, expectVector, linear } from '../matmul/matmul.ts'
import { endingConstants } from '../matmul/product.ts'
import {
  boundWeight,
  chooseTile,
  QUAD,
  squareTile,
  type Tile,
  tileCounts,
  tileGrid,
  tileKernel,
} from '../matmul/registers.ts'
import { boundTexels, choosePanels, panelGrid, weightConstants } from '../matmul/subgroup.ts'
import {
  boundFours,
  chooseTile as chooseFours,
  foursKernel,
  gridOf,
  penalty,
  TILES_SOURCE,
  tileConstants,
  tileSize,
} from '../matmul/tiles.ts'

export interface Conv2dOptions {
  /** [O] */
  readonly bias?: Tensor
  /** Pixels from one output to the next, in both directions; 1 by default. */
  readonly stride?: number
  /** Zeros around the image, in pixels; 0 by default. */
  readonly padding?: number
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
  const image = { row: W * I, run: kw * I, step: stride * I, leftPad: padding * I }
  recordBest(convFamily, {
    x,
    weight,
    y,
    bias,
    activation,
    M: outH * outW,
    N: O,
    H,
    kh,
    outW,
    stride,
    padding,
    ...image,
  })
  return y
}

/** A convolution, checked. Lengths are in elements. */
interface Convolution {
  readonly x: Tensor
  readonly weight: Tensor
  readonly y: Tensor
  readonly bias: Tensor | undefined
  readonly activation: Activation
  /** Pixels and channels of y. */
  readonly M: number
  readonly N: number
  readonly H: number
  readonly kh: number
  readonly outW: number
  readonly stride: number
  readonly padding: number
  /** Of the image. */
  readonly row: number
  /** kw * I: neighbours in an image row, and in the weight. */
  readonly run: number
  readonly step: number
  readonly leftPad: number
}

function flopsOf({ M, N, kh, run }: Convolution): number {
  return 2 * M * N * kh * run
}

/** Whether the shader can load and count whole vectors. */
function isAligned({ row, run, step, leftPad }: Convolution): boolean {
  return [row, run, step, leftPad].every((n) => n % 4 === 0)
}

/** Where the shader finds pixels, in elements or vectors. */
function imageSizes(
  { H, row, run, outW, stride, step, padding, leftPad }: Convolution,
  unit: number,
): Record<string, number> {
  return {
    H,
    row: row / unit,
    run: run / unit,
    out_w: outW,
    stride,
    step: step / unit,
    padding,
    left_pad: leftPad / unit,
  }
}

const registers: Variant<Convolution> = {
  name: 'registers',
  fits: ({ weight }) => !weight.packed,
  cost: ({ M, N, kh, run }, { subgroupSize }) =>
    (3 * chooseTile(M, N, 1, 4).work * kh * run) / (subgroupSize || 1),
  // One row of pixels is the narrowest tile here
  record: (convolution) => recordRegisters(convolution, chooseTile(convolution.M, convolution.N, 1, 4)),
}

/** The same where subgroups are quads, which share their loads. */
const quads: Variant<Convolution> = {
  name: 'quads',
  fits: ({ weight }, { subgroupSize }) => !weight.packed && subgroupSize === QUAD,
  cost: ({ M, N, kh, run }) => (3 * squareTile(M, N).work * kh * run) / QUAD,
  record: (convolution) => recordRegisters(convolution, squareTile(convolution.M, convolution.N)),
}

function recordRegisters(convolution: Convolution, tile: Tile): void {
  const { x, weight, y, bias, activation, M, N, kh, padding } = convolution
  const aligned = isAligned(convolution)
  const unit = aligned ? 4 : 1
  record({
    kernel: tileKernel('conv/registers', source, tile, weight.dtype, aligned, {
      ...endingConstants(bias, activation, undefined),
      PADDED: padding > 0,
    }),
    reads: { a: x, ...boundWeight(weight, aligned), bias, residual: undefined },
    writes: { y },
    sizes: {
      M,
      N,
      ...tileCounts(tile, M, N),
      y_cols: N,
      y_first: 0,
      kh,
      ...imageSizes(convolution, unit),
    },
    workgroups: tileGrid(tile, M, N),
    cut: 'first_group',
    flops: flopsOf(convolution),
  })
}

const subgroup: Variant<Convolution> = {
  name: 'subgroup',
  fits: ({ weight }, { subgroupSize }) => weight.packed?.lanes === subgroupSize,
  cost: ({ weight, M, N, kh, run }, adapter) => choosePanels({ b: weight, M, N }, adapter).cost * kh * run,
  record: (convolution) => {
    const { x, weight, y, bias, activation, M, N, kh, padding } = convolution
    const { adapter } = recorder()
    const panels = choosePanels({ b: weight, M, N }, adapter)
    const aligned = isAligned(convolution)
    const unit = aligned ? 4 : 1
    record({
      kernel: unrolled(
        'conv/subgroup',
        subgroupSource + textureSource + texelSource + endingSource + activationSource,
        {
          LANES: adapter.subgroupSize,
          ROW_PANELS: panels.rowPanels,
          COLUMN_PANELS: panels.columnPanels,
          ALIGNED: aligned,
          PADDED: padding > 0,
          AWord: aligned ? 'vec4f' : 'f32',
          ...weightConstants(weight),
          ...endingConstants(bias, activation, undefined),
        },
      ),
      reads: { a: x, ...boundTexels(weight, undefined), bias, residual: undefined },
      writes: { y },
      sizes: {
        M,
        N,
        tiles_m: panels.tilesM,
        tiles_n: panels.tilesN,
        kh,
        ...imageSizes(convolution, unit),
        run_texels: weight.packed!.texels / kh,
      },
      workgroups: panelGrid(panels),
      cut: 'first_group',
      flops: flopsOf(convolution),
    })
  },
}

/** For GPUs: tiles in workgroup memory. */
const tiles: Variant<Convolution> = {
  name: 'tiles',
  forGpus: true,
  fits: ({ weight }) => !weight.packed,
  cost: (convolution, adapter) => chooseFours(productOf(convolution)).cost * penalty(adapter),
  record: (convolution) => {
    const { x, weight, bias, y, padding } = convolution
    const product = productOf(convolution)
    const { M, N, K } = product
    const { tile } = chooseFours(product)
    const [height, width] = tileSize(tile)
    const [tiles_m, tiles_n] = [Math.ceil(M / height), Math.ceil(N / width)]
    const aligned = isAligned(convolution)
    const unit = aligned ? 4 : 1
    record({
      kernel: foursKernel('conv/tiles', tilesSource + TILES_SOURCE, product, aligned, {
        ...tileConstants(tile, true),
        PADDED: padding > 0,
      }),
      reads: { a: x, ...boundFours(weight), bias, residual: undefined },
      writes: { y },
      sizes: {
        M,
        N,
        K: K / unit,
        tiles_m,
        tiles_n,
        b_row: K / unit,
        ...imageSizes(convolution, unit),
      },
      workgroups: [...gridOf(tiles_m * tiles_n), 1],
      cut: 'first_group',
      flops: flopsOf(convolution),
    })
  },
}

/** The matrix product that it is: rows are pixels, the summed axis is the receptive field. */
function productOf({ weight, bias, activation, M, N, kh, run }: Convolution) {
  return { b: weight, bias, activation, residual: undefined, M, N, K: kh * run }
}

export const convFamily: Family<Convolution> = {
  name: 'conv',
  variants: [subgroup, tiles, quads, registers],
  classOf: ({ weight, M, N, kh, run }) => {
    const about = (n: number): number => 2 ** Math.round(Math.log2(n))
    return `${about(M)}x${about(N)}x${kh} rows of ${about(run)} ${weight.dtype}${weight.packed ? ' packed' : ''}`
  },
  weights: ({ weight, kh }) => [{ tensor: weight, runs: kh }],
}
