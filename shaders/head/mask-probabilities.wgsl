// mask-probabilities: y[p, q] = sigmoid(logit of query q at pixel p), for the pixels of some rows
//
// shapes    x [map_height, map_width, span] Elem, y [pixels, span] Elem; `span` is the number of queries, in Elem
// threads   one per Elem of y
// host      pixels = rows * width, and first_row + rows <= height. place.wgsl explains the sizes; more than 65,535
//           workgroups fold into workgroup_id.y
// prelude   const WG
// predicted 16 loads of an Elem and 100 cycles

import package::head::place::{Axis, taps_of};
import package::lib::activation::sigmoid;
import package::lib::elem::{Elem, pack, part};
import prelude::WG;

struct Sizes {
  map_height: u32, map_width: u32, canvas_height: u32, canvas_width: u32,
  crop_height: u32, crop_width: u32, height: u32, width: u32,
  span: u32, first_row: u32, pixels: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.pixels * sizes.span) { return; }
  let pixel = i / sizes.span;
  let q = i - pixel * sizes.span;
  let row = pixel / sizes.width;
  let rows = taps_of(
    sizes.first_row + row, Axis(sizes.map_height, sizes.canvas_height, sizes.crop_height, sizes.height),
  );
  let cols = taps_of(
    pixel - row * sizes.width, Axis(sizes.map_width, sizes.canvas_width, sizes.crop_width, sizes.width),
  );
  var logit = Elem();
  for (var k = 0u; k < 4u; k++) {
    let start = rows.at[k] * sizes.map_width;
    logit += rows.weight[k] * (
      x[(start + cols.at.x) * sizes.span + q] * cols.weight.x + x[(start + cols.at.y) * sizes.span + q] * cols.weight.y +
      x[(start + cols.at.z) * sizes.span + q] * cols.weight.z + x[(start + cols.at.w) * sizes.span + q] * cols.weight.w
    );
  }
  y[i] = pack(sigmoid(part(logit, 0)), sigmoid(part(logit, 1)), sigmoid(part(logit, 2)), sigmoid(part(logit, 3)));
}
