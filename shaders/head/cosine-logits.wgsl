// cosine-logits: y[r, k] = clamp(exp(log_scale) * cos(x[r], classes[k]), -bound, bound)
//
// shapes    x [rows, C], classes [count, C], log_scale [1], y [rows, count]
// threads   one per output, 64 per workgroup: rows and classes are few
// numerics  cosine of vectors normalised with a denominator of at least 1e-12, as PyTorch does. Each is scaled by a
//           power of two first, so that squares neither overflow nor underflow. A logit that isn't finite isn't
//           clamped, which would hide it
// host      rows, count, cols >= 1; more than 65,535 workgroups fold into workgroup_id.y

import package::lib::nan::is_finite;
import package::lib::range::scale_to_one;

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

  // The largest magnitudes, compared as integers: bits of absolute values are in the order of the values
  var x_top = 0u;
  var class_top = 0u;
  for (var c = 0u; c < sizes.cols; c++) {
    x_top = max(x_top, bitcast<u32>(x[row * sizes.cols + c]) & 0x7fffffffu);
    class_top = max(class_top, bitcast<u32>(classes[class_index * sizes.cols + c]) & 0x7fffffffu);
  }
  let x_scale = scale_to_one(x_top);
  let class_scale = scale_to_one(class_top);

  var dot_product = 0.0;
  var x_squares = 0.0;
  var class_squares = 0.0;
  for (var c = 0u; c < sizes.cols; c++) {
    let a = x[row * sizes.cols + c] * x_scale;
    let b = classes[class_index * sizes.cols + c] * class_scale;
    dot_product += a * b;
    x_squares += a * a;
    class_squares += b * b;
  }
  let x_length = max(sqrt(x_squares), 1e-12 * x_scale);
  let class_length = max(sqrt(class_squares), 1e-12 * class_scale);
  // Some drivers' exp makes infinity of NaN, and of -infinity it is 0
  let factor = select(log_scale[0], exp(log_scale[0]), is_finite(log_scale[0]));
  let logit = factor * (dot_product / x_length / class_length);
  y[i] = select(logit, clamp(logit, -sizes.bound, sizes.bound), is_finite(logit));
}
