// normalize-rows: y[r, c] = x[r, c] / max(sqrt(sum_c(x[r, c]^2)), 1e-12)
//
// shapes    x, y [rows, cols] Elem
// threads   LANES threads per row, WG / LANES rows per workgroup; lanes stride over the columns
// numerics  a row is scaled by a power of two first, so that its largest value is in [1, 4) and squares neither
//           overflow nor underflow; a NaN makes the sum of squares NaN, and so the row
// host      rows, cols >= 1; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const LANES, WG (see lib/rows)
// predicted 8 bytes per element, three loads and a store: 50 % of a copy
// measured  [4096, 1024] 5.3 and 1.3 GB/s, 55 and 57 % (lavapipe and SwiftShader, two cores of a Xeon, November 2026)

import package::lib::elem::{Elem, largest, total};
import package::lib::range::scale_to_one;
import package::lib::rows::{max_of_row, row_at, sum_of_row};
import prelude::{LANES, WG};

struct Sizes { rows: u32, cols: u32 }  // cols in Elem

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = row_at(group, groups, thread);
  let lane = thread % LANES;
  let start = min(row, sizes.rows - 1u) * sizes.cols;  // rows past the end take part in the barriers

  var best = Elem();
  for (var c = lane; c < sizes.cols; c += LANES) { best = max(best, abs(x[start + c])); }
  let scale = scale_to_one(bitcast<u32>(max_of_row(largest(best), thread, 0u)));

  var squares = Elem();
  for (var c = lane; c < sizes.cols; c += LANES) {
    let v = x[start + c] * scale;
    squares += v * v;
  }
  // As integers, numbers above 0 are in the same order, and NaN is above them
  let length = sqrt(sum_of_row(total(squares), thread, 1u));
  let divisor = bitcast<f32>(max(bitcast<u32>(length) & 0x7fffffffu, bitcast<u32>(1.0e-12 * scale)));

  if (row >= sizes.rows) { return; }
  for (var c = lane; c < sizes.cols; c += LANES) { y[start + c] = (x[start + c] * scale) / divisor; }
}
