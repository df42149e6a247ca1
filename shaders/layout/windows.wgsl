// windows: an image split into square windows, with zeros past its right and bottom edge (SAM), or the windows joined
//
//   split   y[wy * across + wx, r * window + c, ch] = x[wy * window + r, wx * window + c, ch], 0 outside
//   join    y[row, col, ch] = x[the window of (row, col), the place in it, ch]
//
// shapes    image [H, W, cols], windows [down * across, window^2, cols], all in Elem
// threads   a workgroup takes `run` rows of windows; a row of a window is contiguous in the image and in windows
// host      units = across * rows, where rows are the image's (join) or those of all windows (split); more than 65,535
//           workgroups fold into workgroup_id.y
// prelude   alias Elem (f32 or vec4f), const JOIN, WG
// predicted a copy
// measured  64 x 64 x 1024 in windows of 14 x 14 split 8.5 and 2.2 GB/s, 89 and 95 %, joined 10.7 and 2.3 (lavapipe
//           and SwiftShader, two cores of a Xeon, November 2026)

import prelude::{Elem, JOIN, WG};

struct Sizes { units: u32, H: u32, W: u32, cols: u32, window: u32, across: u32, run: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let window = sizes.window;
  let first = (group.x + group.y * groups.x) * sizes.run;
  for (var unit = first; unit < min(first + sizes.run, sizes.units); unit++) {
    let row = unit / sizes.across;
    let wx = unit - row * sizes.across;
    let wy = row / window;
    let in_image = (row * sizes.W + wx * window) * sizes.cols;
    let in_windows = ((wy * sizes.across + wx) * window + row - wy * window) * window * sizes.cols;
    let inside = select(0u, min(window, sizes.W - wx * window) * sizes.cols, row < sizes.H);
    if (JOIN) {
      for (var i = thread; i < inside; i += WG) { y[in_image + i] = x[in_windows + i]; }
    } else {
      for (var i = thread; i < inside; i += WG) { y[in_windows + i] = x[in_image + i]; }
      for (var i = inside + thread; i < window * sizes.cols; i += WG) { y[in_windows + i] = Elem(); }
    }
  }
}
