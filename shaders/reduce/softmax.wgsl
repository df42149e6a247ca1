// softmax: y[r, c] = exp(x[r, c] - max_c(x)) / sum_c(exp(x[r, c] - max_c(x)))
//
// shapes    x, y [rows, cols] Elem
// threads   LANES threads per row, WG / LANES rows per workgroup; lanes stride over the columns
// numerics  exp only sees arguments <= 0; the sum is at least 1. A lane keeps its largest value so far and the sum
//           relative to it, four Elem at a time, so that the row is read twice and not three times. A NaN makes the row
//           NaN: drivers' exp gives NaN or infinity for it, so the sum isn't finite, and is at most `cols` otherwise
// host      rows, cols >= 1; where IN_PLACE, y holds x's values; more than 65,535 workgroups fold into
//           workgroup_id.y
// prelude   const LANES, WG (see lib/rows), IN_PLACE
// predicted 8 bytes per element, two loads, a store and two exponentials (35 cycles): 48 % of a copy
// measured  [11664, 728] 5.8 and 1.5 GB/s, 61 and 65 %; [11664, 729], not in vec4s, 3.8 and 0.9 (lavapipe and
//           SwiftShader, two cores of a Xeon, November 2026)

import package::lib::elem::{Elem, largest, total};
import package::lib::nan::{is_finite, nan_of};
import package::lib::rows::{max_of_row, row_at, sum_of_row};
import prelude::{IN_PLACE, LANES, WG};

struct Sizes { rows: u32, cols: u32 }  // cols in Elem

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn load(i: u32) -> Elem {
  if (IN_PLACE) { return y[i]; }
  return x[i];
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = row_at(group, groups, thread);
  let lane = thread % LANES;
  let start = min(row, sizes.rows - 1u) * sizes.cols;  // rows past the end take part in the barriers

  // Each lane's maximum, and its sum of exponentials relative to that
  var top = -3.4028234663852886e38;  // the lowest there is
  var sum = 0.0;
  var c = lane;
  for (; c + 3u * LANES < sizes.cols; c += 4u * LANES) {
    let v0 = load(start + c);
    let v1 = load(start + c + LANES);
    let v2 = load(start + c + 2u * LANES);
    let v3 = load(start + c + 3u * LANES);
    let next = max(top, largest(max(max(v0, v1), max(v2, v3))));
    sum = sum * exp(top - next) + total((exp(v0 - next) + exp(v1 - next)) + (exp(v2 - next) + exp(v3 - next)));
    top = next;
  }
  for (; c < sizes.cols; c += LANES) {
    let v = load(start + c);
    let next = max(top, largest(v));
    sum = sum * exp(top - next) + total(exp(v - next));
    top = next;
  }

  // The row's maximum and sum
  let row_top = max_of_row(top, thread, 0u);
  let row_sum = sum_of_row(sum * exp(top - row_top), thread, 1u);
  let scale = select(nan_of(row_sum), 1.0 / row_sum, is_finite(row_sum));

  if (row >= sizes.rows) { return; }
  for (var i = lane; i < sizes.cols; i += LANES) { y[start + i] = exp(load(start + i) - row_top) * scale; }
}
