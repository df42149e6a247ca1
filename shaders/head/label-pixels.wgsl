// label-pixels: the label of a pixel is the lowest k with the largest bilinear sample of x[.., .., k]
//
// shapes    x [strip, crop_width, classes], rows from first_source on of a map of crop_height rows;
//           y u32 [ceil(height * width / 2)], two pixels per word, row-major, the first in the lower half
// threads   one per word: two pixels
// numerics  sample points as in place.wgsl
// host      the strip holds what the pixels from `first` to `end` read, `first` is even; more than 65,535 workgroups
//           fold into workgroup_id.y
// prelude   const WG
// predicted 4 loads per pixel and class

import package::head::place::sample_at;
import prelude::WG;

struct Sizes {
  crop_height: u32, crop_width: u32, height: u32, width: u32,
  classes: u32, first_source: u32, first: u32, end: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn label_of(pixel: u32) -> u32 {
  let row = pixel / sizes.width;
  let v = sample_at(row, sizes.crop_height, sizes.height);
  let u = sample_at(pixel - row * sizes.width, sizes.crop_width, sizes.width);
  let top = u32(v);
  let left = u32(u);
  let right = min(left + 1u, sizes.crop_width - 1u);
  let above = (top - sizes.first_source) * sizes.crop_width;
  let below = (min(top + 1u, sizes.crop_height - 1u) - sizes.first_source) * sizes.crop_width;
  let starts = vec4u(above + left, below + left, above + right, below + right) * sizes.classes;
  let across = vec2f(u - f32(left));
  let down = v - f32(top);
  var best = 0.0;
  var label = 0u;
  for (var k = 0u; k < sizes.classes; k++) {
    let corners = vec4f(x[starts.x + k], x[starts.y + k], x[starts.z + k], x[starts.w + k]);
    let sides = mix(corners.xy, corners.zw, across);
    let value = mix(sides.x, sides.y, down);
    if (value > best || k == 0u) {
      best = value;
      label = k;
    }
  }
  return label;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let pixel = sizes.first + 2u * ((group.x + group.y * groups.x) * WG + thread);
  if (pixel >= sizes.end) { return; }
  var word = label_of(pixel);
  if (pixel + 1u < sizes.end) { word |= label_of(pixel + 1u) << 16u; }
  y[pixel / 2u] = word;
}
