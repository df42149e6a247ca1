// mean-spans: y[p, c] = mean of x[n, c] over the rows of span p, 0 if it has none
//
// shapes    x [rows, cols] Elem, spans [phrases, 2] u32: begin and end of each, y [phrases, cols] Elem
// threads   one per Elem of y
// numerics  adds up in row order, relative to the first row: a large common offset costs no digits
// host      cols >= 1; a span ends at the last row at the latest; more than 65,535 workgroups fold into workgroup_id.y
// prelude   alias Elem (f32 or vec4f), const WG

import prelude::{Elem, WG};

struct Sizes { rows: u32, cols: u32, phrases: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> spans: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.phrases * sizes.cols) { return; }
  let c = i % sizes.cols;
  let span = spans[i / sizes.cols];
  let end = min(span.y, sizes.rows);
  if (span.x >= end) {
    y[i] = Elem();
    return;
  }
  let first = x[span.x * sizes.cols + c];
  var sum = Elem();
  for (var n = span.x + 1u; n < end; n++) { sum += x[n * sizes.cols + c] - first; }
  y[i] = first + sum / f32(end - span.x);
}
