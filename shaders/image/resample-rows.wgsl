// resample-rows: pixels of 8 bits weighted along the rows, the first of Pillow's two passes
//
//   y[first + r, c] = the pixels x[r, begin[c] ...] weighted with taps[c]
//
// shapes    x [rows, stride] pixels, a strip of an image; y [height, width] pixels, red in the lowest byte, 0 for
//           alpha; taps [width, words] as in image/taps
// threads   one per column and `run` rows of y
// numerics  whole numbers: the same bits on every adapter, and those of a CPU
// host      first + rows <= height; `red` is the bit of a pixel of x at which red begins: 0, or 16 where blue comes
//           first; across = workgroups per row; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WG
// predicted two loads per tap, and three multiply-adds of a shifted byte
// measured  4000 x 1000 to 1024 x 1000 in 26 and 130 ms, 33 and 280 with shifts by vectors (lavapipe and SwiftShader,
//           two cores of a Xeon, November 2026)

import package::image::strips::strip_at;
import package::image::taps::levels_at;
import prelude::WG;

struct Sizes { stride: u32, first: u32, rows: u32, red: u32, width: u32, words: u32, across: u32, run: u32 }

@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let strip = strip_at(group, groups, sizes.across, thread);
  let c = strip.column;
  if (c >= sizes.width) { return; }

  let tap = c * sizes.words;
  let end = min((strip.index + 1u) * sizes.run, sizes.rows);
  for (var r = strip.index * sizes.run; r < end; r++) {
    let level = levels_at(tap, r * sizes.stride, 1u);
    let rgb = select(level, level.zyx, sizes.red != 0u);
    y[(sizes.first + r) * sizes.width + c] = rgb.x | (rgb.y << 8u) | (rgb.z << 16u);
  }
}
