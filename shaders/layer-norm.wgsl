// layer-norm: y[r, c] = (v[r, c] - mean_c(v)) / sqrt(var_c(v) + eps) * weight[c] + bias[c], v = x (+ residual)
//
// shapes    x, residual, y [rows, cols] Elem, weight, bias [cols] Elem
// threads   LANES threads a row, WG / LANES rows a workgroup; lanes stride over the columns
// numerics  a row is first shifted by its first value, which takes a large common offset out exactly; then
//           Welford by Elem, and lanes joined by their means. The variance is never a difference of squares.
// host      rows, cols >= 1; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WIDTH with lib/elem-*, const LANES and WG with lib/rows, const HAS_RESIDUAL

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
  let row = (group.x + group.y * groups.x) * (WG / LANES) + thread / LANES;
  let lane = thread % LANES;
  let start = min(row, sizes.rows - 1u) * sizes.cols;  // rows past the end keep pace for the barriers
  let shift = part(load(start), 0);

  // This lane's mean and squared deviations: each Elem's own, joined to those before (Chan et al. 1983)
  let width = f32(WIDTH);
  var count = 0.0;
  var mean = 0.0;
  var deviations = 0.0;
  for (var c = lane; c < sizes.cols; c += LANES) {
    let v = load(start + c) - shift;
    let m = total(v) / width;
    let d = v - m;
    let step = m - mean;
    let share = width / (count + width);
    deviations += total(d * d) + step * step * count * share;
    mean += step * share;
    count += width;
  }

  // The row's
  let size = f32(sizes.cols) * width;
  let row_mean = over_lanes_sum(mean * count, thread, 0u) / size;
  let apart = mean - row_mean;
  let variance = over_lanes_sum(deviations + apart * apart * count, thread, 1u) / size;
  let scale = inverseSqrt(variance + sizes.eps);

  if (row >= sizes.rows) { return; }
  for (var c = lane; c < sizes.cols; c += LANES) {
    let v = load(start + c) - shift - row_mean;
    y[start + c] = v * scale * weight[c] + bias[c];
  }
}
