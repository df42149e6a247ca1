// mask-owners: the mask that each pixel belongs to, and the number of pixels of each mask
//
//   w[q]   = scores[q] * sigmoid(logit of mask q at the pixel)
//   within = 0: owner = the lowest q with the largest w[q]; full[q] = pixels with w[q] >= 0.5
//   within = 1: the same among the masks whose logit is above 0 there, `count` if there is none; full[q] = pixels with
//               a logit above 0
//   own[q] = pixels whose owner is q
//
// shapes    x [masks, map_height, map_width], scores [masks]; owners u32 [words], two pixels per word, row-major, the
//           first in the lower half; counts u32 [groups, 2, MASKS] are those of a workgroup, `own` and then `full`
// threads   a workgroup takes a chunk of words, WG at a time; a thread takes both pixels of a word
// host      1 <= count <= MASKS; masks from `count` on are padding. place.wgsl explains the sizes; first_group is added
//           to workgroup_id.y, so that a long dispatch can be cut
// prelude   const MASKS, WG
// predicted 16 loads and 80 cycles per pixel and mask

import package::head::place::{Axis, taps_of};
import package::lib::activation::sigmoid;
import prelude::{MASKS, WG};

struct Sizes {
  map_height: u32, map_width: u32, canvas_height: u32, canvas_width: u32,
  crop_height: u32, crop_width: u32, height: u32, width: u32,
  count: u32, within: u32, words: u32, chunk: u32, first_group: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> owners: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

var<workgroup> tally: array<atomic<u32>, 2 * MASKS>;

fn owner_of(pixel: u32) -> u32 {
  let row = pixel / sizes.width;
  let rows = taps_of(row, Axis(sizes.map_height, sizes.canvas_height, sizes.crop_height, sizes.height));
  let cols = taps_of(
    pixel - row * sizes.width, Axis(sizes.map_width, sizes.canvas_width, sizes.crop_width, sizes.width),
  );
  var best = -1.0;
  var owner = sizes.count;
  for (var q = 0u; q < sizes.count; q++) {
    let map = q * sizes.map_height * sizes.map_width;
    var logit = 0.0;
    for (var k = 0u; k < 4u; k++) {
      let start = map + rows.at[k] * sizes.map_width;
      let values = vec4f(x[start + cols.at.x], x[start + cols.at.y], x[start + cols.at.z], x[start + cols.at.w]);
      logit += rows.weight[k] * dot(values, cols.weight);
    }
    let w = scores[q] * sigmoid(logit);
    let is_within = sizes.within == 1u;
    if (w > best && !(is_within && logit <= 0.0)) {
      best = w;
      owner = q;
    }
    if (select(w >= 0.5, logit > 0.0, is_within)) { atomicAdd(&tally[MASKS + q], 1u); }
  }
  if (owner < sizes.count) { atomicAdd(&tally[owner], 1u); }
  return owner;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  for (var i = thread; i < 2u * MASKS; i += WG) { atomicStore(&tally[i], 0u); }
  workgroupBarrier();

  let id = group.y + sizes.first_group;
  let pixels = sizes.height * sizes.width;
  let end = min((id + 1u) * sizes.chunk, sizes.words);
  for (var w = id * sizes.chunk + thread; w < end; w += WG) {
    var word = owner_of(2u * w);
    if (2u * w + 1u < pixels) { word |= owner_of(2u * w + 1u) << 16u; }
    owners[w] = word;
  }

  workgroupBarrier();
  for (var i = thread; i < 2u * MASKS; i += WG) { counts[id * 2u * MASKS + i] = atomicLoad(&tally[i]); }
}
