// sample-regions: a row for each region of a map: the maximum or the mean of the map's values at the region's points
//
//   y[r, c] = max or mean over p of bilinear(map at points[r, p], channel c)
//
// The corners of the map are points (0, 0) and (width - 1, height - 1); a point outside counts as the nearest one
// inside.
//
// shapes    map [height, width, cols] Elem, points [rows, count] vec2f: (x, y) in cells of the map; y [rows, cols] Elem
// threads   one per Elem of y
// numerics  f32; means add up in the order of the points, relative to the first one: a large common offset costs no
//           digits. A point that isn't finite, and a NaN at a point, make the row NaN
// host      count >= 1; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const MAXIMUM, WG
// predicted four loads per point and Elem: a region of 256 points and 2,560 channels 4 MB of loads, from cache

import package::lib::elem::{Elem, largest_bits, magnitude};
import package::lib::nan::{is_finite, nan_of};
import prelude::{MAXIMUM, WG};

struct Sizes { height: u32, width: u32, cols: u32, rows: u32, count: u32 }

@group(0) @binding(0) var<storage, read> map: array<Elem>;
@group(0) @binding(1) var<storage, read> points: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

/** Channel c of the map at a point. */
fn feature_at(point: vec2f, c: u32) -> Elem {
  let last = vec2u(sizes.width - 1u, sizes.height - 1u);
  let inside = clamp(point, vec2f(), vec2f(last));
  let low = vec2u(inside);
  let high = min(low + 1u, last);
  let share = inside - vec2f(low);
  let above = low.y * sizes.width;
  let below = high.y * sizes.width;
  let top = map[(above + low.x) * sizes.cols + c] * (1.0 - share.x) + map[(above + high.x) * sizes.cols + c] * share.x;
  let foot = map[(below + low.x) * sizes.cols + c] * (1.0 - share.x) + map[(below + high.x) * sizes.cols + c] * share.x;
  return top * (1.0 - share.y) + foot * share.y;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.rows * sizes.cols) { return; }
  let c = i % sizes.cols;
  let begin = i / sizes.cols * sizes.count;

  let first = feature_at(points[begin], c);
  var best = first;
  var sum = Elem();
  var bits = magnitude(first);
  var spoilt = false;
  for (var p = begin; p < begin + sizes.count; p++) {
    let point = points[p];
    let v = feature_at(point, c);
    best = max(best, v);
    sum += v - first;
    bits = max(bits, magnitude(v));
    spoilt = spoilt || !is_finite(point.x) || !is_finite(point.y);
  }
  var value = first + sum / f32(sizes.count);
  if (MAXIMUM) { value = best; }
  spoilt = spoilt || largest_bits(bits) > 0x7f800000u;
  y[i] = select(value, Elem(nan_of(f32(i))), spoilt);
}
