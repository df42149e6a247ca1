// attention/combine: joins the partial results of attention over the splits of the keys
//
//   m = max_s m_s,  y = (sum_s 2^(m_s - m) o_s) / (sum_s 2^(m_s - m) l_s)
//
// shapes    parts [rows, splits, D4 + 1] vec4f as in lib/online_softmax: o, then (m, l, 0, 0); y [rows, D4] vec4f
// threads   one per vec4 of y
// numerics  f32, in the order of the splits; a row that sees no key (m is the floor) gives 0
// host      rows, splits >= 1
// prelude   const D4, WG

import package::lib::online_softmax::{FLOOR, normalizer, part_at, power};
import prelude::{D4, WG};

struct Sizes { rows: u32, splits: u32 }

@group(0) @binding(0) var<storage, read> parts: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = (group.x + group.y * groups.x) * WG + thread;
  let row = id / D4;
  if (row >= sizes.rows) { return; }
  let c = id % D4;

  var m = FLOOR;
  var l = 0.0;
  var o = vec4f();
  for (var s = 0u; s < sizes.splits; s++) {
    let at = part_at(row, s, sizes.splits);
    let part = parts[at + D4].xy;
    // A split without a visible key has l = 0. Compared by bits, as NaN must count too
    if (bitcast<u32>(part.y) != 0u) {
      let top = max(m, part.x);
      let shrink = power(m, top);
      let weight = power(part.x, top);
      m = top;
      l = l * shrink + part.y * weight;
      o = o * shrink + parts[at + c] * weight;
    }
  }
  y[id] = o * normalizer(m, l);
}
