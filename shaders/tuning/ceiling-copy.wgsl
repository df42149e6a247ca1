// ceiling-copy: y[i] = x[i]
//
// This measures the largest bandwidth that an adapter reaches in a kernel: the widest loads and stores there are,
// coalesced, with hardly any index arithmetic.
//
// shapes    x, y [count] vec4u
// threads   a workgroup takes 8 * WG elements, WG at a time
// host      count is a multiple of 8 * WG, and there are count / (8 * WG) workgroups
// prelude   const WG

import prelude::WG;

@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * 8u * WG + thread;
  /*unroll*/ for (var i = 0u; i < 8u; i++) { y[first + i * WG] = x[first + i * WG]; }
}
