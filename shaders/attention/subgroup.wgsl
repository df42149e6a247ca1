// attention-subgroup: y = softmax(scale * q k^T + bias) v for every head, as attention.wgsl, by subgroups
//
// For adapters where a load costs more than arithmetic and a subgroup has one fixed size, above all CPUs behind Vulkan.
// A lane keeps ROWS rows (queries and sums) to itself. The lanes of a subgroup load a key together, a chunk each, and
// every chunk goes round by broadcast: a load feeds LANES * LANES * ROWS products of four, and as a lane has whole
// rows, neither scores nor their maxima are ever passed on. The online softmax is that of attention.wgsl.
//
// shapes    query [B, queries, ...], key and value [B, keys, ...] in vec4f, rows `*_stride` apart, the first head at
//           `*_start`; y [B, queries, heads, D4] vec4f; SPLIT: [B, queries, heads, splits, D4 + 1], the last is (m, l, 0, 0)
//           bits [queries, ceil(keys / 32)]; rel_h [B, queries, heads, H], rel_w [B, queries, heads, W]
// threads   a workgroup is one subgroup; lane l has rows l, LANES + l, ... of its ROWS * LANES, and every splits-th block
//           of keys
// grid      x: splits, y: head of keys, then blocks of rows; z: batch
// numerics  f32; in powers of two, so rel_h and rel_w come multiplied by log2(e). Finite: hidden keys score FLOOR, what
//           they add to l and o before the first open key is wiped by the rescale. A row without open keys gives 0.
// host      keys, rows >= 1; `limit` is the position of query 0 (CAUSAL) or the number of open keys (LENGTH);
//           `columns` is the W of RELATIVE, else unused; LOADS = ceil(D4 / LANES); turns = ROWS * D4;
//           the marked loops are written out first (src/kernels/unroll.ts)
// prelude   const D4, LANES, ROWS, LOADS, GROUP; bools CAUSAL, LENGTH, MASK, RELATIVE, of which at most one is true; bool SPLIT
//
// per key   LOADS loads of k and of v (60 cycles), D4 broadcasts of each (6), and a row 8 D4 multiply-adds of 8 lanes (1),
//           2 D4 for the mask of the loop that sums are kept under, 50 for its score, exponential and largest
// predicted lavapipe, two cores of a Xeon at 3 GHz, ROWS = 4 of 64 channels: 1,320 cycles for 8,192 FLOPs, 37 GFLOP/s, two
//           fifths of the 96 that multiply-adds alone reach; bytes of k and v are read from cache, rows / 32 times
// measured  37 (November 2026); 30 of 72 channels, whose last load is three quarters idle; 26 of 128, where ROWS = 2
//           (more shapes in src/ops/attention/subgroup.ts). Reading k and v through textures gains 2 %, and two keys a turn
//           gain 10 % at 64 channels and lose 5 to 20 at 72 and 128: what is left is arithmetic on spilled registers

