// relative-position-subgroup: how much a query leans to each row, or column, of the map of keys, by subgroups
//
//   y[b, i, h, s] = log2(e) * q[b, i, h] . table[a_i - s + side - 1]
//
// As relative-position.wgsl, for adapters where a load costs more than arithmetic. Queries with the same a_i share the
// table's rows: the lanes of a subgroup load a row together, a chunk each, and every chunk goes round by broadcast.
//
// shapes    query [B, side * across, ...] vec4f, rows of it `q_stride` apart, the first head at q_start;
//           table [2 * side - 1, D4] vec4f; y [B, side * across, heads, side]
// threads   a workgroup is one subgroup; lane l has queries l, LANES + l, ... of QUERIES * LANES with the same a_i
// grid      x: side times strips of queries, y: heads, z: batch
// host      query i = a_i * side_step + its place across * across_step; LOADS = ceil(D4 / LANES); chunks = QUERIES * D4;
//           the marked loops are written out first (src/kernels/unroll.ts)
// prelude   const D4, LANES, QUERIES, LOADS

struct Sizes {
  side: u32, across: u32, side_step: u32, across_step: u32, heads: u32, q_stride: u32, q_start: u32, chunks: u32,
}

@group(0) @binding(0) var<storage, read> query: array<vec4f>;
@group(0) @binding(1) var<storage, read> table: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

const LOG2E = 1.4426950408889634;
/** Chunks of a row, rounded up to whole loads: what is past D4 is never used. */
const CHUNKS = LOADS * LANES;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let strips = (sizes.across + QUERIES * LANES - 1u) / (QUERIES * LANES);
  let a = group.x / strips;
  let first = group.x % strips * (QUERIES * LANES) + lane;

  // Past the end the last query again, which writes what it would write anyway
  var i: array<u32, QUERIES>;
  /*unroll*/ for (var r = 0u; r < QUERIES; r++) {
    let other = min(first + r * LANES, sizes.across - 1u);
    i[r] = group.z * sizes.side * sizes.across + a * sizes.side_step + other * sizes.across_step;
  }
  // As in attention-subgroup.wgsl: read by a plain loop, then copied out of the array that it indexes
  var places = i;
  var loaded: array<vec4f, QUERIES * D4>;
  for (var n = 0u; n < sizes.chunks; n++) {
    loaded[n] = LOG2E * query[places[n / D4] * sizes.q_stride + sizes.q_start + group.y * D4 + n % D4];
  }
  var q: array<vec4f, QUERIES * CHUNKS>;
  /*unroll*/ for (var r = 0u; r < QUERIES; r++) {
    /*unroll*/ for (var c = 0u; c < D4; c++) { q[r * CHUNKS + c] = loaded[r * D4 + c]; }
  }

  var sums: array<f32, QUERIES>;
  for (var s = 0u; s < sizes.side; s++) {
    let at = (a + sizes.side - 1u - s) * D4;
    /*unroll*/ for (var r = 0u; r < QUERIES; r++) { sums[r] = 0.0; }
    /*unroll*/ for (var g = 0u; g < LOADS; g++) {
      let chunk = table[at + min(g * LANES + lane, D4 - 1u)];
      /*unroll*/ for (var c = 0u; c < LANES; c++) {
        if (g * LANES + c < D4) {
          let t = subgroupBroadcast(chunk, c);
          /*unroll*/ for (var r = 0u; r < QUERIES; r++) { sums[r] += dot(q[r * CHUNKS + g * LANES + c], t); }
        }
      }
    }
    /*unroll*/ for (var r = 0u; r < QUERIES; r++) { y[(i[r] * sizes.heads + group.y) * sizes.side + s] = sums[r]; }
  }
}
