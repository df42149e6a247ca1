// attention/relative-position: the position bias of a query for each row, or column, of the map of keys
//
//   y[b, i, h, s] = log2(e) * q[b, i, h] . table[a_i - s + side - 1]
//
// a_i is query i's own row or column, of which there are `side`, and s runs over all of them. q is not scaled. The
// factor log2(e) is there because attention computes in powers of two (lib/attention_bias). Queries with the same a_i
// read the same rows of the table.
//
// SUBGROUP is for adapters where a load costs more than arithmetic: the lanes of a subgroup load a row of the table
// together, a vec4 each, and every vec4 is broadcast to all. Without it, each thread loads the row itself.
//
// shapes    query [B, side * across, ...] vec4f, rows of it `q_stride` apart, the first head at q_start;
//           table [2 * side - 1, D4] vec4f; y [B, side * across, heads, side]
// threads   LANES threads take QUERIES * LANES queries of a head with the same a_i; lane l takes queries l, LANES + l,
//           ...
// grid      x: queries in strips of QUERIES * LANES, per a_i; y: heads, z: batch
// host      query i = a_i * side_step + its place across * across_step; query_vec4s = QUERIES * D4; LANES = WG is the
//           size of a subgroup where SUBGROUP, else LANES = 1
// prelude   const D4, QUERIES, LANES, WG

import package::lib::online_softmax::LOG2E;
import prelude::{D4, LANES, QUERIES, WG};

struct Sizes {
  side: u32, across: u32, side_step: u32, across_step: u32, heads: u32, q_stride: u32, q_start: u32, query_vec4s: u32,
}

@group(0) @binding(0) var<storage, read> query: array<vec4f>;
@group(0) @binding(1) var<storage, read> table: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @if(SUBGROUP) @builtin(subgroup_invocation_id) thread: u32,
  @else @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let strip = (group.x * WG + thread) / LANES;
  let strips = (sizes.across + QUERIES * LANES - 1u) / (QUERIES * LANES);
  let a = strip / strips;
  @if(!SUBGROUP) if (a >= sizes.side) { return; }
  let first = strip % strips * (QUERIES * LANES) + lane;

  // Past the end the thread takes the last query again, and writes the same values to the same place
  var i: array<u32, QUERIES>;
  /*unroll*/ for (var r = 0u; r < QUERIES; r++) {
    let other = min(first + r * LANES, sizes.across - 1u);
    i[r] = group.z * sizes.side * sizes.across + a * sizes.side_step + other * sizes.across_step;
  }
  // As in attention/subgroup: read by a plain loop, then copied out of the array that it indexes
  var places = i;
  var loaded: array<vec4f, QUERIES * D4>;
  for (var n = 0u; n < sizes.query_vec4s; n++) {
    loaded[n] = LOG2E * query[places[n / D4] * sizes.q_stride + sizes.q_start + group.y * D4 + n % D4];
  }
  var q: array<vec4f, QUERIES * D4>;
  /*unroll*/ for (var r = 0u; r < QUERIES; r++) {
    /*unroll*/ for (var c = 0u; c < D4; c++) { q[r * D4 + c] = loaded[r * D4 + c]; }
  }

  var sums: array<f32, QUERIES>;
  @if(SUBGROUP) var chunk: vec4f;
  for (var s = 0u; s < sizes.side; s++) {
    let at = (a + sizes.side - 1u - s) * D4;
    /*unroll*/ for (var r = 0u; r < QUERIES; r++) { sums[r] = 0.0; }
    /*unroll*/ for (var c = 0u; c < D4; c++) {
      @if(SUBGROUP) if (c % LANES == 0u) { chunk = table[at + min(c + lane, D4 - 1u)]; }
      @if(SUBGROUP) let t = subgroupBroadcast(chunk, c % LANES);
      @else let t = table[at + c];
      /*unroll*/ for (var r = 0u; r < QUERIES; r++) { sums[r] += dot(q[r * D4 + c], t); }
    }
    /*unroll*/ for (var r = 0u; r < QUERIES; r++) { y[(i[r] * sizes.heads + group.y) * sizes.side + s] = sums[r]; }
  }
}
