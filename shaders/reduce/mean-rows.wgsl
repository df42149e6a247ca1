// mean-rows: y[c] = mean of x[n, c] over the first `length` rows, 0 if there are none
//
// shapes    x [rows, cols] Elem, y [cols] Elem
// threads   one per Elem of y
// numerics  adds up in row order, relative to the first row: a large common offset costs no digits
// host      cols >= 1; a length past the end means all rows; more than 65,535 workgroups fold into workgroup_id.y
// prelude   alias Elem (f32 or vec4f), const WG

import prelude::{Elem, WG};

struct Sizes { rows: u32, cols: u32, length: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let c = (group.x + group.y * groups.x) * WG + thread;
  if (c >= sizes.cols) { return; }
  let length = min(sizes.length, sizes.rows);
  if (length == 0u) {
    y[c] = Elem();
    return;
  }
  let first = x[c];
  var sum = Elem();
  for (var n = 1u; n < length; n++) { sum += x[n * sizes.cols + c] - first; }
  y[c] = first + sum / f32(length);
}
