// attention-tiles: y = softmax(scale * q k^T + bias) v for every head, as attention.wgsl, by workgroups
//
// For GPUs: keys and values come through workgroup memory, a tile of KEYS at a time, so that 32 rows share each load. PARTS
// threads share a row, each with every PARTS-th chunk of its channels, so that a thread's queries and sums stay in
// registers up to heads of 128. They add their parts of the scores up through workgroup memory: no subgroups needed.
//
// shapes    query [B, queries, ...], key and value [B, keys, ...] in vec4f, rows `*_stride` apart, the first head at
//           `*_start`; y [B, queries, heads, D4] vec4f; SPLIT: [B, queries, heads, splits, D4 + 1], the last is (m, l, 0, 0)
//           bits [queries, ceil(keys / 32)]; rel_h [B, queries, heads, H], rel_w [B, queries, heads, W]
// threads   64 = 16 groups of PARTS; a group has ROWS rows and of their channels, thread p has chunks p, PARTS + p, ...
// grid      x: splits, y: head of keys, then blocks of rows; z: batch
// numerics  f32, as attention.wgsl: powers of two, FLOOR for hidden keys; a row without open keys gives 0
// host      keys, rows >= 1; `limit` is the position of query 0 (CAUSAL) or the number of open keys (LENGTH);
//           `columns` is the W of RELATIVE, else unused; OWN = ceil(D4 / PARTS); PARTS = 4;
//           turns = KEYS, as a size so that Mesa doesn't write the loops out, which divides the 32 of a word of the mask;
//           the marked loops are written out first (src/kernels/unroll.ts)
// prelude   const D4, KEYS, PARTS, ROWS, OWN, GROUP; bools CAUSAL, LENGTH, MASK, RELATIVE, of which at most one is true; bool SPLIT
//
// occupancy with ROWS = 2, a thread keeps 4 * 2 * 2 * OWN floats (64 at d = 64, 128 at d = 128) and about 40 more. Workgroup
//           memory is 256 D4 bytes of tiles, 4,096 of parts, 1,024 of weights: 9 KiB at d = 64, 13 KiB at d = 128. A GPU with
//           64 KiB of it and 65,536 registers a multiprocessor holds 7 workgroups at d = 64 (448 threads; registers would
//           allow 9) and 4 at d = 128 (256 threads; registers would allow 6)
// per tile  of 8 keys, a thread loads D4 / 4 vec4f, reads 4 * OWN * 4 of tiles for 16 * OWN products of four: one read of a
//           tile feeds ROWS = 2 of them; four barriers
// predicted the reads of workgroup memory, 128 bytes a cycle, bind: 64 multiply-adds a cycle, half of what 128 units could do,
//           hence at most half the ceiling on such a GPU, less for exponentials and barriers. 512 causal tokens, 32/8 heads
//           of 128: 2.1 GFLOP that count, 20 MiB of query, key, value and y once, and keys again for each 32 rows, from cache
// measured  software adapters only, where barriers cost 272 cycles: see src/ops/attention/tiles.ts

const WG = 64u;
const BLOCK_ROWS = WG / PARTS * ROWS;

