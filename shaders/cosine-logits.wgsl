// cosine-logits: y[r, k] = clamp(exp(log_scale) * cos(x[r], classes[k]), -bound, bound)
//
// shapes    x [rows, C], classes [count, C], log_scale [1], y [rows, count]
// threads   a thread an output: rows and classes are few
// numerics  cosine of vectors normalised with a denominator of at least 1e-12, as PyTorch does
// host      rows, count, cols >= 1; more than 65,535 workgroups fold into workgroup_id.y

struct Sizes { rows: u32, cols: u32, count: u32, bound: f32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> classes: array<f32>;
@group(0) @binding(2) var<storage, read> log_scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * 64u + thread;
  if (i >= sizes.rows * sizes.count) { return; }
  let row = i / sizes.count;
  let class_index = i % sizes.count;

  var dot_product = 0.0;
  var x_squares = 0.0;
  var class_squares = 0.0;
  for (var c = 0u; c < sizes.cols; c++) {
    let a = x[row * sizes.cols + c];
    let b = classes[class_index * sizes.cols + c];
    dot_product += a * b;
    x_squares += a * a;
    class_squares += b * b;
  }
  let cosine = dot_product / (max(sqrt(x_squares), 1e-12) * max(sqrt(class_squares), 1e-12));
  y[i] = clamp(exp(log_scale[0]) * cosine, -sizes.bound, sizes.bound);
}
