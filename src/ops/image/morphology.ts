// Grey-scale morphology: the difference of a map dilated and the same map eroded marks its boundary.

import morphologyF32 from '#shaders/image/morphology.wgsl'
import morphologyVec4 from '#shaders/image/morphology.wgsl?VEC4'
import { expectNoMore } from '../../check.ts'
import { kernel } from '../../gpu/kernel.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { strips, THREADS } from '../../kernels/grids.ts'
import { expectShape, expectType, record, type Tensor, tensor } from '../../tensor/tensor.ts'

const morphologyShader: ByWidth = { 1: morphologyF32, 4: morphologyVec4 }

/**
 * The largest value in the 3 x 3 window around each pixel, clipped at the border: [H, W] -> [H, W]. NaN where one is in
 * it.
 */
export function dilate(x: Tensor): Tensor {
  expectNoMore('dilate', arguments, 1)
  return morph('dilate', x, false)
}

/**
 * The smallest value in the 3 x 3 window around each pixel, clipped at the border: [H, W] -> [H, W]. NaN where one is
 * in it.
 */
export function erode(x: Tensor): Tensor {
  expectNoMore('erode', arguments, 1)
  return morph('erode', x, true)
}

function morph(op: string, x: Tensor, erodes: boolean): Tensor {
  expectShape(op, 'x', x, [undefined, undefined])
  expectType(op, 'x', x, 'f32')
  const [H = 0, W = 0] = x.shape
  const width = widthOf(W)
  const { across, run, workgroups } = strips(1, H, W / width)
  const y = tensor(x.shape)
  record({
    kernel: kernel(morphologyShader[width], {
      Keys: width === 4 ? 'vec4i' : 'i32',
      Shift: width === 4 ? 'vec4u' : 'u32',
      ERODE: erodes,
      WG: THREADS,
    }),
    reads: { x },
    writes: { y },
    sizes: { H, cols: W / width, across, run },
    workgroups,
    flops: 9 * x.size,
  })
  return y
}
