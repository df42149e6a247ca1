// Bilinear resizing of maps.

import resizeShader from '#shaders/image/resize.wgsl'
import resizeMapShader from '#shaders/image/resize.wgsl?MAP'
import { expectNames, expectNoMore } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { widthOf } from '../../kernels/elem.ts'
import { strips, THREADS } from '../../kernels/grids.ts'
import { expectPair } from '../../tensor/check.ts'
import { expectType, record, type Tensor, tensor } from '../../tensor/tensor.ts'

/**
 * Bilinear resize without antialias, pixel centres at half (PyTorch's interpolate with align_corners = false).
 *
 * @param x    [H, W, C] or [B, H, W, C]
 * @param size [H2, W2] of the result
 * @param options.crop  [h, w]: only the top left h x w pixels of each map are the source
 * @returns    [H2, W2, C] or [B, H2, W2, C]
 * @throws ShapeError if x is no map, or the crop is not inside of it
 */
export function resize(
  x: Tensor,
  size: readonly [H2: number, W2: number],
  options: { readonly crop?: readonly [h: number, w: number] } = {},
): Tensor {
  expectNoMore('resize', arguments, 3)
  expectType('resize', 'x', x, 'f32')
  if (x.shape.length !== 3 && x.shape.length !== 4) {
    throw new ShapeError(`resize: x is [${x.shape.join(', ')}], expected [H, W, C] or [B, H, W, C].`)
  }
  const [H = 0, W = 0, C = 0] = x.shape.slice(-3)
  expectPair('resize', 'size', size)
  const [H2, W2] = size
  expectNames('resize', options, ['crop'])
  const { crop = [H, W] } = options
  expectPair('resize', 'crop', crop)
  const [h, w] = crop
  if (h > H || w > W) {
    throw new ShapeError(`resize: the crop [${h}, ${w}] is not inside of the map [${H}, ${W}].`)
  }

  const y = tensor([...x.shape.slice(0, -3), H2, W2, C])
  const isMap = C === 1 && W2 % 4 === 0
  const width = isMap ? 4 : widthOf(C)
  const span = (W2 * C) / width
  const B = x.size / (H * W * C)
  const { across, run, runs, workgroups } = strips(B, H2, span)
  const sizes = {
    H,
    W,
    H2,
    h,
    w,
    scale_y: h / H2,
    scale_x: w / W2,
    span,
    across,
    run,
    runs,
    strips: B * runs,
  }
  record({
    kernel: kernel(isMap ? resizeMapShader : resizeShader, {
      Elem: width === 4 ? 'vec4f' : 'f32',
      WG: THREADS,
    }),
    reads: { x },
    writes: { y },
    sizes: { ...sizes, cols: isMap ? 1 : C / width },
    workgroups,
    flops: 9 * y.size,
  })
  return y
}
