// group-norm-stats: mean and standard deviation of each group of channels over a chunk of pixels
//
// shapes    x [pixels, groups, cols] Elem, partials [chunks, groups] (mean, deviation); cols Elem of a group
// threads   one per chunk and group, neighbouring threads take neighbouring groups
// numerics  as in layer-norm: values are shifted by the chunk's first one, then lib/statistics. Where squares overflow,
//           the chunk is scaled by DOWN and read again. The deviation is stored, as the variance might overflow
// host      chunks * chunk >= pixels, no chunk is empty; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WG

import package::lib::elem::{Elem, part};
import package::lib::nan::is_finite;
import package::lib::range::{DOWN, UP};
import package::lib::statistics::{Statistics, with_four, with_one};
import prelude::WG;

struct Sizes { pixels: u32, groups: u32, cols: u32, chunk: u32, chunks: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> partials: array<vec2f>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

/** The Elem at a place (index in x, column in the group), which then advances to the group's next one. */
fn take(place: ptr<function, vec2u>) -> Elem {
  let at = *place;
  let is_last = at.y + 1u == sizes.cols;
  let pixel = (sizes.groups - 1u) * sizes.cols + 1u;  // to the next one's first
  *place = vec2u(at.x + select(1u, pixel, is_last), select(at.y + 1u, 0u, is_last));
  return x[at.x];
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.chunks * sizes.groups) { return; }
  let chunk = i / sizes.groups;
  let g = i - chunk * sizes.groups;

  let first = chunk * sizes.chunk;
  // The second turn has work only where squares overflow
  var is_done = false;
  var scale = vec2f(1.0);  // and its inverse
  for (var turn = 0u; turn < 2u && !is_done; turn++) {
    var left = (min(first + sizes.chunk, sizes.pixels) - first) * sizes.cols;
    var place = vec2u((first * sizes.groups + g) * sizes.cols, 0u);
    let shift = part(x[place.x], 0) * scale.x;
    var all = Statistics();
    for (; left >= 4u; left -= 4u) {
      let v0 = take(&place) * scale.x - shift;
      let v1 = take(&place) * scale.x - shift;
      let v2 = take(&place) * scale.x - shift;
      let v3 = take(&place) * scale.x - shift;
      all = with_four(all, v0, v1, v2, v3);
    }
    for (; left > 0u; left--) { all = with_one(all, take(&place) * scale.x - shift); }
    partials[i] = vec2f(all.mean + shift, sqrt(all.deviations / all.count)) * scale.y;
    is_done = is_finite(all.deviations);
    scale = vec2f(DOWN, UP);
  }
}
