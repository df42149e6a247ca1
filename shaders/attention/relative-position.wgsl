// relative-position: how much a query leans to each row, or column, of the map of keys
//
//   y[b, i, h, s] = log2(e) * q[b, i, h] . table[a_i - s + side - 1]
//
// a_i is query i's own row or column, of which there are `side`, and s runs over all of them. q is not scaled.
// The factor is what attention.wgsl wants, which computes in powers of two.
//
// shapes    query [B, side * across, ...] vec4f, rows of it `q_stride` apart, the first head at q_start;
//           table [2 * side - 1, D4] vec4f; y [B, side * across, heads, side]
// threads   one has QUERIES queries of a head with the same a_i, so they share the table's rows
// grid      x: queries, y: heads, z: batch
// host      query i = a_i * side_step + its place across * across_step;
//           the marked loops are written out first (src/kernels/unroll.ts)
// prelude   const D4, QUERIES, WG

struct Sizes { side: u32, across: u32, side_step: u32, across_step: u32, heads: u32, q_stride: u32, q_start: u32 }

@group(0) @binding(0) var<storage, read> query: array<vec4f>;
@group(0) @binding(1) var<storage, read> table: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

const LOG2E = 1.4426950408889634;

/** The queries at these places in [B, side * across]; not written out, as in attention.wgsl. */
fn load_queries(places: array<u32, QUERIES>, head: u32) -> array<vec4f, QUERIES * D4> {
  var i = places;
  var q = array<vec4f, QUERIES * D4>();
  for (var r = 0u; r < QUERIES; r++) {
    let at = i[r] * sizes.q_stride + sizes.q_start + head * D4;
    for (var c = 0u; c < D4; c++) { q[r * D4 + c] = LOG2E * query[at + c]; }
  }
  return q;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let id = group.x * WG + thread;
  let strips = (sizes.across + QUERIES - 1u) / QUERIES;
  let a = id / strips;
  if (a >= sizes.side) { return; }
  let first = id % strips * QUERIES;

  // Past the end the last query again, which writes what it would write anyway
  var i: array<u32, QUERIES>;
  /*unroll*/ for (var r = 0u; r < QUERIES; r++) {
    let other = min(first + r, sizes.across - 1u);
    i[r] = group.z * sizes.side * sizes.across + a * sizes.side_step + other * sizes.across_step;
  }
  var q = load_queries(i, group.y);
  var sums: array<f32, QUERIES>;
  for (var s = 0u; s < sizes.side; s++) {
    let at = (a + sizes.side - 1u - s) * D4;
    /*unroll*/ for (var r = 0u; r < QUERIES; r++) { sums[r] = 0.0; }
    /*unroll*/ for (var c = 0u; c < D4; c++) {
      let t = table[at + c];
      /*unroll*/ for (var r = 0u; r < QUERIES; r++) { sums[r] += dot(q[r * D4 + c], t); }
    }
    /*unroll*/ for (var r = 0u; r < QUERIES; r++) { y[(i[r] * sizes.heads + group.y) * sizes.side + s] = sums[r]; }
  }
}
