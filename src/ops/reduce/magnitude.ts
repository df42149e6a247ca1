// A test that all elements of a tensor are finite, which costs little more than reading them once.

import magnitudeF32 from '#shaders/reduce/magnitude.wgsl'
import magnitudeVec4 from '#shaders/reduce/magnitude.wgsl?VEC4'
import { kernel } from '../../gpu/kernel.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { chunks, THREADS } from '../../kernels/grids.ts'
import { expectType, record, type Tensor, tensor } from '../../tensor/tensor.ts'

const magnitudeShader: ByWidth = { 1: magnitudeF32, 4: magnitudeVec4 }

/** The bits of infinity, larger than those of any number's absolute value; those of a NaN are larger still. */
export const INFINITY_BITS = 0x7f800000

/**
 * The bits of the largest absolute value of each part of a tensor; INFINITY_BITS or more where it isn't finite.
 *
 * @param x [...]
 * @returns u32 [parts], at most 1,024
 */
export function magnitude(x: Tensor): Tensor {
  expectType('magnitude', 'x', x, 'f32')
  const width = widthOf(x.size)
  const { chunk, workgroups } = chunks(x.size / width)
  const y = tensor([workgroups], 'u32')
  record({
    kernel: kernel(magnitudeShader[width], { WG: THREADS }),
    reads: { x },
    writes: { y },
    sizes: { count: x.size / width, chunk },
    workgroups,
    flops: x.size,
  })
  return y
}
