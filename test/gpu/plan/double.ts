// An op for tests of plans, whose grid can be cut and whose work can be said to be large.

import { record, type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { textKernel as kernel } from '../../support.ts'

/** Doubles every row; a row of workgroups per row of x, so that it can be cut. */
const DOUBLE = `
struct Sizes { cols: u32, first_group: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;
@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.y + sizes.first_group;
  for (var c = thread; c < sizes.cols; c += 8u) { y[row * sizes.cols + c] = 2.0 * x[row * sizes.cols + c]; }
}
`

/** 2 x of a matrix, as a dispatch of that many FLOPs. */
export function double(x: Tensor, flops = 1e8): Tensor {
  const [rows = 0, cols = 0] = x.shape
  const y = tensor(x.shape)
  record({
    kernel: kernel('test-double', DOUBLE),
    reads: { x },
    writes: { y },
    sizes: { cols },
    workgroups: [1, rows, 1],
    flops,
    cut: 'first_group',
  })
  return y
}
