// relative-position: how much a query leans to each row, or column, of the map of keys
//
//   y[b, i, h, s] = log2(e) * q[b, i, h] . table[a_i - s + SIDE - 1]
//
// a_i is query i's own row (AXIS 0) or column (AXIS 1) and s runs over all of them. q is not scaled. The factor
// is what attention.wgsl wants, which computes in powers of two.
//
// shapes    query [B, rows * columns, ...] vec4f, rows of it `q_stride` apart, the first head at q_start;
//           table [2 * SIDE - 1, D4] vec4f; y [B, rows * columns, heads, SIDE]
// threads   one has QUERIES queries of a head with the same a_i, so they share the table's rows
// grid      x: queries, y: heads, z: batch
// host      the map has `rows` x `columns` tokens, SIDE is one of the two;
//           the marked loops are written out first (src/ops/unroll.ts)
// prelude   const D4, QUERIES, SIDE, AXIS, WG

struct Sizes { rows: u32, columns: u32, heads: u32, q_stride: u32, q_start: u32 }

@group(0) @binding(0) var<storage, read> query: array<vec4f>;
@group(0) @binding(1) var<storage, read> table: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

const LOG2E = 1.4426950408889634;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  // Queries that share a row differ in their column, and the other way round
  let id = group.x * WG + thread;
  let across = select(sizes.columns, sizes.rows, AXIS == 1u);
  let strips = (across + QUERIES - 1u) / QUERIES;
  let place = id / strips;
  if (place >= SIDE) { return; }
  let first = id % strips * QUERIES;

  var q: array<vec4f, QUERIES * D4>;
  var at_y: array<u32, QUERIES>;
  /*unroll*/ for (var r = 0u; r < QUERIES; r++) {
    let other = min(first + r, across - 1u);
    let i = group.z * sizes.rows * sizes.columns + select(place * sizes.columns + other, other * sizes.columns + place, AXIS == 1u);
    at_y[r] = (i * sizes.heads + group.y) * SIDE;
    let at = i * sizes.q_stride + sizes.q_start + group.y * D4;
    /*unroll*/ for (var c = 0u; c < D4; c++) { q[r * D4 + c] = query[at + c]; }
  }
  var sums: array<f32, QUERIES>;
  for (var s = 0u; s < SIDE; s++) {
    let at = (place + SIDE - 1u - s) * D4;
    /*unroll*/ for (var r = 0u; r < QUERIES; r++) { sums[r] = 0.0; }
    /*unroll*/ for (var c = 0u; c < D4; c++) {
      let t = table[at + c];
      /*unroll*/ for (var r = 0u; r < QUERIES; r++) { sums[r] += dot(q[r * D4 + c], t); }
    }
    /*unroll*/ for (var r = 0u; r < QUERIES; r++) {
      // A repeated last query writes what it would write anyway
      y[at_y[r] + s] = LOG2E * sums[r];
    }
  }
}
