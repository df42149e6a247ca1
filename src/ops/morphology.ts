// Grey-scale morphology: what lies between a map dilated and the same map eroded is its boundary.

import source from '../../shaders/morphology.wgsl' with { type: 'text' }
import { kernel } from '../gpu/kernel.ts'
import { groupsFor, THREADS } from './elem.ts'
import { expectShape, expectType, record, type Tensor, tensor } from './tensor.ts'

/** The largest value in the 3 x 3 window around each pixel, clipped at the border: [H, W] -> [H, W]. */
export function dilate(x: Tensor): Tensor {
  return morph('dilate', x, false)
}

/** The smallest value in the 3 x 3 window around each pixel, clipped at the border: [H, W] -> [H, W]. */
export function erode(x: Tensor): Tensor {
  return morph('erode', x, true)
}

function morph(op: string, x: Tensor, erodes: boolean): Tensor {
  expectShape(op, 'x', x, [undefined, undefined])
  expectType(op, 'x', x, 'f32')
  const [H = 0, W = 0] = x.shape
  const y = tensor(x.shape)
  record({
    kernel: kernel('morphology', source, { ERODE: erodes, WG: THREADS }),
    reads: { x },
    writes: { y },
    sizes: { H, W },
    workgroups: groupsFor(x.size),
    flops: 9 * x.size,
  })
  return y
}
