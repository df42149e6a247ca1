// attention: y = softmax(scale * q k^T + bias) v for every head, without ever storing the scores
//
// Online softmax (Milakov & Gimelshein 2018; Dao et al. 2022): a thread keeps, for each of its rows, the largest
// score so far m, the sum l of exp(score - m) and the sum o of exp(score - m) * v. Keys come in blocks of at most
// BLOCK, so that o is rescaled once a block. What is left, o / l, is divided once, at the end.
//
// A row is one query of one head. The GROUP query heads that share a head of keys are rows beside each other, so
// a key is loaded once for all of them. With few rows the keys are split: a split leaves (o, m, l) in y,
// and attention-combine.wgsl adds them up.
//
// shapes    query [B, queries, ...], key and value [B, keys, ...] in vec4f, rows `*_stride` apart, the first head at
//           `*_start`; y [B, queries, heads, D4] vec4f; SPLIT: [B, queries, heads, splits, D4 + 1], the last is (m, l, 0, 0)
//           bits [queries, ceil(keys / 32)]; rel_h [B, queries, heads, H], rel_w [B, queries, heads, W]
// threads   one has ROWS rows and every splits-th block of keys; LANES of a workgroup's threads share rows
// grid      x: splits / LANES, y: head of keys, then blocks of rows; z: batch
// numerics  f32; in powers of two, so rel_h and rel_w come multiplied by log2(e). Finite: hidden keys score FLOOR, what
//           they add to l and o before the first open key is wiped by the rescale. A row without open keys gives 0.
// host      keys, rows >= 1; `limit` is the position of query 0 (CAUSAL) or the number of open keys (LENGTH);
//           `columns` is the W of RELATIVE, else unused;
//           the marked loops are written out first (src/kernels/unroll.ts)
// prelude   const D4, ROWS, WG, LANES, GROUP; bools CAUSAL, LENGTH, MASK, RELATIVE, of which at most one is true; bool SPLIT


/** ROWS rows of D4 chunks. */
alias Rows = array<vec4f, ROWS * D4>;

// Our rows are read and written by plain loops, not written out: loads and stores are what SwiftShader and Mesa compile
// most slowly (2.2 -> 1.0 s for 4 rows of 8 chunks on SwiftShader, November 2026), and these run once.

/** The first `count` rows' queries, scaled. at_y: places of the rows in y, in heads. */
fn load_rows(at_y: array<u32, ROWS>, count: u32) -> Rows {
  var places = at_y;
  var q = Rows();
  for (var r = 0u; r < count; r++) {
    let at = places[r] / sizes.heads * sizes.q_stride + sizes.q_start + places[r] % sizes.heads * D4;
    for (var c = 0u; c < D4; c++) { q[r * D4 + c] = query[at + c] * (sizes.scale * LOG2E); }
  }
  return q;
}

