// Normalisations. Along a row, a few threads share the row; GroupNorm goes over all pixels, and so gathers
// statistics of chunks first, joins them, and then applies them.

import groupNormF32 from '#shaders/norm/group-norm.wgsl'
import groupNormVec4 from '#shaders/norm/group-norm.wgsl?VEC4'
import groupNormMergeShader from '#shaders/norm/group-norm-merge.wgsl'
import groupNormStatsF32 from '#shaders/norm/group-norm-stats.wgsl'
import groupNormStatsVec4 from '#shaders/norm/group-norm-stats.wgsl?VEC4'
import layerNormF32 from '#shaders/norm/layer-norm.wgsl'
import layerNormVec4 from '#shaders/norm/layer-norm.wgsl?VEC4'
import rmsNormF32 from '#shaders/norm/rms-norm.wgsl'
import rmsNormVec4 from '#shaders/norm/rms-norm.wgsl?VEC4'
import { expectFinite, expectNames, expectNoMore, expectWhole } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { recorder } from '../../gpu/recorder.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { groupsFor, rowChunks, THREADS } from '../../kernels/grids.ts'
import { alongRows, groupsForRows, sharedRows } from '../../kernels/rows.ts'
import { type KernelFamily, recordBest } from '../../kernels/variants.ts'
import { expectShape, expectType, lastDim, record, rowsOf, type Tensor, tensor } from '../../tensor/tensor.ts'
import { ACTIVATIONS, type Activation, expectActivation } from '../elementwise/activation.ts'

const groupNormShader: ByWidth = { 1: groupNormF32, 4: groupNormVec4 }
const groupNormStatsShader: ByWidth = { 1: groupNormStatsF32, 4: groupNormStatsVec4 }
const layerNormShader: ByWidth = { 1: layerNormF32, 4: layerNormVec4 }
const rmsNormShader: ByWidth = { 1: rmsNormF32, 4: rmsNormVec4 }

/**
 * Layer norm over the last axis: y = (v - mean(v)) / sqrt(var(v) + eps) * weight + bias with v = x + residual
 *
 * @param x      [..., C]
 * @param weight [C]
 * @param bias   [C]
 * @param eps    added to the variance; 1e-6 in the encoders, 1e-5 in the decoder
 * @param options.residual  x's shape; added to x before
 * @returns      [..., C]
 * @throws ShapeError if weight or bias is not [C]
 *
 * Source: Ba et al. 2016, eq. 4.
 */
export function layerNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  eps: number,
  options: { readonly residual?: Tensor } = {},
): Tensor {
  expectNoMore('layerNorm', arguments, 5)
  expectNames('layerNorm', options, ['residual'])
  const { residual } = options
  expectType('layerNorm', 'x', x, 'f32')
  expectFinite('layerNorm', 'eps', eps, 0)
  const C = lastDim(x)
  expectVector('layerNorm', 'weight', weight, C)
  expectVector('layerNorm', 'bias', bias, C)
  if (residual !== undefined) {
    expectType('layerNorm', 'residual', residual, 'f32')
    expectShape('layerNorm', 'residual', residual, x.shape)
  }

  const y = tensor(x.shape)
  recordBest(layerNormFamily, { x, residual, weight, bias, eps, y })
  return y
}

interface LayerNorm {
  readonly x: Tensor
  readonly residual: Tensor | undefined
  readonly weight: Tensor
  readonly bias: Tensor
  readonly eps: number
  readonly y: Tensor
}

/** The variants of `layerNorm`. */
export const layerNormFamily: KernelFamily<LayerNorm> = alongRows(
  'layerNorm',
  true,
  ({ x, residual, weight, bias, eps, y }, { rows, width, cols, threads, workgroups }) => {
    record({
      kernel: kernel(layerNormShader[width], {
        HAS_RESIDUAL: residual !== undefined,
        ...threads,
      }),
      reads: { x, residual, weight, bias },
      writes: { y },
      sizes: { rows, cols, eps },
      workgroups,
      flops: 8 * x.size,
    })
  },
)

/**
 * RMS norm over the last axis: y = x / sqrt(mean(x^2) + eps) * weight
 *
 * @param x      [..., C]
 * @param weight [C]
 * @param eps    added to the mean square; 1e-6 in Qwen3
 * @returns      [..., C]
 * @throws ShapeError if weight is not [C]
 *
 * Source: Zhang & Sennrich 2019, eq. 4.
 */
