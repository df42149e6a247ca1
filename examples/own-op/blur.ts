// An op of your own: a WGSL body beside it, and a function that checks shapes and records a dispatch. In plans it stands
// beside those of the engine, and shares their memory planning, profiling and messages.

import { expectShape, expectType, kernel, record, ShapeError, type Tensor, tensor } from 'flowseg/engine'
// Deno and Bun import text so; in Vite write `from './blur.wgsl?raw'`, in Node read the file
import source from './blur.wgsl' with { type: 'text' }

const WG = 64

/**
 * Box blur: the mean over the pixels at most `radius` away along both axes; those of the border count for what is outside.
 *
 * @param x      [H, W, C] f32
 * @param radius in pixels, 0 leaves x as it is
 * @returns      [H, W, C] f32
 * @throws ShapeError if x has another rank or type, or the radius is no whole number from 0 on
 */
export function blur(x: Tensor, radius: number): Tensor {
  expectType('blur', 'x', x, 'f32')
  expectShape('blur', 'x', x, [undefined, undefined, undefined])
  if (!Number.isInteger(radius) || radius < 0) {
    throw new ShapeError(`blur: the radius is ${radius}, expected a whole number from 0 on.`)
  }
  const [height = 1, width = 1, channels = 1] = x.shape

  const y = tensor(x.shape)
  record({
    kernel: kernel('blur', source, { WG }),
    reads: { x },
    writes: { y },
    sizes: { height, width, channels, radius },
    workgroups: Math.ceil(x.size / WG),
    flops: x.size * (2 * radius + 1) ** 2,
  })
  return y
}
