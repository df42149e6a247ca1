// shuffle: 2 x 2 blocks of pixels into channels, or channels into blocks
//
//   space to depth   y[Y, X, (dy * 2 + dx) * cols + c] = x[2Y + dy, 2X + dx, c]
//   depth to space   y[2Y + dy, 2X + dx, c] = x[Y, X, (dx * 2 + dy) * cols + c]       dx is the slow index here
//
// shapes    the fine map [2H, 2W, cols], the coarse one [H, W, 4 * cols], in Elem
// threads   `lanes` threads take a block; a workgroup takes `run` blocks
// host      blocks = H * W; lanes divides WG; more than 65,535 workgroups fold into workgroup_id.y
// prelude   alias Elem (f32 or vec4f), const TO_SPACE, WG
// predicted a copy
// measured  64 x 64 x 1024 to depth 9.1 and 2.1 GB/s, 96 and 90 %, to space 8.5 and 1.7 (lavapipe and SwiftShader,
//           two cores of a Xeon, November 2026)

import package::lib::walk::{place_of, walk};
import prelude::{Elem, TO_SPACE, WG};

struct Sizes { blocks: u32, W: u32, cols: u32, lanes: u32, run: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn pass_on(fine: u32, coarse: u32) {
  if (TO_SPACE) { y[fine] = x[coarse]; } else { y[coarse] = x[fine]; }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let offset = thread / sizes.lanes;
  let lane = thread - offset * sizes.lanes;
  let first = (group.x + group.y * groups.x) * sizes.run;
  let end = min(first + sizes.run, sizes.blocks);
  let step = place_of(WG / sizes.lanes, sizes.W);
  var at = place_of(first + offset, sizes.W);  // row and column in the coarse map
  for (var block = first + offset; block < end; block += WG / sizes.lanes) {
    let coarse = block * 4u * sizes.cols;
    let fine = (2u * at.x * sizes.W + at.y) * 2u * sizes.cols;
    let below = fine + 2u * sizes.W * sizes.cols;
    for (var c = lane; c < sizes.cols; c += sizes.lanes) {
      pass_on(fine + c, coarse + c);
      pass_on(fine + sizes.cols + c, coarse + select(1u, 2u, TO_SPACE) * sizes.cols + c);
      pass_on(below + c, coarse + select(2u, 1u, TO_SPACE) * sizes.cols + c);
      pass_on(below + sizes.cols + c, coarse + 3u * sizes.cols + c);
    }
    at = walk(at, step, sizes.W);
  }
}
