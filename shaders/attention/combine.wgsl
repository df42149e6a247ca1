// attention-combine: adds up what the splits of attention.wgsl left
//
//   m = max_s m_s,  y = (sum_s 2^(m_s - m) o_s) / (sum_s 2^(m_s - m) l_s)
//
// shapes    parts [rows, splits, D4 + 1] vec4f: o in D4 chunks, then (m, l, 0, 0); y [rows, D4] vec4f
// threads   one a chunk of y
// numerics  f32, in the order of the splits; a row without open keys (m is the floor) gives 0
// host      rows, splits >= 1
// prelude   lib/nan, const D4, WG

struct Sizes { rows: u32, splits: u32 }

@group(0) @binding(0) var<storage, read> parts: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

const FLOOR = -3.0e38;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = (group.x + group.y * groups.x) * WG + thread;
  let row = id / D4;
  if (row >= sizes.rows) { return; }
  let chunk = id % D4;
  let first = row * sizes.splits * (D4 + 1u);

  // One pass: what is there is rescaled when a larger m turns up
  var m = FLOOR;
  var l = 0.0;
  var o = vec4f();
  for (var s = 0u; s < sizes.splits; s++) {
    let at = first + s * (D4 + 1u);
    let part = parts[at + D4].xy;
    // By bits: NaN counts as well, and is not above 0
    if (bitcast<u32>(part.y) != 0u) {
      let top = max(m, part.x);
      let shrink = exp2(m - top);
      let weight = exp2(part.x - top);
      m = top;
      l = l * shrink + part.y * weight;
      o = o * shrink + parts[at + chunk] * weight;
    }
  }
  y[id] = o * select(nan_of(l), select(0.0, 1.0 / l, m > FLOOR), is_finite(l));
}
