// The quality of a mask: the sum of the probabilities of its pixels.

import maskQualityShader from '#shaders/head/mask-quality.wgsl'
import { kernel } from '../../gpu/kernel.ts'
import { perGroup, THREADS } from '../../kernels/grids.ts'
import { expectShape, expectType, record, type Tensor, tensor } from '../../tensor/tensor.ts'
import { sumLast } from '../reduce/reduce.ts'
import { type CanvasPlace, expectPlace, pixelsOf, placeSizes } from './place.ts'

/**
 * The sum of sigmoid(logit) over the pixels inside of a mask; divided by their number it is the mask's quality.
 *
 * @param logits [H, W], place.map
 * @param bits   u32 [ceil(height * width / 32)], as maskPixels leaves them
 * @returns      [1]
 * @throws ShapeError if the shapes are others
 */
export function maskQuality(logits: Tensor, bits: Tensor, place: CanvasPlace): Tensor {
  expectPlace('maskQuality', place)
  const words = Math.ceil(pixelsOf(place) / 32)
  expectShape('maskQuality', 'logits', logits, place.map)
  expectType('maskQuality', 'logits', logits, 'f32')
  expectShape('maskQuality', 'bits', bits, [words])
  expectType('maskQuality', 'bits', bits, 'u32')

  const chunk = perGroup(words, THREADS)
  const groups = Math.ceil(words / chunk)
  const sums = tensor([groups])
  record({
    kernel: kernel(maskQualityShader, { WG: THREADS }),
    reads: { x: logits, bits },
    writes: { y: sums },
    sizes: { ...placeSizes(place), words, chunk },
    workgroups: groups,
    flops: 70 * pixelsOf(place), // if all of them are inside
  })
  return sumLast(sums)
}
