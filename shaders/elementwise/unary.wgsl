// unary: y[i] = f(x[i]), f an activation or x > threshold as 0 or 1; NaN stays NaN
//
// shapes    x, y [count] Elem
// threads   a workgroup takes a chunk of Elem, WG at a time
// host      where IN_PLACE, y holds x's values; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const OPERATION (an activation of lib/activation, or GREATER), IN_PLACE, WG
// predicted a copy and the activation, here gelu: 120 + 60 cycles per vec4 of 8 lanes, 67 % of a copy
// measured  [4096, 4096] 5.3 and 1.7 GB/s, 67 and 64 % of a copy of that size (lavapipe and SwiftShader, two cores of
//           a Xeon, November 2026)

import package::lib::activation::activate;
import package::lib::elem::{Elem, pack, part};
import package::lib::nan::is_nan;
import prelude::{IN_PLACE, OPERATION, WG};

const GREATER = 100u;

struct Sizes { count: u32, chunk: u32, threshold: f32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn apply(v: f32) -> f32 {
  if (OPERATION == GREATER) { return select(select(0.0, 1.0, v > sizes.threshold), v, is_nan(v)); }
  return activate(v, OPERATION);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.x + group.y * groups.x) * sizes.chunk;
  let end = min(first + sizes.chunk, sizes.count);
  for (var i = first + thread; i < end; i += WG) {
    var v: Elem;
    if (IN_PLACE) { v = y[i]; } else { v = x[i]; }
    y[i] = pack(apply(part(v, 0)), apply(part(v, 1)), apply(part(v, 2)), apply(part(v, 3)));
  }
}
