// The last step of a mask: from logits on the model's canvas to one bit for each pixel of the image. Resizing
// and thresholding in one kernel spares a float for every pixel of what may be a large photograph.

import source from '../../shaders/mask-pixels.wgsl' with { type: 'text' }
import { ShapeError } from '../errors.ts'
import { kernel } from '../gpu/kernel.ts'
import { expectShape, expectType, record, type Tensor, tensor } from './tensor.ts'

/**
 * Bilinear resize of the top-left corner of a map of logits (align_corners false), then `> 0`.
 *
 * @param x     [H, W] logits; a logit above 0 is a probability above one half
 * @param crop  the corner that holds the image
 * @param size  of the image, in pixels
 * @returns     u32 [ceil(height * width / 32)], row-major, the first pixel in the lowest bit
 * @throws ShapeError if x is no map, the crop isn't inside of it, or the size is empty
 */
export function maskPixels(
  x: Tensor,
  crop: readonly [height: number, width: number],
  size: readonly [height: number, width: number],
): Tensor {
  expectShape('maskPixels', 'x', x, [undefined, undefined])
  expectType('maskPixels', 'x', x, 'f32')
  const [H = 0, W = 0] = x.shape
  const [h, w] = crop
  if (!(h >= 1 && h <= H && w >= 1 && w <= W)) {
    throw new ShapeError(`maskPixels: the crop [${h}, ${w}] is not inside of the map [${H}, ${W}].`)
  }
  const [height, width] = size
  const pixels = height * width
  if (!(pixels >= 1)) {
    throw new ShapeError(`maskPixels: the size is [${height}, ${width}], expected at least [1, 1].`)
  }

  const y = tensor([Math.ceil(pixels / 32)], 'u32')
  record({
    kernel: kernel('mask-pixels', source),
    reads: { x },
    writes: { y },
    sizes: { map_width: W, crop_height: h, crop_width: w, height, width },
    workgroups: Math.ceil(y.size / 64),
    flops: 20 * pixels,
  })
  return y
}
