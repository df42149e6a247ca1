// Reads tensors on a device. Apart from support.ts, as browsers run this too.

import type { Gpu } from '../src/gpu/gpu.ts'
import { sliceRows } from '../src/ops/layout/layout.ts'
import { plan } from '../src/tensor/plan.ts'
import type { Tensor } from '../src/tensor/tensor.ts'

/** The values of a resident tensor of floats. */
export async function valuesOf(gpu: Gpu, x: Tensor): Promise<Float32Array> {
  const copy = await plan(gpu, 'test', ({ bound }) => ({
    read: { y: sliceRows(bound('x', x.shape), 0, x.shape[0]!) },
  }))
  try {
    return (await copy.run({ bound: { x } })).read['y'] as Float32Array
  } finally {
    copy.release()
  }
}
