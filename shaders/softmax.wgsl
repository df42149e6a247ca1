// softmax: y[r, c] = exp(x[r, c] - max_c(x)) / sum_c(exp(x[r, c] - max_c(x)))
//
// shapes    x, y [rows, cols] Elem
// threads   LANES threads a row, WG / LANES rows a workgroup; lanes stride over the columns
// numerics  exp only sees arguments <= 0; the sum is at least 1
// host      rows, cols >= 1; in place, x's values are found in y; more than 65,535 workgroups fold into
//           workgroup_id.y
// prelude   const WIDTH with lib/elem-*, const LANES and WG with lib/rows, const IN_PLACE

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
  let row = (group.x + group.y * groups.x) * (WG / LANES) + thread / LANES;
  let lane = thread % LANES;
  let start = min(row, sizes.rows - 1u) * sizes.cols;  // rows past the end keep pace for the barriers

  // The row's maximum
  var best = Elem(-3.0e38);
  for (var c = lane; c < sizes.cols; c += LANES) { best = max(best, load(start + c)); }
  let top = over_lanes_max(largest(best), thread, 0u);

  // What the exponentials come to
  var sums = Elem();
  for (var c = lane; c < sizes.cols; c += LANES) { sums += exp(load(start + c) - top); }
  let sum = over_lanes_sum(total(sums), thread, 1u);

  if (row >= sizes.rows) { return; }
  for (var c = lane; c < sizes.cols; c += LANES) { y[start + c] = exp(load(start + c) - top) / sum; }
}