export function rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
  expectNoMore('rmsNorm', arguments, 3)
  expectType('rmsNorm', 'x', x, 'f32')
  expectFinite('rmsNorm', 'eps', eps, 0)
  const C = lastDim(x)
  expectVector('rmsNorm', 'weight', weight, C)

  const y = tensor(x.shape)
  recordBest(rmsNormFamily, { x, weight, eps, y })
  return y
}

interface RmsNorm {
  readonly x: Tensor
  readonly weight: Tensor
  readonly eps: number
  readonly y: Tensor
}

/** The variants of `rmsNorm`. */
export const rmsNormFamily: KernelFamily<RmsNorm> = alongRows(
  'rmsNorm',
  true,
  ({ x, weight, eps, y }, { rows, width, cols, threads, workgroups }) => {
    record({
      kernel: kernel(rmsNormShader[width], {
        ...threads,
      }),
      reads: { x, weight },
      writes: { y },
      sizes: { rows, cols, eps },
      workgroups,
      flops: 4 * x.size,
    })
  },
)

/** Values of a group that one thread of the first pass takes. */
const CHUNK_VALUES = 512

/**
 * Group norm over all pixels: channels are split in `groups` runs, and each is normalised over its channels and
 * all the pixels: y = activation((x - mean) / sqrt(var + eps) * weight + bias)
 *
 * @param x       [..., C]; all axes but the last are pixels
 * @param groups  divides C; 32 in the pixel decoder
 * @param weight  [C]
 * @param bias    [C]
 * @param eps     added to the variance
 * @returns       [..., C]
 * @throws ShapeError if groups doesn't divide C, or weight or bias is not [C]
 *
 * Source: Wu & He 2018, eq. 1.
 */
export function groupNorm(
  x: Tensor,
  groups: number,
  weight: Tensor,
  bias: Tensor,
  eps: number,
  options: { readonly activation?: Activation } = {},
): Tensor {
  expectNoMore('groupNorm', arguments, 6)
  expectNames('groupNorm', options, ['activation'])
  const { activation = 'none' } = options
  expectActivation('groupNorm', activation)
  expectType('groupNorm', 'x', x, 'f32')
  expectWhole('groupNorm', 'groups', groups)
  expectFinite('groupNorm', 'eps', eps, 0)
  const C = lastDim(x)
  const pixels = rowsOf(x)
  expectVector('groupNorm', 'weight', weight, C)
  expectVector('groupNorm', 'bias', bias, C)
  if (C % groups !== 0) throw new ShapeError(`groupNorm: ${groups} groups don't divide ${C} channels.`)

  const channels = C / groups
  const width = widthOf(channels)
  const cols = channels / width

  // 1. Mean and deviations of each chunk of pixels
  const chunk = Math.max(1, Math.min(pixels, Math.round(CHUNK_VALUES / channels)))
  const chunks = Math.ceil(pixels / chunk)
  const partials = tensor([chunks, groups, 2])
  record({
    kernel: kernel(groupNormStatsShader[width], {
      WG: THREADS,
    }),
    reads: { x },
    writes: { partials },
    sizes: { pixels, groups, cols, chunk, chunks },
    workgroups: groupsFor(chunks * groups),
    flops: 8 * x.size,
  })

  // 2. Joined
  const threads = sharedRows(groups, chunks, recorder().adapter.software)
  const stats = tensor([groups, 4])
  record({
    kernel: kernel(groupNormMergeShader, {
      LANES: threads.LANES,
      WG: threads.WG,
    }),
    reads: { partials },
    writes: { stats },
    sizes: {
      groups,
      chunks,
      full: chunk * channels,
      rest: (pixels - (chunks - 1) * chunk) * channels,
      eps,
    },
    workgroups: groupsForRows(groups, threads),
    flops: 6 * chunks * groups,
  })

  // 3. Applied
  const { lanes, run, workgroups } = rowChunks(pixels, C / width)
  const y = tensor(x.shape)
  record({
    kernel: kernel(groupNormShader[width], {
      ACTIVATION: ACTIVATIONS[activation],
      IN_PLACE: false,
      WG: THREADS,
    }),
    reads: { x, stats, weight, bias },
    writes: { y },
    sizes: { pixels, groups, cols, lanes, run },
    workgroups,
    flops: 4 * x.size,
    inPlace: { read: 'x', write: 'y' },
  })
  return y
}

function expectVector(op: string, name: string, x: Tensor, C: number): void {
  expectShape(op, name, x, [C])
  expectType(op, name, x, 'f32')
}
