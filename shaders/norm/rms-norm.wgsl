// rms-norm: y[r, c] = x[r, c] / sqrt(mean_c(x[r, c]^2) + eps) * weight[c]
//
// shapes    x, y [rows, cols] Elem, weight [cols] Elem
// threads   LANES threads take RUN rows, WG / LANES such groups of threads per workgroup; lanes stride over the columns
// numerics  squares add up in f32, in column order per lane, then lane by lane: same bits every run. A row whose
//           squares overflow, with numbers from 1e19 on, is scaled by DOWN and added up again
// host      rows, cols >= 1; RUN = 1 unless LANES = 1; more than 65,535 workgroups fold into workgroup_id.y; the marked
//           loops are unrolled first (src/gpu/unroll.ts)
// prelude   const LANES, WG (see lib/rows), RUN
// predicted 8 bytes and 4 FLOPs per element, for which a row is read twice and a quarter of the weight: 62 % of a copy
// measured  [1800, 2560] 7.7 and 2.4 GB/s, 81 and 103 %; 5.5 and 1.4 by four threads per row (lavapipe and
//           SwiftShader, two cores of a Xeon, November 2026)

import package::lib::elem::{Elem, WIDTH, total};
import package::lib::nan::is_finite;
import package::lib::range::DOWN;
import package::lib::rows::{row_at, sum_of_row};
import prelude::{LANES, RUN, WG};

struct Sizes { rows: u32, cols: u32, eps: f32 }  // cols in Elem

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = row_at(group, groups, thread) * RUN;
  let lane = thread % LANES;
  var starts = array<u32, RUN>();  // rows past the end take part in the barriers
  /*unroll*/ for (var i = 0u; i < RUN; i++) { starts[i] = min(first + i, sizes.rows - 1u) * sizes.cols; }

  // Sums of squares
  var squares = array<Elem, RUN>();
  for (var c = lane; c < sizes.cols; c += LANES) {
    /*unroll*/ for (var i = 0u; i < RUN; i++) {
      let v = x[starts[i] + c];
      squares[i] += v * v;
    }
  }
  var downs = array<f32, RUN>();
  var scales = array<f32, RUN>();
  let size = f32(sizes.cols * WIDTH);
  /*unroll*/ for (var i = 0u; i < RUN; i++) {
    let sum = sum_of_row(total(squares[i]), thread, 0u);
    let fits = is_finite(sum);
    downs[i] = select(DOWN, 1.0, fits);
    squares[i] = Elem();
    for (var c = select(lane, sizes.cols, fits); c < sizes.cols; c += LANES) {
      let v = x[starts[i] + c] * DOWN;
      squares[i] += v * v;
    }
    let small = sum_of_row(total(squares[i]), thread, 1u);
    scales[i] = inverseSqrt(select(small / size, sum / size + sizes.eps, fits));
  }
  if (first >= sizes.rows) { return; }

  // Scale the rows, which share the weight
  for (var c = lane; c < sizes.cols; c += LANES) {
    let w = weight[c];
    /*unroll*/ for (var i = 0u; i < RUN; i++) { y[starts[i] + c] = x[starts[i] + c] * downs[i] * scales[i] * w; }
  }
}
