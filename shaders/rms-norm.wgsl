// rms-norm: y[r, c] = x[r, c] / sqrt(mean_c(x[r, c]^2) + eps) * weight[c]
//
// shapes    x, y [rows, cols] Elem, weight [cols] Elem
// threads   LANES threads a row, WG / LANES rows a workgroup; lanes stride over the columns
// numerics  squares add up in f32, in column order a lane, then lane by lane: same bits every run
// host      rows, cols >= 1; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WIDTH with lib/elem-*, const LANES and WG with lib/rows

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
  let row = (group.x + group.y * groups.x) * (WG / LANES) + thread / LANES;
  let lane = thread % LANES;
  let start = min(row, sizes.rows - 1u) * sizes.cols;  // rows past the end keep pace for the barriers

  // Sum of squares
  var squares = Elem();
  for (var c = lane; c < sizes.cols; c += LANES) {
    let v = x[start + c];
    squares += v * v;
  }
  let sum = over_lanes_sum(total(squares), thread, 0u);

  // Scale the row
  if (row >= sizes.rows) { return; }
  let scale = inverseSqrt(sum / f32(sizes.cols * WIDTH) + sizes.eps);
  for (var c = lane; c < sizes.cols; c += LANES) {
    y[start + c] = x[start + c] * scale * weight[c];
  }
}
