// argmax: y[r] = the lowest c with the largest x[r, c], where NaN is larger than any number
//
// shapes    x [rows, cols] Elem, y [rows] u32
// threads   LANES threads per row, WG / LANES rows per workgroup; lanes stride over the columns
// host      rows, cols >= 1; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const LANES, WG (see lib/rows)
// predicted a load and four comparisons: 5 GB/s
// measured  [1800, 15194] 5.2 and 0.8 GB/s (lavapipe and SwiftShader, two cores of a Xeon, November 2026)

import package::lib::elem::{Bits, Elem, WIDTH, largest_bits, magnitude, part};
import package::lib::nan::is_nan;
import package::lib::rows::row_at;
import prelude::{LANES, WG};

struct Sizes { rows: u32, cols: u32 }  // cols in Elem

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

var<workgroup> thread_values: array<f32, WG>;
var<workgroup> places: array<u32, WG>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = row_at(group, groups, thread);
  let lane = thread % LANES;
  let start = min(row, sizes.rows - 1u) * sizes.cols;  // rows past the end take part in the barrier

  // Each lane's own largest value. Columns come in ascending order, so of equal ones the first stays
  var value = part(x[start], 0);
  var place = 0u;
  var bits = Bits();
  for (var c = lane; c < sizes.cols; c += LANES) {
    let v = x[start + c];
    bits = max(bits, magnitude(v));
    for (var k = 0u; k < WIDTH; k++) {
      if (part(v, k) > value) {
        value = part(v, k);
        place = c * WIDTH + k;
      }
    }
  }
  // If the row has a NaN, the first of them replaces it
  var is_spoilt = false;
  for (var c = select(sizes.cols, lane, largest_bits(bits) > 0x7f800000u); c < sizes.cols; c += LANES) {
    let v = x[start + c];
    for (var k = 0u; k < WIDTH; k++) {
      if (is_nan(part(v, k)) && !is_spoilt) {
        is_spoilt = true;
        value = part(v, k);
        place = c * WIDTH + k;
      }
    }
  }
  thread_values[thread] = value;
  places[thread] = place;
  workgroupBarrier();

  if (row >= sizes.rows || lane != 0u) { return; }
  for (var i = thread + 1u; i < thread + LANES; i++) {
    let other = is_nan(thread_values[i]);
    let is_larger = thread_values[i] > value || (thread_values[i] == value && places[i] < place);
    let better = select(is_larger, other && (!is_nan(value) || places[i] < place), other || is_nan(value));
    value = select(value, thread_values[i], better);
    place = select(place, places[i], better);
  }
  y[row] = place;
}