/** Chunks of a row, rounded up to whole loads: what is past D4 is never used. */
const CHUNKS = LOADS * LANES;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let unit = group.y + sizes.first_group;
  let head = unit / sizes.row_blocks;
  let batch = group.z;
  let split = group.x;
  let first = unit % sizes.row_blocks * (ROWS * LANES);
  let queries = sizes.rows / GROUP;

  // Our rows; past the end they are the last one again, which is not stored
  var m: array<f32, ROWS>;
  var l: array<f32, ROWS>;
  var i: array<u32, ROWS>;     // its query
  var at_y: array<u32, ROWS>;  // its place in y, in heads
  var open: array<u32, ROWS>;  // it sees keys [0, open)
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let row = min(first + r * LANES + lane, sizes.rows - 1u);
    i[r] = row / GROUP;
    at_y[r] = (batch * queries + i[r]) * sizes.heads + head * GROUP + row % GROUP;
    m[r] = FLOOR;
    l[r] = 0.0;
    open[r] = sizes.keys;
    if (CAUSAL) { open[r] = min(sizes.limit + i[r] + 1u, sizes.keys); }
  }
  // What the last row sees, the same for all lanes
  var keys = sizes.keys;
  if (LENGTH) { keys = min(sizes.limit, keys); }
  if (CAUSAL) { keys = min(sizes.limit + (min(first + ROWS * LANES, sizes.rows) - 1u) / GROUP + 1u, keys); }

  // Rows are read and written by a plain loop whose end is a size that Mesa can't guess: written out, by us or by Mesa, each
  // load takes 22 ms to compile (lavapipe, November 2026). They are copied, as an array that is indexed by a variable anywhere
  // stays in memory
  var places = at_y;
  var loaded: array<vec4f, ROWS * D4>;
  for (var n = 0u; n < sizes.turns; n++) {
    let place = places[n / D4];
    let at = place / sizes.heads * sizes.q_stride + sizes.q_start + place % sizes.heads * D4;
    loaded[n] = query[at + n % D4] * (sizes.scale * LOG2E);
  }
  var q: array<vec4f, ROWS * CHUNKS>;
  var o: array<vec4f, ROWS * CHUNKS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    /*unroll*/ for (var c = 0u; c < D4; c++) { q[r * CHUNKS + c] = loaded[r * D4 + c]; }
  }

  let k_first = batch * sizes.keys * sizes.k_stride + sizes.k_start + head * D4;
  let v_first = batch * sizes.keys * sizes.v_stride + sizes.v_start + head * D4;
  let words = (sizes.keys + 31u) / 32u;
  // RELATIVE blocks end with a row of the map, so that they have one vertical position
  let map_rows = sizes.keys / sizes.columns;
  let blocks_a_row = (sizes.columns + BLOCK - 1u) / BLOCK;
  let blocks = select((keys + BLOCK - 1u) / BLOCK, map_rows * blocks_a_row, RELATIVE);
  // One more than a block has: Mesa writes loops out that run over a whole array
  var scores: array<f32, BLOCK * ROWS + 1u>;
  var top: array<f32, ROWS>;
  var p: array<f32, ROWS>;
  var score: array<f32, ROWS>;
  var word: array<u32, ROWS>;
  var vertical: array<f32, ROWS>;
  for (var b = split; b < blocks; b += sizes.splits) {
    // 1. Which keys: [j, j + count)
    var j = b * BLOCK;
    var column = 0u;
    var count = min(BLOCK, keys - j);
    if (MASK) { /*unroll*/ for (var r = 0u; r < ROWS; r++) { word[r] = bits[i[r] * words + b]; } }
    if (RELATIVE) {
      let map_row = b / blocks_a_row;
      column = b % blocks_a_row * BLOCK;
      j = map_row * sizes.columns + column;
      count = min(BLOCK, sizes.columns - column);
      /*unroll*/ for (var r = 0u; r < ROWS; r++) { vertical[r] = rel_h[at_y[r] * map_rows + map_row]; }
    }

    // 2. Their scores and the new largest ones
    /*unroll*/ for (var r = 0u; r < ROWS; r++) { top[r] = m[r]; }
    for (var t = 0u; t < count; t++) {
      let at = k_first + (j + t) * sizes.k_stride;
      /*unroll*/ for (var r = 0u; r < ROWS; r++) { score[r] = 0.0; }
      /*unroll*/ for (var g = 0u; g < LOADS; g++) {
        let chunk = key[at + min(g * LANES + lane, D4 - 1u)];
        /*unroll*/ for (var c = 0u; c < LANES; c++) {
          if (g * LANES + c < D4) {
            let k = subgroupBroadcast(chunk, c);
            /*unroll*/ for (var r = 0u; r < ROWS; r++) { score[r] += dot(q[r * CHUNKS + g * LANES + c], k); }
          }
        }
      }
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        if (RELATIVE) { score[r] += vertical[r] + rel_w[at_y[r] * sizes.columns + column + t]; }
        if (CAUSAL) { score[r] = select(FLOOR, score[r], j + t < open[r]); }
        if (MASK) { score[r] = select(score[r], FLOOR, ((word[r] >> t) & 1u) == 1u); }
        scores[t * ROWS + r] = score[r];
        top[r] = max(top[r], score[r]);
      }
    }

    // 3. What we have so far, relative to them
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      let shrink = exp2(m[r] - top[r]);
      m[r] = top[r];
      l[r] *= shrink;
      /*unroll*/ for (var c = 0u; c < D4; c++) { o[r * CHUNKS + c] *= shrink; }
    }

    // 4. The block's values
    for (var t = 0u; t < count; t++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        p[r] = exp2(scores[t * ROWS + r] - m[r]);
        l[r] += p[r];
      }
      let at = v_first + (j + t) * sizes.v_stride;
      /*unroll*/ for (var g = 0u; g < LOADS; g++) {
        let chunk = value[at + min(g * LANES + lane, D4 - 1u)];
        /*unroll*/ for (var c = 0u; c < LANES; c++) {
          if (g * LANES + c < D4) {
            let v = subgroupBroadcast(chunk, c);
            /*unroll*/ for (var r = 0u; r < ROWS; r++) { o[r * CHUNKS + g * LANES + c] += p[r] * v; }
          }
        }
      }
    }
  }

  // o / l, or o, m and l for attention-combine
  var sums: array<vec4f, ROWS * D4>;
  var largest: array<f32, ROWS>;
  var totals: array<f32, ROWS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    largest[r] = m[r];
    totals[r] = l[r];
    let share = select(share_of(m[r], l[r]), 1.0, SPLIT);
    /*unroll*/ for (var c = 0u; c < D4; c++) { sums[r * D4 + c] = o[r * CHUNKS + c] * share; }
  }
  let row_chunks = select(D4, D4 + 1u, SPLIT);
  for (var n = 0u; n < sizes.turns; n++) {
    let r = n / D4;
    if (first + r * LANES + lane < sizes.rows) {
      let at = select(places[r], places[r] * sizes.splits + split, SPLIT) * row_chunks;
      y[at + n % D4] = sums[n];
      if (SPLIT && n % D4 == 0u) { y[at + D4] = vec4f(largest[r], totals[r], 0.0, 0.0); }
    }
  }
}
