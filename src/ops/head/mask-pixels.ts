// The last step of a mask: from logits on the model's canvas to one bit for each pixel of the image. Resizing
// and thresholding in one kernel spares a float for every pixel of what may be a large photograph. Bits become bytes
// only for callers that use the mask on the device.

import maskBytesShader from '#shaders/head/mask-bytes.wgsl'
import maskPixelsShader from '#shaders/head/mask-pixels.wgsl'
import { expectWhole } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { groupsFor, THREADS } from '../../kernels/grids.ts'
import { expectPair } from '../../tensor/check.ts'
import { expectShape, expectType, record, type Tensor, tensor } from '../../tensor/tensor.ts'

/**
 * Bilinear resize of the top-left corner of a map of logits (align_corners false), then `> 0`, which NaN is not.
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
  expectPair('maskPixels', 'crop', crop)
  expectPair('maskPixels', 'size', size)
  const [h, w] = crop
  if (h > H || w > W) {
    throw new ShapeError(`maskPixels: the crop [${h}, ${w}] is not inside of the map [${H}, ${W}].`)
  }
  const [height, width] = size
  const pixels = height * width

  const y = tensor([Math.ceil(pixels / 32)], 'u32')
  record({
    kernel: kernel(maskPixelsShader),
    reads: { x },
    writes: { y },
    sizes: { map_width: W, crop_height: h, crop_width: w, height, width },
    workgroups: Math.ceil(y.size / 64),
    flops: 20 * pixels,
  })
  return y
}

/**
 * A byte for each pixel, 255 inside and 0 outside, in rows that begin at a multiple of `rowBytes`.
 *
 * @param bits      as maskPixels leaves them
 * @param size      of the image, in pixels
 * @param rowBytes  a multiple of 4, at least the width; what follows the last pixel of a row is 0
 * @returns         u32 [height, rowBytes / 4]
 * @throws ShapeError if bits are not those of such an image, or a row has no room
 */
export function maskBytes(
  bits: Tensor,
  size: readonly [height: number, width: number],
  rowBytes: number,
): Tensor {
  expectPair('maskBytes', 'size', size)
  expectWhole('maskBytes', 'rowBytes', rowBytes)
  const [height, width] = size
  expectShape('maskBytes', 'bits', bits, [Math.ceil((height * width) / 32)])
  expectType('maskBytes', 'bits', bits, 'u32')
  if (!(rowBytes >= width && rowBytes % 4 === 0)) {
    throw new ShapeError(
      `maskBytes: rows of ${rowBytes} bytes, expected a multiple of 4 that holds ${width} pixels.`,
    )
  }
  const y = tensor([height, rowBytes / 4], 'u32')
  record({
    kernel: kernel(maskBytesShader, { WG: THREADS }),
    reads: { bits },
    writes: { y },
    sizes: { width, words: rowBytes / 4, total: y.size },
    workgroups: groupsFor(y.size),
    flops: 0,
  })
  return y
}