/** The first `count` rows: o / l, or o, m and l for attention-combine. */
fn store_rows(
  sums: Rows, largest: array<f32, ROWS>, totals: array<f32, ROWS>, at_y: array<u32, ROWS>, count: u32, split: u32,
) {
  var o = sums;
  var m = largest;
  var l = totals;
  var places = at_y;
  for (var r = 0u; r < count; r++) {
    if (SPLIT) {
      let at = (places[r] * sizes.splits + split) * (D4 + 1u);
      for (var c = 0u; c < D4; c++) { y[at + c] = o[r * D4 + c]; }
      y[at + D4] = vec4f(m[r], l[r], 0.0, 0.0);
    } else {
      let share = share_of(m[r], l[r]);
      for (var c = 0u; c < D4; c++) { y[places[r] * D4 + c] = o[r * D4 + c] * share; }
    }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let unit = group.y + sizes.first_group;
  let head = unit / sizes.row_blocks;
  let batch = group.z;
  let split = group.x * LANES + thread % LANES;
  let first = (unit % sizes.row_blocks * (WG / LANES) + thread / LANES) * ROWS;
  if (first >= sizes.rows) { return; }
  let queries = sizes.rows / GROUP;

  // Our rows; past the end there are none, and what stands for them sees what the last one sees
  let ours = min(ROWS, sizes.rows - first);
  var m: array<f32, ROWS>;
  var l: array<f32, ROWS>;
  var i: array<u32, ROWS>;     // its query
  var at_y: array<u32, ROWS>;  // its place in y, in heads
  var open: array<u32, ROWS>;  // it sees keys [0, open)
  var keys = 0u;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let row = min(first + r, sizes.rows - 1u);
    i[r] = row / GROUP;
    at_y[r] = (batch * queries + i[r]) * sizes.heads + head * GROUP + row % GROUP;
    m[r] = FLOOR;
    l[r] = 0.0;
    open[r] = sizes.keys;
    if (CAUSAL) { open[r] = min(sizes.limit + i[r] + 1u, sizes.keys); }
    if (LENGTH) { open[r] = min(sizes.limit, sizes.keys); }
    keys = max(keys, open[r]);
  }
  var q = load_rows(at_y, ours);
  var o = Rows();

  let k_first = batch * sizes.keys * sizes.k_stride + sizes.k_start + head * D4;
  let v_first = batch * sizes.keys * sizes.v_stride + sizes.v_start + head * D4;
  let words = (sizes.keys + 31u) / 32u;
  // RELATIVE blocks end with a row of the map, so that they have one vertical position
  let map_rows = sizes.keys / sizes.columns;
  let blocks_a_row = (sizes.columns + BLOCK - 1u) / BLOCK;
  let blocks = select((keys + BLOCK - 1u) / BLOCK, map_rows * blocks_a_row, RELATIVE);
  // One more than a block has: Mesa writes loops out that run over a whole array, and compiles for minutes
  var scores: array<f32, BLOCK * ROWS + 1u>;
  var top: array<f32, ROWS>;
  var p: array<f32, ROWS>;
  var word: array<u32, ROWS>;
  var vertical: array<f32, ROWS>;
  var chunk: array<vec4f, D4>;
  for (var b = split; b < blocks; b += sizes.splits) {
    // 1. Which keys: [j, j + count)
    var j = b * BLOCK;
    var column = 0u;
    var count = min(BLOCK, keys - j);
    if (MASK) {
      var blocked = 0xffffffffu;
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        word[r] = bits[i[r] * words + b];
        blocked &= word[r];
      }
      if (blocked == 0xffffffffu) { continue; }
    }
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
      /*unroll*/ for (var c = 0u; c < D4; c++) { chunk[c] = key[at + c]; }
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        var score = 0.0;
        /*unroll*/ for (var c = 0u; c < D4; c++) { score += dot(q[r * D4 + c], chunk[c]); }
        if (RELATIVE) { score += vertical[r] + rel_w[at_y[r] * sizes.columns + column + t]; }
        if (CAUSAL) { score = select(FLOOR, score, j + t < open[r]); }
        if (MASK) { score = select(score, FLOOR, ((word[r] >> t) & 1u) == 1u); }
        scores[t * ROWS + r] = score;
        top[r] = max(top[r], score);
      }
    }

    // 3. What we have so far, relative to them
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      let shrink = exp2(m[r] - top[r]);
      m[r] = top[r];
      l[r] *= shrink;
      /*unroll*/ for (var c = 0u; c < D4; c++) { o[r * D4 + c] *= shrink; }
    }

    // 4. The block's values
    for (var t = 0u; t < count; t++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        p[r] = exp2(scores[t * ROWS + r] - m[r]);
        l[r] += p[r];
      }
      let at = v_first + (j + t) * sizes.v_stride;
      /*unroll*/ for (var c = 0u; c < D4; c++) {
        let v = value[at + c];
        /*unroll*/ for (var r = 0u; r < ROWS; r++) { o[r * D4 + c] += p[r] * v; }
      }
    }
  }

  store_rows(o, m, l, at_y, ours, split);
}
