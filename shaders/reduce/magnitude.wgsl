// magnitude: y[g] = the bits of the largest |x[i]| in the chunk of x that workgroup g takes
//
// As integers, the bits of absolute values are in the order of the values, followed by infinity, then NaN: a y of
// 0x7f800000 or more means that x has a number that isn't finite. The kernel computes with integers alone, so no
// compiler can assume that numbers are finite.
//
// shapes    x [count] Elem, y [workgroups] u32
// threads   a workgroup takes a chunk of Elem, WG at a time
// host      count > (workgroups - 1) * chunk; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WG
// predicted a load, an AND and a maximum for 16 bytes: as fast as the loads of a copy

import package::lib::elem::{Bits, Elem, largest_bits, magnitude};
import prelude::WG;

struct Sizes { count: u32, chunk: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

var<workgroup> most: atomic<u32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let own = group.x + group.y * groups.x;
  let first = own * sizes.chunk;
  let end = min(first + sizes.chunk, sizes.count);
  var bits = Bits();
  for (var i = first + thread; i < end; i += WG) { bits = max(bits, magnitude(x[i])); }
  atomicMax(&most, largest_bits(bits));
  workgroupBarrier();
  if (thread == 0u && first < sizes.count) { y[own] = atomicLoad(&most); }
}
