// mask-pixels: bit (r * width + c) of y is set where the bilinear resize of x's top-left corner is > 0
//
// shapes    x [map_height, map_width], of which the corner [crop_height, crop_width] is the source;
//           y u32 [ceil(height * width / 32)], pixels row-major, the first in the lowest bit
// threads   a thread a word: 32 pixels
// numerics  sample points (i + 0.5) * source / target - 0.5 clamped to the corner (align_corners false)
// host      more than 65,535 workgroups fold into workgroup_id.y

struct Sizes { map_width: u32, crop_height: u32, crop_width: u32, height: u32, width: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let word = (group.x + group.y * groups.x) * 64u + thread;
  let pixels = sizes.height * sizes.width;
  if (word * 32u >= pixels) { return; }

  let row_step = f32(sizes.crop_height) / f32(sizes.height);
  let column_step = f32(sizes.crop_width) / f32(sizes.width);
  var bits = 0u;
  for (var bit = 0u; bit < 32u && word * 32u + bit < pixels; bit++) {
    let pixel = word * 32u + bit;
    let v = clamp((f32(pixel / sizes.width) + 0.5) * row_step - 0.5, 0.0, f32(sizes.crop_height - 1u));
    let u = clamp((f32(pixel % sizes.width) + 0.5) * column_step - 0.5, 0.0, f32(sizes.crop_width - 1u));
    let top = u32(v);
    let left = u32(u);
    let bottom = min(top + 1u, sizes.crop_height - 1u);
    let right = min(left + 1u, sizes.crop_width - 1u);
    let above = mix(x[top * sizes.map_width + left], x[top * sizes.map_width + right], u - f32(left));
    let below = mix(x[bottom * sizes.map_width + left], x[bottom * sizes.map_width + right], u - f32(left));
    if (mix(above, below, v - f32(top)) > 0.0) { bits |= 1u << bit; }
  }
  y[word] = bits;
}
