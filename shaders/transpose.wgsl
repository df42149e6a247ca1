// transpose: y[b, n, m] = x[b, m, n]
//
// shapes    x [B, M, N], y [B, N, M]
// threads   one an element of y
// host      count = B * M * N; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WG

struct Sizes { count: u32, M: u32, N: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.count) { return; }
  let row = i / sizes.M;  // b * N + n
  let m = i - row * sizes.M;
  let b = row / sizes.N;
  let n = row - b * sizes.N;
  y[i] = x[(b * sizes.M + m) * sizes.N + n];
}
