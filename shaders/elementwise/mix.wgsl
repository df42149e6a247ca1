// mix: y[i] = s * a[i] + (1 - s) * b[i], s = sigmoid(gate[i])
//
// shapes    gate, a, b, y [count] Elem
// threads   a workgroup takes a chunk of Elem, WG at a time
// numerics  1 - s = sigmoid(-gate), without cancellation. From gate = 17 on, s is 1 in f32 and y is a, bit for bit,
//           whatever the driver's division does: a closed gate leaves its input unchanged. Where the gate isn't finite,
//           y is NaN: sigmoid would hide an infinity
// host      where IN_PLACE, y holds a's values; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const IN_PLACE, WG
// predicted 16 bytes and 12 FLOPs per element, two sigmoids: 60 % of a copy
// measured  [200, 256] 5.5 and 1.3 GB/s, 58 and 57 %, much of it the launch (lavapipe and SwiftShader, two cores of a
//           Xeon, November 2026)

import package::lib::activation::sigmoid;
import package::lib::elem::{Elem, pack, part};
import package::lib::nan::{is_finite, nan_of};
import prelude::{IN_PLACE, WG};

struct Sizes { count: u32, chunk: u32 }

@group(0) @binding(0) var<storage, read> gate: array<Elem>;
@group(0) @binding(1) var<storage, read> a: array<Elem>;
@group(0) @binding(2) var<storage, read> b: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

fn blend(gate: f32, a: f32, b: f32) -> f32 {
  let mixed = select(sigmoid(gate) * a + sigmoid(-gate) * b, a, gate >= 17.0);
  return select(nan_of(gate), mixed, is_finite(gate));
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
    if (IN_PLACE) { v = y[i]; } else { v = a[i]; }
    let g = gate[i];
    let w = b[i];
    y[i] = pack(
      blend(part(g, 0), part(v, 0), part(w, 0)), blend(part(g, 1), part(v, 1), part(w, 1)),
      blend(part(g, 2), part(v, 2), part(w, 2)), blend(part(g, 3), part(v, 3), part(w, 3)),
    );
  }
}
