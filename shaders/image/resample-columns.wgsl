// resample-columns: pixels of 8 bits weighted along the columns, the second of Pillow's two passes, and normalised
//
//   level = the pixels x[begin[r] ..., c] weighted with taps[r]
//   y[r, c, :] = table[:, level], and 0 right of the image and below
//
// shapes    x [any, width] pixels, red in the lowest byte; taps [height, words], each as in image/taps; table [3,
//           256]; y [side, side, 3]
// threads   one per column and `run` rows of y
// numerics  whole numbers, and a table, as division differs from driver to driver: the same bits on every adapter
// host      width, height <= side; across = workgroups per row; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WG
// predicted two loads per tap, and three multiply-adds of a shifted byte
// measured  1024 x 3000 to 1024 x 768 in 34 and 130 ms, 42 and 280 with shifts by vectors (lavapipe and SwiftShader,
//           two cores of a Xeon, November 2026)

import package::image::strips::strip_at;
import package::image::taps::levels_at;
import prelude::WG;

struct Sizes { width: u32, height: u32, side: u32, words: u32, across: u32, run: u32 }

@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let strip = strip_at(group, groups, sizes.across, thread);
  let c = strip.column;
  if (c >= sizes.side) { return; }

  let end = min((strip.index + 1u) * sizes.run, sizes.side);
  for (var r = strip.index * sizes.run; r < end; r++) {
    var value = vec3f();
    if (r < sizes.height && c < sizes.width) {
      let level = levels_at(r * sizes.words, c, sizes.width);
      value = vec3f(table[level.x], table[256u + level.y], table[512u + level.z]);
    }
    let to = (r * sizes.side + c) * 3u;
    y[to] = value.x;
    y[to + 1u] = value.y;
    y[to + 2u] = value.z;
  }
}
