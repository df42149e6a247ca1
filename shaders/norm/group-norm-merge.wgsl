// group-norm-merge: joins the statistics of all chunks: mean and 1 / sqrt(variance + eps) of each group, where x is
// scaled by `down`
//
// shapes    partials [chunks, groups] (mean, deviation), stats [groups] (down, down * mean, scale of down * x, 0)
// threads   LANES threads per group, WG / LANES groups per workgroup; lanes stride over the chunks
// numerics  means are joined relative to the first chunk's: a large common offset costs no digits. down is 1, or 2^-80
//           where squares overflow
// host      every chunk but the last holds `full` values of a group, the last one `rest`; more than
//           65,535 workgroups fold into workgroup_id.y
// prelude   const LANES, WG (see lib/rows)

import package::lib::nan::is_finite;
import package::lib::range::DOWN;
import package::lib::rows::{row_at, sum_of_row};
import prelude::{LANES, WG};

struct Sizes { groups: u32, chunks: u32, full: f32, rest: f32, eps: f32 }

@group(0) @binding(0) var<storage, read> partials: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> stats: array<vec4f>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn values_in(chunk: u32) -> f32 { return select(sizes.full, sizes.rest, chunk == sizes.chunks - 1u); }

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = row_at(group, groups, thread);
  let lane = thread % LANES;
  let g = min(row, sizes.groups - 1u);  // rows past the end take part in the barriers
  let size = sizes.full * f32(sizes.chunks - 1u) + sizes.rest;
  // The second turn has work only where squares overflow
  var merged = vec4f();
  var is_done = false;
  var down = 1.0;
  for (var turn = 0u; turn < 2u; turn++) {
    let shift = partials[g].x * down;
    let first = select(lane, sizes.chunks, is_done);
    var sum = 0.0;
    for (var chunk = first; chunk < sizes.chunks; chunk += LANES) {
      sum += (partials[chunk * sizes.groups + g].x * down - shift) * values_in(chunk);
    }
    let mean = sum_of_row(sum, thread, 0u) / size;

    var deviations = 0.0;
    for (var chunk = first; chunk < sizes.chunks; chunk += LANES) {
      let partial = partials[chunk * sizes.groups + g] * down;
      let apart = partial.x - shift - mean;
      deviations += (partial.y * partial.y + apart * apart) * values_in(chunk);
    }
    let variance = sum_of_row(deviations, thread, 1u) / size;
    let scale = inverseSqrt(variance + select(0.0, sizes.eps, turn == 0u));
    if (!is_done) { merged = vec4f(down, mean + shift, scale, 0.0); }
    is_done = is_finite(variance);
    down = DOWN;
  }
  if (row < sizes.groups && lane == 0u) { stats[g] = merged; }
}