var<workgroup> key_tile: array<vec4f, KEYS * D4>;
var<workgroup> value_tile: array<vec4f, KEYS * D4>;
/** Scores in PARTS, then what each key weighs, by row. */
var<workgroup> parts: array<f32, BLOCK_ROWS * KEYS * PARTS>;
var<workgroup> weights: array<f32, BLOCK_ROWS * KEYS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let unit = group.y + sizes.first_group;
  let head = unit / sizes.row_blocks;
  let batch = group.z;
  let split = group.x;
  let first = unit % sizes.row_blocks * BLOCK_ROWS;
  let queries = sizes.rows / GROUP;
  let part = thread % PARTS;
  let ours = thread / PARTS * ROWS;  // our first row in the block

  // Our rows; past the end they are the last one again, which is not stored. Chunks past D4 are zeros
  var m: array<f32, ROWS>;
  var l: array<f32, ROWS>;     // of our keys: every PARTS-th
  var i: array<u32, ROWS>;     // its query
  var at_y: array<u32, ROWS>;  // its place in y, in heads
  var open: array<u32, ROWS>;  // it sees keys [0, open)
  var q: array<vec4f, ROWS * OWN>;
  var o: array<vec4f, ROWS * OWN>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let row = min(first + ours + r, sizes.rows - 1u);
    i[r] = row / GROUP;
    at_y[r] = (batch * queries + i[r]) * sizes.heads + head * GROUP + row % GROUP;
    m[r] = FLOOR;
    open[r] = sizes.keys;
    if (CAUSAL) { open[r] = min(sizes.limit + i[r] + 1u, sizes.keys); }
    let at = (batch * queries + i[r]) * sizes.q_stride + sizes.q_start + (head * GROUP + row % GROUP) * D4;
    /*unroll*/ for (var n = 0u; n < OWN; n++) {
      let c = part + n * PARTS;
      q[r * OWN + n] = select(vec4f(), query[at + min(c, D4 - 1u)] * (sizes.scale * LOG2E), c < D4);
    }
  }
  // What the last row sees, the same for all threads
  var keys = sizes.keys;
  if (LENGTH) { keys = min(sizes.limit, keys); }
  if (CAUSAL) { keys = min(sizes.limit + (min(first + BLOCK_ROWS, sizes.rows) - 1u) / GROUP + 1u, keys); }

  let k_first = batch * sizes.keys * sizes.k_stride + sizes.k_start + head * D4;
  let v_first = batch * sizes.keys * sizes.v_stride + sizes.v_start + head * D4;
  let words = (sizes.keys + 31u) / 32u;
  let map_rows = sizes.keys / sizes.columns;
  var top: array<f32, ROWS>;
  var hidden: array<u32, ROWS>;
  for (var j = split * KEYS; j < keys; j += sizes.splits * KEYS) {
    // 1. The tiles; past the last key it is repeated, and weighs nothing
    for (var n = thread; n < sizes.turns * D4; n += WG) {
      let row = min(j + n / D4, keys - 1u);
      key_tile[n] = key[k_first + row * sizes.k_stride + n % D4];
      value_tile[n] = value[v_first + row * sizes.v_stride + n % D4];
    }
    workgroupBarrier();

    // 2. Our part of the scores
    for (var t = 0u; t < sizes.turns; t++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) { top[r] = 0.0; }
      /*unroll*/ for (var n = 0u; n < OWN; n++) {
        let k = key_tile[t * D4 + min(part + n * PARTS, D4 - 1u)];
        /*unroll*/ for (var r = 0u; r < ROWS; r++) { top[r] += dot(q[r * OWN + n], k); }
      }
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        if (RELATIVE && t % PARTS == part) {
          let at = min(j + t, keys - 1u);
          top[r] += rel_h[at_y[r] * map_rows + at / sizes.columns] + rel_w[at_y[r] * sizes.columns + at % sizes.columns];
        }
        parts[((ours + r) * KEYS + t) * PARTS + part] = top[r];
      }
    }
    workgroupBarrier();

    // 3. The new largest scores, and what our keys weigh
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      top[r] = m[r];
      hidden[r] = 0u;
      if (MASK) { hidden[r] = bits[i[r] * words + j / 32u] >> (j % 32u); }
    }
    for (var t = 0u; t < sizes.turns; t++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        let at = (ours + r) * KEYS + t;
        let sum = (parts[at * PARTS] + parts[at * PARTS + 1u]) + (parts[at * PARTS + 2u] + parts[at * PARTS + 3u]);
        let score = select(FLOOR, sum, j + t < min(open[r], keys) && ((hidden[r] >> t) & 1u) == 0u);
        top[r] = max(top[r], score);
        if (t % PARTS == part) { weights[at] = score; }
      }
    }
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      let shrink = exp2(m[r] - top[r]);
      m[r] = top[r];
      l[r] *= shrink;
      /*unroll*/ for (var n = 0u; n < OWN; n++) { o[r * OWN + n] *= shrink; }
      for (var t = part; t < sizes.turns; t += PARTS) {
        // Keys past the last weigh nothing even where all are hidden
        let at = (ours + r) * KEYS + t;
        let p = select(0.0, exp2(weights[at] - m[r]), j + t < keys);
        l[r] += p;
        weights[at] = p;
      }
    }
    workgroupBarrier();

    // 4. The values
    for (var t = 0u; t < sizes.turns; t++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) { top[r] = weights[(ours + r) * KEYS + t]; }
      /*unroll*/ for (var n = 0u; n < OWN; n++) {
        let v = value_tile[t * D4 + min(part + n * PARTS, D4 - 1u)];
        /*unroll*/ for (var r = 0u; r < ROWS; r++) { o[r * OWN + n] += top[r] * v; }
      }
    }
    workgroupBarrier();
  }

  // o / l, or o, m and l for attention-combine. l is summed over the threads of a row
  /*unroll*/ for (var r = 0u; r < ROWS; r++) { parts[(ours + r) * PARTS + part] = l[r]; }
  workgroupBarrier();
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let at = (ours + r) * PARTS;
    let total = (parts[at] + parts[at + 1u]) + (parts[at + 2u] + parts[at + 3u]);
    if (first + ours + r < sizes.rows) {
      let share = select(share_of(m[r], total), 1.0, SPLIT);
      let begin = select(at_y[r] * D4, (at_y[r] * sizes.splits + split) * (D4 + 1u), SPLIT);
      /*unroll*/ for (var n = 0u; n < OWN; n++) {
        let c = part + n * PARTS;
        if (c < D4) { y[begin + c] = o[r * OWN + n] * share; }
      }
      if (SPLIT && part == 0u) { y[begin + D4] = vec4f(m[r], total, 0.0, 0.0); }
    }
  }
}
