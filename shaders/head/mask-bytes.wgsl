// mask-bytes: byte c of row r of y is 255 where bit (r * width + c) is set, and 0 elsewhere
//
// shapes    bits u32 [ceil(height * width / 32)], the first pixel in the lowest bit; y u32 [height, words], four pixels
//           per word, the first in the lowest byte
// threads   one per word
// host      total = height * words, words * 4 >= width; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WG
// predicted a load and a store per word, and a division for its place

import prelude::WG;

struct Sizes { width: u32, words: u32, total: u32 }

@group(0) @binding(0) var<storage, read> bits: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.total) { return; }
  let row = i / sizes.words;
  let col = (i - row * sizes.words) * 4u;
  var word = 0u;
  for (var k = 0u; k < 4u && col + k < sizes.width; k++) {
    let pixel = row * sizes.width + col + k;
    let inside = (bits[pixel >> 5u] >> (pixel & 31u)) & 1u;
    word |= (inside * 255u) << (8u * k);
  }
  y[i] = word;
}
