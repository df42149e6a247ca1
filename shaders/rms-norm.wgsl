// rms-norm: y[r, c] = x[r, c] / sqrt(mean_c(x[r, c]^2) + eps) * weight[c]
//
// shapes    x [rows, cols], weight [cols], y [rows, cols], all f32
// threads   a workgroup takes a row, its WG threads stride over the columns
// numerics  squares add up in f32, in column order a thread, then as a tree: same bits every run
// host      rows, cols >= 1; more than 65,535 rows fold into workgroup_id.y
// prelude   const WG (a power of two, at most 256)

struct Sizes { rows: u32, cols: u32, eps: f32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= sizes.rows) { return; }  // the whole workgroup leaves, so the barriers below stay uniform

  // Sum of squares, one value a thread, then folded in half until one is left
  var sum = 0.0;
  for (var c = thread; c < sizes.cols; c += WG) {
    let v = x[row * sizes.cols + c];
    sum += v * v;
  }
  sums[thread] = sum;
  for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) { sums[thread] += sums[thread + stride]; }
  }
  workgroupBarrier();

  // Scale the row
  let scale = inverseSqrt(sums[0] / f32(sizes.cols) + sizes.eps);
  for (var c = thread; c < sizes.cols; c += WG) {
    let i = row * sizes.cols + c;
    y[i] = x[i] * scale * weight[c];
  }
}
