// mask-quality: y[g] = the sum of sigmoid(logit) over a workgroup's pixels that are inside of the mask
//
// shapes    x [map_height, map_width], bits u32 [words], pixels row-major, the first in the lowest bit; y [groups]
// threads   a workgroup takes a chunk of words, WG at a time; a thread takes the pixels of a word one by one
// numerics  each thread adds up in the order of the pixels, then a tree: same bits every run
// host      bits past the last pixel are 0. place.wgsl explains the sizes; more than 65,535 workgroups fold into
//           workgroup_id.y
// prelude   const WG (a power of two)
// predicted 16 loads and 60 cycles per pixel inside of the mask

import package::head::place::{Axis, taps_of};
import package::lib::activation::sigmoid;
import prelude::WG;

struct Sizes {
  map_height: u32, map_width: u32, canvas_height: u32, canvas_width: u32,
  crop_height: u32, crop_width: u32, height: u32, width: u32,
  words: u32, chunk: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> bits: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = group.x + group.y * groups.x;
  let vertical = Axis(sizes.map_height, sizes.canvas_height, sizes.crop_height, sizes.height);
  let horizontal = Axis(sizes.map_width, sizes.canvas_width, sizes.crop_width, sizes.width);
  let end = min((id + 1u) * sizes.chunk, sizes.words);
  var sum = 0.0;
  for (var w = id * sizes.chunk + thread; w < end; w += WG) {
    var left = bits[w];
    while (left != 0u) {
      let pixel = 32u * w + firstTrailingBit(left);
      left &= left - 1u;
      let row = pixel / sizes.width;
      let rows = taps_of(row, vertical);
      let cols = taps_of(pixel - row * sizes.width, horizontal);
      var logit = 0.0;
      for (var k = 0u; k < 4u; k++) {
        let start = rows.at[k] * sizes.map_width;
        let values = vec4f(x[start + cols.at.x], x[start + cols.at.y], x[start + cols.at.z], x[start + cols.at.w]);
        logit += rows.weight[k] * dot(values, cols.weight);
      }
      sum += sigmoid(logit);
    }
  }
  sums[thread] = sum;
  for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) { sums[thread] += sums[thread + stride]; }
  }
  if (thread == 0u && id * sizes.chunk < sizes.words) { y[id] = sums[0]; }
}
