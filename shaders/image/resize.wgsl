// resize: bilinear, pixel centres at half, no antialias (PyTorch's interpolate with align_corners = false)
//
//   source row s = max((row + 0.5) * scale - 0.5, 0), between rows floor(s) and the next; columns likewise
//
// shapes    x [B, H, W, cols], y [B, H2, W2, cols], in Elem. @if(MAP) there is one channel, x [B, H, W] f32, and an
//           Elem of y is four columns, y [B, H2, W2 / 4] vec4f. Of x only rows < h and columns < w are the source
// threads   one per column of Elem and `run` rows of y: it interpolates along a source row once, and keeps the result
//           for all rows of y next to that source row
// host      1 <= h <= H, 1 <= w <= W; scale_y = h / H2, scale_x = w / W2; span is the Elem of a row of y; across =
//           workgroups per row, strips = B * runs of rows; more than 65,535 workgroups fold into workgroup_id.y
// prelude   alias Elem, const WG
// predicted a store and half a load per Elem, four times as large: 80 % of a copy; of a map two scalar loads, the same
// measured  64 x 64 x 256 to 256 x 256 3.7 and 0.8 GB/s, 39 and 36 %; each Elem by itself 0.5 and 0.25. A map of 256 x
//           256 to 1024 x 1024 2.4 and 0.6 GB/s, 26 and 25 % (lavapipe and SwiftShader, two cores of a Xeon, November
//           2026)

import package::image::strips::strip_at;
import prelude::{Elem, WG};

struct Sizes {
  H: u32, W: u32, cols: u32, H2: u32, h: u32, w: u32,
  scale_y: f32, scale_x: f32,
  span: u32, across: u32, run: u32, runs: u32, strips: u32,
}

@if(MAP) @group(0) @binding(0) var<storage, read> x: array<f32>;
@else @group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

/** For an Elem of y: the places of the two source columns in a row of x, and the share of the right one. */
@if(MAP) struct Columns { left: vec4u, right: vec4u, share: vec4f }
@else struct Columns { left: u32, right: u32, share: f32 }

@if(MAP) fn columns_of(i: u32) -> Columns {
  let columns = vec4f(vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u));
  let s = max((columns + 0.5) * sizes.scale_x - 0.5, vec4f());
  let left = min(vec4u(s), vec4u(sizes.w - 1u));
  return Columns(left, min(left + 1u, vec4u(sizes.w - 1u)), clamp(s - vec4f(left), vec4f(), vec4f(1.0)));
}
@else fn columns_of(i: u32) -> Columns {
  let column = i / sizes.cols;
  let c = i - column * sizes.cols;
  let s = max((f32(column) + 0.5) * sizes.scale_x - 0.5, 0.0);
  let left = min(u32(s), sizes.w - 1u);
  let right = min(left + 1u, sizes.w - 1u);
  return Columns(left * sizes.cols + c, right * sizes.cols + c, clamp(s - f32(left), 0.0, 1.0));
}

/** The interpolation between two columns of the source row that begins at `start`. */
@if(MAP) fn sample(start: u32, at: Columns) -> Elem {
  let left = vec4f(x[start + at.left.x], x[start + at.left.y], x[start + at.left.z], x[start + at.left.w]);
  let right = vec4f(x[start + at.right.x], x[start + at.right.y], x[start + at.right.z], x[start + at.right.w]);
  return left * (1.0 - at.share) + right * at.share;
}
@else fn sample(start: u32, at: Columns) -> Elem {
  return x[start + at.left] * (1.0 - at.share) + x[start + at.right] * at.share;
}

/** For a row of y: the source row above it, and the share of the source row below, in [0, 1]. */
struct Rows { above: u32, share: f32 }

fn rows_of(row: u32) -> Rows {
  let s = max((f32(row) + 0.5) * sizes.scale_y - 0.5, 0.0);
  let above = min(u32(s), sizes.h - 1u);
  return Rows(above, clamp(s - f32(above), 0.0, 1.0));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let strip = strip_at(group, groups, sizes.across, thread);
  let i = strip.column;
  if (strip.index >= sizes.strips || i >= sizes.span) { return; }
  let b = strip.index / sizes.runs;
  let first = (strip.index - b * sizes.runs) * sizes.run;
  let at = columns_of(i);

  let stride = sizes.W * sizes.cols;
  let map = b * sizes.H * stride;
  let end = min(first + sizes.run, sizes.H2);
  var row = first;
  var place = rows_of(row);
  var above = sizes.h;  // the source row that `top` is of: none yet
  var top = Elem();
  var bottom = Elem();
  // A loop around the rows beside one source row, as CPUs would run the body of an `if` for no lane as well
  while (row < end) {
    if (place.above == above + 1u) { top = bottom; } else { top = sample(map + place.above * stride, at); }
    bottom = sample(map + min(place.above + 1u, sizes.h - 1u) * stride, at);
    above = place.above;
    while (row < end && place.above == above) {
      y[(b * sizes.H2 + row) * sizes.span + i] = top * (1.0 - place.share) + bottom * place.share;
      row++;
      place = rows_of(row);
    }
  }
}
