// attention/mask-bits: the keys that are hidden from a query, a bit per key: 1 where the logit is below 0 (sigmoid
// below 1/2), 0 where it is NaN
//
// A query that sees no key would have nothing to attend to: it sees all of them instead (Cheng et al. 2022).
//
// shapes    logits [rows, cols] f32, bits [rows, ceil(cols / 32)] u32; bits past the last column are 1
// threads   one workgroup per row, whose WG threads stride over the words
// host      rows, cols >= 1; more than 65,535 rows fold into workgroup_id.y
// prelude   const WG

import prelude::WG;

struct Sizes { rows: u32, cols: u32 }

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> bits: array<u32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

/** Not 0 once a key is seen. */
var<workgroup> sees_some: atomic<u32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= sizes.rows) { return; }  // the whole workgroup leaves, so the barrier below stays uniform
  let words = (sizes.cols + 31u) / 32u;

  for (var w = thread; w < words; w += WG) {
    let count = min(32u, sizes.cols - w * 32u);
    var word = 0u;
    for (var t = 0u; t < count; t++) {
      word |= select(0u, 1u << t, logits[row * sizes.cols + w * 32u + t] < 0.0);
    }
    word |= past(count);
    bits[row * words + w] = word;
    if (word != 0xffffffffu) { atomicStore(&sees_some, 1u); }
  }
  workgroupBarrier();
  if (atomicLoad(&sees_some) == 0u) {
    for (var w = thread; w < words; w += WG) { bits[row * words + w] = past(min(32u, sizes.cols - w * 32u)); }
  }
}

/** Bits from `count` on. */
fn past(count: u32) -> u32 {
  if (count >= 32u) { return 0u; }
  return 0xffffffffu << count;
}
