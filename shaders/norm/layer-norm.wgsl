// layer-norm: y[r, c] = (v[r, c] - mean_c(v)) / sqrt(var_c(v) + eps) * weight[c] + bias[c], v = x (+ residual)
//
// shapes    x, residual, y [rows, cols] Elem, weight, bias [cols] Elem
// threads   LANES threads take RUN rows, WG / LANES such groups of threads per workgroup; lanes stride over the columns
// numerics  a row is first shifted by its first value, which removes a large common offset exactly; then
//           lib/statistics, whose results the lanes join by their means. A row whose squares overflow, with numbers
//           from 1e19 on, is scaled by DOWN and read again
// host      rows, cols >= 1; RUN = 1 unless LANES = 1; more than 65,535 workgroups fold into workgroup_id.y; the marked
//           loops are unrolled first (src/gpu/unroll.ts)
// prelude   const LANES, WG (see lib/rows), RUN, HAS_RESIDUAL
// predicted 8 bytes and 8 FLOPs per element, for which a row is read twice and a quarter of weight and bias: 57 % of a
//           copy
// measured  [729, 1152] 7.0 and 2.0 GB/s, 74 and 86 %; 4.3 and 1.1 by four threads per row (lavapipe and SwiftShader,
//           two cores of a Xeon, November 2026)

import package::lib::elem::{Elem, WIDTH, part};
import package::lib::nan::is_finite;
import package::lib::range::DOWN;
import package::lib::rows::{row_at, sum_of_row};
import package::lib::statistics::{Statistics, with_four, with_one};
import prelude::{HAS_RESIDUAL, LANES, RUN, WG};

struct Sizes { rows: u32, cols: u32, eps: f32 }  // cols in Elem

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> residual: array<Elem>;
@group(0) @binding(2) var<storage, read> weight: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;
@group(0) @binding(5) var<uniform> sizes: Sizes;

fn load(i: u32) -> Elem {
  if (HAS_RESIDUAL) { return x[i] + residual[i]; }
  return x[i];
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = row_at(group, groups, thread) * RUN;
  let lane = thread % LANES;

  // Each row's down, shift, mean and scale
  let size = f32(sizes.cols * WIDTH);
  var statistics = array<vec4f, RUN>();
  for (var i = 0u; i < RUN; i++) {
    let start = min(first + i, sizes.rows - 1u) * sizes.cols;  // rows past the end take part in the barriers
    // The second turn has work only for a row whose squares overflow
    var is_done = false;
    var down = 1.0;
    for (var turn = 0u; turn < 2u; turn++) {
      let shift = part(load(start), 0) * down;
      var mine = Statistics();
      var c = select(lane, sizes.cols, is_done);
      for (; c + 3u * LANES < sizes.cols; c += 4u * LANES) {
        let at = start + c;
        mine = with_four(
          mine, load(at) * down - shift, load(at + LANES) * down - shift,
          load(at + 2u * LANES) * down - shift, load(at + 3u * LANES) * down - shift,
        );
      }
      for (; c < sizes.cols; c += LANES) { mine = with_one(mine, load(start + c) * down - shift); }
      let mean = sum_of_row(mine.mean * mine.count, thread, 0u) / size;
      let apart = mine.mean - mean;
      let variance = sum_of_row(mine.deviations + apart * apart * mine.count, thread, 1u) / size;
      if (!is_done) {
        statistics[i] = vec4f(down, shift, mean, inverseSqrt(variance + select(0.0, sizes.eps, turn == 0u)));
      }
      is_done = is_finite(variance);
      down = DOWN;
    }
  }
  if (first >= sizes.rows) { return; }

  // The rows side by side, as they share weight and bias
  var row = array<vec4f, RUN>();
  var starts = array<u32, RUN>();
  /*unroll*/ for (var i = 0u; i < RUN; i++) {
    row[i] = statistics[i];
    starts[i] = min(first + i, sizes.rows - 1u) * sizes.cols;
  }
  for (var c = lane; c < sizes.cols; c += LANES) {
    let w = weight[c];
    let b = bias[c];
    /*unroll*/ for (var i = 0u; i < RUN; i++) {
      y[starts[i] + c] = (load(starts[i] + c) * row[i].x - row[i].y - row[i].z) * row[i].w * w + b;
    }
  }
}
